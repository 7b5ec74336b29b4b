"""What to try on classes, in what order: frozen functions, trained ones, the best of them.

Newton's method solves the last layer. Scale and ridge of frozen features, the end of training and
the winner are chosen by cross-entropy on held-out rows.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Sequence
from typing import Any

from ..basis import AbstractBasis, FrozenFeatures, NeuralBasis
from ..regression.bases import Offered
from ..rows.engine import current
from ..selection.prepared import SEARCH_ROWS
from ..selection.search import Candidate, Search
from ..selection.task import NOTHING_LEARNT
from ..train import NGD, AbstractTrainer, levenberg_marquardt
from .networks import Networks, mean_error
from .task import ClassificationTask

#: Width and depth of the networks that are trained by default, by effort.
NETWORKS = {"fast": ((64, 2),), "auto": ((64, 2),), "thorough": ((64, 2), (128, 2))}
WIDEST = 512
#: Factors on the slopes of frozen features: classes meet along edges, so they may be steep.
SCALES = (1.0, 4.0, 16.0)
#: Draws averaged by default, by effort.
MEMBERS = {"fast": 1, "auto": 5, "thorough": 15}
#: Held-out cross-entropy, relative to that of the frequencies, that calls for no network.
GOOD_ENOUGH = 5e-3
#: Where few rows are held out, frozen features that err by no more than this factor more than
#: networks are averaged, too, and the other way round: the means know more folds.
ALIKE = 2.0
#: Rows from which wide networks are trained on mini-batches of all rows, too: the others see
#: :data:`adabasis.selection.prepared.SEARCH_ROWS` of them.
MANY_ROWS = 2 * SEARCH_ROWS
#: Rows of a batch; width and steps of these networks, by effort (none: as rows say).
BATCH = 512
BATCHES: dict[str, tuple[tuple[int, int | None], ...]] = {
    "fast": ((64, 1000),),
    "auto": ((64, 1000), (128, None)),
    "thorough": ((64, 2500), (128, 10_000)),
}
#: Features that slopes are compared with, in a tenth of the time of all; all are solved where few
#: err less than networks.
FEW_FEATURES = 128


def default_bases(
    n_rows: int,
    n_inputs: int,
    *,
    activation: Any = "tanh",
    residual: bool = False,
    init: Any = "box",
    effort: str = "auto",
) -> Offered:
    """Return the bases that are compared when none is named: frozen features, then networks."""
    widest = max(1, min(WIDEST, n_rows // 2 - n_inputs - 1))
    networks = [
        NeuralBasis(width, depth, activation=activation, residual=residual, init=init)
        for width, depth in NETWORKS[effort]
    ]
    return Offered([FrozenFeatures(widest, activation=activation), *networks])


#: Stages, in their order.
AS_DRAWN, TRAINED = "frozen features", "networks"
ON_BATCHES = "wide networks on mini-batches"
MEAN = "more like the best, averaged"


class ClassificationStrategy:
    """Ways to look for functions that Newton's method fits to classes."""

    def __init__(self, search: Search[Candidate], task: ClassificationTask) -> None:
        self.search, self.task = search, task
        self.n_restarts = task.asked.restarts(1)

    def automatic(self, bases: Sequence[AbstractBasis], members: int, grow: bool) -> None:
        """Try frozen functions, then networks, then the mean of several draws of the best."""
        search, asked = self.search, self.task.asked
        frozen = [basis for basis in bases if not basis.trainable] or list(bases)
        trainable = [basis for basis in bases if basis.trainable]
        trains = bool(trainable and self.task.data.folds and asked.max_steps != 0)
        several = (MEAN,) if members > 1 else ()
        many = (ON_BATCHES,) if trains and grow and self._many_rows else ()
        search.stages = (AS_DRAWN, *(TRAINED,) * trains, *many, *several)
        search.begin(AS_DRAWN)
        if grow and trains and all(map(levenberg_marquardt.fits, trainable)):
            self._grow(frozen, trainable, members)
            return
        self.frozen(frozen)
        if not self.task.data.folds or asked.max_steps == 0:
            return
        if search.cut_short is None and not search.best.validation_error <= GOOD_ENOUGH:
            search.begin(TRAINED)
            self.descend(NGD(), trainable)
        if members > 1 and search.cut_short is None:
            search.begin(MEAN)
            self._average(search.best, members)

    @property
    def _many_rows(self) -> bool:
        data = self.task.data
        return data.stream is not None and data.n_rows >= MANY_ROWS

    def _on_batches(self, rival: float) -> bool:
        """Train wide networks on mini-batches of all rows; return whether they do better."""
        self.search.begin(ON_BATCHES)
        least, task = min(rival, self.search.best.validation_error), self.task
        better = False
        for width, steps in BATCHES[task.asked.effort or "auto"]:
            basis = NeuralBasis(width, 3, activation="silu", init="normal")
            trainer = NGD(batch_size=BATCH, optimizer="soap")
            found = task.trained(self.search, trainer, basis, 0.0, max_steps=steps)
            found = task.ending_in(found, task.last_layer(basis, found.parameters))
            self.search.add(found)
            if not found.validation_error < least or self.search.late():
                break
            least, better = found.validation_error, True
        return better

    def frozen(self, bases: Sequence[AbstractBasis]) -> None:
        """Solve each kind of basis as drawn, frozen features at each scale."""
        self._solve_all(self._with_slope(bases))

    def _with_slope(self, bases: Sequence[AbstractBasis]) -> list[AbstractBasis]:
        """Compare slopes with few features, and return the bases that are left to solve."""
        left: list[AbstractBasis] = []
        for basis in bases:
            slopes = len(basis.with_slopes(SCALES))
            if slopes > 1 and isinstance(basis, FrozenFeatures) and basis.width > FEW_FEATURES:
                tried = self._drawn(basis.replace(width=FEW_FEATURES), 0)
                best = min(tried, key=lambda candidate: candidate.errors).basis.slope
                # More features resolve what steeper ones describe.
                steeper = [slope for slope in SCALES if slope > best][:1]
                left += [basis.replace(scale=slope) for slope in (best, *steeper)]
            else:
                left.append(basis)
        return left

    def _solve_all(self, bases: Sequence[AbstractBasis]) -> None:
        for restart, basis in itertools.product(range(self.n_restarts), bases):
            if self.search.late() and self.search.found:
                return
            self._drawn(basis, restart)

    def _grow(self, frozen: Sequence[AbstractBasis], bases: Sequence[Any], members: int) -> None:
        """Solve few frozen features, train networks, and go on with what errs least."""
        search, networks = self.search, Networks(self.search, self.task, bases)
        left = self._with_slope(frozen)
        if not search.found:  # there are but few
            self._solve_all(left)
            left = []
        if search.late():
            return
        if not search.best.validation_error <= GOOD_ENOUGH:
            search.begin(TRAINED)
            networks.compare(self.n_restarts)
            if self._many_rows and not search.late() and self._on_batches(networks.error):
                return
        if search.best.run is None:
            self._solve_all(left)
        if members < 2 or search.cut_short is not None:
            return
        search.begin(MEAN, networks.seconds_of_members(members))
        drawn = min((one for one in search.found if one.run is None), key=lambda one: one.errors)
        alike = 1.0 if self.task.one_fold_tells else ALIKE
        least = alike * min(networks.error, drawn.validation_error)
        if networks.error <= min(least, NOTHING_LEARNT):
            networks.average(members)
        if drawn.validation_error <= least and search.cut_short is None:
            self._average(drawn, members)

    def _drawn(self, basis: AbstractBasis, restart: int) -> list[Candidate]:
        """Solve a basis as drawn at each slope, and add it."""
        drawn, found = self.task.drawn(basis, restart), []
        for scaled in basis.with_slopes(SCALES):
            parameters = drawn if scaled is basis else scaled.sloped(drawn)
            found.append(self.search.add(self.task.frozen(scaled, parameters)))
            if self.search.late():
                break
        return found

    def descend(self, trainer: AbstractTrainer, bases: Sequence[AbstractBasis]) -> None:
        """Train each basis from each restart, with the ridge that suited frozen functions."""
        found = self.search.found
        ridge = self.search.best.ridge.value if found else self.task.usual_ridge
        pairs = list(itertools.product(bases, range(self.n_restarts)))
        train = functools.partial(self._descended, trainer, ridge)
        if current().apart:
            for found in current().map(train, pairs, label="restart"):
                self.search.add(found)
            return
        for pair in pairs:
            self.search.add(train(pair))
            if self.search.late():
                return

    def _descended(
        self, trainer: AbstractTrainer, ridge: float, pair: tuple[AbstractBasis, int]
    ) -> Candidate:
        """Train a basis from a restart."""
        basis, restart = pair
        return self.task.trained(self.search, trainer, basis, ridge, restart=restart)

    def _average(self, best: Candidate, members: int) -> None:
        """Draw more functions like the best ones, each without other rows, and average the scores.

        Cross-entropy is convex in the scores, so that the mean of the members' bounds their own.
        """
        search, task = self.search, self.task
        if not best.validation_error <= NOTHING_LEARNT:
            return
        ridge, first = best.ridge.value, self.n_restarts
        if best.run is not None:
            self.task.average(
                search,
                best,
                members,
                functools.partial(_another, task, search, best.basis, ridge, first),
                mean_error,
            )
            return
        group = [best]
        for number in range(1, members):
            drawn = task.drawn(best.basis, first + number)
            group.append(task.frozen(best.basis, drawn, number, [ridge]))
            if search.late():
                break
        group = task.agreeing(group)
        task.average(search, group[0], len(group), group.__getitem__, mean_error)


def _another(
    task: ClassificationTask,
    search: Search[Candidate],
    basis: AbstractBasis,
    ridge: float,
    first: int,
    number: int,
) -> Candidate:
    """Train a basis without the rows of a fold, from the draw of its number."""
    return task.trained(search, NGD(), basis, ridge, restart=first + number, fold=number)
