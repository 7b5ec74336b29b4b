"""Fits to rows of data: candidates drawn, trained, averaged, and what they show of unseen rows."""

from __future__ import annotations

import abc
import dataclasses
import functools
import math
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from .. import rows
from .._runtime.backend import in_numpy
from .._runtime.compute import quickly
from .._runtime.errors import counted
from .._runtime.notation import AnyArray, AnyKey, Parameters
from ..basis import AbstractBasis, Ensemble
from ..evidence.errors import Unseen
from ..geometry.points import Points
from ..models.record import Asked, Ridge
from ..train import AbstractTrainer, train
from ..train.descent import weighted_map
from .members import in_turn, learnt_and_not, stacked
from .prepared import FARTHEST, PROBES, SEARCH_ROWS, Prepared, some_rows
from .search import AbstractTask, Candidate, Search, standing

#: Relative error above which there is no use in more of the same.
NOTHING_LEARNT = 0.95
#: Members whose values beside the rows are so many times as far from the median of all as those of
#: the member in the middle are left out of a mean, where there are enough to tell.
OUTLYING, FEWEST_AGREEING = 4.0, 4
#: Errors within this factor are alike where one candidate goes far off between the rows.
ALIKE = 1.3
#: Points that drawn parameters are adjusted to.
PLACED_ON = 1024
#: Numbers of the functions evaluated at once (32 MiB): a tenth of a million rows is held out.
CHUNK_NUMBERS = 2**22


def describe(basis: AbstractBasis) -> str:
    """Return a basis's kind and its numbers in a few words."""
    if isinstance(basis, Ensemble):
        return f"mean of {basis.n_members}: {describe(basis.inner)}"
    numbers = {k: v for k, v in basis.config().items() if type(v) in (int, float)}
    return f"{type(basis).__name__} " + ", ".join(f"{k} {v:g}" for k, v in numbers.items())


def draw(basis: AbstractBasis, key: AnyKey, box: AnyArray) -> Parameters:
    """Draw the parameters of a basis: in NumPy from a key of its, else in one compiled call."""
    draws: Any = basis.init
    return draws(key, np.asarray(box)) if in_numpy(key) else _draw(basis, key, box)


@quickly(once=True)
def _draw(basis: AbstractBasis, key: Any, box: AnyArray) -> Parameters:
    return basis.init(key, jnp.asarray(box))


def placed(basis: AbstractBasis, parameters: Parameters, points: Points) -> Parameters:
    """Adjust drawn parameters to points, or to a fixed number of them, padding left out."""
    if not basis.needs_points:
        return parameters
    x = np.asarray(points.x)[np.asarray(points.weight) > 0]
    some = np.linspace(0, len(x) - 1, PLACED_ON).round().astype(int)
    if basis.draws_in_numpy:
        return basis.placed(parameters, x[some])
    return _placed(basis, parameters, x[some])


@quickly(once=True)
def _placed(basis: AbstractBasis, parameters: Parameters, x: AnyArray) -> Parameters:
    return basis.placed(parameters, jnp.asarray(x))


def design(basis: AbstractBasis, parameters: Parameters, z: np.ndarray) -> np.ndarray:
    """Return the functions at points, (N, P)."""
    with np.errstate(all="ignore"):  # far away exponentials overflow, to what they tend to
        return basis.values(z, jax.tree.map(np.asarray, parameters))


