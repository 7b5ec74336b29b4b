"""Functions where the residual is: Gaussians that are placed there, and moved functions.

Of the latter two ways for equations of first order, whose solutions keep the kinks of their data:

* one ReLU layer, its planes moved by Gauss–Newton: exact where characteristics are straight;
* coordinates ξ along the characteristics, L ξ = 0 with ξ = x at the start: a smooth problem that
  frozen functions solve to many digits. Every function of ξ then solves the equation, and kinks on
  curves are kinks at points of ξ.

Elsewhere a tanh layer is moved.
"""

from __future__ import annotations

import dataclasses
import time
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ..basis import (
    AbstractBasis,
    FrozenFeatures,
    NeuralBasis,
    PartitionBasis,
    PlacedGaussians,
    WarpedBasis,
)
from ..geometry import Gauss, bounding_box, coordinates, unit_box
from ..selection.search import Search
from ..train import LSGN, AbstractTrainer, Objective, train
from ..train.gauss_newton import FIRST_DAMPING
from .candidate import EquationCandidate
from .cell_growth import CellGrowth, Step
from .cell_rows import CellProblem
from .collocation import collocate
from .conditions import Initial, coordinate_name
from .newton import train_in_rounds
from .on_cells import grows, solved_on_cells, stateable
from .placing import CONCENTRATED, concentration, gaussians
from .problem import LinearProblem, Problem
from .strategy import (
    CELLS,
    GOALS,
    MOVED_FUNCTIONS,
    PLACED,
    EquationStrategy,
    EquationTask,
)
from .system import CollocationSystem

#: Score after the first width above which Gaussians are placed where the residual is, and moved
#: functions are tried before wider frozen ones, if the next width does not lower it to this share:
#: it does for steep solutions, not for kinks.
ROUGH, SMOOTH_FALL = 1e-2, 0.2
#: Gaussians that are placed at a time over the first number of frozen functions, and how often, at
#: most; what their residual has to fall to.
PER_TURN, TURNS, HELPS = 0.8, 6, 0.6
#: Functions of such a slope are smooth.
SMOOTH = 1.0
#: Training sees the rows that so many frozen functions would: kinks need points near them.
TRAINING_WIDTH = 2000
FRACTION_SOLVED = 1e-6
MOVED = 32
ALONG = (64, 256)
SLOPES = (2.0, 8.0, 32.0)
#: Draws of moved functions where nobody says.
RESTARTS = 3
#: Candidates on cells that are kept besides the best one: the search compares the last ones.
RECENT = 4


