"""Networks that grow while the error on unseen rows falls.

Each network is trained by Levenberg–Marquardt steps (:class:`adabasis.train.LM`), in NumPy: of a
thousand rows within tenths of a second. Sizes are tried from the smallest, all on the same
rows, until larger ones no longer help. Of many rows some are taken first, and then more, each
stage beginning where the last one ended; with more rows larger networks are tried again. More
networks of the size that did best are trained, each with other rows held out, and averaged.

What it costs is counted in multiplications, not by a clock: the same rows give the same networks.
"""

from __future__ import annotations

import dataclasses
import functools
import math
import time
from collections.abc import Iterator
from typing import Any

import numpy as np

from ..basis import NeuralBasis
from ..basis.networks import widened
from ..models.record import Asked, Ridge
from ..selection.prepared import Prepared
from ..selection.search import Candidate, Search
from ..selection.task import FEWEST_AGREEING, design
from ..train import LM, AbstractTrainer
from ..train.levenberg_marquardt import drawn
from .task import RegressionTask

#: Widths and depths tried, one after another, each with about twice the weights of the last.
SIZES = ((6, 2), (10, 2), (16, 2), (14, 3), (20, 3), (28, 3), (40, 3), (56, 3))
#: Rows of the first stage, and how many times as many each other has.
FIRST_ROWS, MORE_ROWS = 2000, 6
#: Rows of the last stage at most: of more, mini-batches make use.
MOST_ROWS = 90_000
#: Steps of a later stage on so many rows and on six times as many: the weights are good already.
LATER_STEPS = {12_000: 30, MOST_ROWS: 12}
#: Weights of a network for each number that is to be fitted, at most; and where the relative error
#: met so far is below so much: the ridge holds what rows do not tell, and there is less noise to
#: fit. With .7, 6 x 2 is all that 250 rows of six inputs allow: on yacht's splits 0, 2 and 3 that
#: erred .127, .133 and .052, now .177, .076 and .040.
MOST_WEIGHTS, MOST_OF_CLEAR, CLEAR = 0.7, 1.0, 0.1
#: A size helps where it makes the error smaller by this share; so many that do not are the end.
HELPS, IN_VAIN = 0.02, 2
#: Of sizes whose single networks err by no more than this factor more, the largest is taken: more
#: of its error is chance, which a mean takes away. Of 85 to 560 weights on four tables and a noisy
#: function of five inputs, one or the other of the largest made the best mean in 7 of 8.
ALIKE = 1.12
#: Networks begin with the functions of one of half their width, from this width on, and with a
#: smaller ridge: on concrete .217 instead of .234 (medians of three splits), on a noisy function of
#: five inputs .030 instead of .034, in less time.
NARROWEST, FIRST_RIDGE_OF_WIDENED = 5, 0.1
#: and with no more than so many times the variance that the narrow one left, which is the ridge of
#: weights of size one: .1 takes away in one step what that one had learnt of clean data.
RISE = 10.0
#: Multiplications a second, about, of steps on one core: for what is said of the time they take.
WORK_A_SECOND = 3e10
#: Members from which on the error of a mean is foreseen.
FEWEST_TO_JUDGE = 3
#: Steps that a network is expected to take on the rows of the first stage.
USUAL_STEPS = 60

Size = tuple[int, int]


@dataclasses.dataclass(frozen=True)
class Effort:
    """How much may be spent.

    Attributes
    ----------
    work : float
        Multiplications of all steps.
    worth : float
        One more member of a mean is worth its time where the square of its error falls by this
        share.
    """

    work: float
    worth: float


#: By the name that the public functions take.
EFFORTS = {
    "fast": Effort(5e9, 0.03),
    "auto": Effort(1e12, 0.003),
    "thorough": Effort(2e13, 0.0),
}


