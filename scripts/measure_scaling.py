"""Measure what a pass over rows costs, and say what the cost model foresees.

Prints the table of docs/scaling.md: ``python scripts/measure_scaling.py``, in CPU seconds.
"""

from __future__ import annotations

import itertools
import logging
import math
import time

import jax
import numpy as np

from adabasis import NeuralBasis, lstsq
from adabasis._runtime.compute import numerics
from adabasis.rows.engine import ARITY, LocalEngine, packed, versions, worked

D, Q, ROWS = 8, 1, 2**16
WIDTHS = (16, 64, 256)
#: Bytes a second that a worker is assumed to read, and to send.
READ, SEND = 2e8, 1e9
CORES = 16


class Part:
    """Rows of a seed."""

    def __init__(self, seed):
        self.seed = seed

    def read(self):
        """Return the points and values."""
        x = np.random.default_rng(self.seed).uniform(-1, 1, (ROWS, D))
        return x, np.sin(x.sum(axis=1, keepdims=True))


class Reduce:
    """Rows of a part to their triangle, in blocks that fit in the cache."""

    def __init__(self, basis, parameters):
        self.basis, self.parameters = basis, parameters

    def __call__(self, part):
        """Return the reduction of a part."""
        x, y = part.read()
        blocks = np.array_split(np.arange(ROWS), 8)
        each = [lstsq.reduce(self.basis.values(x[b], self.parameters), y[b]) for b in blocks]
        return lstsq.combine(*each)


def cpu(function, *args, least=0.3):
    """Return the least CPU seconds of a call among some."""
    best, spent = math.inf, -1e-9
    while spent < least:
        began = time.process_time()
        function(*args)
        took = time.process_time() - began
        best, spent = min(best, took), spent + max(took, 1e-4)
    return best


def drawn(width):
    """Return a basis of so many functions, a constant included, and its parameters."""
    basis = NeuralBasis(width - 1, 1)
    with numerics():
        parameters = basis.init(jax.random.key(0), np.array([[-1.0, 1.0]] * D))
    return basis, jax.tree.map(np.asarray, parameters)


def constants():
    """Return seconds of a value of Φ, and the rate of QR at each number of columns."""
    x, values, rates = np.random.default_rng(0).uniform(-1, 1, (ROWS // 8, D)), [], {}
    for width in WIDTHS:
        basis, parameters = drawn(width)
        values.append(cpu(basis.values, x, parameters) / (len(x) * width))
        rows = np.random.default_rng(1).normal(size=(ROWS // 8, width + Q))
        rates[width] = 2 * len(rows) * (width + Q) ** 2 / cpu(lstsq.triangularize, rows)
    return float(np.median(values)), rates


def of_pass(n, workers, width, value, rate, task):
    """Return seconds of the parts of the formula: work, reading, joining, scheduling."""
    c, tasks = width + Q, min(max(n / ROWS, 1), 8 * workers)
    work = n / workers * (value * width + 2 * c**2 / rate)
    reading = n / workers * 8 * (D + Q + 1) / READ
    levels = math.ceil(math.log(max(tasks, 2), ARITY))
    joining = levels * (2 * ARITY * c**3 / rate + ARITY * 8 * c**2 / SEND)
    return work, reading, joining, tasks * task


def of_task():
    """Return the CPU seconds of an empty task, those of the worker apart."""
    import distributed

    from adabasis.rows.dask_engine import DaskEngine

    logging.getLogger("distributed").setLevel(logging.CRITICAL)
    options = {"processes": False, "threads_per_worker": 1, "dashboard_address": ":0"}
    with (
        distributed.LocalCluster(n_workers=1, **options) as cluster,
        distributed.Client(cluster, set_as_default=False) as client,
        numerics(),
    ):
        engine = DaskEngine(client)
        engine.map(abs, range(20))
        began = time.process_time()
        engine.map(abs, range(300))
        everywhere = (time.process_time() - began) / 300
        there = cpu(worked, versions(), packed(abs), packed(1))
        return everywhere - there, there


def main():
    """Print constants, the formula beside passes, and what it foresees."""
    value, rates = constants()
    print(f"a value of a function: {value * 1e9:.1f} ns")
    print("QR: " + ", ".join(f"{r / 1e9:.1f} Gflop/s at P = {w}" for w, r in rates.items()))
    task, there = of_task()
    print(
        f"a task: {task * 1e3:.2f} ms in scheduler and client, {there * 1e3:.2f} ms in the worker"
    )
    print("\none pass, CPU s: rows, P, measured, formula, bytes of an element")
    for parts, width in itertools.product((2, 16), WIDTHS):
        function = Reduce(*drawn(width))
        draw = cpu(lambda: [Part(seed).read() for seed in range(2)], least=0) * parts / 2
        pass_of = LocalEngine().map_reduce
        took = cpu(pass_of, function, [Part(seed) for seed in range(parts)], lstsq.combine, least=0)
        work, _, joining, _ = of_pass(parts * ROWS, 1, width, value, rates[width], 0.0)
        size = len(packed(function(Part(0))))
        row = f"{took - draw:9.2f} {work + joining:9.2f} {size:9,}"
        print(f"{parts * ROWS:12,} {width:5} {row}")
    print(f"\nforeseen, s a pass of P = 64 on hosts of {CORES} cores, a worker each:")
    print("         rows hosts      work   reading   joining  scheduling     all")
    for n, hosts in itertools.product((1e9, 1e10, 1e11, 1e12), (8, 64, 1024)):
        parts = of_pass(n, CORES * hosts, 64, value, rates[64], task)
        work, reading, joining, scheduling = parts
        numbers = f"{work:9.3g} {reading:9.3g} {joining:9.2g} {scheduling:11.2g} {sum(parts):7.3g}"
        print(f"{n:13.0e} {hosts:5} {numbers}")


if __name__ == "__main__":
    main()
