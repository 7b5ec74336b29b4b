"""Bases that begin where a segmentation of the points ends."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import jax.numpy as jnp
import numpy as np

from ..basis import AbstractPartition, PartitionBasis, PolynomialPartition
from ..basis.pou.partition import AbstractSoftmax, hard_assignment
from ..basis.pou.partitioned import PartitionParams
from ..basis.pou.polynomial import dimension
from ..geometry.points import unit_box
from ..selection.task import draw
from .borders import shaped, steepness
from .candidates import HeldOut, Segmentation
from .segmentation import LocalFits, picked
from .starts import SegmentationOptions

#: Relative held-out error below which no more is tried.
EXACT = 1e-10
#: Degrees of the logits that are compared in more than one input.
LOGIT_DEGREES = (1, 2, 4)
#: Rows for each coefficient of the logits, the least for degrees above 1.
ROWS_PER_LOGIT = 40
#: Shares that points are left out in when degrees of logits are compared, and the most points for
#: which that is done besides held-out rows.
SHARES, FEW_POINTS = 5, 3000
#: Slopes of logits at borders where they are to be sharp, and where points of both sides are to
#: be shared so that they pull; over the mean distance of points.
HARD, SOFT = 1e9, 4.0
#: The same where noise grows from part to part: over the mean width of parts.
WIDE = 4.0
#: Weights of the ties that make neighbouring polynomials meet, by the number of inputs.
TIED = {1: 1e4}
TIED_MORE = 1e2
#: Points beyond the end of a piece within which it may meet the next, where data are noisy.
SLACK = 8


def variants(
    segmentation: Segmentation,
    partition: str | AbstractPartition,
    seen: HeldOut | None,
    wanted: SegmentationOptions,
    key: Any,
) -> Iterator[tuple[PartitionBasis, PartitionParams]]:
    """Yield bases and parameters that begin where the segmentation ends.

    Borders as sharp as can be, with polynomials that meet there and without; and soft ones, which
    points of both sides pull.
    """
    fits, n_inputs = segmentation.fits, segmentation.fits.x.shape[1]
    spacing = len(fits.x) ** (-1 / n_inputs)
    reach = 10 * spacing if n_inputs == 1 else min(0.15, 2 * spacing)
    plain = PartitionBasis(
        segmentation.count,
        fits.degree,
        partition=_of_size(partition, segmentation, seen),
        index_set=wanted.index_set,
        reach=reach,
    )
    unity, box = plain.unity, jnp.asarray(unit_box(n_inputs))
    assert isinstance(unity, AbstractSoftmax)
    drawn = draw(unity, key, box)
    slack = 0 if segmentation.fits.loss(segmentation.labels) < EXACT**2 else SLACK
    found = shaped(unity, drawn, fits, segmentation.labels, slack)
    if segmentation.count == 1:
        yield plain, plain.recentred(found, jnp.asarray(fits.x))
        return
    steep = steepness(unity, found, fits.x) or 1.0  # zero where logits tell nothing apart
    tied = plain.replace(continuity=TIED.get(n_inputs, TIED_MORE))
    kinds = [(tied, HARD), (plain, HARD), (plain, SOFT)]
    if wanted.noise == "parts":
        kinds.append((plain, WIDE * segmentation.count * spacing))
    for basis, slope in kinds:
        sharpened = unity.sharpened(found, slope / spacing / steep)
        yield basis, basis.recentred(sharpened, jnp.asarray(fits.x))


def _of_size(
    partition: str | AbstractPartition, segmentation: Segmentation, seen: HeldOut | None
) -> str | AbstractPartition:
    """Return a partition into as many parts as the segmentation has."""
    if isinstance(partition, AbstractPartition):
        return partition.replace(n_partitions=segmentation.count)
    if partition != "auto":
        return partition
    if segmentation.fits.x.shape[1] == 1 or segmentation.count == 1:
        return "affine"
    names = {1: "affine", 2: "quadratic", 4: "quartic"}
    rows, n_inputs = segmentation.fits.x.shape
    most = rows / (ROWS_PER_LOGIT * (segmentation.count - 1))
    degrees = [q for q in LOGIT_DEGREES if q == 1 or dimension(n_inputs, q) <= most]
    errors = (
        {q: _classified(segmentation, q, seen) for q in degrees} if len(degrees) > 1 else {1: 0.0}
    )
    return names[min(errors, key=lambda q: errors[q])]


def _classified(segmentation: Segmentation, degree: int, seen: HeldOut | None) -> float:
    """Return the squared error on points not seen with pieces told apart by such logits.

    Where there are few held-out rows one of them would decide: a share of its own points
    after another is left out, too.
    """
    fits, labels = segmentation.fits, segmentation.labels
    unity = PolynomialPartition(segmentation.count, degree)

    def wrong(kept: np.ndarray, points: LocalFits) -> float:
        weights = shaped(unity, None, fits[kept], labels[kept])
        owned = hard_assignment(unity, weights, points.x)
        return float(points.weight @ picked(fits.losses(labels, points), owned))

    every = np.arange(len(labels))
    total = 0.0 if seen is None else wrong(every, fits.at(*seen))
    for share in range(SHARES if seen is None or len(labels) <= FEW_POINTS else 0):
        out, kept = every[share::SHARES], np.delete(every, np.s_[share::SHARES])
        if len(np.unique(labels[kept])) == segmentation.count:
            total += wrong(kept, fits[out])
    return total
