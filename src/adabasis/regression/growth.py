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
from ..selection.task import FEWEST_AGREEING, design
from ..train import LM
from ..train.levenberg_marquardt import drawn
from .task import RegressionTask

#: Widths and depths tried, one after another, each with about twice the weights of the last.
SIZES = ((6, 2), (10, 2), (16, 2), (14, 3), (20, 3), (28, 3), (40, 3))
#: Weights of a network for each number that is to be fitted, at most.
MOST_WEIGHTS = 0.7
#: A size helps where it makes the error smaller by this share; so many that do not are the end.
HELPS, IN_VAIN = 0.02, 2
#: One more member of a mean is worth its time where the square of its error falls by this share.
WORTH = 0.003
#: Folds that the best sizes are compared on.
COMPARED = 2
#: Of sizes whose single networks err by no more than this factor more, the largest is taken: more
#: of its error is chance, which a mean takes away. Of 85 to 560 weights on four tables and a noisy
#: function of five inputs, one or the other of the largest made the best mean in 7 of 8.
ALIKE = 1.12


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
        least, in_vain = math.inf, 0
        for size in self._affordable():
            error = self._error(size, 1)
            in_vain = 0 if error < (1 - HELPS) * least else in_vain + 1
            least = min(least, error)
            if in_vain == IN_VAIN or self.search.late():
                break
        if self.search.cut_short is None:
            for size in self._alike():
                self._error(size, COMPARED)
                if self.search.late():
                    break
        alike = self._alike()
        return alike[-1] if alike else None

    def _alike(self) -> list[tuple[int, int]]:
        """Return the sizes that err about least, each on the folds that all of them know."""
        least = min(self.errors.values(), default=math.inf)
        return [size for size, error in self.errors.items() if error <= ALIKE * least]

    def _affordable(self) -> Iterator[tuple[int, int]]:
        data = self.task.data
        most = MOST_WEIGHTS * len(data.fold(0)[0]) * data.t.shape[1]
        for width, depth in SIZES:
            basis = self.like.replace(width=width, depth=depth)
            if number_of_weights(basis, data.z.shape[1], data.t.shape[1]) <= most:
                yield width, depth

    def _error(self, size: tuple[int, int], folds: int) -> float:
        """Train networks of a size without each of some folds, and return their error."""
        found = self.found.setdefault(size, [])
        for fold in range(len(found), folds):
            found.append(self.search.add(self.trained(*size, fold)))
            if self.search.late():
                break
        squares = [candidate.validation_error**2 for candidate in found]
        self.errors[size] = error = math.sqrt(np.mean(squares))
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
            self.search,
            known[0],
            members,
            another,
            lambda e: math.sqrt(np.mean(np.square(e))),
            self._enough,
        )

    def _enough(self, group: list[Candidate]) -> bool:
        """Whether one more member would hardly make the mean better.

        Members whose variance about their mean is v make a mean of k of them err by v/k more, in
        squares, than one of very many: one more takes v/(k (k + 1)) away.
        """
        data, k = self.task.data, len(group)
        if k < FEWEST_AGREEING:
            return False
        at = data.z[data.some_places]
        values = np.stack(
            [
                design(c.basis, c.parameters, at) @ np.asarray(c.run.coefficients)
                for c in group
                if c.run
            ]
        )
        variance = float(np.mean(values.var(axis=0, ddof=1))) / data.places.spread**2
        single = float(np.mean([c.validation_error**2 for c in group]))
        of_mean = max(single - (1 - 1 / k) * variance, 0.0)
        return variance / (k * (k + 1)) < WORTH * of_mean


def number_of_weights(basis: NeuralBasis, n_inputs: int, n_outputs: int) -> int:
    """Return how many weights a network has, the last layer among them."""
    hidden = basis.width * (n_inputs + 1 + (basis.depth - 1) * (basis.width + 1))
    return hidden + n_outputs * (basis.width + basis.constant)
