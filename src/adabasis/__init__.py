"""adabasis: neural networks as adaptive bases.

The hidden layers of a network give functions Φ(x; ξ); the last layer is their coefficients, a
linear least-squares problem with an exact answer. Only ξ needs descent.

Names resolve on first use, so that importing the package (and the command line) stays fast.
"""

from __future__ import annotations

import importlib
from typing import Any

__version__ = "0.1.0"

# Public names by the module that holds them, in the order of the path: geometry, bases, operators,
# rows, least squares, training, results, front doors.
_NAMES = {
    "domains": ["Box"],
    "basis": ["AbstractBasis", "FrozenFeatures", "NeuralBasis", "PartitionBasis"],
    "train": ["GD", "LSGD", "LSGN", "NGD", "TwoPhase"],
    "fitted": ["Fitted", "load"],
    "fitting": ["fit", "refit"],
    "classes.classifier": ["Classifier"],
    "classes.fitting": ["classify", "refit_classes"],
    "pounet": ["fit_pounet"],
    "pde.solution": ["Solution"],
    "pde.solving": ["solve"],
    "estimators": ["AdaptiveBasisRegressor"],
    "classes.estimator": ["AdaptiveBasisClassifier"],
    "pounet_estimator": ["POUNetRegressor"],
}
_MODULES = [
    "basis",
    "domains",
    "lstsq",
    "operators",
    "pde",
    "plots",
    "points",
    "rows",
    "samplers",
    "train",
]
_HOME = {name: module for module, names in _NAMES.items() for name in names}

__all__ = ["__version__", *_MODULES, *_HOME]


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        return importlib.import_module(f"{__name__}.{name}")
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(f"{__name__}.{_HOME[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
