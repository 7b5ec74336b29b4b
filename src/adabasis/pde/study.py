"""Values of several unknowns side by side; errors against another solution, at several widths."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np

from .._runtime.registry import provided


@dataclasses.dataclass(frozen=True)
class Study:
    """Errors at several widths; ``print`` it for a table.

    Attributes
    ----------
    widths : array of int, shape (K,)
    errors : array, shape (K,)
        Relative l2 errors.
    residuals : array, shape (K,)
        Relative residuals on fresh points.
    seconds : array, shape (K,)
    against : str
        What the errors are measured against: the exact solution, or the finest one.
    """

    widths: np.ndarray
    errors: np.ndarray
    residuals: np.ndarray
    seconds: np.ndarray
    against: str

    @property
    def order(self) -> float:
        """The slope r of error ~ width^−r, fitted over all widths with an error."""
        used = self.errors > 0
        if used.sum() < 2:
            return float("nan")
        return -float(np.polyfit(np.log(self.widths[used]), np.log(self.errors[used]), 1)[0])

    def __str__(self) -> str:
        columns = zip(self.widths, self.errors, self.residuals, self.seconds, strict=True)
        lines = [f"{w:>10,} {e:>10.1e} {r:>10.1e} {s:>8.2f}" for w, e, r, s in columns]
        head = f"{'functions':>10} {'error':>10} {'residual':>10} {'seconds':>8}"
        last = f"error ~ functions^-{self.order:.1f}, against {self.against}"
        return "\n".join([head, *lines, last])

    def plot(self) -> Any:
        """Draw errors and residuals against width; returns a Figure."""
        return provided("plot convergence")(self)


def relative(off: np.ndarray, exact: np.ndarray) -> float:
    """Return the relative l2 error of the worst unknown; one that is 0 counts beside the others."""
    sizes = np.linalg.norm(exact, axis=0)
    sizes = np.where(sizes > 0, sizes, np.max(sizes))
    return float(np.max(np.linalg.norm(off, axis=0) / sizes))


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
