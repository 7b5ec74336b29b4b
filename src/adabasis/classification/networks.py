"""Networks for classes: trained by Adam in NumPy, each without other rows, and averaged.

Adam moves all weights together; what it leaves is a basis. The last layer is solved anew, with one
ridge for all members: the few rows of one fold choose badly, those of several do well.
"""

from __future__ import annotations

import functools
import time
from collections.abc import Sequence

import numpy as np

from ..basis import NeuralBasis
from ..rows.engine import current
from ..selection.search import Candidate, Search
from ..train.adam import EPOCHS, Adam, first_network
from .task import ClassificationTask

#: Folds that sizes are compared on where one does not tell.
COMPARED = 3


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
        self.seconds: list[float] = []

    def compare(self, restarts: int) -> None:
        """Train each size on the same folds; further restarts on the first."""
        one = self.task.one_fold_tells or self.task.asked.effort == "fast"
        for basis in self.bases:
            found = self.found.setdefault(basis, [])
            for number in range(1 if one else COMPARED):
                found.append(self.search.add(self._trained(basis, number)))
                if self.search.late():
                    return
            for restart in range(1, restarts):
                self.search.add(self._trained(basis, 0, restart))
                if self.search.late():
                    return

    @property
    def error(self) -> float:
        """The least mean error of a size over the folds compared."""
        return min((mean_error(found) for found in self.found.values() if found), default=np.inf)

    def seconds_of_members(self, members: int) -> float:
        """About what more networks take: as long as those so far, each."""
        known = max(map(len, self.found.values()), default=0)
        return max(members - known, 0) * float(np.mean(self.seconds)) if self.seconds else 0.0

    def average(self, members: int) -> None:
        """Train more networks of the best size, each without other rows, and add their mean."""
        basis = min(self.found, key=lambda basis: mean_error(self.found[basis]))
        group = self.found[basis][:members]
        if current().apart:
            train, left = functools.partial(self._trained, basis), range(len(group), members)
            group = [*group, *current().map(train, left, label="member")]
        while len(group) < members and not self.search.late():
            group.append(self._trained(basis, len(group)))
        if len(group) > 1:
            group = self.task.agreeing(group)
            self.task.average(self.search, group[0], len(group), group.__getitem__, mean_error)

    def _trained(self, basis: NeuralBasis, number: int, restart: int = 0) -> Candidate:
        """Train a network without the rows of a fold, and solve its last layer."""
        task, asked, began = self.task, self.task.asked.max_steps, time.perf_counter()
        fold = number % len(task.data.folds)
        term = task.some(task.data.fold(fold)[0])
        seed = [task.data.seed, number, restart, basis.width, basis.depth]
        initial = first_network(task.objective(term, basis, 0.0), seed)
        epochs = EPOCHS if asked is None else min(EPOCHS, asked)
        trainer = Adam(epochs=epochs, seed=tuple(seed))
        found = task.trained(
            self.search, trainer, basis, 0.0, restart=number + restart, fold=fold, initial=initial
        )
        known = self.found.get(basis)
        ridges = [known[0].ridge.value] if known and task.one_fold_tells else None
        ended = task.ending_in(found, task.last_layer(basis, found.parameters, fold, ridges))
        self.seconds.append(time.perf_counter() - began)
        return ended


def mean_error(found: Sequence[Candidate]) -> float:
    """Return the mean of candidates' validation errors."""
    return float(np.mean([candidate.validation_error for candidate in found]))
