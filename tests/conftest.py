"""Every test computes in float64, except those marked ``plain_scope``, which see JAX as users do."""

import os

os.environ.setdefault("MPLBACKEND", "Agg")

import jax
import pytest
from hypothesis import settings

settings.register_profile("adabasis", max_examples=20, deadline=None, derandomize=True)
settings.load_profile("adabasis")


def pytest_configure(config):
    config.addinivalue_line("markers", "plain_scope: runs without the float64 scope of the tests")
    if not hasattr(config, "cache"):
        return
    # Workers share what they compile, and so does the next run.
    jax.config.update("jax_compilation_cache_dir", str(config.cache.mkdir("jax")))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
    jax.config.update("jax_persistent_cache_min_entry_size_bytes", -1)


@pytest.fixture(autouse=True)
def float64(request):
    if request.node.get_closest_marker("plain_scope"):
        yield
        return
    with jax.enable_x64(True):
        yield
