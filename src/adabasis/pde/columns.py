"""Values of several unknowns side by side, complex ones in two columns."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


def relative(off: np.ndarray, exact: np.ndarray) -> float:
    """Return the relative l2 error of the worst unknown; see :func:`relative_each`."""
    return max(relative_each(off, exact))


def relative_each(off: np.ndarray, exact: np.ndarray) -> list[float]:
    """Return the relative l2 error of each unknown; one that is 0 counts beside the others.

    Parameters
    ----------
    off, exact : arrays, shape (N, M) or (N,)
    """
    sizes = np.atleast_1d(np.linalg.norm(exact, axis=0))
    sizes = np.where(sizes > 0, sizes, np.max(sizes))
    return [float(e) for e in np.atleast_1d(np.linalg.norm(off, axis=0)) / sizes]


def columns_of(names: Sequence[str]) -> dict[str, list[int]]:
    """Return the columns of each unknown, two for a complex one, from the names of all."""
    found: dict[str, list[int]] = {}
    for k, name in enumerate(names):
        found.setdefault(name.removeprefix("Re ").removeprefix("Im "), []).append(k)
    return found


def joined(values: np.ndarray, columns: dict[str, list[int]]) -> np.ndarray:
    """Return a column for each unknown, (N, M) or (N,), those of complex ones made of two."""
    if values.ndim == 1 or not any(len(k) > 1 for k in columns.values()):
        return values
    each = [
        values[:, k[0]] + 1j * values[:, k[1]] if len(k) > 1 else values[:, k[0]]
        for k in columns.values()
    ]
    return each[0] if len(each) == 1 else np.stack(each, axis=1)