class Growth:
    """The search for a size, and the networks of that size.

    Parameters
    ----------
    search : Search
    task : RegressionTask
    like : NeuralBasis
        What the networks are like, but for width and depth.
    effort : Effort
    """

    def __init__(
        self, search: Search[Candidate], task: RegressionTask, like: NeuralBasis, effort: Effort
    ) -> None:
        self.search, self.task, self.like, self.effort = search, task, like, effort
        self.found: dict[tuple[Size, int, int], Candidate] = {}
        self.seconds: dict[tuple[Size, int], float] = {}
        self.work, self.stage = 0.0, -1
        self.best: Size | None = None
        n_rows = len(task.data.fold(0)[0])
        self.stages = [FIRST_ROWS]
        while MORE_ROWS * self.stages[-1] < min(n_rows, MOST_ROWS):
            self.stages.append(MORE_ROWS * self.stages[-1])
        if min(n_rows, MOST_ROWS) > 1.25 * self.stages[-1]:
            self.stages.append(min(n_rows, MOST_ROWS))
        self.stages[-1] = max(self.stages[-1], min(n_rows, MOST_ROWS))

    def __getstate__(self) -> dict[str, Any]:
        """Return what a worker needs, which trains other folds than those known."""
        return {**self.__dict__, "found": {}, "seconds": {}}

    def best_size(self, most_rows: float = math.inf) -> Size | None:
        """Try sizes while larger ones help, and return the best, if any was affordable.

        With more rows at another call it goes on from where it was.
        """
        if self.stage < 0:
            self.best, self.stage = self._first_size(), 0
        for stage in range(self.stage + 1, len(self.stages)):
            if self.best is None or self._over() or self.stages[stage] > most_rows:
                break
            self.best, self.stage = self._larger(self.best, stage), stage
        return self.best

    def size_of(self, candidate: Candidate) -> Size | None:
        """Return the size of a network that has grown here; ``None`` of any other."""
        found = (size for (size, *_), one in self.found.items() if one is candidate)
        return next(found, None)

    @property
    def last(self) -> int:
        """The last stage that any network has been through."""
        return max((stage for _, _, stage in self.found), default=0)

    @property
    def seconds_of_sizes(self) -> float:
        """About what the sizes take, were none in vain."""
        work, effort = 0.0, self.effort.work
        for size in self._affordable(0):
            work += self._cost(size, 0)
        return min(work, effort) / WORK_A_SECOND

    def seconds_of_members(self, size: Size, members: int) -> float:
        """About what more networks of a size take: as long as the first, each."""
        known = sum((size, fold, self.last) in self.found for fold in range(members))
        return (members - known) * sum(self.seconds[size, stage] for stage in range(self.last + 1))

    def _first_size(self) -> Size | None:
        errors: dict[Size, float] = {}
        least, in_vain = math.inf, 0
        for size in self._affordable(0):
            error = errors[size] = self._error(size, 0)
            in_vain = 0 if error < (1 - HELPS) * least else in_vain + 1
            least = min(least, error)
            if in_vain == IN_VAIN or self._over():
                break
        alike = _alike(errors)
        return alike[-1] if alike else None

    def _larger(self, size: Size, stage: int) -> Size:
        """Train a size on the rows of a stage, and larger ones while they help there."""
        sizes = list(self._affordable(stage))
        least, in_vain = self._error(size, stage), 0
        for other in sizes[sizes.index(size) + 1 :] if size in sizes else []:
            if self._over() or self._cost(other, stage) > self.effort.work - self.work:
                break
            error = self._error(other, stage)
            if error < (1 - HELPS) * least:
                size, least, in_vain = other, error, 0
            else:
                in_vain += 1
            if in_vain == IN_VAIN - 1:
                break
        return size

    @property
    def _least(self) -> float:
        """The relative error of the best candidate so far."""
        return self.search.best.error if self.search.found else math.inf

    def _over(self) -> bool:
        return self.search.late() or self.work > self.effort.work

    def _affordable(self, stage: int) -> Iterator[Size]:
        data = self.task.data
        n_rows = min(len(data.fold(0)[0]), self.stages[stage])
        most = MOST_OF_CLEAR if self._least < CLEAR else MOST_WEIGHTS
        for width, depth in SIZES:
            basis = self.like.replace(width=width, depth=depth)
            if self._weights(basis) <= most * n_rows * data.t.shape[1]:
                yield width, depth

    def _weights(self, basis: NeuralBasis) -> int:
        return number_of_weights(basis, self.task.data.z.shape[1], self.task.data.t.shape[1])

    def _steps(self, stage: int) -> int | None:
        """Return how many steps a stage takes at most: the first as many as it needs."""
        if stage == 0:
            return None
        few = [steps for rows, steps in LATER_STEPS.items() if self.stages[stage] <= 1.5 * rows]
        return few[0] if few else min(LATER_STEPS.values())

    def _cost(self, size: Size, stage: int) -> float:
        """Return the multiplications that one network is expected to take, all stages together."""
        weights = self._weights(self.like.replace(width=size[0], depth=size[1]))
        return sum(
            float(self._steps(k) or USUAL_STEPS) * self.stages[k] * weights**2
            for k in range(stage + 1)
        )

    def _error(self, size: Size, stage: int) -> float:
        """Train a network of a size without the first fold, and return its error there."""
        return self.trained(size, 0, stage).validation_error

    def trained(self, size: Size, fold: int, stage: int) -> Candidate:
        """Train one network without the rows of a fold, through all stages to the given one."""
        if (size, fold, stage) in self.found:
            return self.found[size, fold, stage]
        began = time.perf_counter()
        task, data = self.task, self.task.data
        basis = self.like.replace(width=size[0], depth=size[1])
        if stage == 0:
            initial = drawn(basis, data.z[data.fold(fold)[0]], [data.seed, fold, *size])
            trainer = LM()
            half = (size[0] // 2, size[1])
            if half[0] >= NARROWEST:
                before = self.trained(half, fold, 0)
                initial = widened(initial, before.parameters)
                variance = before.validation_error**2
                trainer = LM(most_ridge=min(FIRST_RIDGE_OF_WIDENED, RISE * variance))
        else:
            before = self.trained(size, fold, stage - 1)
            initial = before.parameters
            trainer = LM(most_ridge=_penalty(before), max_steps=self._steps(stage))
        given = task.asked.fixed_ridge
        found = task.trained(
            self.search,
            with_given_ridge(trainer, task.asked),
            basis,
            0.0 if given is None else given.value,
            restart=fold,
            fold=fold,
            initial=initial,
            most_rows=self.stages[stage],
        )
        if given is None:
            found = with_own_ridge(found, data)
        assert found.run is not None
        rows = min(len(data.fold(fold)[0]), self.stages[stage])
        self.seconds.setdefault((size, stage), time.perf_counter() - began)
        self.work += float(len(found.run.history)) * rows * self._weights(basis) ** 2
        self.found[size, fold, stage] = self.search.add(found)
        return found

    def average(self, size: Size, members: int) -> None:
        """Train more networks of a size, each without other rows, and add their mean."""
        stage = self.last
        most = max(1, int((self.effort.work - self.work) / max(self._cost(size, stage), 1.0)))
        known = sum((size, fold, stage) in self.found for fold in range(members))
        self.task.average(
            self.search,
            self.trained(size, 0, stage),
            min(members, known + most),
            functools.partial(self._member, size, stage),
            self._error_of_mean,
            self._enough,
        )

    def _member(self, size: Size, stage: int, fold: int) -> Candidate:
        """Train a network of a size without the rows of a fold."""
        return self.trained(size, fold, stage)

    def _enough(self, group: list[Candidate]) -> bool:
        """Whether one more member would hardly make the mean better, or very many not enough.

        Members whose variance about their mean is v make a mean of k of them err by v/k more, in
        squares, than one of very many: one more takes v/(k (k + 1)) away.
        """
        k, square = len(group), self._error_of_mean(group) ** 2
        if k < FEWEST_TO_JUDGE:
            return False
        variance = self._variance(group)
        rival = self._rival(group)
        if square - variance / k > rival:
            return True
        return k >= FEWEST_AGREEING and variance / (k * (k + 1)) < self.effort.worth * square

    def _error_of_mean(self, group: list[Candidate]) -> float:
        """Return the error of the mean: the mean square of the members' less their variance.

        By what they differ at rows that most of them were trained on: elsewhere it is more. It is
        no less than that of members whose errors have nothing in common: those of clean data are
        few, and at other rows than the members differ at.
        """
        k, square = len(group), root_mean_square(group) ** 2
        return math.sqrt(max(square - (1 - 1 / k) * self._variance(group), square / k))

    def _variance(self, group: list[Candidate]) -> float:
        """Return the variance of the members' values about their mean, relative."""
        data = self.task.data
        if len(group) < 2:
            return 0.0
        at = data.z[data.some_places]
        values = np.stack(
            [
                design(one.basis, one.parameters, at) @ np.asarray(one.run.coefficients)
                for one in group
                if one.run
            ]
        )
        return float(np.mean(values.var(axis=0, ddof=1))) / data.places.spread**2

    def _rival(self, group: list[Candidate]) -> float:
        """Return the mean loss of the best functions as drawn at rows held out of the members."""
        drawn = [c for c in self.search.found if c.run is None and c.unseen is not None]
        out = self.task.data.out
        if not drawn or not out:
            return math.inf
        rows = np.concatenate([out[c.fold % len(out)] for c in group if c.fold is not None])
        best = min(drawn, key=lambda c: c.loo_error).unseen
        assert best is not None
        return float(np.mean(best.losses[np.isin(best.rows, rows)]))


def root_mean_square(group: list[Candidate]) -> float:
    """Return the root mean square of the members' errors: that of their mean is no larger."""
    return math.sqrt(np.mean(np.square([one.validation_error for one in group])))


def _alike(errors: dict[Size, float]) -> list[Size]:
    """Return the sizes that err about least, the smallest first."""
    least = min(errors.values(), default=math.inf)
    return [size for size, error in errors.items() if error <= ALIKE * least]


def _penalty(candidate: Candidate) -> float:
    """Return the λ that a network was kept with."""
    assert candidate.run is not None
    return float(candidate.run.history.learning_rate[candidate.run.step])


def chooses_ridge(trainer: object, asked: Asked) -> bool:
    """Whether a trainer is to find the ridge by the error on rows held out."""
    return isinstance(trainer, LM) and asked.fixed_ridge is None


def with_given_ridge(trainer: AbstractTrainer, asked: Asked) -> AbstractTrainer:
    """Return a trainer that adds no ridge of its own where the user wants none."""
    given = asked.fixed_ridge
    if not isinstance(trainer, LM) or given is None or given.value:
        return trainer
    return dataclasses.replace(trainer, most_ridge=0.0)


def with_own_ridge(candidate: Candidate, data: Prepared) -> Candidate:
    """Return a network with the λ that it was kept with, in the sum over all rows' weights."""
    if candidate.run is None:
        return candidate
    own = _penalty(candidate) * float(np.mean(data.weight))
    return dataclasses.replace(candidate, ridge=Ridge(own, relative=False))


def number_of_weights(basis: NeuralBasis, n_inputs: int, n_outputs: int) -> int:
    """Return how many weights a network has, the last layer among them."""
    hidden = basis.width * (n_inputs + 1 + (basis.depth - 1) * (basis.width + 1))
    return hidden + n_outputs * (basis.width + basis.constant)
