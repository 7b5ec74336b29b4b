"""Networks that grow while the error on unseen rows falls.

Each network is trained by Levenberg–Marquardt steps (:class:`adabasis.train.LM`), in NumPy: of a
thousand rows within tenths of a second. Sizes are tried from the smallest, all on the same two
folds, until larger ones no longer help. More networks of the size that did best are trained, each
with other rows held out, and averaged.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator

import numpy as np

from ..basis import NeuralBasis
from ..models.record import Ridge
from ..selection.search import Candidate, Search
from ..train import LM
from ..train.levenberg_marquardt import drawn
from .task import RegressionTask

#: Widths and depths tried, one after another: of each depth while wider ones help.
WIDTHS = {2: (8, 12, 16, 24, 32, 48), 3: (10, 14, 20, 28, 40)}
#: Weights of a network for each number that is to be fitted, at most.
MOST_WEIGHTS = 0.7
#: A size helps where it makes the error smaller by this share; so many that do not are the end.
HELPS, IN_VAIN = 0.02, 2
#: Folds that sizes are compared on.
COMPARED = 2


class Growth:
    """The search for a size, and the networks of that size.

    Parameters
    ----------
    search : Search
    task : RegressionTask
    like : NeuralBasis
        What the networks are like, but for width and depth.
    """

    def __init__(self, search: Search[Candidate], task: RegressionTask, like: NeuralBasis) -> None:
        self.search, self.task, self.like = search, task, like
        self.errors: dict[tuple[int, int], float] = {}
        self.found: dict[tuple[int, int], list[Candidate]] = {}

    def best_size(self) -> tuple[int, int] | None:
        """Try sizes while larger ones help, and return the best, if any was affordable."""
        for depth, widths in WIDTHS.items():
            in_vain, least = 0, math.inf
            for width in self._affordable(depth, widths):
                error = self._error(width, depth)
                in_vain = 0 if error < (1 - HELPS) * least else in_vain + 1
                least = min(least, error)
                if in_vain == IN_VAIN or self.search.late():
                    break
            if self.search.cut_short is not None:
                break
        return min(self.errors, key=lambda size: self.errors[size]) if self.errors else None

    def _affordable(self, depth: int, widths: tuple[int, ...]) -> Iterator[int]:
        data = self.task.data
        most = MOST_WEIGHTS * len(data.fold(0)[0]) * data.t.shape[1]
        for width in widths:
            basis = self.like.replace(width=width, depth=depth)
            if number_of_weights(basis, data.z.shape[1], data.t.shape[1]) <= most:
                yield width

    def _error(self, width: int, depth: int) -> float:
        """Train networks of a size without each of some folds, and return their error."""
        found = self.found.setdefault((width, depth), [])
        for fold in range(COMPARED):
            found.append(self.search.add(self.trained(width, depth, fold)))
            if self.search.late():
                break
        squares = [candidate.validation_error**2 for candidate in found]
        self.errors[width, depth] = error = math.sqrt(np.mean(squares))
        return error

    def trained(self, width: int, depth: int, fold: int) -> Candidate:
        """Train one network without the rows of a fold."""
        task, basis = self.task, self.like.replace(width=width, depth=depth)
        kept = task.data.fold(fold)[0]
        initial = drawn(basis, task.data.z[kept], [task.data.seed, fold, width, depth])
        given = task.asked.fixed_ridge
        found = task.trained(
            self.search, LM(), basis, 0.0 if given is None else given.value,
            restart=fold, fold=fold, initial=initial,
        )  # fmt: skip
        if given is not None or found.run is None:
            return found
        penalty = float(found.run.history.learning_rate[found.run.step])
        own = penalty * float(np.mean(task.data.weight[kept]))
        return dataclasses.replace(found, ridge=Ridge(own, relative=False))

    def average(self, size: tuple[int, int], members: int) -> None:
        """Train more networks of a size, each without other rows, and add their mean."""
        known = self.found[size]

        def another(number: int) -> Candidate:
            return known[number] if number < len(known) else self.trained(*size, number)

        # The square of the error of a mean of networks is at most the mean of theirs.
        self.task.average(
            self.search, known[0], members, another, lambda e: math.sqrt(np.mean(np.square(e)))
        )


def number_of_weights(basis: NeuralBasis, n_inputs: int, n_outputs: int) -> int:
    """Return how many weights a network has, the last layer among them."""
    hidden = basis.width * (n_inputs + 1 + (basis.depth - 1) * (basis.width + 1))
    return hidden + n_outputs * (basis.width + basis.constant)
