"""What the rows of a model were reduced to: rows to come are added without those gone by."""

from __future__ import annotations

import dataclasses

import numpy as np

from .. import lstsq


@dataclasses.dataclass(frozen=True)
class Factor:
    """The triangular factors of all rows [Φ | y], weighted by their share of the total weight.

    Attributes
    ----------
    reductions : tuple of lstsq.Reduction
        One for each member of a mean, in the model's units.
    total : float
        The weight of all rows.
    n_rows : int
        Those of positive weight.
    """

    reductions: tuple[lstsq.Reduction, ...]
    total: float
    n_rows: int

    def joined(self, other: Factor) -> Factor:
        """Return that of the rows of both: a monoid, as reductions are."""
        total = self.total + other.total
        reductions = tuple(
            lstsq.combine(_scaled(one, self.total / total), _scaled(two, other.total / total))
            for one, two in zip(self.reductions, other.reductions, strict=True)
        )
        return Factor(reductions, total, self.n_rows + other.n_rows)


def _scaled(reduction: lstsq.Reduction, share: float) -> lstsq.Reduction:
    factor = np.sqrt(share) * np.asarray(reduction.factor)
    return dataclasses.replace(reduction, factor=factor)
