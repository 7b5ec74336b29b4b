"""Bases: a recipe each, with parameters drawn by ``init`` and passed to every call."""

from .activations import ACTIVATIONS, Activation
from .base import AbstractBasis
from .features import FrozenFeatures
from .initialize import INITIALIZERS, AbstractInitializer, Box, FanScaled
from .neural import NeuralBasis
from .warped import WarpedBasis

BASES: dict[str, type[AbstractBasis]] = {
    "NeuralBasis": NeuralBasis,
    "FrozenFeatures": FrozenFeatures,
}
"""Kinds of basis a model file can name; every law is run over all of them."""

__all__ = [
    "ACTIVATIONS",
    "BASES",
    "INITIALIZERS",
    "AbstractBasis",
    "AbstractInitializer",
    "Activation",
    "Box",
    "FanScaled",
    "FrozenFeatures",
    "NeuralBasis",
    "WarpedBasis",
]
