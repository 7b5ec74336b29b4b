"""What a fit has to say of rows that stand alone, and of partitions that own none."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from ..basis import PartitionBasis
from ..basis.pou.partition import hard_assignment
from ..models.record import Asked
from ..selection.prepared import Prepared
from ..selection.search import Candidate
from .bases import linear_fit


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
