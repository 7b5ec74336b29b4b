"""Fits to rows of data: rows checked, mapped and split; candidates drawn, trained, averaged."""

from __future__ import annotations

import abc
import dataclasses
import functools
import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from scipy.spatial import cKDTree

from .. import rows
from .._runtime.compute import quickly
from .._runtime.notation import AnyArray, Parameters, RandomKey
from ..basis import AbstractBasis, Ensemble
from ..evidence.errors import Places, Unseen
from ..evidence.split import checked_groups, fewest_places, folds, kept_together
from ..evidence.support import KEPT_PLACES, MUCH, share_of_gaps
from ..geometry.boxes import AffineMap, Points, bucket, pad_rows, padded, unit_box
from ..models.record import Asked, Ridge
from ..operators import Identity
from ..train import AbstractTrainer
from .search import AbstractTask, Candidate, Search

#: Share of the rows held out, and the number that it is raised to, up to twice the share.
HELD_OUT, FEWEST_HELD_OUT = 0.1, 20
FEWEST_PLACES_TO_SPLIT = 40
#: Rows (a random subset) that decide between candidates; the chosen one is solved on all.
SEARCH_ROWS = 20_000
#: Relative error above which there is no use in more of the same.
NOTHING_LEARNT = 0.95
#: Points at which a candidate's values between the rows are looked at; ranges of y that these may
#: lie from its middle (the rows themselves lie at half of one), or else other candidates go first.
PROBES, FARTHEST = 512, 2.0
#: Members whose values beside the rows are so many times as far from the median of all as those of
#: the member in the middle are left out of a mean, where there are enough to tell.
OUTLYING, FEWEST_AGREEING = 4.0, 4
#: Points that drawn parameters are adjusted to.
PLACED_ON = 1024


