"""A look at the installation: versions, devices, precision, threads, cache; what is wrong."""

from __future__ import annotations

import os
import platform
from collections.abc import Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import numpy as np

_MEND = "set ADABASIS_CACHE to a folder you can write to"
PACKAGES = ("adabasis", "jax", "jaxlib", "equinox", "optax", "numpy", "scipy", "scikit-learn")


def examine() -> tuple[dict[str, str], list[str]]:
    """Return findings by name, and what is wrong, each with its mend."""
    import jax
    import threadpoolctl

    found: dict[str, str] = {"python": platform.python_version(), "system": platform.platform()}
    wrong: list[str] = []
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            wrong.append(f"{package} is not installed: run `pip install adabasis` again.")
    found["devices"] = ", ".join(map(str, jax.devices()))
    found["computes on"] = _device(jax)
    found["precision"] = _precision(wrong)
    found["reductions"] = _reductions(wrong)
    pools = threadpoolctl.threadpool_info()
    found["BLAS threads"] = (
        ", ".join(f"{p['internal_api']} {p['num_threads']}" for p in pools) or "none found"
    ) + "; capped to 1 during fits"
    found["processors"] = str(os.cpu_count())
    found["compile cache"] = _cache()
    return found, wrong


def _device(jax: Any) -> str:
    device = jax.devices()[0]
    kind = {"cpu": "the processor", "gpu": "a GPU", "tpu": "a TPU"}.get(device.platform, "a device")
    more = f" ({device.device_kind})" if device.device_kind != device.platform else ""
    return f"{kind}{more}; values of fitted models, and what is small, in NumPy on the processor"


def _reductions(wrong: list[str]) -> str:
    from ..lstsq import cholesky

    ways = {cholesky.QR: "QR", cholesky.CHOLESKY: "shifted Cholesky-QR"}
    try:
        return f"by {ways[cholesky.method()]}"
    except ValueError as error:
        wrong.append(str(error))
        return "none"


def _cache() -> str:
    from .._runtime import cache

    own = cache.folder()
    path, why = cache.given_to_jax() or own.path, own.why
    if path is None:
        return f"none: {why}, so every process compiles anew (some seconds); {_MEND}"
    if str(path) == str(own.path) and not own.writable:
        return f"{path}, only read: {why}; {_MEND}"
    return str(path)


def _precision(wrong: list[str]) -> str:
    from .. import lstsq
    from .._runtime.compute import numerics

    with numerics():
        import jax.numpy as jnp

        x = np.linspace(-1, 1, 200)
        a = np.stack([x**k for k in range(8)], axis=1)
        solution = lstsq.solve(lstsq.reduce(jnp.asarray(a), jnp.asarray(a.sum(1)[:, None])))
        error = float(np.abs(np.asarray(solution.coefficients) - 1).max())
    if not error < 1e-10:
        wrong.append(
            f"A least-squares solve is off by {error:.1e}: float64 does not work on this device. "
            "Set JAX_PLATFORMS=cpu."
        )
    return f"float64, a test solve is off by {error:.0e}"


def report(found: Mapping[str, str], wrong: Sequence[str], console: Any) -> None:
    """Print the findings."""
    wide = max(map(len, found))
    for name, value in found.items():
        console.print(f"{name:{wide}}  {value}", highlight=False, markup=False, soft_wrap=True)
    console.print()
    for text in wrong or ["Nothing is wrong."]:
        console.print(text, highlight=False, markup=False)
