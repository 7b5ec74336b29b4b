"""What fits to rows of data have in common, of numbers and of classes."""

from __future__ import annotations

import abc
import dataclasses
import functools
import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from .. import rows
from .._runtime.notation import Parameters
from ..basis import AbstractBasis, Ensemble
from ..models.record import Asked, Ridge
from ..train import AbstractTrainer
from . import linear
from .data import Prepared, some_rows
from .search import AbstractTask, Candidate, Search

#: Rows (a random subset) that decide between candidates; the chosen one is solved on all.
SEARCH_ROWS = 20_000
#: Relative error above which there is no use in more of the same.
NOTHING_LEARNT = 0.95


class DataTask(AbstractTask[Candidate]):
    """A basis for rows of data, some of them held out.

    Attributes
    ----------
    asked : Asked
    data : Prepared
    joint : bool
        Whether training has coefficients of its own: those are the result then.
    """

    def __init__(self, asked: Asked, data: Prepared, joint: bool = False) -> None:
        self.asked, self.data, self.joint = asked, data, joint

    @abc.abstractmethod
    def objective(self, term: rows.Term, basis: AbstractBasis, ridge: float) -> Any:
        """Return the loss that training lowers; ``ridge`` is λ in the sum over rows."""

    @abc.abstractmethod
    def validation(self, term: rows.Term, basis: AbstractBasis) -> Any:
        """Return the loss on rows held out."""

    @abc.abstractmethod
    def unit(self, term: rows.Term) -> float:
        """Return the error of a model that looks at nothing: that of validation is in its units."""

    @functools.cached_property
    def everything(self) -> rows.Term:
        """The term of all rows, of a random choice where there are very many."""
        return self.some(self.data.all_rows)

    def drawn(self, basis: AbstractBasis, restart: int = 0) -> Parameters:
        """Draw the parameters of a basis."""
        return linear.draw(basis, self.data.key(restart), self.data.inner_box)

    def some(self, indices: np.ndarray) -> rows.Term:
        """Return the term of some rows, of a random choice where there are very many."""
        return self.data.term(some_rows(indices, SEARCH_ROWS, self.data.seed))

    def trained(
        self,
        search: Search[Candidate],
        trainer: AbstractTrainer,
        basis: AbstractBasis,
        ridge: float,
        *,
        restart: int = 0,
        fold: int | None = 0,
        initial: Parameters = None,
        tol: float = 0.0,
        label: str = "",
    ) -> Candidate:
        """Train a basis without the rows of a fold, or on all rows.

        Parameters
        ----------
        search : Search
        trainer : AbstractTrainer
        basis : AbstractBasis
        ridge : float
            λ in the sum over rows.
        restart : int
            Number of the draw.
        fold : int or None
        initial : pytree, optional
            Where to begin; by default at a draw.
        tol : float
            See :meth:`Search.trained`.
        label : str
            What to add to the label.
        """
        kept, held_out = (self.data.all_rows, None) if fold is None else self.data.fold(fold)
        term = self.some(kept)
        if initial is None:
            initial = linear.placed(basis, self.drawn(basis, restart), term.points)
        run = search.trained(
            trainer,
            self.objective(term, basis, ridge),
            initial,
            key=jax.random.fold_in(self.data.key(restart), 1),
            validation=None if held_out is None else self.validation(held_out, basis),
            tol=tol,
        )
        error = math.nan
        if held_out is not None and run.validation is not None:
            error = run.validation / self.unit(held_out)
        return Candidate(
            basis,
            run.parameters,
            initial,
            f"{linear.describe(basis)}, trained, restart {restart}{label}",
            error,
            ridge=Ridge(ridge, relative=False),
            run=run,
        )

    def average(
        self,
        search: Search[Candidate],
        first: Candidate,
        members: int,
        another: Callable[[int], Candidate],
        mean: Callable[[list[float]], float],
    ) -> None:
        """Find more candidates like the first, each without other rows, and add their mean.

        Parameters
        ----------
        search : Search
        first : Candidate
        members : int
        another : callable
            From the number of a member, 1 and up, to a candidate of the same kind.
        mean : callable
            From the validation errors of the members to the bound that they set to the mean's own.
        """
        group = [first]
        for number in range(1, members):
            candidate = another(number)
            if math.isfinite(candidate.validation_error):
                group.append(candidate)
            if search.late():
                break
        if len(group) == 1:
            return
        basis = Ensemble(first.basis, len(group))
        search.add(
            dataclasses.replace(
                group[-1],
                basis=basis,
                parameters=_stacked([candidate.parameters for candidate in group]),
                initial=_stacked([candidate.initial for candidate in group]),
                label=linear.describe(basis) + (", trained" if first.run else ""),
                validation_error=mean([candidate.validation_error for candidate in group]),
                loo_error=math.nan,
                run=first.run,
                mean_of=len(group),
            )
        )

    def ranked(self, found: Any) -> list[Candidate]:
        """Return candidates, best first; the mean of several stands before its single members.

        Each member is judged by its own fold, and by luck one of them looks better than the mean.
        """
        own = super().ranked(found)
        return sorted(own, key=lambda candidate: -candidate.mean_of)


def _stacked(trees: list[Parameters]) -> Parameters:
    """Return the leaves of several pytrees, one after another along a new first axis."""
    return jax.tree.map(lambda *leaves: jnp.stack(leaves), *trees)