class Prepared:
    """Checked data, the maps, and the split: what every method starts from.

    Rows of weight zero are dropped, and rows at the same place x are merged into one with their
    total weight and mean value: the same least-squares problem with fewer rows. Repeated
    measurements cannot leak into held-out rows, and a row of weight 2 means exactly two rows.

    Attributes
    ----------
    places : Places
        What was measured where, in the model's units.
    held_out_kind : str
        How rows are held out, in words.
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
        groups: Any = None,
    ) -> None:
        self.call = call
        x, values, weight = checked_data(call, X, y, sample_weight)
        given_groups = checked_groups(call, groups, len(x))
        self.n_rows = int(np.count_nonzero(weight))
        self.x, self.y, self.weight, scatter, at = merged(x, values, weight)
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
        self.z, self.t = self.input_map(self.x), self.output_map(self.y)
        self.source = rows.ArraySource(self.z, self.t, self.weight)
        if given_groups is not None:
            given_groups = given_groups[weight > 0]
        group, self.together = kept_together(x[weight > 0], at, given_groups)
        # A row of a whole weight k is k rows.
        whole = np.array_equal(self.weight, np.round(self.weight))
        count = self.weight if whole else np.bincount(at).astype(float)
        few = group.max() + 1 < fewest_places(n_inputs) and count.max() > 1
        self.places = Places(
            self.z,
            self.t,
            self.weight,
            count,
            scatter / self.output_map.scale**2,
            group,
            within=given_groups is None and few,
        )
        self.held_out_kind = "none"
        self.folds = self._folds(validation)

    def _folds(self, validation: Any) -> list[tuple[np.ndarray, rows.Term]]:
        """Return the ways of holding rows out: the indices trained on, the term of the others.

        A share s gives up to 1/s folds, no row being held out twice; given data are one fold.
        """
        self.out: list[np.ndarray] = []
        if isinstance(validation, tuple):
            x, y, weight = self._checked_validation(*validation)
            self.held_out_kind = f"{len(x)} rows given for validation"
            return [(self.all_rows, padded_term(self.input_map(x), self.output_map(y), weight))]
        group = self.places.group
        n_groups = int(group.max()) + 1
        if validation == "auto":
            splits = self.split_by_default and len(self.x) >= FEWEST_PLACES_TO_SPLIT
            share = min(max(HELD_OUT, FEWEST_HELD_OUT / len(self.x)), 2 * HELD_OUT)
            validation = share if splits else None
        if validation is None or n_groups < 2:
            return []
        if isinstance(validation, str) or not 0 < validation < 1:
            raise ValueError(
                f"{self.call}(validation={validation!r}): a share between 0 and 1, a pair (X, y), "
                "'auto' or None."
            )
        chosen = folds(n_groups, validation, self.seed)
        self.out = [np.flatnonzero(np.isin(group, labels)) for labels in chosen]
        kind = f", {self.together}" if self.together else ""
        self.held_out_kind = f"{len(self.out[0])} of {len(self.x)} distinct rows held out{kind}"
        return [(np.setdiff1d(self.all_rows, out), self.term(out)) for out in self.out]

    @property
    def kept_places(self) -> np.ndarray:
        """The rows that a model keeps to know where the data lie, (M, D)."""
        return self.z[some_rows(self.all_rows, KEPT_PLACES, self.seed)].astype(np.float32)

    def gaps(self) -> Iterator[str]:
        """Say whether much of the box lies far from all rows."""
        if len(self.z) < fewest_places(self.z.shape[1]):
            return
        share = share_of_gaps(self.z, self.probes[:PROBES])
        if share > MUCH:
            yield (
                f"{100 * share:.0f} % of the box of the inputs lies farther from every row than "
                "rows lie from one another: values there are guesses. See Fitted.support, or the "
                "column 'support' of predictions."
            )

    @functools.cached_property
    def probes(self) -> np.ndarray:
        """Points of the box and between pairs of rows, where no row may be; then :attr:`beside`."""
        rng, (n, d) = np.random.default_rng(self.seed), self.z.shape
        low, high = self.inner_box.T
        between = self.z[rng.integers(n, size=(PROBES // 4, 2))].mean(axis=1)
        corners = (
            np.stack(np.meshgrid(*self.inner_box), -1).reshape(-1, d) if d <= 2 else between[:0]
        )
        n_even = PROBES - len(between) - len(corners)
        even = rng.uniform(size=(n_even, d)) if d > 1 else np.linspace(0, 1, n_even)[:, None]
        return np.concatenate([low + (high - low) * even, between, corners, self.beside])

    @functools.cached_property
    def beside(self) -> np.ndarray:
        """Points beside some rows, half as far as the nearest other row, (PROBES, D) at most.

        They lie as the rows do, and at the edges a little beyond.
        """
        rng = np.random.default_rng(self.seed)
        at = self.z[some_rows(self.all_rows, PROBES, self.seed)]
        distance = cKDTree(self.z).query(at, 2)[0][:, 1] if len(self.z) > 1 else np.ones(1)
        step = rng.normal(size=at.shape)
        step /= np.linalg.norm(step, axis=1, keepdims=True)
        return at + 0.5 * distance[:, None] * step

    def overshoot(self, values: np.ndarray) -> tuple[float, float]:
        """Return how far values at the probes (M, Q) go, in ranges, and the error that this is.

        The former is the largest distance from the middle of the rows' range; the latter the
        relative root mean square by which values beside rows leave it by more than half.
        """
        low, high = self.t.min(axis=0), self.t.max(axis=0)
        reach = np.where(high > low, high - low, np.inf)
        off = np.abs(values - (low + high) / 2)
        if not np.isfinite(off).all():
            return math.inf, math.inf
        beyond = np.maximum(off[PROBES:] - reach, 0.0)
        return float((off / reach).max()), float(np.sqrt(np.mean(beyond**2))) / self.places.spread

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
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Return distinct places, their means, weights and scatter (P, Q), and each row's place.

    Rows of weight zero are dropped. The scatter is the mean square about a place's mean, which no
    function can fit.
    """
    x, y, weight = (array[weight > 0] for array in (x, y, weight))
    places, at = np.unique(x, axis=0, return_inverse=True)
    at = at.ravel()
    total = np.bincount(at, weight)[:, None]

    def mean_of(values: np.ndarray) -> np.ndarray:
        return np.stack([np.bincount(at, weight * column) for column in values.T], axis=1) / total

    first = np.empty_like(y, shape=(len(places), y.shape[1]))
    first[at] = y
    # Means of differences from one of the values: exact where all agree, and no cancellation.
    mean = first + mean_of(y - first[at])
    return places, mean, total[:, 0], mean_of((y - mean[at]) ** 2), at


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


