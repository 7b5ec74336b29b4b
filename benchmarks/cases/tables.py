"""Four engineering tables of the UCI repository, from $ADABASIS_DATA."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from ..data import table_split
from ..fitting import compare
from ..methods import classical, ours
from ..methods.peers import peers
from ..records import Measurement
from ..registry import Settings, case

NAMES = ("yacht", "airfoil", "concrete", "energy")
SPLITS = range(10)
NEURAL = {"yacht": 0.096, "airfoil": 0.179, "concrete": 0.276, "energy": 0.036}
"""The best neural peer's medians on splits 0 to 2, measured before there was a default."""


@case(
    "tables",
    "yacht, airfoil, concrete and energy, ten splits each",
    error="test RMSE / standard deviation of the training y",
    repeats=1,
    reference="adabasis",
)
def run(settings: Settings) -> Iterator[Measurement]:
    """Compare on tables, everything by default."""
    names, splits = (NAMES[:1], SPLITS[:1]) if settings.quick else (NAMES, SPLITS)
    methods = [
        ours.DEFAULT,
        classical.LINEAR,
        classical.SCALED_MLP,
        classical.MLP_LBFGS,
        classical.BOOSTING,
        classical.PROCESS,
        *peers(settings, "LightGBM", "torch ReLU, Adam", "torch tanh, L-BFGS", "pykan"),
    ]
    for name in names:
        problems = [table_split(name, split) for split in splits]
        measured = []
        for measurement in compare(problems, methods, settings):
            measured.append(measurement)
            yield measurement
        first = [m.error for m in measured if m.method == ours.DEFAULT.name][:3]
        settings.note(f"{name}: {np.median(first):.4f} on splits 0 to 2 (bar {NEURAL[name]})")
        for line in paired(measured, ours.DEFAULT.name):
            settings.note(f"{name}: {line}")


def paired(measured: Sequence[Measurement], reference: str) -> Iterator[str]:
    """Yield each peer's error less ours, split by split: the mean and its standard error."""
    errors: dict[str, dict[str, float]] = {}
    for m in measured:
        errors.setdefault(m.method, {})[m.problem] = m.error
    ours_by_split = errors.pop(reference)
    for method, others in errors.items():
        gaps = np.array([others[split] - error for split, error in ours_by_split.items()])
        uncertain = gaps.std(ddof=1) / np.sqrt(len(gaps)) if len(gaps) > 1 else np.nan
        yield f"{method} less adabasis {gaps.mean():+.4f} ± {uncertain:.4f}"
