"""One fit to Parquet files in a process of its own: ``rows_worker.py FOLDER OPTIONS``.

Prints, as JSON, its CPU seconds, the error against the function without noise, and the resident
memory beyond that after the imports.
"""

from __future__ import annotations

import json
import pathlib
import resource
import sys
import time

import jax
import numpy as np

import adabasis as ab
from adabasis.regression import api  # what a fit imports is no part of its memory

sys.path.append(str(pathlib.Path(__file__).parents[2]))
from benchmarks.many_rows import unseen

UNSEEN_ROWS = 50_000


def resident() -> float:
    """Return the resident memory now, in MiB; the largest so far where the system does not tell."""
    status = pathlib.Path("/proc/self/statm")
    if status.exists():
        return int(status.read_text().split()[1]) * resource.getpagesize() / 2**20
    return largest()


def largest() -> float:
    """Return the largest resident memory so far, in MiB."""
    status = pathlib.Path("/proc/self/status")
    if status.exists():  # what getrusage says is no less than what the parent had
        words = status.read_text().split()
        return int(words[words.index("VmHWM:") + 1]) / 2**10
    unit = 2**20 if sys.platform == "darwin" else 2**10
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit


def main(folder: str, options: str) -> None:
    """Fit, and print the record."""
    jax.numpy.zeros(1).block_until_ready()
    before, wall, cpu = resident(), time.perf_counter(), time.process_time()
    model = api.fit(f"{folder}/part-*.parquet", "y", **json.loads(options))
    found = {
        "seconds": time.perf_counter() - wall,
        "cpu_seconds": time.process_time() - cpu,
        "memory": largest() - before,
        "steps": len(model.history) - 1,
        "model": repr(model.basis),
        "rows": model.record.n_rows,
        "version": ab.__version__,
    }
    x, y = unseen(UNSEEN_ROWS)
    found["error"] = float(np.sqrt(np.mean((model(x) - y) ** 2)) / y.std())
    print(json.dumps(found))


if __name__ == "__main__":
    main(*sys.argv[1:])
