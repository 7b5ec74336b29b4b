"""What an accelerator is good for, in under ten minutes: ``python -m benchmarks.gpu``.

Seconds of a step of LSGD against one of GD, of reductions by reflections and by shifted
Cholesky-QR, of a default fit of kin40k (where ``$ADABASIS_DATA`` is set), and of frozen features on
ten million rows. The same code runs on processors; ``--quick`` makes it short there.
"""

from __future__ import annotations

import argparse
import json
import os
import pathlib
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import adabasis as ab
from adabasis._runtime.compute import numerics
from adabasis.lstsq import cholesky, triangularize

from . import cases, machine
from .data import table_split
from .measure import timed
from .records import summarise
from .registry import CASES, Settings, SkippedError

__all__ = ["cases", "main"]
#: Seconds for everything, and for the search on kin40k.
BUDGET, SEARCH = 600.0, 150.0
ROWS, FEW_ROWS, INPUTS, WIDTH = 10**7, 10**5, 10, 256


def step_ratio(quick: bool) -> dict[str, Any]:
    """Return the medians of the case of that name: seconds of a step, and ratios to GD's."""
    case = CASES["step-ratio"]
    found = list(case.run(Settings(2 if quick else 10, quick)))
    return {
        f"{row.group} {row.method}": {"seconds": row.seconds, "ratio": row.time_ratio}
        for row in summarise(found, case.reference)
    }


def reductions(quick: bool) -> dict[str, Any]:
    """Return the seconds of a reduction each way, and how far their factors are apart."""
    shape = (20_000, 64) if quick else (200_000, WIDTH)
    found: dict[str, Any] = {"rows": shape[0], "columns": shape[1]}
    before, factors = os.environ.get(cholesky.VARIABLE), []
    with numerics():
        rows = jax.random.normal(jax.random.key(0), shape, jnp.float64)
        for way in (cholesky.QR, cholesky.CHOLESKY):
            os.environ[cholesky.VARIABLE] = way
            reduced = jax.jit(lambda rows: triangularize(rows))  # anew: each way is traced
            reduced(rows).block_until_ready()
            with timed() as timing:
                factors.append(np.asarray(reduced(rows)))
            found[way] = timing.seconds
    os.environ.pop(cholesky.VARIABLE)
    if before is not None:
        os.environ[cholesky.VARIABLE] = before
    one, other = (r.T @ r for r in factors)
    return found | {"relative difference": float(np.linalg.norm(one - other) / np.linalg.norm(one))}


def kin40k(quick: bool) -> dict[str, Any]:
    """Return error and seconds of a default fit of split 0."""
    try:
        problem = table_split("kin40k", 0)
    except SkippedError as error:
        return {"skipped": str(error)}
    few = slice(1000 if quick else None)
    with timed() as timing:
        model = ab.fit(problem.x[few], problem.y[few], max_seconds=5 if quick else SEARCH)
    error = np.sqrt(np.mean((model(problem.x_test) - problem.y_test) ** 2)) / problem.scale
    return {"error": float(error), "basis": repr(model.basis), **_times(model, timing)}


def many_rows(quick: bool) -> dict[str, Any]:
    """Return error and seconds of frozen features on very many rows, and of their prediction."""
    rng = np.random.default_rng(0)
    x = rng.uniform(-1, 1, (FEW_ROWS if quick else ROWS, INPUTS))
    y = np.sin(3 * x[:, 0] * x[:, 1]) + x[:, 2:].sum(axis=1) ** 2
    with timed() as timing:
        basis = ab.FrozenFeatures(64 if quick else WIDTH)
        model = ab.fit(x, y, basis, method="frozen", standardize=True)
    found = {"rows": len(x), **_times(model, timing)}
    with timed() as timing:
        values = model.predict(x)
    error = float(np.sqrt(np.mean((values - y) ** 2)) / y.std())
    return found | {"error": error, "seconds of prediction": timing.seconds}


def _times(model: ab.Fitted, timing: Any) -> dict[str, Any]:
    spent = model.timings.to_json() if model.timings else None
    seconds = {"seconds": timing.seconds, "compile_seconds": timing.compile_seconds}
    return seconds | {"cpu_seconds": timing.cpu_seconds, "timings": spent}


PARTS: dict[str, Callable[[bool], dict[str, Any]]] = {
    "step ratio": step_ratio,
    "reductions": reductions,
    "ten million rows": many_rows,
    "kin40k": kin40k,
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the parts that there is time for and write JSON."""
    parser = argparse.ArgumentParser("python -m benchmarks.gpu", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="reduced: does it all run?")
    parser.add_argument("--json", type=pathlib.Path, metavar="FILE", help="instead of the screen")
    options = parser.parse_args(arguments)
    os.environ["ADABASIS_CACHE"] = "off"
    began, found = time.perf_counter(), {"machine": machine.facts(), "quick": options.quick}
    for name, part in PARTS.items():
        print(f"{name} ...", file=sys.stderr, flush=True)
        left = BUDGET - SEARCH - (time.perf_counter() - began)
        found[name] = part(options.quick) if left > 0 else {"skipped": "no time was left"}
    found["seconds"] = time.perf_counter() - began
    text = json.dumps(found, indent=1)
    if options.json:
        options.json.write_text(text + "\n", "utf-8")
    else:
        print(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
