"""Rows beyond memory: what a pass, an epoch and a whole fit cost, and the memory that takes."""

from __future__ import annotations

import contextlib
import json
import math
import os
import pathlib
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from typing import Any

import jax
import numpy as np
import threadpoolctl

import adabasis as ab
from adabasis import rows
from adabasis._runtime.cache import keeping
from adabasis._runtime.compute import numerics
from adabasis.models.record import Ridge
from adabasis.regression.solve import solve_rows
from adabasis.selection.stream import mapped
from adabasis.tables import TableRows, open_rows
from adabasis.train import LSGD, Budget, Objective, train

from .. import many_rows
from ..data import VARIABLE
from ..measure import timed
from ..methods.alone import ONE_THREAD, SOURCE, TIMEOUT
from ..methods.peers import ADVICE, available, last_line, run_worker
from ..records import Bar, Measurement
from ..registry import Settings, case

WIDTH, BATCH = 64, 512
#: Steps that an epoch is told by, and those before. Between them two windows of 26 · 2^14 rows are
#: used, and two are read, each while the one before it is used; of the shortest set eight epochs.
STEPS, FIRST = 1680, 20
#: Rows that a pass is timed on at least: of fewer it is repeated.
LEAST_ROWS = 10**6
#: Rows of the passes, and of whole fits; the last two are those that memory is compared of.
PASSES, FITS = (10**5, 10**6, 10**7), (10**6, 3 * 10**6, 10**7)
QUICK_PASSES, QUICK_FITS = (10**5, 2 * 10**5), (2 * 10**5,)
#: Rows that one read of a chunk has in memory on the yardstick's side: what fits in the cache.
CHUNK = 2**14
NUMPY, OURS = "NumPy on arrays", "adabasis on Parquet"
SGD = "SGDRegressor.partial_fit"
WHOLE = "adabasis, the whole fit"
#: Boosted trees in an environment of their own.
TREES = ("LightGBM on arrays", "XGBoost, external memory")
UNSEEN_ROWS = 50_000
PASS, PER_ROW, EPOCH = "one pass", "a pass, per row", "an epoch, per row"
SPEED, FIT, MEMORY = "rows a second", "a whole fit", "memory of a fit, GiB"


def named(n_rows: int) -> str:
    """Return a number of rows as a method's name."""
    return f"{n_rows:.0e} rows".replace("e+0", "e")


@contextlib.contextmanager
def folder() -> Iterator[pathlib.Path]:
    """Return where the sets are: in the folder of external data, or in one that is removed."""
    given = os.environ.get(VARIABLE)
    if given:
        yield pathlib.Path(given) / "many-rows"
        return
    with tempfile.TemporaryDirectory() as made:
        yield pathlib.Path(made)


def opened(place: pathlib.Path, n_rows: int) -> TableRows:
    """Return a set of so many rows, written if it is not there."""
    many_rows.write(n_rows, place / str(n_rows))
    return open_rows(str(place / str(n_rows) / "part-*.parquet"), "y")


def network(x: np.ndarray, y: np.ndarray) -> ab.Fitted:
    """Return a layer of functions as drawn."""
    few = slice(2000)
    basis = ab.NeuralBasis(WIDTH, 1)
    return ab.fit(x[few], y[few], basis, method="frozen", ridge=1e-6)


