"""What to try on numbers, in what order: frozen functions, trained ones, averages.

Frozen candidates are judged by leave-one-out error on all rows, which costs no rows. Where descent
on ξ takes part, some rows are held out; the best frozen candidate is then solved again without
them, so that both kinds are judged by the same rows.
"""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Sequence

import jax

from .._runtime.notation import Parameters
from ..basis import (
    AbstractBasis,
    AdditiveSplines,
    FrozenFeatures,
    GaussianKernels,
    NeuralBasis,
    Polynomial,
    ProjectedFeatures,
)
from ..rows.engine import current
from ..selection.search import Candidate, Search
from ..selection.task import NOTHING_LEARNT, placed
from ..train import LSGD, LSGN, AbstractTrainer, levenberg_marquardt
from . import bases as proposals
from .growth import (
    EFFORTS,
    Effort,
    Growth,
    chooses_ridge,
    root_mean_square,
    with_given_ridge,
    with_own_ridge,
)
from .projection import Projection
from .task import GOOD_ENOUGH, NEARLY_EXACT, ROUND_OFF, WORTH_AVERAGING, RegressionTask

#: Networks averaged by default.
MEMBERS = 10
#: Ridge over the variance of the noise: coefficients of some six standard deviations of y are
#: usual. The noise is guessed from the held-out error met so far, so that clean data get none.
PRIOR = 1 / 40
#: Relative error of a network below which its gradients tell directions from noise.
CLEAR = 0.03
#: Share of the gradients' spread that directions may leave out, in errors of the Gaussians that
#: show them: .3 to 1.1 where the rest is nothing, 200 where it is a hundredth of the function.
LOST = 3.0
#: Relative error below which networks take steps by QR, which cost more, after all others.
CLEAN = 3e-3
#: Relative error met so far above which single precision does for the steps of descent.
NOISY = 1e-3
PLAIN = (Polynomial, AdditiveSplines)
#: Rows from which networks are trained on mini-batches, too; and rows of the networks that they
#: are compared with.
MANY_ROWS, ENOUGH_TO_COMPARE = 20_000, 12_000
#: Rows of a batch; width and steps of the networks, one after another while they get better. On
#: kin40k 64 reach .024 in 2,500 steps and 128 reach .017; on a noisy function of five inputs with
#: 1e5 rows 128 reach .0059, where 14 x 3 by Levenberg-Marquardt on 90,000 of them reach .0076.
BATCH = 512
BATCHES = {
    EFFORTS["fast"]: ((64, 1000),),
    EFFORTS["auto"]: ((64, 1000), (128, None)),
    EFFORTS["thorough"]: ((64, 2500), (128, 10_000)),
}
#: Multiplications of a factorization of features, some tenths of a second, above which more of them
#: are tried only where the last four times as many made the error half as large: networks of a few
#: hundred weights do more for noisy rows in that time.
DEAR, FAR_BELOW = 5e8, 0.5
#: Stages, in their order; without growth directions come before the mean.
AS_DRAWN = "plain functions and frozen features"
SIZES = "networks of growing size"
ON_BATCHES = "wide networks on mini-batches"
DESCENT = "descent"
MEAN = "more networks, averaged"
FROM_GAUSSIANS = "features of few directions, which Gaussians show"
DIRECTIONS = "features of few directions"
BY_QR = "Gauss-Newton steps by QR, for clean data"


