"""Enthalpy of superheated steam over temperature and pressure."""

from __future__ import annotations

from collections.abc import Iterator

from ..data import steam_split
from ..fitting import compare
from ..methods import classical, ours
from ..records import Bar, Measurement
from ..registry import Settings, case

SEEDS = range(6)


@case(
    "steam",
    "enthalpy of superheated steam, six random splits",
    error="test RMSE / standard deviation of the test y",
    repeats=1,
    reference="adabasis",
    bars=(Bar("steam", "adabasis", "error", 3e-4),),
)
def run(settings: Settings) -> Iterator[Measurement]:
    """Compare on smooth data in two variables."""
    problems = [steam_split(seed) for seed in (SEEDS[:1] if settings.quick else SEEDS)]
    methods = [
        ours.DEFAULT,
        classical.LINEAR,
        classical.NEIGHBOURS,
        classical.BOOSTING,
        classical.PROCESS,
    ]
    yield from compare(problems, methods, settings)
