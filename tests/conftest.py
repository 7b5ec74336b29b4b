"""Every test computes in float64; those marked ``plain_scope`` see JAX as users do."""

import contextlib
import gc
import os
import pathlib
import signal

os.environ.setdefault("MPLBACKEND", "Agg")

import jax
import pytest
from hypothesis import settings

MAPS, MOST_MAPS = pathlib.Path("/proc/self/maps"), 40_000
"""Compiled code is mapped memory, of which Linux gives a process 65,530 pieces: then it crashes."""

settings.register_profile("adabasis", max_examples=20, deadline=None, derandomize=True)
settings.load_profile("adabasis")


def pytest_configure(config):
    # Shells start jobs in the background with Ctrl-C ignored, and so would the tests of it.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for marker in (
        "plain_scope: runs without the float64 scope of the tests",
        "strict_promotion: no array may change its type unasked (Optax is not up to this)",
    ):
        config.addinivalue_line("markers", marker)
    if config.option.markexpr == "not slow":
        # Laws do not depend on LLVM's optimisations, and compiling is most of their time. The
        # tests marked slow run the code that users run.
        fast = "--xla_backend_optimization_level=0 --xla_llvm_disable_expensive_passes=true"
        os.environ["XLA_FLAGS"] = f"{os.environ.get('XLA_FLAGS', '')} {fast}".strip()
        from adabasis._runtime import compute  # its choice goes before that of the environment

        compute._SEVERAL[compute._LEVEL] = 0
    if not hasattr(config, "cache"):
        return
    # Workers share what they compile, and so does the next run.
    folder = str(config.cache.mkdir("jax"))
    jax.config.update("jax_compilation_cache_dir", folder)
    os.environ["ADABASIS_CACHE"] = folder  # of the processes that tests start
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
    jax.config.update("jax_persistent_cache_min_entry_size_bytes", -1)


@pytest.fixture(autouse=True)
def numeric_scope(request):
    with contextlib.ExitStack() as scope:
        if not request.node.get_closest_marker("plain_scope"):
            scope.enter_context(jax.enable_x64(True))
        if request.node.get_closest_marker("strict_promotion"):
            scope.enter_context(jax.numpy_dtype_promotion("strict"))
        yield


@pytest.fixture(autouse=True, scope="module")
def few_maps():
    """Forget compiled code between modules where there is much of it."""
    yield
    if MAPS.exists() and MAPS.read_bytes().count(b"\n") > MOST_MAPS:
        jax.clear_caches()
        gc.collect()
