"""Networks for classes: trained by Adam in NumPy, each without other rows, and averaged.

Adam moves all weights together; what it leaves is a basis. The last layer is solved anew, with one
ridge for all members: the few rows of one fold choose badly, those of several do well.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence

import numpy as np

from ..basis import NeuralBasis
from ..models.record import Ridge
from ..selection.search import Candidate, Search
from ..train.adam import EPOCHS, Adam, first_network
from .task import RIDGES, ClassificationTask, strongest

#: Sizes are compared on folds with so many rows together, and so many folds at most.
COMPARED_ROWS, COMPARED_FOLDS = 100, 3


class Networks:
    """Networks of a few sizes, and more of the size that errs least.

    Parameters
    ----------
    search : Search
    task : ClassificationTask
    bases : sequence of NeuralBasis
    """

    def __init__(
        self, search: Search[Candidate], task: ClassificationTask, bases: Sequence[NeuralBasis]
    ) -> None:
        self.search, self.task, self.bases = search, task, bases
        self.found: dict[NeuralBasis, list[Candidate]] = {}

    def compare(self, restarts: int) -> None:
        """Train each size on the same folds; further restarts on the first."""
        for basis in self.bases:
            found = self.found.setdefault(basis, [])
            for number in range(self._folds_compared()):
                found.append(self.search.add(self._trained(basis, number)))
                if self.search.late():
                    return
            for restart in range(1, restarts):
                self.search.add(self._trained(basis, 0, restart))
                if self.search.late():
                    return

    def _folds_compared(self) -> int:
        data = self.task.data
        held_out = max(1, len(data.x) - len(data.fold(0)[0]))
        return min(COMPARED_FOLDS, len(data.folds), math.ceil(COMPARED_ROWS / held_out))

    @property
    def error(self) -> float:
        """The least mean error of a size over the folds compared."""
        return min((_mean(found) for found in self.found.values() if found), default=np.inf)

    def average(self, members: int) -> None:
        """Train more networks of the best size, each without other rows, and add their mean."""
        basis = min(self.found, key=lambda basis: _mean(self.found[basis]))
        group = self.found[basis][:members]
        while len(group) < members and not self.search.late():
            group.append(self._trained(basis, len(group)))
        if len(group) > 1:
            group = self._ridged(group)
            self.task.average(self.search, group[0], len(group), group.__getitem__, _mean_error)

    def _trained(self, basis: NeuralBasis, number: int, restart: int = 0) -> Candidate:
        """Train a network without the rows of a fold, and solve its last layer."""
        task, asked = self.task, self.task.asked.max_steps
        fold = number % len(task.data.folds)
        term = task.some(task.data.fold(fold)[0])
        seed = [task.data.seed, number, restart, basis.width, basis.depth]
        initial = first_network(task.objective(term, basis, 0.0), seed)
        trainer = Adam(epochs=EPOCHS if asked is None else max(1, min(EPOCHS, asked)))
        found = task.trained(
            self.search, trainer, basis, 0.0, restart=number + restart, fold=fold, initial=initial
        )
        return self._solved(found, None)

    def _solved(self, found: Candidate, ridges: Sequence[float] | None) -> Candidate:
        last = self.task.last_layer(found.basis, found.parameters, found.fold or 0, ridges)
        run = found.run
        assert run is not None
        run = dataclasses.replace(
            run, coefficients=last.coefficients, validation=last.error * self.task.unit()
        )
        ridge = Ridge(last.ridge, relative=False)
        return dataclasses.replace(found, run=run, validation_error=last.error, ridge=ridge)

    def _ridged(self, group: list[Candidate]) -> list[Candidate]:
        """Solve the last layers of all members with the ridge that suits their folds together."""
        if self.task.asked.fixed_ridge is not None:
            return group
        errors = [
            [last.error for last in self.task.path(c.basis, c.parameters, c.fold or 0, RIDGES)]
            for c in group
        ]
        _, ridge = strongest(list(zip(np.mean(errors, axis=0).tolist(), RIDGES, strict=True)))
        return [self._solved(candidate, [ridge]) for candidate in group]


def _mean(found: Sequence[Candidate]) -> float:
    return _mean_error([candidate.validation_error for candidate in found])


def _mean_error(errors: Sequence[float]) -> float:
    return float(np.mean(errors))
