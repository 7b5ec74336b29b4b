"""One reduction of many rows by one worker of Dask and by two, each of one thread."""

from __future__ import annotations

import contextlib
import dataclasses
import logging
import math
import time
from collections.abc import Iterator

import jax
import numpy as np

from adabasis import NeuralBasis
from adabasis._runtime.compute import numerics
from adabasis.models.record import Ridge
from adabasis.regression.solve import solve_rows
from adabasis.rows import AbstractPart, AbstractSource, Chunk, Statistics
from adabasis.rows.engine import using

from ..records import Bar, Measurement
from ..registry import Settings, SkippedError, case

#: Columns, width, rows of a part, and parts: of the case, and reduced.
N_INPUTS, WIDTH, PART_ROWS, PARTS, FEW_PARTS = 8, 64, 2**16, 64, 8
NAMES = {1: "1 worker", 2: "2 workers"}
#: The time of two workers over that of one, at an efficiency of .8.
MOST = 1 / (2 * 0.8)


@dataclasses.dataclass(frozen=True)
class DrawnPart(AbstractPart):
    """Rows drawn from a seed of their own, where they are read."""

    first: int
    n_rows: int

    def keyed_chunks(self, n_rows: int = PART_ROWS) -> Iterator[tuple[Chunk, np.ndarray]]:
        """Yield the rows, at most so many at a time."""
        for start in range(self.first, self.first + self.n_rows, n_rows):
            size = min(n_rows, self.first + self.n_rows - start)
            x = np.random.default_rng(start).uniform(-1, 1, (size, N_INPUTS))
            y = np.sin(2 * x[:, :1] + x[:, 1:2] * x[:, 2:3])
            yield Chunk(x, y, np.ones(size)), np.arange(start, start + size)


class Drawn(AbstractSource):
    """Parts that are drawn, of known weight: one pass over them is the reduction alone."""

    n_inputs, n_outputs = N_INPUTS, 1

    def __init__(self, n_parts: int) -> None:
        self.n_parts, self.n_rows = n_parts, n_parts * PART_ROWS
        few = self.parts()[0].read()
        known = Statistics.of(few)
        self._known = dataclasses.replace(
            known, total_weight=float(self.n_rows), n_rows=self.n_rows
        )

    def parts(self, n_rows: int = PART_ROWS) -> list[DrawnPart]:
        """Return one part for each seed."""
        return [DrawnPart(k * PART_ROWS, PART_ROWS) for k in range(self.n_parts)]


@case(
    "rows-workers",
    "one least-squares pass of width 64: two workers of Dask against one, and this process",
    error="none: time alone",
    repeats=5,
    reference="1 worker",
    bars=(Bar("reduction", "2 workers", "time_ratio", MOST),),
)
def run(settings: Settings) -> Iterator[Measurement]:
    """Reduce the rows with clusters that are up and warm, turn about."""
    try:
        import distributed
    except ModuleNotFoundError as error:
        raise SkippedError("rows-workers: needs dask[distributed].") from error
    from adabasis.rows.dask_engine import DaskEngine

    logging.getLogger("distributed").setLevel(logging.ERROR)
    source = Drawn(FEW_PARTS if settings.quick else PARTS)
    basis = NeuralBasis(WIDTH - 1, 1)
    with numerics():
        drawn = basis.init(jax.random.key(0), np.array([[-1.0, 1.0]] * N_INPUTS))
    model, ridge = (basis, jax.tree.map(np.asarray, drawn)), Ridge(0.0, relative=True)
    options = {"threads_per_worker": 1, "host": "127.0.0.1", "dashboard_address": ":0"}
    with contextlib.ExitStack() as stack, numerics():
        engines = {}
        for n_workers, name in NAMES.items():
            cluster = distributed.LocalCluster(n_workers=n_workers, **options)
            stack.enter_context(cluster)
            client = distributed.Client(cluster, set_as_default=False)
            engines[name] = DaskEngine(stack.enter_context(client))
            with using(engines[name]):  # workers import what they need
                solve_rows(model, Drawn(8 * n_workers), ridge)
        for repeat in range(settings.repeats):
            for name, engine in engines.items():
                settings.doing(f"{name}, repeat {repeat + 1}")
                before, began = _cpu(engine.client), time.perf_counter()
                with using(engine):
                    solve_rows(model, source, ridge)
                seconds, cpu = time.perf_counter() - began, _cpu(engine.client) - before
                rows = f"{source.n_rows:,} rows"
                yield Measurement("reduction", rows, name, repeat, math.nan, seconds, 0.0, cpu)


def _cpu(client: object) -> float:
    """Return the CPU seconds of all workers so far."""
    return float(sum(client.run(time.process_time).values()))  # type: ignore[attr-defined]
