"""Partitions by name."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from .grid import GridPartition
from .partition import (
    AbstractPartition,
    NetworkPartition,
    PolynomialPartition,
    RBFPartition,
)

#: Kinds of partition by name, made for a number of parts; "resnet" is the slides' deep one.
PARTITIONS: dict[str, Callable[[int], AbstractPartition]] = {
    "rbf": RBFPartition,
    "rbf-anisotropic": functools.partial(RBFPartition, anisotropic=True),
    "affine": PolynomialPartition,
    "quadratic": functools.partial(PolynomialPartition, degree=2),
    "quartic": functools.partial(PolynomialPartition, degree=4),
    "network": NetworkPartition,
    "resnet": functools.partial(NetworkPartition, depth=8, activation="relu", residual=True),
    "grid": GridPartition,
}


def partition_named(partition: Any, n_partitions: int) -> AbstractPartition:
    """Look a kind of partition up by name, or check one that is given.

    Raises
    ------
    ValueError
        For an unknown name, or a partition into another number.
    """
    if isinstance(partition, AbstractPartition):
        if partition.n_partitions != n_partitions:
            raise ValueError(
                f"PartitionBasis(n_partitions={n_partitions}, partition={partition!r}): the two "
                "numbers differ; give the same."
            )
        return partition
    if partition not in PARTITIONS:
        raise ValueError(
            f"partition={partition!r} is not known: expected one of {', '.join(PARTITIONS)}, or an "
            "AbstractPartition."
        )
    return PARTITIONS[partition](n_partitions)
