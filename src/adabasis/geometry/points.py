"""Points with weights, padded so that few different shapes are ever compiled."""

from __future__ import annotations

import dataclasses
import math

import jax
import numpy as np

from .._runtime.notation import AnyArray


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class Points:
    """N points with non-negative weights.

    Attributes
    ----------
    x : array, shape (N, D)
    weight : array, shape (N,)
        A weight of zero makes a point count for nothing: padding is such points.
    """

    x: AnyArray
    weight: AnyArray

    def __len__(self) -> int:
        return self.x.shape[0]


def bucket(n: int) -> int:
    """Return the padded row count for ``n`` rows: the next of 64·{1, 1.25, 1.5, 1.75}·2^k.

    At most a quarter of the rows are padding; everything up to 64 rows shares one shape.
    """
    if n <= 64:
        return 64
    step = 2 ** (math.ceil(math.log2(n)) - 3)
    return step * math.ceil(n / step)


def pad_rows(a: np.ndarray, rows: int) -> np.ndarray:
    """Append zero rows to ``a`` until it has ``rows``."""
    missing = rows - len(a)
    return np.concatenate([a, np.zeros((missing, *a.shape[1:]), a.dtype)]) if missing > 0 else a


def pad_points(x: np.ndarray) -> np.ndarray:
    """Repeat the first point until there are :func:`bucket` rows.

    A repeated point is one where the basis is known to be defined.
    """
    missing = bucket(len(x)) - len(x)
    first = x[:1] if len(x) else np.zeros((1, x.shape[1]))
    return np.concatenate([x, np.broadcast_to(first, (missing, x.shape[1]))])


def padded(x: np.ndarray, weight: np.ndarray | None = None) -> Points:
    """Return the points padded to :func:`bucket` rows, the padding with weight zero."""
    weight = np.ones(len(x)) if weight is None else weight
    return Points(pad_points(x), pad_rows(weight, bucket(len(x))))


def tensor_grid(*axes: np.ndarray) -> np.ndarray:
    """Return the points of a grid with these coordinates along its D axes, (n₁ ⋯ n_D, D).

    The last coordinate varies fastest.
    """
    return np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, len(axes))
