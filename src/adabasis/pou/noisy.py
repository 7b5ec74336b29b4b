"""Parts that have a noise level each: the same search, by likelihood."""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import numpy as np
from scipy.spatial import cKDTree

from .. import lstsq, rows
from .._runtime.compute import numerics
from .._runtime.notation import Parameters
from ..basis import AbstractBasis, PartitionBasis
from ..basis.pou.partition import hard_assignment
from ..models.record import Ridge
from ..regression.api import solved_again
from ..regression.solve import solve_rows
from ..selection.prepared import merged, padded_term, rows_for_refit
from ..selection.search import Candidate, Search
from ..train import AbstractTrainer, Objective, Run
from .candidates import HeldOut, Segmentation
from .em import CHANGE, EM, STEPS, MixtureEvaluation, ties_of
from .mixture import Mixture, Sample
from .probabilistic import ProbabilisticPOUNet
from .segmentation import compact
from .strategy import POUNetStrategy, POUNetTask
from .unequal import MOST_LOG, UnequalFits

#: Rows nearest to one not seen, up to which the place of a border is known: of levels one and two
#: about so many tell it.
BESIDE = 8
#: Of mixtures that logarithms of the likelihood of all rows tell apart by less, any may be true.
ALIKE = 2.0
#: How the note begins that levels are unknown.
UNKNOWN = "The noise is not known"


class Settled(NamedTuple):
    """A mixture whose borders stay, solved on rows.

    Attributes
    ----------
    mixture : Mixture
    roots : array
        See :class:`ProbabilisticPOUNet`.
    n_free : float
        Rows less coefficients.
    """

    mixture: Mixture
    roots: np.ndarray
    n_free: float

    @property
    def coefficients(self) -> Any:
        """Those of the polynomials, (P, Q)."""
        return self.mixture.coefficients

    def given_to(self, model: ProbabilisticPOUNet) -> ProbabilisticPOUNet:
        """Return a model of the same functions with these polynomials and levels."""
        assert self.mixture.variances is not None
        levels = np.sqrt(self.mixture.variances) * model.output_map.scale
        notes = tuple(note for note in model.notes if not note.startswith(UNKNOWN))
        if self.n_free < 1:
            levels = np.full_like(levels, np.inf)
            notes += (f"{UNKNOWN}: there are hardly more rows than coefficients.",)
        return dataclasses.replace(
            model,
            coefficients=self.coefficients,
            noise_levels=levels,
            roots=self.roots,
            notes=notes,
        )


def settled(start: Mixture, sample: Sample, term: rows.Term, ridge: float | None) -> Settled:
    """Solve polynomials and levels on rows, the borders as they are.

    Parameters
    ----------
    start : Mixture
    sample : Sample
        The rows.
    term : rows.Term
        The same, or some of them, where neighbouring polynomials are to meet.
    ridge : float or None
        See :class:`adabasis.pou.em.EM`.
    """
    basis = start.basis
    ties = ties_of(Objective(rows.tied(term, basis), 0.0, basis), start)
    now = start
    if now.variances is None:
        now = now.maximized(now.moments(sample), ridge, ties)
    moments = now.moments(sample)
    for _ in range(STEPS):
        before = moments.log_likelihood
        now = now.maximized(moments, ridge, ties)
        moments = now.moments(sample)
        if abs(moments.log_likelihood - before) <= CHANGE * len(sample.x):
            break
    assert now.coefficients is not None
    n_free = float(moments.rows.sum()) - len(now.coefficients)
    return Settled(now, now.roots(moments, ridge, ties), n_free)


def refit_parts(
    model: ProbabilisticPOUNet, X: Any, y: Any, *, sample_weight: Any = None
) -> ProbabilisticPOUNet:
    """Solve polynomials and noise levels again for other rows; the parts stay.

    See :func:`adabasis.refit`, which calls it.

    Raises
    ------
    ValueError
        For other numbers of columns, missing or infinite values, or bad weights.
    """
    x, values, weight = rows_for_refit(model, X, y, sample_weight)
    n_rows = int(np.count_nonzero(weight))
    with numerics():
        places, means, total, scatter, _ = merged(x, model.output_map(values), weight)
        z, asked = model.input_map(places), model.record.asked
        per_weight = n_rows / float(total.sum())
        given = asked.fixed_ridge
        # From the shares of the parts alone: values may be other ones.
        start = dataclasses.replace(model.mixture, variances=None)
        found = settled(
            start,
            Sample(z, means, per_weight * total, scatter),
            padded_term(z, means, total),
            None if given is None else given.value * per_weight,
        )
        source = rows.ArraySource(z, means, total)
        plain = solve_rows((model.basis, model.parameters), source, model.record.ridge)
    status = lstsq.Status(int(plain.status))
    again = solved_again(model, plain, status, x[weight > 0], n_rows)
    return found.given_to(dataclasses.replace(again, flat_output=np.ndim(y) == 1))


