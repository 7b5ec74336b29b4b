"""What a reader of the numbers must know about where they came from, and no more."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import subprocess
import sys
from typing import Any

import threadpoolctl

PACKAGES = ("adabasis", "jax", "jaxlib", "equinox", "optax", "numpy", "scipy", "scikit-learn")


def facts() -> dict[str, Any]:
    """Return versions and machine facts: no host name, no user, no path."""
    return {
        "python": platform.python_version(),
        "system": platform.system(),
        "architecture": platform.machine(),
        "cores": cores(),
        "load": round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else None,
        "device": device(),
        "blas": _blas(),
        "xla": xla_note(),
        "versions": {name: importlib.metadata.version(name) for name in PACKAGES},
    }


def device() -> str:
    """Return where JAX computes, asked of another process: one that knows may not be forked."""
    asked = [sys.executable, "-c", "import jax; print(jax.default_backend())"]
    return subprocess.run(asked, capture_output=True, text=True, check=True).stdout.strip()


def cores() -> int:
    """Return the number of cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def xla_note() -> str:
    """Say how many threads XLA may use, which no BLAS setting caps."""
    flags = ", XLA_FLAGS set" if os.environ.get("XLA_FLAGS") else ""
    return f"own thread pool on {cores()} cores{flags}"


def _blas() -> list[str]:
    pools = threadpoolctl.threadpool_info()
    return sorted(
        {f"{p['internal_api']} {p['version'] or ''}: {p['num_threads']} threads" for p in pools}
    )
