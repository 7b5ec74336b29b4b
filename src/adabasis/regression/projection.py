"""Features of few directions: what gradients show, trained, judged without the rows they saw."""

from __future__ import annotations

import dataclasses
import math

import numpy as np

from ..basis import ProjectedFeatures
from ..selection.search import Candidate, Search
from ..train import LSGN
from . import bases as proposals
from .task import GOOD_ENOUGH, RegressionTask

#: Relative residual at which directions are known: up to 200 steps beyond it made the error on
#: unseen points smaller for one of four ridge functions, and larger for three.
CONVERGED = 1e-8
ROUNDS = 2


class Projection:
    """Looks for few directions that a function varies along, and trains features of those.

    Attributes
    ----------
    search : Search
    task : RegressionTask
    steps : LSGN
    """

    def __init__(self, search: Search[Candidate], task: RegressionTask, steps: LSGN) -> None:
        self.search, self.task, self.steps = search, task, steps

    def of(self, seen: Candidate, stage: str, most: float = math.inf) -> None:
        """Add features of the directions that a candidate's gradients show, if they are few.

        The trained features tell the number of directions better than the candidate did. The
        coefficients are then solved for some numbers of features and slopes, and the smoothest
        that do well are taken, or those of least leave-one-out error. Among good ones that error
        is a matter of the few outermost rows, and beyond them smooth features err less.

        Parameters
        ----------
        seen : Candidate
        stage : str
            What the search says that it does.
        most : float
            The share of the gradients' spread, a root mean square, that may lie along others.
        """
        search, task = self.search, self.task
        term = task.some(task.data.fold(0)[0])
        z = np.asarray(term.points.x)[: np.count_nonzero(term.points.weight)]
        rank = z.shape[1]
        bases: list[ProjectedFeatures] = []
        for _ in range(ROUNDS):
            axes, variation = self._directions(seen, z)
            fewer = proposals.clear_rank(variation[:rank])
            if not fewer or variation[fewer:rank].sum() > most**2 * variation.sum():
                break
            rank, bases = fewer, proposals.projected_bases(len(z), z.shape[1], fewer)
            if not bases:
                return
            search.begin(stage, least=task.least_error)
            few = min(bases, key=lambda basis: basis.width)  # enough to find the directions
            seen = self._along(few, axes[:rank], z, fold=0)
            if search.late():
                break
        if not bases or search.cut_short is not None:
            return
        # Few parameters, no noise: where residuals vanish, not where a check ended the descent.
        # From the axes anew, not from where the fewer features turned them to by chance.
        axes, _ = self._directions(seen, z)
        last = self._along(bases[0], axes[:rank], z, fold=None)
        solved: list[tuple[Candidate, ProjectedFeatures]] = []
        for basis in bases:
            solved.append((task.frozen(basis, last.parameters), basis))
            if solved[-1][0].loo_error <= GOOD_ENOUGH:
                break
        best, basis = min(solved, key=lambda pair: pair[0].loo_error)
        # Its directions have seen every row: of 500 rows of Friedman's function, leave-one-out
        # preferred features that err 1.4 to 5 times as much as Gaussians. They are compared by the
        # same features, trained without some rows, and the claim is the worse of both.
        apart = self._along(basis, axes[:rank], z, fold=0)
        search.add(dataclasses.replace(apart, label=f"{best.label}, trained without some rows"))
        search.add(
            dataclasses.replace(
                best,
                initial=seen.initial,
                run=seen.run,
                label=f"{best.label}, trained",
                validation_error=apart.validation_error,
            )
        )

    def _directions(self, seen: Candidate, z: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        c = (seen.run or self.task.solved(seen)).coefficients
        return proposals.directions(seen.basis, seen.parameters, c, z)

    def _along(
        self, basis: ProjectedFeatures, axes: np.ndarray, z: np.ndarray, fold: int | None
    ) -> Candidate:
        """Train features of some directions, from there."""
        ridge = self.task.asked.fixed_ridge
        return self.task.trained(
            self.search,
            self.steps,
            basis,
            0.0 if ridge is None else ridge.value,
            fold=fold,
            initial=basis.along(axes, z),
            tol=CONVERGED,
        )