class MixtureTask(POUNetTask):
    """Partition of unity networks that are mixtures of Gaussians, one for each part.

    Errors that candidates are compared by are those of which rows not seen are as likely as they
    are: of one noise level for all, the root mean square.
    """

    usual_steps = STEPS

    def __init__(self, *about: Any, **named: Any) -> None:
        super().__init__(*about, **named)
        places = self.data.places
        self.per_weight = float(places.count.sum() / places.weight.sum())

    @functools.cached_property
    def _scatter_at(self) -> dict[bytes, np.ndarray]:
        """The scatter of replicates by place; none where rows were given to validate by."""
        places = self.data.places
        again = np.flatnonzero(places.scatter.any(axis=1))
        return {places.z[i].tobytes(): places.scatter[i] for i in again}

    def scatter(self, term: Any) -> np.ndarray:
        """Return the mean squares of what the data of a term are means of, (N, Q)."""
        seen = np.asarray(term.points.weight) > 0
        x, found = np.asarray(term.points.x)[seen], np.zeros_like(np.asarray(term.data)[seen])
        given = self.data.folds and not self.data.out and term is self.data.folds[0][1]
        if self._scatter_at and not given:
            for i, place in enumerate(x):
                found[i] = self._scatter_at.get(place.tobytes(), 0.0)
        return found

    @functools.cached_property
    def _seen(self) -> cKDTree:
        """The places that are not held out."""
        return cKDTree(self.data.places.z[self.data.fold(0)[0]])

    def around(self, z: np.ndarray) -> np.ndarray:
        """Return points (N, D) and the nearest ones that are not held out, (N, k, D)."""
        tree, count = self._seen, min(BESIDE, self._seen.n)
        nearest = tree.query(z, count)[1].reshape(len(z), count)
        return np.concatenate([z[:, None], tree.data[nearest]], axis=1)

    def points(self, term: Any) -> HeldOut | None:
        """Return points, values, weights in rows, and the scatter of replicates."""
        found = super().points(term)
        if found is None:
            return None
        z, t, w = found
        return z, t, self.per_weight * w, self.scatter(term)

    @property
    def _ridge(self) -> float | None:
        given = self.asked.fixed_ridge
        return None if given is None else given.value * self.per_weight

    def steps(self, usual: AbstractTrainer) -> AbstractTrainer:
        """Return expectation–maximisation."""
        n_rows = float(self.data.places.count[self.data.fold(0)[0]].sum())
        return EM(self._ridge, self.per_weight, self.scatter, self.around, n_rows)

    def _tied(self, own: Sequence[Candidate]) -> Candidate | None:
        """Return the candidate with the softest borders of those that are about as likely.

        How well rows tell a border, a sharp one does not say: a row beyond it is very unlikely. (By
        likelihoods over rows, a tenth of the error is far more than chance, ties or none.)
        """
        n_rows = float(self.data.places.count.sum())
        most = math.exp(min(ALIKE / n_rows, 1.0)) * own[0].error
        alike = [one for one in own if _mixture_of(one.run) and one.error <= most]
        if own[0] not in alike:
            return None
        return max(alike, key=self._softness)

    def _softness(self, candidate: Candidate) -> float:
        """Return the entropy of the shares of parts, the mean over places."""
        mixture = _mixture_of(candidate.run)
        assert mixture is not None
        logs = mixture.log_shares(self.data.places.z[self.data.some_places])
        return -float(np.mean(np.sum(np.exp(logs) * np.maximum(logs, -MOST_LOG), axis=1)))

    def relative(self, error: float, fold: int | None) -> float:
        """Return an error in units of the spread: replicates are in it."""
        return error / self.unit()

    def frozen(
        self, basis: AbstractBasis, parameters: Parameters, ridge: Ridge | None = None
    ) -> Candidate:
        """Solve functions as they are; their error is that of likelihood, each row left out."""
        found = super().frozen(basis, parameters, ridge)
        assert isinstance(basis, PartitionBasis)
        points = self.points(self.everything)
        assert points is not None
        x, y, weight, scatter = points
        labels = compact(hard_assignment(basis.unity, parameters.partition, x))
        fits = UnequalFits(x, y, weight, basis.degree, basis.index_set, scatter)
        error = fits.loo_error(labels) / self.unit()
        return dataclasses.replace(found, loo_error=min(found.loo_error, error))

    def solved(self, best: Candidate) -> lstsq.Solution:
        """Solve polynomials and levels on all rows, the borders as they are."""
        places, basis = self.data.places, best.basis
        assert isinstance(basis, PartitionBasis)
        weight = self.per_weight * places.weight
        sample = Sample(places.z, places.t, weight, places.scatter)
        parameters = jax.tree.map(np.asarray, best.parameters)
        start = _mixture_of(best.run) or Mixture(basis, parameters)
        start = dataclasses.replace(start, parameters=parameters)
        self.settled = settled(start, sample, self.everything, self._ridge)
        plain = solve_rows((basis, best.parameters), self.data.source, best.ridge)
        return dataclasses.replace(plain, coefficients=self.settled.coefficients)

    def finished(self, search: Search[Candidate]) -> ProbabilisticPOUNet:
        """Return the model with the noise of its parts."""
        model = super().finished(search)
        fields = {f.name: getattr(model, f.name) for f in dataclasses.fields(model)}
        return self.settled.given_to(ProbabilisticPOUNet(**fields))


class MixtureStrategy(POUNetStrategy):
    """The same ways as for plain ones; parts that are not trained have levels all the same."""

    def _solve(self, segmentation: Segmentation) -> bool:
        """Solve polynomials and levels of a segmentation as it is; say whether to stop."""
        basis, parameters = next(
            pair for pair in self._variants(segmentation) if not pair[0].continuity
        )
        label = f", from {segmentation.start}"
        candidate = self._trained(basis, parameters, self._prior(segmentation), label)
        if self.fold is None:
            own = self.task.frozen(basis, candidate.parameters)
            candidate = dataclasses.replace(candidate, loo_error=own.loo_error, unseen=own.unseen)
        self.search.add(candidate)
        return self.search.late()


def _mixture_of(run: Run | None) -> Mixture | None:
    """Return the mixture that a run ended with."""
    if run is None:
        return None
    kept = run.tape.kept[0] if run.tape.kept else run.tape.best
    return kept.mixture if isinstance(kept, MixtureEvaluation) else None