@quickly(once=True)
def _design(basis: AbstractBasis, parameters: Parameters, x: AnyArray) -> Array:
    return rows.evaluate(Identity(), basis, parameters, jnp.asarray(x))


def design(basis: AbstractBasis, parameters: Parameters, z: np.ndarray) -> np.ndarray:
    """Return the functions at points, (N, P)."""
    at = padded(z, np.ones(len(z))).x
    return np.asarray(_design(basis, parameters, at))[: len(z)]


class DataTask(AbstractTask[Candidate]):
    """A basis for rows of data, some of them held out.

    Attributes
    ----------
    asked : Asked
    data : Prepared
    joint : bool
        Whether training has coefficients of its own: those are the result then.
    """

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
        """Return candidates, best first; those that go far off between the rows go last."""
        own = super().ranked(found)
        best = next((one for one in own if self._stays(one)), None)
        return own if best is None else [best, *(one for one in own if one is not best)]

    def _stays(self, candidate: Candidate) -> bool:
        """Whether values between the rows stay near the range of the rows."""
        return candidate.overshoot <= FARTHEST

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
        functions = design(candidate.basis, candidate.parameters, np.asarray(term.points.x)[seen])
        values, targets = functions @ np.asarray(coefficients), np.asarray(term.data)[seen]
        return Unseen(
            numbers,
            self.losses(values, targets, scatter),
            weight[seen],
            group,
            self.data.held_out_kind,
            root=self._squared,
            surprise=self.surprise(values, targets),
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
            error = self.relative(run.validation, fold)
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
        group = self._agreeing(group)
        if len(group) == 1:
            return
        seen = [self._member_unseen(candidate) for candidate in group]
        known = [one for one in seen if one is not None]
        kind = f"{self.data.held_out_kind}, others for each member"
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
                overshoot=max(candidate.overshoot for candidate in group),
                run=first.run,
                fold=None,
                unseen=Unseen.joined(known, kind) if known else None,
                mean_of=len(group),
            )
        )

    def _agreeing(self, group: list[Candidate]) -> list[Candidate]:
        """Return candidates without those far from the others beside and between the rows.

        Errors on rows do not show a function that is off where no row lies; the others do.
        """
        if not self._probed or len(group) < FEWEST_AGREEING:
            return group
        beside = self.data.probes
        values = np.stack(
            [
                design(c.basis, c.parameters, beside) @ np.asarray(c.run.coefficients)
                for c in group
                if c.run
            ]
        )
        off = np.sqrt(np.mean((values - np.median(values, axis=0)) ** 2, axis=(1, 2)))
        return [c for c, far in zip(group, off, strict=True) if far <= OUTLYING * np.median(off)]

    def _member_unseen(self, candidate: Candidate) -> Unseen | None:
        if candidate.run is None:
            return candidate.unseen
        return self.unseen(candidate, candidate.run.coefficients)


def _stacked(trees: list[Parameters]) -> Parameters:
    """Return the leaves of several pytrees, one after another along a new first axis."""
    return jax.tree.map(lambda *leaves: jnp.stack(leaves), *trees)
