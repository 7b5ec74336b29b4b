"""Four engineering tables of the UCI repository, from $ADABASIS_DATA."""

from __future__ import annotations

from collections.abc import Iterator

from ..data import table_split
from ..fitting import compare
from ..methods import classical, ours
from ..methods.peers import peers
from ..records import Bar, Measurement
from ..registry import Settings, case

NAMES = ("yacht", "airfoil", "concrete", "energy")
SPLITS = (0, 1, 2)


@case(
    "tables",
    "yacht, airfoil, concrete and energy, three splits each",
    error="test RMSE / standard deviation of the training y",
    repeats=1,
    reference="adabasis",
    bars=(Bar("airfoil", "adabasis", "error", 0.244),),
)
def run(settings: Settings) -> Iterator[Measurement]:
    """Compare on tables, everything by default."""
    names, splits = (NAMES[:1], SPLITS[:1]) if settings.quick else (NAMES, SPLITS)
    problems = [table_split(name, split) for name in names for split in splits]
    methods = [
        ours.DEFAULT,
        classical.LINEAR,
        classical.SCALED_MLP,
        classical.MLP_LBFGS,
        classical.BOOSTING,
        classical.PROCESS,
        *peers(settings, "LightGBM", "torch ReLU, Adam", "torch tanh, L-BFGS", "pykan"),
    ]
    yield from compare(problems, methods, settings)
