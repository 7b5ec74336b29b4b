"""Fits to rows of data: rows checked, mapped and split; candidates drawn, trained, averaged."""

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
from .._runtime.compute import quickly
from .._runtime.notation import AnyArray, Parameters, RandomKey
from ..basis import AbstractBasis, Ensemble
from ..geometry.boxes import AffineMap, Points, bucket, pad_rows, padded, unit_box
from ..models.record import Asked, Ridge
from ..train import AbstractTrainer
from .search import AbstractTask, Candidate, Search

#: Share of the rows held out, and the number that it is raised to, up to twice the share.
HELD_OUT, FEWEST_HELD_OUT = 0.1, 20
FEWEST_PLACES_TO_SPLIT = 40
#: Rows (a random subset) that decide between candidates; the chosen one is solved on all.
SEARCH_ROWS = 20_000
#: Relative error above which there is no use in more of the same.
NOTHING_LEARNT = 0.95
#: Points that drawn parameters are adjusted to.
PLACED_ON = 1024


class Prepared:
    """Checked data, the maps, and the split: what every method starts from.

    Rows of weight zero are dropped, and rows at the same place x are merged into one with their
    total weight and mean value: the same least-squares problem with fewer rows. Repeated
    measurements cannot leak into held-out rows, and a row of weight 2 means exactly two rows.
    ``scatter`` is the mean square about those means (model's units), which no function can fit.
    """

    def __init__(
        self,
        call: str,
        X: Any,
        y: Any,
        sample_weight: Any,
        validation: Any,
        seed: int,
        *,
        split_by_default: bool,
        standardize: bool = True,
        map_outputs: bool = True,
    ) -> None:
        self.call = call
        x, values, weight = checked_data(call, X, y, sample_weight)
        self.n_rows = int(np.count_nonzero(weight))
        self.x, self.y, self.weight, about = merged(x, values, weight)
        self.flat, self.seed, self.split_by_default = np.ndim(y) == 1, seed, split_by_default
        given = rows.ArraySource(self.x, self.y, self.weight).statistics()
        self.box = given.box
        n_inputs, n_outputs = self.x.shape[1], self.y.shape[1]
        if standardize:
            self.input_map = AffineMap.onto_unit_box(self.box)
            self.output_map = AffineMap.standardize(given.mean, given.spread)
            self.inner_box = unit_box(n_inputs)
        else:
            self.input_map = AffineMap.identity(n_inputs)
            self.output_map = AffineMap.identity(n_outputs)
            self.inner_box = self.box
        if not map_outputs:
            self.output_map = AffineMap.identity(n_outputs)
        self.scatter = float(np.mean(about / self.output_map.scale**2))
        self.z, self.t = self.input_map(self.x), self.output_map(self.y)
        self.source = rows.ArraySource(self.z, self.t, self.weight)
        self.held_out_kind = "none"
        self.folds = self._folds(validation)

    def _folds(self, validation: Any) -> list[tuple[np.ndarray, rows.Term]]:
        """Return the ways of holding rows out: the indices trained on, the term of the others.

        A share s gives up to 1/s folds, no row being held out twice; given data are one fold.
        """
        if isinstance(validation, tuple):
            x, y, weight = self._checked_validation(*validation)
            self.held_out_kind = f"{len(x)} rows given for validation"
            everything = np.arange(len(self.x))
            return [(everything, padded_term(self.input_map(x), self.output_map(y), weight))]
        if validation == "auto":
            splits = self.split_by_default and len(self.x) >= FEWEST_PLACES_TO_SPLIT
            share = min(max(HELD_OUT, FEWEST_HELD_OUT / len(self.x)), 2 * HELD_OUT)
            validation = share if splits else None
        if validation is None or len(self.x) < 2:
            return []
        if isinstance(validation, str) or not 0 < validation < 1:
            raise ValueError(
                f"{self.call}(validation={validation!r}): a share between 0 and 1, a pair (X, y), "
                "'auto' or None."
            )
        order = np.random.default_rng(self.seed).permutation(len(self.x))
        n_out = min(max(1, round(validation * len(self.x))), len(self.x) - 1)
        self.held_out_kind = f"{n_out} of {len(order)} distinct rows held out"
        starts = range(0, len(order) - n_out + 1, n_out)
        return [self._fold(order, start, n_out) for start in starts]

    def _fold(self, order: np.ndarray, start: int, n_out: int) -> tuple[np.ndarray, rows.Term]:
        out = np.sort(order[start : start + n_out])
        return np.setdiff1d(self.all_rows, out), self.term(out)

    def _checked_validation(self, X: Any, y: Any) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        try:
            x, values, weight = checked_data(self.call, X, y, None)
        except ValueError as error:
            raise ValueError(f"{self.call}(validation=(X, y)): in these data, {error}") from error
        for name, given, fitted in (("X", x, self.x), ("y", values, self.y)):
            if given.shape[1] != fitted.shape[1]:
                raise ValueError(
                    f"{self.call}(validation=(X, y)): its {name} has {given.shape[1]} columns, "
                    f"that of the data to fit {fitted.shape[1]}. Give the same columns in the same "
                    "order."
                )
        return x, values, weight

    def term(self, indices: np.ndarray) -> rows.Term:
        """Return the padded term of some rows."""
        return padded_term(self.z[indices], self.t[indices], self.weight[indices])

    @property
    def all_rows(self) -> np.ndarray:
        """Indices of all rows."""
        return np.arange(len(self.x))

    def fold(self, number: int) -> tuple[np.ndarray, rows.Term | None]:
        """Return the indices trained on, and the term held out, if any; numbers wrap around."""
        return self.folds[number % len(self.folds)] if self.folds else (self.all_rows, None)

    def key(self, restart: int) -> RandomKey:
        """Return the random key of one restart.

        The generator is XLA's own, which compiles in a quarter of the default one's time.
        """
        return jax.random.fold_in(jax.random.key(self.seed, impl="rbg"), restart)


