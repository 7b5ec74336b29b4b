"""The figure of the README: error against CPU seconds on three tables of three kinds."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator

from ..data import steam_split, table_split
from ..fitting import Method, Problem, compare
from ..methods.alone import alone
from ..records import Measurement
from ..registry import Settings, SkippedError, case
from .growth import BOOSTING, MLP, OURS, noisy
from .growth_curves import SEPARATOR

#: Efforts of ours, epochs of the network, trees of boosting.
EFFORTS, EPOCHS, TREES = ("fast", "auto"), (20, 200, 1000), (30, 100, 300, 1000)
#: Random splits, or draws, of each table.
SPLITS = 1
#: Panels: what the table is like, and its problem for a seed.
TABLES: dict[str, Callable[[int], Problem]] = {
    "steam: smooth, 2 inputs": steam_split,
    "noisy function, 5 inputs": lambda seed: noisy(10_000, seed),
    "concrete: measured, 8 inputs": lambda seed: table_split("concrete", seed),
}


@case(
    "front",
    "the README's figure: error against CPU seconds on steam, a noisy function and concrete",
    error="RMSE on unseen rows / standard deviation of the target",
    repeats=1,
    reference=f"{OURS}{SEPARATOR}auto",
)
def run(settings: Settings) -> Iterator[Measurement]:
    """Fit every table; reduced, steam alone with fewer points.

    ``python -m benchmarks.growth_figure front`` draws what this has stored.
    """
    methods: list[Method] = []
    for effort in EFFORTS[:1] if settings.quick else EFFORTS:
        name = f"{OURS}{SEPARATOR}{effort}"
        methods.append(alone(name, "adabasis", options={"effort": effort}))
    for what, fit, sizes in ((MLP, "mlp", EPOCHS), (BOOSTING, "boosting", TREES)):
        for size in sizes[:1] if settings.quick else sizes:
            name = f"{what}{SEPARATOR}{size}"
            methods.append(alone(name, fit, options={"max_iter": size}))
    for title, problem in list(TABLES.items())[: 1 if settings.quick else None]:
        try:
            problems = [problem(seed) for seed in range(SPLITS)]
        except SkippedError as why:
            settings.note(f"without {title}: {why}")
            continue
        renamed = [dataclasses.replace(p, group=title) for p in problems]
        yield from compare(renamed, methods, settings)
