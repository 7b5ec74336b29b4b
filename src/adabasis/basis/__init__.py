"""Bases: a recipe each, with parameters drawn by ``init`` and passed to every call."""

import warnings
from typing import Any

from .activations import ACTIVATIONS, Activation
from .base import BASES, AbstractBasis, AbstractWrapper, in_model_files
from .enriched import EnrichedBasis
from .layers import INITIALIZERS, AbstractInitializer, BoxInit, FanScaled
from .networks import FrozenFeatures, NeuralBasis, ProjectedFeatures
from .placed import PlacedGaussians
from .plain import AdditiveSplines, GaussianKernels, Polynomial
from .pou.grid import GridPartition
from .pou.named import PARTITIONS
from .pou.partition import (
    AbstractPartition,
    NetworkPartition,
    PolynomialPartition,
    RBFPartition,
)
from .pou.partitioned import PartitionBasis
from .wrappers import Ensemble, MappedBasis, WarpedBasis

__all__ = [
    "ACTIVATIONS",
    "BASES",
    "INITIALIZERS",
    "PARTITIONS",
    "AbstractBasis",
    "AbstractInitializer",
    "AbstractPartition",
    "AbstractWrapper",
    "Activation",
    "AdditiveSplines",
    "BoxInit",
    "EnrichedBasis",
    "Ensemble",
    "FanScaled",
    "FrozenFeatures",
    "GaussianKernels",
    "GridPartition",
    "MappedBasis",
    "NetworkPartition",
    "NeuralBasis",
    "PartitionBasis",
    "PlacedGaussians",
    "Polynomial",
    "PolynomialPartition",
    "ProjectedFeatures",
    "RBFPartition",
    "WarpedBasis",
    "in_model_files",
]


def __getattr__(name: str) -> Any:
    if name != "Box":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    message = "adabasis.basis.Box is now BoxInit; adabasis.Box is a domain."
    warnings.warn(message, FutureWarning, stacklevel=2)
    return BoxInit
