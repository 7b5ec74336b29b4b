"""adabasis: neural networks as adaptive bases.

The hidden layers of a network give functions Φ(x; ξ); the last layer is their coefficients, a
linear least-squares problem with an exact answer. Only ξ needs descent.

Names resolve on first use, so that importing the package (and the command line) stays fast.
"""

from __future__ import annotations

import importlib
import warnings
from typing import Any

from ._runtime.registry import declare

__version__ = "0.1.0"

declare(
    {
        "plot": "adabasis.plots:fitted",
        "plot importance": "adabasis.plots:importance",
        "plot convergence": "adabasis.plots:convergence",
        "report": "adabasis.report:of_model",
        "export": "adabasis.export.api:export",
        "check of a claimed solution": "adabasis.pde.check:checked",
        "rows of tables": "adabasis.tables.table_rows:rows_of_tables",
        "refit of classes": "adabasis.classification.api:refit_classes",
        "refit of parts with noise": "adabasis.pou.noisy:refit_parts",
        "model Fitted": "adabasis.models.fitted:Fitted",
        "model Classifier": "adabasis.models.classifier:Classifier",
        "model ProbabilisticPOUNet": "adabasis.pou.probabilistic:ProbabilisticPOUNet",
        "model Solution": "adabasis.pde.solution:Solution",
    }
)

# Public names by the module that holds them, in the order of the path: geometry, bases, operators,
# rows, least squares, training, results, public functions.
_NAMES = {
    "geometry": ["Ball", "Box", "Disk", "ImplicitDomain", "Mesh", "PointCloud", "Polygon"],
    "basis": ["AbstractBasis", "FrozenFeatures", "NeuralBasis", "PartitionBasis"],
    "train": ["GD", "LSGD", "LSGN", "NGD", "TwoPhase"],
    "models.fitted": ["Fitted"],
    "models.loading": ["load"],
    "models.classifier": ["Classifier"],
    "models.comparison": ["compare"],
    "models.importance": ["importance"],
    "regression.api": ["fit", "refit"],
    "regression.tolerance": ["fit_to_tolerance"],
    "classification.api": ["classify", "refit_classes"],
    "pou.api": ["fit_pounet"],
    "pde.solution": ["Solution"],
    "pde.api": ["solve"],
    "estimators.regressor": ["AdaptiveBasisRegressor"],
    "estimators.classifier": ["AdaptiveBasisClassifier"],
    "estimators.pounet": ["POUNetRegressor"],
}
_MODULES = [
    "basis",
    "callbacks",
    "export",
    "geometry",
    "lstsq",
    "operators",
    "pde",
    "plots",
    "rows",
    "tables",
    "train",
]
# Modules of earlier versions, whose names are in geometry now.
_MOVED = ["domains", "points", "samplers"]
_HOME = {name: module for module, names in _NAMES.items() for name in names}

__all__ = ["__version__", *_MODULES, *_HOME]


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        return importlib.import_module(f"{__name__}.{name}")
    if name in _MOVED:
        warnings.warn(
            f"adabasis.{name} has moved: use adabasis.geometry.", FutureWarning, stacklevel=2
        )
        return importlib.import_module(f"{__name__}.geometry")
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(f"{__name__}.{_HOME[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
