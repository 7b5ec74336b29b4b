"""Whether what was exported has the values of the model."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from ..geometry.points import AffineMap
from ..models.classifier import Classifier
from ..models.fitted import Fitted
from . import python
from .trace import program_of

#: Rows of each kind: places of the training rows, points of their box, points beyond it.
ROWS = 32
#: How far beyond the box: so many sides of it on each side.
BEYOND = 1.0
#: Round-off of a sum, relative to the sum of the sizes of its terms: 2¹⁰ units in the last place.
#: Deep networks reach 2⁵ of them.
ROUND_OFF = 2.0**10 * np.finfo(float).eps
#: Where functions themselves are sums that cancel (the Gaussians of kriging), what round-off the
#: model has is seen by more digits; so many times the largest of it is allowed, and a share of the
#: largest value at most.
MARGIN, MOST = 16.0, 1e-8


@dataclasses.dataclass(frozen=True)
class Difference:
    """How far values are from those of the model.

    Attributes
    ----------
    largest : float
        Of all rows and outputs, in the units of the outputs.
    relative : float
        The same over the largest value.
    round_off : bool
        Whether round-off explains it everywhere.
    rows : int
        Compared.
    """

    largest: float
    relative: float
    round_off: bool
    rows: int

    def __str__(self) -> str:
        """Say it in words."""
        return (
            f"largest difference from the model {self.largest:.1e} ({self.relative:.1e} of the "
            f"largest value), at {self.rows} rows inside and beyond the training data"
        )


def rows_to_check(model: Fitted) -> np.ndarray:
    """Return places of training rows where they are known, and points in and beyond their box."""
    rng = np.random.default_rng(0)
    low, side = model.box[:, 0], model.box[:, 1] - model.box[:, 0]
    found = [low + side * rng.random((ROWS, model.n_inputs))]
    found.append(low + side * rng.uniform(-BEYOND, 1 + BEYOND, (ROWS, model.n_inputs)))
    if model.places is not None and type(model.input_map) is AffineMap:
        some = model.places[np.linspace(0, len(model.places) - 1, ROWS).astype(int)]
        found.insert(0, model.input_map.inverse(np.asarray(some, dtype=float)))
    return np.concatenate(found)


def expected(model: Fitted, x: np.ndarray) -> dict[str, np.ndarray]:
    """Return what the model says of rows, by the names of a program's outputs."""
    values = model.outputs(x)
    if isinstance(model, Classifier):
        return {"scores": values, "probabilities": model.probabilities(x)}
    return {"values": values}


def _seen(model: Fitted, x: np.ndarray, truth: Mapping[str, np.ndarray]) -> np.ndarray:
    """Return what the model's round-off may be, (N, Q): seen in extended precision."""
    name, values = next(iter(truth.items()))
    most = MOST * np.max(np.abs(values[np.isfinite(values)]), initial=0.0)
    if np.finfo(np.longdouble).eps == np.finfo(float).eps:
        return np.full(values.shape, most)
    writer = python.Writer(program_of(model))
    text = f"import math\nimport numpy as np\n{python.definitions(writer)}\n"
    text += python.function(writer, "exact", name, "").replace("dtype=float", "dtype=np.longdouble")
    space: dict[str, Any] = {}
    exec(text, space)
    gap = np.abs(values - np.asarray(space["exact"](x), dtype=float))
    gap[~np.isfinite(gap)] = 0.0
    seen = np.empty(values.shape)
    for rows in (slice(0, len(x) - ROWS), slice(len(x) - ROWS, None)):  # within, and beyond
        seen[rows] = MARGIN * np.max(gap[rows], initial=0.0)
    return np.minimum(seen, most)


def compared(
    model: Fitted, exported: Callable[[np.ndarray], Mapping[str, np.ndarray]]
) -> Difference:
    """Compare what was exported, a function of rows, with its model."""
    x = rows_to_check(model)
    truth, found = expected(model, x), exported(x)
    off = ROUND_OFF * np.abs(model.functions(x)) @ np.abs(model.coefficients)
    middle = model.functions(x) @ model.coefficients
    with np.errstate(all="ignore"):
        low, high = (model.output_map.inverse(middle + side) for side in (-off, off))
        allowed = np.abs(high - low) + ROUND_OFF * np.abs(next(iter(truth.values())))
    allowed = allowed + _seen(model, x, truth)
    differences, sizes, explained = [], [], True
    for name, values in truth.items():
        other = np.asarray(found[name], dtype=float).reshape(values.shape)
        within = allowed if name != "probabilities" else 2 * allowed.sum(axis=1, keepdims=True)
        with np.errstate(invalid="ignore"):
            gap = np.where(values == other, 0.0, np.abs(values - other))
        gap = np.where(np.isnan(values) & np.isnan(other), 0.0, gap)
        explained &= bool((gap <= np.where(np.isfinite(within), within, np.inf)).all())
        differences.append(float(np.max(gap, initial=0.0)))
        sizes.append(float(np.max(np.abs(values[np.isfinite(values)]), initial=0.0)))
    largest = max(differences)
    return Difference(largest, largest / (max(sizes) or 1.0), explained, len(x))