class AdaptiveStrategy(EquationStrategy):
    """What to try on a problem, moved functions included."""

    def automatic(self) -> None:
        """Search on cells, then among frozen functions, and moved ones if those do not get on."""
        on_cells, settled = self.on_cells()
        try:
            if not settled:
                self.elsewhere()
        finally:
            for candidate in on_cells:
                self.search.add(candidate)

    def elsewhere(self) -> None:
        """Search among functions of the whole domain."""
        self.start()
        before = self.search.best.shortfall
        if before > ROUGH and self.place():
            if not self.concentrated(self.search.best):
                self.grow(len(self.widths))
            return
        if before > ROUGH:
            self.grow(1)
            if self.search.best.shortfall > SMOOTH_FALL * before:
                self.adapt()
        self.grow(len(self.widths))

    def concentrated(self, candidate: Any) -> bool:
        """Whether a candidate's residual is in few places."""
        fresh = self.task.fresh
        return concentration(fresh, candidate.judged_on(fresh).misfit) <= CONCENTRATED

    def place(self) -> bool:
        """Place Gaussians where the residual is, while it is in few places and that helps.

        Returns
        -------
        bool
            Whether it did.
        """
        task, search, places = self.task, self.search, None
        count = int(PER_TURN * self.widths[0])
        if task.widest is not None or task.n_inputs not in (2, 3) or task.problem.regions:
            return False
        for turn in range(TURNS):
            best = search.best
            if self.good(GOALS[0]) or search.late():
                break
            # Smooth functions leave all of what is concentrated, steep ones have spread it.
            smooth = next(c for c in search.ranked if c.basis.slope <= SMOOTH)
            looked = smooth if places is None else best
            if not self.concentrated(looked):
                break
            search.begin(PLACED)
            new: Any = gaussians(task.fresh, looked.judged_on(task.fresh).misfit, count, turn)
            if places is not None:
                new = tuple(np.concatenate(both) for both in zip(places, new, strict=True))
            task.look_at(new, best)
            both: list[Any] = [looked, best]
            inner = [c.basis.inner if c.places is not None else c.basis for c in both]
            wanted = [PlacedGaussians(one, len(new[0])) for one in dict.fromkeys(inner)]
            self._each(wanted, looked.system.weight, new)
            if search.best.shortfall > HELPS * best.shortfall:
                break
            places = new
        return places is not None

    def on_cells(self) -> tuple[list[Any], bool]:
        """Try polynomials on cells, where the problem can be stated so.

        Returns
        -------
        (candidates, bool)
            What was found, and whether it is good enough.
        """
        task, search = self.task, self.search
        found: list[Any] = []
        if task.sampler_given or task.added or not stateable(task.problem):
            return found, False
        search.begin(CELLS)
        problem, growth = CellProblem(task.problem, task.scales), CellGrowth(task.problem)
        wanted: Step | None = growth.first
        while wanted is not None and not (found and search.late()):
            before = found[-1] if found else None
            found.append(solved_on_cells(problem, task.fresh, *wanted, before))
            last = found[-1]
            if task.problem.linear and (
                last.system.undetermined or (before is not None and grows(before, last))
            ):
                return [], False  # which of all solutions, others know better
            if self.met(found):
                return found, True
            wanted = growth.after(found)
            found = _kept(found)
        return found, growth.settled

    def met(self, on_cells: list[Any]) -> bool:
        """Whether the user's tolerance is met; one candidate alone has no witness."""
        tol = self.search.asked.tol
        return tol is not None and len(on_cells) > 1 and on_cells[-1].validation_error <= tol

    def on_given_cells(self, basis: PartitionBasis) -> None:
        """Solve on the cells of a grid, and for a witness with polynomials of less degree.

        Raises
        ------
        ValueError
            If the problem cannot be stated on cells.
        """
        task, search = self.task, self.search
        unity: Any = basis.unity
        if not stateable(task.problem) or basis.index_set != "total":
            raise ValueError(
                f"solve(problem, {basis!r}): cells take equations on a box of at most three "
                "coordinates, whose operators take derivatives at a point, without weights, means "
                "or observations, and polynomials of a total degree; what is not linear has to "
                "start at a time (Initial). Leave the basis out, or use FrozenFeatures(512)."
            )
        search.begin(CELLS)
        problem, along = CellProblem(task.problem, task.scales), unity.slabs(task.n_inputs)
        before = None
        for degree in (max(basis.degree - 2, 1), basis.degree):
            before = solved_on_cells(problem, task.fresh, along, degree, before)
            search.add(before)  # type: ignore[arg-type]

    def automatic_on(self, basis: AbstractBasis) -> None:
        """Solve on a basis as drawn, then moved."""
        self.one(basis)
        if basis.trainable:
            self.descend(LSGN(), basis)

    def adapt(self) -> None:
        """Try moved functions."""
        if not self.task.problem.linear or self.task.scales:
            return
        first_order = self.task.problem.operator.order == 1
        activation = "relu" if first_order else "tanh"
        self.descend(LSGN(), NeuralBasis(MOVED, 1, activation=activation))
        if first_order and not self.good(FRACTION_SOLVED) and not self.search.late():
            self.along_characteristics()

    def descend(self, trainer: AbstractTrainer, basis: AbstractBasis) -> None:
        """Train a basis from several draws until one solves the problem, then solve once more."""
        task, search = self.task, self.search
        search.begin(MOVED_FUNCTIONS)
        functions, rows = task.on_domain(basis), task.rows(TRAINING_WIDTH)
        objective = Objective(rows.weighted(1.0, functions), task.least_ridge, functions)
        rounds = not (task.problem.linear or trainer.joint)
        run_by = train_in_rounds if rounds else train
        for restart in range(search.asked.restarts(RESTARTS)):
            began, key = time.perf_counter(), jax.random.fold_in(task.key, restart)
            initial = functions.init(key, jnp.asarray(unit_box(task.n_inputs)))
            steps_key = jax.random.fold_in(key, 1)
            run = search.trained(trainer, objective, initial, key=steps_key, tol=None, run=run_by)
            label = f"{basis!r}, moved by {type(trainer).__name__}, restart {restart}"
            system = CollocationSystem(functions, run.parameters, rows, 1.0, task.least_ridge)
            search.add(task.judged(basis, system, label, began, run=run, initial=initial))
            if self.good(FRACTION_SOLVED) or search.late():
                return

    def along_characteristics(self) -> None:
        """Learn coordinates ξ with L ξ = 0, then solve on functions of them, frozen and moved."""
        warp = self.characteristics()
        if warp is None:
            return
        for width in ALONG:
            for slope in SLOPES:
                outer = FrozenFeatures(width, scale=slope)
                label = f"{width} frozen tanh along characteristics, slope {slope:g}"
                self.search.add(self.task.frozen(warp.with_inner(outer), 1.0, label))
        if not self.good(FRACTION_SOLVED):
            # Functions of ξ solve the equation wherever their kinks are: its residual does not
            # jump.
            self.descend(LSGN(damping=FIRST_DAMPING), warp)

    def characteristics(self) -> WarpedBasis | None:
        """Return a basis of functions of ξ, or ``None`` where the problem has no such coordinates.

        It has them where the operator has no term without derivatives, there is an initial value
        and a coordinate besides the time.
        """
        problem = self.task.problem
        start = next((c for c in problem.conditions if isinstance(c, Initial)), None)
        if start is None or problem.domain.n_inputs == 1 or not _kills_constants(problem):
            return None
        time_name = coordinate_name(start.at[0])
        inner: EquationCandidate | None = None
        columns = []
        for name in problem.domain.names:
            if name == time_name:
                continue
            (coordinate,) = coordinates(name)
            initial = Initial(coordinate, at=start.at)
            found = self._frozen_on(
                LinearProblem(problem.domain, problem.operator, 0.0, [initial]), inner
            )
            inner = inner or found
            columns.append(found.coefficients[:, 0] * found.system.rows.unit)
        assert inner is not None
        system, c = inner.system, np.stack(columns, axis=1)
        x = np.concatenate([np.asarray(term.points.x) for term in system.rows.terms])
        xi = np.stack([system.values(x, c[:, [i]]) for i in range(c.shape[1])], axis=1)
        outer = NeuralBasis(MOVED, 1, activation="relu")
        canonical: Any = system.basis
        return WarpedBasis(outer, canonical.inner, system.parameters, c, bounding_box(xi))

    def _frozen_on(
        self, problem: LinearProblem, like: EquationCandidate | None
    ) -> EquationCandidate:
        """Solve another problem on frozen functions, on those of a candidate if there is one."""
        asked = dataclasses.replace(self.search.asked, tol=None)
        search: Search[EquationCandidate] = Search(asked)
        search.deadline = self.search.deadline
        strategy = EquationStrategy(search, EquationTask(asked, problem, self.task.sampler))
        if like is None:
            strategy.frozen()
            return search.best
        return strategy.task.frozen(like.basis, like.system.weight, "the same")


def _kills_constants(problem: Problem) -> bool:
    x = jnp.asarray(collocate(problem, Gauss(5), 1, 1)[0].points.x)
    image = jax.vmap(problem.operator(lambda y: jnp.ones(1, y.dtype)))(x)
    return bool(jnp.all(image == 0))


def _kept(found: list[Any]) -> list[Any]:
    """Return the best candidate and the last ones: others would only fill the memory."""
    best = min(found, key=lambda one: one.validation_error)
    return [one for one in found[:-RECENT] if one is best] + found[-RECENT:]