def padded_term(z: np.ndarray, t: np.ndarray, weight: np.ndarray) -> rows.Term:
    """Return rows in the model's units as a term, padded to a bucket's length."""
    return rows.Term(padded(z, weight), pad_rows(t, bucket(len(z))))


def merged(
    x: np.ndarray, y: np.ndarray, weight: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Return distinct places, their mean values and total weights, and the scatter (Q,) lost.

    Rows of weight zero are dropped.
    """
    x, y, weight = (array[weight > 0] for array in (x, y, weight))
    places, at = np.unique(x, axis=0, return_inverse=True)
    at = at.ravel()
    total = np.bincount(at, weight)
    first = np.empty_like(y, shape=(len(places), y.shape[1]))
    first[at] = y
    # Means of differences from one of the values: exact where all agree, and no cancellation.
    offset = np.stack([np.bincount(at, weight * d) for d in (y - first[at]).T], axis=1)
    mean = first + offset / total[:, None]
    return places, mean, total, weight @ (y - mean[at]) ** 2 / weight.sum()


def checked_data(
    call: str, X: Any, y: Any, sample_weight: Any
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return X (N, D), y (N, Q) and weights (N,) in float64, or say what is wrong with them."""
    x, values = np.asarray(X, dtype=float), np.asarray(y, dtype=float)
    if x.ndim != 2 or values.ndim not in (1, 2) or len(x) != len(values) or not x.size:
        raise ValueError(
            f"{call}(X, y): expected X of shape (N, D) and y of shape (N,) or (N, Q) with N, D ≥ "
            f"1, got {x.shape} and {values.shape}."
        )
    values = values.reshape(len(values), -1)
    weight = np.ones(len(x)) if sample_weight is None else np.asarray(sample_weight, dtype=float)
    if weight.shape != (len(x),):
        raise ValueError(f"{call}(sample_weight): expected shape ({len(x)},), got {weight.shape}.")
    for name, array in (("X", x), ("y", values), ("sample_weight", weight)):
        bad = np.argwhere(~np.isfinite(array))
        if len(bad):
            where = ", ".join(map(str, bad[0]))
            raise ValueError(
                f"{call}({name}): {len(bad)} entries are NaN or infinite, the first at [{where}]. "
                "Fill them or drop those rows."
            )
    if (weight < 0).any() or not (weight > 0).any():
        raise ValueError(f"{call}(sample_weight): weights must not be negative and not all zero.")
    return x, values, weight


def some_rows(indices: np.ndarray, most: int, seed: int) -> np.ndarray:
    """Return the indices, or a random choice of so many."""
    if len(indices) <= most:
        return indices
    return np.sort(np.random.default_rng([seed, 1]).choice(indices, most, replace=False))


def describe(basis: AbstractBasis) -> str:
    """Return a basis's kind and its numbers in a few words."""
    if isinstance(basis, Ensemble):
        return f"mean of {basis.n_members}: {describe(basis.inner)}"
    numbers = {k: v for k, v in basis.config().items() if type(v) in (int, float)}
    return f"{type(basis).__name__} " + ", ".join(f"{k} {v:g}" for k, v in numbers.items())


@quickly(once=True)
def draw(basis: AbstractBasis, key: RandomKey, box: AnyArray) -> Parameters:
    """Draw the parameters of a basis in one compiled call."""
    return basis.init(key, jnp.asarray(box))


def placed(basis: AbstractBasis, parameters: Parameters, points: Points) -> Parameters:
    """Adjust drawn parameters to points, or to a fixed number of them, padding left out."""
    if not basis.needs_points:
        return parameters
    x = np.asarray(points.x)[np.asarray(points.weight) > 0]
    some = np.linspace(0, len(x) - 1, PLACED_ON).round().astype(int)
    return _placed(basis, parameters, x[some])


@quickly(once=True)
def _placed(basis: AbstractBasis, parameters: Parameters, x: AnyArray) -> Parameters:
    return basis.placed(parameters, jnp.asarray(x))


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
        return draw(basis, self.data.key(restart), self.data.inner_box)

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
            initial = placed(basis, self.drawn(basis, restart), term.points)
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
            f"{describe(basis)}, trained, restart {restart}{label}",
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
                label=describe(basis) + (", trained" if first.run else ""),
                validation_error=mean([candidate.validation_error for candidate in group]),
                loo_error=math.nan,
                run=first.run,
                mean_of=len(group),
            )
        )


def _stacked(trees: list[Parameters]) -> Parameters:
    """Return the leaves of several pytrees, one after another along a new first axis."""
    return jax.tree.map(lambda *leaves: jnp.stack(leaves), *trees)