def said(candidate: Candidate, c: np.ndarray, z: np.ndarray) -> np.ndarray:
    """Return the values of a candidate with coefficients (P, Q) at points, (N, Q), in chunks."""
    at_once = max(64, CHUNK_NUMBERS // len(c))
    starts = range(0, max(len(z), 1), at_once)
    parts = [z[start : start + at_once] for start in starts]
    basis, parameters = candidate.basis, candidate.parameters
    return np.concatenate([design(basis, parameters, part) @ c for part in parts])


class DataTask(AbstractTask[Candidate]):
    """A basis for rows of data, some of them held out.

    Attributes
    ----------
    asked : Asked
    data : Prepared
    joint : bool
        Whether training has coefficients of its own: those are the result then.
    """

    #: Relative error below which another is about the same.
    _small = 0.0
    #: Whether values between the rows are looked at, and whether losses are squares.
    _probed = _squared = True

    def __init__(self, asked: Asked, data: Prepared, joint: bool = False) -> None:
        self.asked, self.data, self.joint = asked, data, joint

    @abc.abstractmethod
    def objective(self, term: rows.Term, basis: AbstractBasis, ridge: float) -> Any:
        """Return the loss that training lowers; ``ridge`` is λ in the sum over rows."""

    @abc.abstractmethod
    def validation(self, term: rows.Term, basis: AbstractBasis) -> Any:
        """Return the loss on rows held out."""

    @abc.abstractmethod
    def unit(self) -> float:
        """Return the error of a model that looks at nothing: that of validation is in its units."""

    def relative(self, error: float, fold: int | None) -> float:
        """Return the error of training on the rows of a fold, in those units."""
        return error / self.unit()

    @abc.abstractmethod
    def losses(self, values: np.ndarray, targets: np.ndarray, scatter: Any) -> np.ndarray:
        """Return the relative loss of each row, (N,), for values Φ c (N, K) of the last layer.

        The scatter (N, Q) is that of repeated measurements about their mean, the target; ``None``
        stands for rows that were given besides, which have a spread of their own.
        """

    def surprise(self, values: np.ndarray, targets: np.ndarray) -> float:
        """Return the mean loss had the rows been otherwise than expected; 0 for numbers."""
        return 0.0

    def ranked(self, found: Sequence[Candidate]) -> list[Candidate]:
        """Return candidates, best first; of like errors, one that stays near between the rows.

        Errors of the same three digits are equal: what was tried first is the simpler.
        """

        def key(c: Candidate) -> tuple[float, ...]:
            return (*standing(c, found), *(float(f"{error:.3g}") for error in c.errors))

        own = sorted(found, key=key)
        far = self._farthest(found)
        best = next((one for one in own if one.overshoot <= far), None)
        if best is None or best.error > max(ALIKE * own[0].error, self._small):
            return own
        return [best, *(one for one in own if one is not best)]

    def _farthest(self, found: Sequence[Candidate]) -> float:
        """Return how far values between the rows may go, in ranges of the rows' values.

        Where most trained candidates go farther, the data do: of superheated steam, whose rows
        leave a corner of the box empty, networks of every size go on there as the rows do.
        """
        trained = [one.overshoot for one in found if one.run and not one.mean_of]
        if len(trained) < FEWEST_AGREEING:
            return FARTHEST
        return max(FARTHEST, ALIKE * float(np.median(trained)))

    def unseen(self, candidate: Candidate, coefficients: Any) -> Unseen | None:
        """Return the losses of a trained candidate on the rows that were held out of it."""
        if candidate.fold is None or not self.data.folds:
            return None
        term = self.data.fold(candidate.fold)[1]
        assert term is not None
        weight = np.asarray(term.points.weight)
        seen, places = weight > 0, self.data.places
        numbers = -1 - np.flatnonzero(seen)
        scatter, group = None, numbers
        if self.data.out:
            numbers = self.data.out[candidate.fold % len(self.data.out)]
            scatter, group = places.scatter[numbers], places.group[numbers]
        values = said(candidate, np.asarray(coefficients), np.asarray(term.points.x)[seen])
        targets = np.asarray(term.data)[seen]
        return Unseen(
            numbers,
            self.losses(values, targets, scatter),
            weight[seen],
            group,
            self.data.held_out_kind,
            root=self._squared,
            surprise=self.surprise(values, targets),
            residuals=targets - values,
        )

    @functools.cached_property
    def sampled(self) -> np.ndarray:
        """Indices of all places, or of a random choice where there are very many."""
        return some_rows(self.data.all_rows, SEARCH_ROWS, self.data.seed)

    @functools.cached_property
    def everything(self) -> rows.Term:
        """The term of all rows, of a random choice where there are very many."""
        return self.data.term(self.sampled)

    def drawn(self, basis: AbstractBasis, restart: int = 0) -> Parameters:
        """Draw the parameters of a basis."""
        return draw(basis, self.data.key_for(basis, restart), self.data.inner_box)

    def _standard_draw(self, basis: AbstractBasis, restart: int, term: rows.Term) -> Parameters:
        """Draw parameters for inputs of mean 0 and variance 1; ``None`` where there are none."""
        if not basis.takes_maps:
            return None
        found = weighted_map(term.points.x, term.points.weight)
        drawn = draw(basis, self.data.key_for(basis, restart), found(self.data.inner_box.T).T)
        return basis.after(drawn, found)

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
        max_steps: int | None = None,
        max_seconds: float = math.inf,
        most_rows: int = SEARCH_ROWS,
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
            Where to begin, trained before; by default at a draw.
        tol : float
            See :meth:`Search.trained`.
        max_steps, max_seconds
            Of this run, where nobody asked for fewer steps or less time.
        most_rows : int
            Of more rows a random choice is taken, unless the trainer steps on mini-batches.
        label : str
            What to add to the label.
        """
        kept, held_out = (self.data.all_rows, None) if fold is None else self.data.fold(fold)
        if trainer.batches is None:
            term = self.data.term(some_rows(kept, most_rows, self.data.seed))
        else:
            term = self.data.whole_term(kept)
        warm = initial is not None
        if initial is None:
            drawn = None if trainer.batches is None else self._standard_draw(basis, restart, term)
            initial = placed(basis, drawn or self.drawn(basis, restart), term.points)
        more: dict[str, Any] = {}
        if trainer.batches is not None and self.data.stream is not None:
            more["run"] = functools.partial(train, source=self.data.source)
        run = search.trained(
            trainer,
            self.objective(term, basis, ridge),
            initial,
            key=None if trainer.interpreted else jax.random.fold_in(self.data.key(restart), 1),
            validation=None if held_out is None else self.validation(held_out, basis),
            tol=tol,
            max_steps=max_steps,
            max_seconds=max_seconds,
            warm=warm and trainer.batches is not None,
            **more,
        )
        error = math.nan
        if held_out is not None and run.validation is not None:
            error = self.relative(run.validation, fold)
        if run.setbacks:
            times = counted(run.setbacks, "time")
            label += f", back to the best iterate {times}: the loss was not finite"
        found = Candidate(
            basis,
            run.parameters,
            initial,
            f"{describe(basis)}, trained, restart {restart}{label}",
            error,
            ridge=Ridge(ridge, relative=False),
            run=run,
            fold=fold,
        )
        if not self._probed:
            return found
        between = design(basis, run.parameters, self.data.probes) @ np.asarray(run.coefficients)
        return dataclasses.replace(found, overshoot=self.data.overshoot(between)[0])

    def average(
        self,
        search: Search[Candidate],
        first: Candidate,
        members: int,
        another: Callable[[int], Candidate],
        mean: Callable[[list[Candidate]], float],
        enough: Callable[[list[Candidate]], bool] = lambda group: False,
    ) -> None:
        """Find more candidates like the first, each without other rows, and add their mean.

        Parameters
        ----------
        search : Search
        first : Candidate
        members : int
        another : callable
            From the number of a member, 1 and up, to a candidate of the same kind. Workers are
            given several numbers at once, those that turn out to be enough in vain included.
        mean : callable
            From the members to the validation error of their mean, or a bound of it.
        enough : callable, optional
            Whether more members would change little.
        """
        group = [first]
        for candidate in in_turn(search, another, range(1, members)):
            if math.isfinite(candidate.validation_error):
                group.append(candidate)
            if search.late() or enough(group):
                break
        learnt, unlearnt = learnt_and_not(group)
        group, apart = self._agreeing(learnt)
        if len(group) == 1:
            return
        # What is left out shows how hard its rows are, unless another draw learns without them.
        judged, n_folds = list(group), max(len(self.data.folds), 1)
        for one in unlearnt:
            if one.fold is not None and not search.late():
                again = another(one.fold % n_folds + n_folds * math.ceil(members / n_folds))
                finite = math.isfinite(again.validation_error)  # unless time was up before a step
                one = again if finite and again in learnt_and_not([*learnt, again])[0] else one
            judged.append(one)
        known = [one for one in map(self._member_unseen, judged) if one is not None]
        kind = f"{self.data.held_out_kind}, others for each member"
        joined = Unseen.joined(known, kind) if known else None
        claims = [*([joined] if joined else []), *apart]
        basis = Ensemble(first.basis, len(group))
        search.add(
            dataclasses.replace(
                group[-1],
                basis=basis,
                parameters=stacked([candidate.parameters for candidate in group]),
                initial=stacked([candidate.initial for candidate in group]),
                label=describe(basis) + (", trained" if first.run else ""),
                validation_error=mean(judged),
                loo_error=math.nan,
                overshoot=self._overshoot(group),
                run=first.run,
                fold=None,
                unseen=Unseen.worst(claims) if known else None,
                apart=joined,
                mean_of=len(group),
                members=tuple(group),
            )
        )

    def _at_probes(self, group: list[Candidate]) -> np.ndarray:
        """Return the values of trained candidates at the probes, (K, M, Q)."""
        z, trained = self.data.probes, [(c, c.run) for c in group if c.run]
        return np.stack(
            [design(c.basis, c.parameters, z) @ np.asarray(run.coefficients) for c, run in trained]
        )

    def _overshoot(self, group: list[Candidate]) -> float:
        """Return how far the mean of candidates goes: one that goes far counts as one of them."""
        if self._probed and all(one.run for one in group):
            return self.data.overshoot(self._at_probes(group).mean(axis=0))[0]
        return max(candidate.overshoot for candidate in group)

    def _agreeing(self, group: list[Candidate]) -> tuple[list[Candidate], list[Unseen]]:
        """Return candidates without those far from the others, and how far apart the rest are.

        Errors on rows do not show a function that is off where no row lies; the others do. And
        where members differ more beside the rows than their errors say, those are not the truth:
        rows that end the training of a member are no longer quite unseen.
        """
        if not self._probed or len(group) < FEWEST_AGREEING:
            return group, []
        data = self.data
        values = self._at_probes(group)
        off = np.sqrt(np.mean((values - np.median(values, axis=0)) ** 2, axis=(1, 2)))
        near = off <= OUTLYING * np.median(off)
        variance = values[near][:, PROBES:].var(axis=0, ddof=1) if near.sum() > 1 else values[0] * 0
        losses = variance.mean(axis=1) / data.places.spread**2
        at, kind = data.some_places, "what members of the mean differ by beside the rows"
        apart = Unseen(at, losses, data.weight[at], data.places.group[at], kind)
        return [c for c, kept in zip(group, near, strict=True) if kept], [apart]

    def _member_unseen(self, candidate: Candidate) -> Unseen | None:
        if candidate.run is None:
            return candidate.unseen
        return self.unseen(candidate, candidate.run.coefficients)
