"""What a fit has to say of rows that stand alone, idle partitions, and targets better alone."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from ..basis import PartitionBasis
from ..basis.pou.partition import hard_assignment
from ..evidence.errors import Unseen
from ..models.record import Asked
from ..selection.prepared import Prepared
from ..selection.search import Candidate
from .bases import linear_fit

#: How many times as much a target's error is as with other functions where this is said, and what
#: share of its spread at least: several targets share one choice, and each loses a little.
BETTER_ALONE, WORTH_SAYING = 2.0, 1e-6


def lonely(data: Prepared, best: Candidate) -> Iterator[str]:
    """Say how many places have one row alone, which the model goes through."""
    members = best.basis.members(best.parameters)
    single = int(np.sum(data.places.count <= 1))
    if not data.places.within or not single or len(members) > 1:
        return
    fit = linear_fit(*members[0], data, data.all_rows, best.ridge)
    if fit.effective > len(data.places) - 0.5:
        one = "one place rests" if single == 1 else f"{single} places rests"
        yield (
            f"What the model says at {one} on one row{' each' * (single > 1)}: its error there "
            "is taken to be that of replicates."
        )


def idle(data: Prepared, best: Candidate, asked: Asked) -> Iterator[str]:
    """Say how many partitions of a partition of unity network own no row."""
    if not isinstance(best.basis, PartitionBasis):
        return
    owned = hard_assignment(best.basis.unity, best.parameters.partition, data.z)
    counts = np.bincount(owned, minlength=best.basis.n_partitions)
    empty = int(np.sum(counts == 0))
    if empty:
        chosen = asked.n_partitions == "auto"
        choose = "" if chosen else ", or let fit_pounet choose (n_partitions='auto')"
        yield (
            f"{empty} of {len(counts)} partitions own no row: the data show fewer pieces, or "
            f"training has emptied them. Ask for {len(counts) - empty}{choose}."
        )


def better_alone(data: Prepared, seen: Unseen | None, found: Sequence[Candidate]) -> Iterator[str]:
    """Say which of several targets other functions fit better: all share one choice.

    A line beside a noisy wave takes the wave's functions and ridge, and some of its noise.
    """
    drawn = [c for c in found if c.run is None and c.unseen and c.unseen.residuals is not None]
    if seen is None or seen.residuals is None or data.t.shape[1] == 1 or not drawn:
        return
    own, others = _errors(seen), np.stack([_errors(c.unseen) for c in drawn if c.unseen])
    for k, spread in enumerate(data.t.std(axis=0)):
        least = int(np.argmin(others[:, k]))
        error = others[least, k]
        if own[k] > max(BETTER_ALONE * error, WORTH_SAYING * spread) and spread > 0:
            yield (
                f"Target {k + 1} errs {own[k] / spread:.2g} of its standard deviation on rows not "
                f"seen, {drawn[least].label} {error / spread:.2g}: all targets share one choice. "
                "Fit this one alone."
            )


def _errors(seen: Unseen) -> np.ndarray:
    """Return the root mean square of the errors of each target, (Q,); infinite where unknown."""
    assert seen.residuals is not None
    errors = np.sqrt(np.average(seen.residuals**2, axis=0, weights=seen.weight))
    return np.where(np.isfinite(errors), errors, np.inf)