class RegressionStrategy:
    """Ways to look for functions that least squares fits to numbers."""

    def __init__(self, search: Search[Candidate], task: RegressionTask) -> None:
        self.search, self.task = search, task
        self.n_restarts = task.asked.restarts(1)

    def automatic(self, bases: Sequence[AbstractBasis], members: int, grow: bool) -> None:
        """Try frozen functions and one solve, then descent, each as far as the last fell short.

        Networks are trained while the held-out error falls; where one shows that the data vary
        along few directions, features of those; where a network stays the best, some more like
        it are trained on other rows and averaged.
        """
        search, task = self.search, self.task
        trainable = [basis for basis in bases if basis.trainable]
        fixed = [basis for basis in bases if not basis.trainable]
        trains = bool(trainable and task.data.folds and task.asked.max_steps != 0)
        grows = trains and grow and levenberg_marquardt.fits(trainable[0])
        search.stages = self._stages(trains, grows, members)
        search.begin(AS_DRAWN)
        self.frozen(fixed or bases, thrifty=grow and bool(trainable))
        if trains and grows and FROM_GAUSSIANS in search.stages and not search.late():
            self._project_gaussians()
        if not (trains and self._unfinished()):
            return
        if math.isnan(search.best.validation_error):
            search.replace(search.best, **task.held_out(search.best))
        like = trainable[0]
        growth: Growth | None = None
        if grows and isinstance(like, NeuralBasis):
            growth = self._grow(like, members)
            if not (self._clean(members) and self._unfinished()):
                return
            search.begin(BY_QR)
        else:
            search.begin(DESCENT, least=task.least_error)
        self.descend(None, trainable)
        if members > 1 and search.cut_short is None:
            self._project()
        if members > 1 and self._unfinished():
            self._average(members, growth)

    def _clean(self, members: int) -> bool:
        """Whether Gauss–Newton steps by QR follow those by Gram matrices.

        Of clean data they get more out of the same weights: the square of the condition number
        stops the others.
        """
        clean = self.search.best.error < CLEAN and self.task.asked.effort != "fast"
        return clean and members > 1

    def _stages(self, trains: bool, grows: bool, members: int) -> tuple[str, ...]:
        """Return the stages that the strategy may go through."""
        if not trains:
            return (AS_DRAWN,)
        several = (DIRECTIONS, MEAN) if members > 1 else ()
        if not grows:
            return (AS_DRAWN, DESCENT, *several)
        fast = self.task.asked.effort == "fast"
        seen = (FROM_GAUSSIANS,) if several and not fast and self.task.data.z.shape[1] > 2 else ()
        many = (ON_BATCHES,) if self._many_rows else ()
        clean = (BY_QR,) if members > 1 and not fast else ()
        return (AS_DRAWN, *seen, SIZES, *many, *several[::-1], *clean)

    @property
    def _many_rows(self) -> bool:
        return len(self.task.data.fold(0)[0]) >= MANY_ROWS

    def _grow(self, like: NeuralBasis, members: int) -> Growth | None:
        """Train networks of growing size, and average some of the best.

        Of clean data what is averaged is decided after other steps: what has grown is returned.
        """
        search, task = self.search, self.task
        effort = EFFORTS[task.asked.effort or "auto"]
        growth = Growth(search, task, like, effort)
        many = self._many_rows
        if not growth.seconds_of_sizes:
            return None  # the rows are too few for any
        search.begin(SIZES, growth.seconds_of_sizes, task.least_error)
        size = growth.best_size(ENOUGH_TO_COMPARE if many else math.inf)
        if size is None or search.cut_short is not None:
            return None
        if many:
            search.begin(ON_BATCHES, least=task.least_error)
        if many and self._on_batches(like, growth.trained(size, 0, growth.last), effort):
            return None
        size = growth.best_size() if many else size
        if size is None or members == 1 or search.cut_short is not None:
            return None
        if self._clean(members):
            return growth
        if growth.trained(size, 0, growth.last).validation_error <= NOTHING_LEARNT:
            search.begin(MEAN, growth.seconds_of_members(size, members), task.least_error)
            growth.average(size, members)
        if search.cut_short is None and self._unfinished():
            self._project()
        return None

    def _on_batches(self, like: NeuralBasis, rival: Candidate, effort: Effort) -> bool:
        """Train wide networks on mini-batches of all rows; return whether they do better.

        Steps of Levenberg–Marquardt get more out of each weight, but their cost grows with the
        square of the number of weights: what needs many of those is left to gradients.
        """
        best, least = rival, rival.validation_error
        for width, steps in BATCHES[effort]:
            basis = NeuralBasis(width, 3, activation="silu", init="normal", residual=like.residual)
            trainer = LSGD(batch_size=BATCH, optimizer="soap")
            found = self.task.trained(
                self.search, trainer, basis, self._fixed_ridge, max_steps=steps
            )
            self.search.add(found)
            if not found.validation_error < least or self.search.late():
                break
            best, least = found, found.validation_error
        return best is not rival

    def _unfinished(self) -> bool:
        """Whether there is time, and no error over all rows that is small enough.

        That of a network over one fold may be luck: the rows at the edges of the data decide. What
        replicates differ by is the least error of any model, and its square is known to within a
        share of √(2/f) of it, by f degrees of freedom: there is no gain beyond that to see.
        """
        freedom = max(self.task.data.places.noise[1], 1)
        enough = max(GOOD_ENOUGH, self.task.least_error * (1 + math.sqrt(2 / freedom)) ** 0.5)
        return not self.search.late() and not self.search.best.loo_error <= enough

    def frozen(self, bases: Sequence[AbstractBasis], thrifty: bool = False) -> None:
        """Fit each basis as drawn, in every restart, by leave-one-out error on all rows.

        Parameters
        ----------
        bases : sequence of AbstractBasis
        thrifty : bool
            Leave out features that cost much, where more of them have not helped much so far.
        """
        task = self.task
        for restart in range(self.n_restarts):
            scales: Sequence[float] = proposals.SCALES
            of_features: list[float] = []
            for basis in bases:
                features = isinstance(basis, FrozenFeatures)
                if features and not of_features and self.search.found:
                    of_features.append(min(one.loo_error for one in self.search.found))
                dear = self._dear(basis) and not _falling(of_features)
                if features and thrifty and (dear or self._told_by_gaussians()):
                    continue
                if isinstance(basis, GaussianKernels):
                    if restart == 0:
                        self.search.add(task.kriged(basis))
                    continue
                drawn = placed(basis, task.drawn(basis, restart), task.everything.points)
                tried = {}
                for scaled in basis.with_slopes(scales):
                    parameters = drawn if scaled is basis else scaled.sloped(drawn)
                    candidate = self.search.add(task.frozen(scaled, parameters))
                    tried[scaled.slope] = candidate.loo_error
                    exact = candidate.loo_error <= ROUND_OFF and len(bases) > 1
                    # What costs next to nothing is tried however short the time.
                    if exact or (self.search.late() and not isinstance(basis, PLAIN)):
                        return
                if features:
                    of_features.append(min(tried.values()))
                if len(tried) > 1:  # later bases try the best scale so far and its neighbours
                    middle = min(tried, key=lambda scale: tried[scale])
                    scales = [s for s in proposals.SCALES if middle / 2 <= s <= 2 * middle]

    def _told_by_gaussians(self) -> bool:
        """Whether Gaussians with shares are there, and rows not clean: features do not get near.

        On four tables and a noisy function of five inputs the best features erred 1.5 to 9 times as
        much. Of clean data they get more digits.
        """
        gaussians = [
            one.loo_error
            for one in self.search.found
            if isinstance(one.basis, GaussianKernels) and one.basis.anova
        ]
        return bool(gaussians) and min(gaussians) > NEARLY_EXACT

    def _dear(self, basis: AbstractBasis) -> bool:
        size = basis.size(self.task.data.z.shape[1])
        return float(len(self.task.sampled)) * size**2 > DEAR

    def descend(self, trainer: AbstractTrainer | None, bases: Sequence[AbstractBasis]) -> None:
        """Train each basis from each restart, until told to stop or out of time.

        Without a trainer, by Gauss–Newton steps with a ridge that the noise met so far calls for.
        """
        pairs = list(itertools.product(bases, range(self.n_restarts)))
        if trainer is not None and current().apart:
            apart = functools.partial(self._descended, trainer)
            for found in current().map(apart, pairs, label="restart"):
                self.search.add(found)
            return
        for basis, restart in pairs:
            if trainer is None:
                self.search.add(self._grown(basis, restart, 0))
            else:
                self.search.add(self._descended(trainer, (basis, restart)))
            if self.search.late():
                return

    def _descended(self, trainer: AbstractTrainer, pair: tuple[AbstractBasis, int]) -> Candidate:
        """Train a basis from a restart."""
        (basis, restart), task, ridge = pair, self.task, self._fixed_ridge
        told = with_given_ridge(trainer, task.asked)
        found = task.trained(self.search, told, basis, ridge, restart=restart)
        return with_own_ridge(found, task.data) if chooses_ridge(trainer, task.asked) else found

    def _grown(self, basis: AbstractBasis, restart: int, fold: int) -> Candidate:
        """Train a network of half the width, where there is one, and widen it."""
        narrower, initial = basis.narrower(proposals.NARROWEST), None
        if narrower is not None and self.search.cut_short is None:
            start = self._grown(narrower, restart, fold)
            key = jax.random.fold_in(self.task.data.key(restart), 2)
            initial = proposals.widen(basis, start.parameters, key, self.task.data.inner_box)
        ridge = self._prior_ridge()
        return self.task.trained(
            self.search,
            self._steps(ridge),
            basis,
            ridge,
            restart=restart,
            fold=fold,
            initial=initial,
        )

    def _project(self) -> None:
        """Look for few directions in the gradients of the best network, unless they are known."""
        if any(isinstance(one.basis, ProjectedFeatures) for one in self.search.found):
            return
        trained = [c for c in self.search.found if c.run and not c.mean_of]
        seen = min(trained, key=lambda c: c.errors, default=None)
        if seen is not None and seen.validation_error < CLEAR:
            self._projection.of(seen, DIRECTIONS)

    def _project_gaussians(self) -> None:
        """Look for few directions in the gradients of Gaussians that fit well, without networks.

        What the gradients vary by along other directions is lost: no more than the Gaussians err.
        """
        best = self.search.best
        if isinstance(best.basis, GaussianKernels) and GOOD_ENOUGH / 100 < best.loo_error < CLEAR:
            best = self.search.replace(best, **self.task.held_out(best))
            self._projection.of(best, FROM_GAUSSIANS, LOST * best.loo_error)

    @property
    def _projection(self) -> Projection:
        return Projection(self.search, self.task, self._steps(self._fixed_ridge))

    def _average(self, members: int, growth: Growth | None = None) -> None:
        """Train more networks like a good one, each without other rows, and average them.

        The larger a network, the more of its error is chance that averaging takes away: the
        largest of those that do about as well is taken.
        """
        best = self.search.best
        if isinstance(best.basis, ProjectedFeatures) or best.validation_error > NOTHING_LEARNT:
            return
        most = WORTH_AVERAGING * best.validation_error
        single = [c for c in self.search.found if c.run and not c.mean_of]
        good = [c for c in single if c.validation_error <= most]
        if not good:
            return
        first = max(good, key=lambda c: (_size(c.parameters), -c.validation_error))
        self.search.begin(MEAN, least=self.task.least_error)
        size = growth.size_of(first) if growth else None
        if growth and size:
            growth.average(size, members)
            return
        another = functools.partial(self._member, first.basis)
        self.task.average(self.search, first, members, another, root_mean_square)

    def _member(self, basis: AbstractBasis, number: int) -> Candidate:
        """Train a network without the rows of a fold, for a mean."""
        return self._grown(basis, self.n_restarts + number, number)

    def _prior_ridge(self) -> float:
        """Return λ in the sum over rows: the user's, or what the noise met so far calls for."""
        if self.task.asked.fixed_ridge is not None:
            return self._fixed_ridge
        errors = [candidate.validation_error for candidate in self.search.found if candidate.run]
        return PRIOR * min(errors, default=0.0) ** 2

    def _steps(self, ridge: float) -> LSGN:
        """Return the steps for a ridge: where it stands for noise, directions lose digits to it."""
        noisy = self.task.asked.fixed_ridge is None and ridge > PRIOR * NOISY**2
        return LSGN(precision="single" if noisy else "double")

    @property
    def _fixed_ridge(self) -> float:
        ridge = self.task.asked.fixed_ridge
        return 0.0 if ridge is None else ridge.value


def _falling(errors: Sequence[float]) -> bool:
    """Whether the last error is far below the one before: more functions may help as much again."""
    return len(errors) < 2 or errors[-1] <= FAR_BELOW * errors[-2]


def _size(parameters: Parameters) -> int:
    return sum(leaf.size for leaf in jax.tree.leaves(parameters))