def by_numpy(model: ab.Fitted, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Return the triangle of [Φ | y] by the same functions and QRs of chunks."""
    weight, bias = model.parameters.first
    into, out, factors = model.input_map, model.output_map, []
    for start in range(0, len(x), CHUNK):
        z = (x[start : start + CHUNK] - into.shift) / into.scale
        t = (y[start : start + CHUNK, None] - out.shift) / out.scale
        phi = np.tanh(z @ weight.T + bias)
        factors.append(np.linalg.qr(np.hstack([phi, np.ones_like(t), t]), mode="r"))
    return np.linalg.qr(np.vstack(factors), mode="r")


def by_us(model: ab.Fitted, source: rows.AbstractSource) -> Any:
    """Return the coefficients of all rows of a source."""
    with numerics():
        mapped_rows = mapped(source, model.input_map, model.output_map)
        return solve_rows((model.basis, model.parameters), mapped_rows, Ridge(1e-6, False))


def an_epoch(model: ab.Fitted, source: rows.AbstractSource) -> Callable[[], tuple[float, float]]:
    """Return a call of steps on batches of a source: CPU and wall seconds for a million rows."""
    basis = ab.NeuralBasis(WIDTH, 2, activation="silu", init="normal")
    all_rows = mapped(source, model.input_map, model.output_map)
    x, y, weight = (array[:2048] for array in next(all_rows.chunks(2048)))
    objective = Objective([rows.Term(ab.geometry.Points(x, weight), y)], 0.0, basis)
    trainer = LSGD(1e-3, batch_size=BATCH, optimizer="adam")

    def steps(number: int) -> dict[int, np.ndarray]:
        told: dict[int, np.ndarray] = {}

        def look(seen: Any) -> None:
            told[seen.step] = np.array([time.process_time(), time.perf_counter()])

        with numerics():
            drawn = basis.init(jax.random.key(0), np.tile([0.0, 1.0], (x.shape[1], 1)))
            budget = Budget(max_steps=number, check_every=FIRST)
            how = {"key": jax.random.key(1), "budget": budget, "source": all_rows}
            train(trainer, objective, drawn, callbacks=[look], **how)
        return told

    steps(FIRST)  # compiles

    def run() -> tuple[float, float]:
        # Between two looks: what both begin and end with is left out.
        told = steps(STEPS)
        cpu, wall = (told[STEPS] - told[FIRST]) / ((STEPS - FIRST) * BATCH) * 1e6
        return float(cpu), float(wall)

    return run


@case(
    "rows",
    "a Parquet set of 1e5 to 1e7 rows: passes, epochs, whole fits, and their memory",
    error="relative to the spread, against the function without noise; of memory: GiB",
    repeats=3,
    reference=NUMPY,
    bars=(
        Bar(PASS, OURS, "cpu_ratio", 1.3),
        Bar(PER_ROW, named(10**7), "cpu_seconds", 1.2, to=named(10**5)),
        Bar(EPOCH, named(10**7), "cpu_seconds", 1.2, to=named(10**5)),
        Bar(FIT, named(10**7), "cpu_seconds", 1800.0),
        Bar(FIT, named(10**7), "error", 1.0, to=named(10**6)),
        Bar(MEMORY, named(10**7), "error", 1.5),
        Bar(MEMORY, named(10**7), "error", 1.1, to=named(3 * 10**6)),
    ),
)
def run(settings: Settings) -> Iterator[Measurement]:
    """Measure passes and epochs in this process, and whole fits each in another."""
    passes, fits = (QUICK_PASSES, QUICK_FITS) if settings.quick else (PASSES, FITS)
    # The folder of compiled code is opened once, as by a call of fit: that lists it.
    with folder() as place, keeping(), threadpoolctl.threadpool_limits(1, user_api="blas"):
        yield from _one_pass(settings, opened(place, passes[1]))
        yield from _by_number(settings, place, passes)
        yield from _fits(settings, place, fits)
        yield from _others(settings, place, fits[0])


def _one_pass(settings: Settings, source: TableRows) -> Iterator[Measurement]:
    x, y, _ = (np.concatenate(arrays) for arrays in zip(*source.chunks(), strict=True))
    model = network(x, y[:, 0])
    ways: dict[str, Callable[[], Any]] = {
        NUMPY: lambda: by_numpy(model, x, y[:, 0]),
        OURS: lambda: by_us(model, source),
        SGD: lambda: _sgd(source),
    }
    source.statistics()
    for repeat in range(settings.repeats):
        for name, way in ways.items():
            settings.doing(f"{name}, repeat {repeat}")
            with timed() as timing:
                way()
            speed = _speed(len(x), timing.cpu_seconds)
            yield _measured(PASS, name, repeat, timing.cpu_seconds, timing.seconds, status=speed)


def _sgd(source: rows.AbstractSource) -> Any:
    """Take a pass of scikit-learn's linear model over chunks of the same files."""
    from sklearn.linear_model import SGDRegressor

    model = SGDRegressor(random_state=0)
    for x, y, _ in source.chunks():
        model.partial_fit(x, y[:, 0])
    return model


def _by_number(
    settings: Settings, place: pathlib.Path, numbers: tuple[int, ...]
) -> Iterator[Measurement]:
    for n_rows in numbers:
        source = opened(place, n_rows)
        x, y, _ = next(source.chunks(4000))
        model = network(x, y[:, 0])
        epoch = an_epoch(model, source)
        times = math.ceil(LEAST_ROWS / n_rows)
        by_us(model, opened(place, numbers[0]))  # loads what a first pass does
        for repeat in range(settings.repeats):
            settings.doing(f"{named(n_rows)}, repeat {repeat}")
            with timed() as timing:
                for _ in range(times):
                    by_us(model, source)
            each = timing.cpu_seconds / (times * n_rows) * 1e6
            yield _measured(PER_ROW, named(n_rows), repeat, each, timing.seconds)
            yield _measured(EPOCH, named(n_rows), repeat, *epoch())


def _fits(
    settings: Settings, place: pathlib.Path, numbers: tuple[int, ...]
) -> Iterator[Measurement]:
    options = json.dumps({"effort": "fast"} if settings.quick else {})
    worker = pathlib.Path(__file__).parents[1] / "methods" / "rows_worker.py"
    for n_rows in numbers:
        settings.doing(f"a whole fit of {named(n_rows)}")
        many_rows.write(n_rows, place / str(n_rows))
        done = subprocess.run(
            [sys.executable, "-P", str(worker), str(place / str(n_rows)), options],
            capture_output=True,
            text=True,
            env=os.environ | ONE_THREAD | {"PYTHONPATH": str(SOURCE)},
        )
        if done.returncode:
            raise RuntimeError(done.stderr.strip().splitlines()[-1])
        found = json.loads(done.stdout.splitlines()[-1])
        status = f"{found['memory']:,.0f} MiB above the start, {found['steps']:,} steps"
        about = found["cpu_seconds"], found["seconds"], found["error"]
        yield _measured(FIT, named(n_rows), 0, *about, status=status)
        if n_rows == numbers[0]:
            speed = _speed(n_rows, found["cpu_seconds"])
            yield _measured(SPEED, WHOLE, 0, *about, status=speed)
        yield _measured(MEMORY, named(n_rows), 0, *about[:2], found["memory"] / 1024)


def _others(settings: Settings, place: pathlib.Path, n_rows: int) -> Iterator[Measurement]:
    """Measure what others do with the same files: one pass of a line, a hundred trees."""
    source, (x, y) = opened(place, n_rows), many_rows.unseen(UNSEEN_ROWS)
    settings.doing(f"{SGD}, {named(n_rows)}")
    with timed() as timing:
        model = _sgd(source)
    error = float(np.sqrt(np.mean((model.predict(x) - y) ** 2)) / y.std())
    about = timing.cpu_seconds, timing.seconds, error
    yield _measured(SPEED, SGD, 0, *about, status=_speed(n_rows, timing.cpu_seconds))
    for name in TREES:
        if name not in available():
            yield _measured(SPEED, name, 0, math.nan, math.nan, status=f"not installed: {ADVICE}")
            continue
        settings.doing(f"{name}, {named(n_rows)}")
        done = run_worker(name, str(place / str(n_rows)), timeout=TIMEOUT)
        if done.returncode:
            raise RuntimeError(f"{name}: {last_line(done)}")
        found = json.loads(done.stdout.splitlines()[-1])
        about = found["cpu_seconds"], found["seconds"], found["error"]
        status = f"{_speed(n_rows, about[0])}, {found['memory']:,.0f} MiB above the start"
        yield _measured(SPEED, name, 0, *about, status=status)


def _speed(n_rows: int, cpu_seconds: float) -> str:
    return f"{n_rows / cpu_seconds:,.0f} rows a CPU second"


def _measured(
    group: str,
    method: str,
    repeat: int,
    cpu_seconds: float,
    seconds: float,
    error: float = float("nan"),
    status: str = "",
) -> Measurement:
    return Measurement(group, group, method, repeat, error, seconds, 0.0, cpu_seconds, None, status)
