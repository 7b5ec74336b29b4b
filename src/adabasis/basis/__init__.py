"""Bases: a recipe each, with parameters drawn by ``init`` and passed to every call."""

from .activations import ACTIVATIONS, Activation
from .base import AbstractBasis
from .ensemble import Ensemble
from .features import FrozenFeatures
from .initialize import INITIALIZERS, AbstractInitializer, Box, FanScaled
from .neural import NeuralBasis
from .pou.partition import (
    PARTITIONS,
    AbstractPartition,
    GridPartition,
    NetworkPartition,
    PolynomialPartition,
    RBFPartition,
)
from .pou.partitioned import PartitionBasis
from .projected import ProjectedFeatures
from .warped import WarpedBasis

BASES: dict[str, type[AbstractBasis]] = {
    "NeuralBasis": NeuralBasis,
    "FrozenFeatures": FrozenFeatures,
    "ProjectedFeatures": ProjectedFeatures,
    "Ensemble": Ensemble,
    "PartitionBasis": PartitionBasis,
    "RBFPartition": RBFPartition,
    "PolynomialPartition": PolynomialPartition,
    "NetworkPartition": NetworkPartition,
    "GridPartition": GridPartition,
}
"""Kinds of basis a model file can name; every law is run over all of them."""

__all__ = [
    "ACTIVATIONS",
    "BASES",
    "INITIALIZERS",
    "PARTITIONS",
    "AbstractBasis",
    "AbstractInitializer",
    "AbstractPartition",
    "Activation",
    "Box",
    "Ensemble",
    "FanScaled",
    "FrozenFeatures",
    "GridPartition",
    "NetworkPartition",
    "NeuralBasis",
    "PartitionBasis",
    "PolynomialPartition",
    "ProjectedFeatures",
    "RBFPartition",
    "WarpedBasis",
]
