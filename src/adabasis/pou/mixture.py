r"""Mixtures of Gaussians whose weights are a partition of unity: probabilistic POUnets.

The density of y at x is Σ_α φ_α(x; ξ) N(y; p_α(x), σ_α²): a part α of the partition has a
polynomial p_α and a noise level σ_α [1]_. Its mean is Σ φ_α p_α, the POUnet itself; its variance is
Σ φ_α (σ_α² + p_α²) − (Σ φ_α p_α)².

Expectation–maximisation [2]_ takes turns. With the share r_α(i) of part α in row i,

    r_α(i) = φ_α(x_i) N(y_i; p_α(x_i), σ_α²) / Σ_β φ_β(x_i) N(y_i; p_β(x_i), σ_β²),

polynomials are those of least squares with weights r_α, levels the root mean squares of their
residuals, over the rows less the coefficients, and the partition is moved so that the expected
likelihood Σ_i Σ_α r_α(i) ln φ_α(x_i; ξ) rises.

References
----------
.. [1] Trask, Gulian, Huang, Lee, "Probabilistic partition of unity networks: clustering based deep
   approximation", arXiv:2107.03066 (2021).
.. [2] Dempster, Laird, Rubin, "Maximum likelihood from incomplete data via the EM algorithm",
   J. R. Stat. Soc. B 39 (1977).
"""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np

from .. import lstsq
from ..basis import PartitionBasis
from ..basis.pou.partitioned import PartitionParams
from .segmentation import FLOOR

#: Rows of a chunk: so many of few polynomials are a few megabytes.
CHUNK_ROWS = 20_000
#: Inverse variance of the coefficients before any data, in units of the spread of y: that of
#: :data:`adabasis.regression.strategy.PRIOR`.
PRIOR = 1 / 40
LOG_2PI = math.log(2 * math.pi)


class Sample(NamedTuple):
    """Rows in the model's units.

    Attributes
    ----------
    x, y : arrays, shapes (N, D) and (N, Q)
    weight : array, shape (N,)
        In rows: their sum is the number of rows.
    scatter : array, shape (N, Q)
        Mean squares of what y is the mean of, about it.
    """

    x: np.ndarray
    y: np.ndarray
    weight: np.ndarray
    scatter: np.ndarray

    def chunks(self) -> Iterable[Sample]:
        """Yield some rows at a time."""
        for start in range(0, len(self.x), CHUNK_ROWS):
            yield Sample(*(part[start : start + CHUNK_ROWS] for part in self))


@dataclasses.dataclass(frozen=True)
class Moments:
    """What rows say of each part, given their shares in it.

    Attributes
    ----------
    reductions : tuple of lstsq.Reduction, length N_part
        Of the rows √(w r) [P_β | y].
    scatter : array, shape (N_part, Q)
        Σ w r times the scatter.
    rows : array, shape (N_part,)
        Σ w r.
    log_likelihood : float
        Σ w ln of the density of each row; NaN where shares are those of the partition alone.
    squares : array, shape (Q,)
        Σ w (y − mean)², scatter included.
    """

    reductions: tuple[lstsq.Reduction, ...]
    scatter: np.ndarray
    rows: np.ndarray
    log_likelihood: float
    squares: np.ndarray

    def __add__(self, other: Moments) -> Moments:
        pairs = zip(self.reductions, other.reductions, strict=True)
        return Moments(
            tuple(lstsq.combine(*pair) for pair in pairs),
            self.scatter + other.scatter,
            self.rows + other.rows,
            self.log_likelihood + other.log_likelihood,
            self.squares + other.squares,
        )


@dataclasses.dataclass(frozen=True)
class Mixture:
    """A partition, and the polynomial and the noise of every part, in the model's units.

    Attributes
    ----------
    basis : PartitionBasis
    parameters : PartitionParams
        NumPy's arrays.
    coefficients : array, shape (P, Q), or None
    variances : array, shape (N_part, Q), or None
        ``None`` before the first rows.
    """

    basis: PartitionBasis
    parameters: PartitionParams
    coefficients: np.ndarray | None = None
    variances: np.ndarray | None = None

    @property
    def n_parts(self) -> int:
        """N_part."""
        return self.basis.n_partitions

    @property
    def n_numbers(self) -> int:
        """How many numbers rows tell: coefficients, levels, and where parts end."""
        assert self.coefficients is not None
        assert self.variances is not None
        return self.coefficients.size + self.variances.size + self.n_parts - 1

    def log_shares(self, x: np.ndarray) -> np.ndarray:
        """Return ln φ at N points, (N, N_part)."""
        with np.errstate(all="ignore"):  # far away logits overflow, to what they tend to
            return self.basis.unity.log_share_values(x, self.parameters.partition)

    def means(self, x: np.ndarray) -> np.ndarray:
        """Return the polynomial of every part at N points, (N, N_part, Q)."""
        assert self.coefficients is not None
        with np.errstate(all="ignore"):
            local = self.basis.local_values(x, self.parameters)
        c = self.coefficients.reshape(*local.shape[1:], -1)
        return np.einsum("nav,avq->naq", local, c)

    def joint(self, sample: Sample) -> np.ndarray:
        """Return ln(φ_α N_α) of rows, (N, N_part); of replicates its mean."""
        return self.log_shares(sample.x) + self.log_normal(sample)

    def log_normal(self, sample: Sample) -> np.ndarray:
        """Return ln N_α of rows, (N, N_part); of replicates its mean."""
        assert self.variances is not None
        squares = (self.means(sample.x) - sample.y[:, None]) ** 2 + sample.scatter[:, None]
        ratio = squares / self.variances + np.log(self.variances) + LOG_2PI
        return -0.5 * ratio.sum(axis=2)

    def unseen_likelihood(self, sample: Sample, around: np.ndarray) -> float:
        """Return Σ w ln p of rows not seen, the place of borders known up to the rows beside it.

        Parameters
        ----------
        sample : Sample
            The rows.
        around : array, shape (N, k, D)
            Points around each, itself among them: its shares are the means of theirs. Sharp
            borders lie between two rows that were seen, and one row beyond them, taken to be of
            the quieter part, would decide alone.
        """
        n_rows, count = around.shape[:2]
        shares = np.exp(self.log_shares(around.reshape(n_rows * count, -1)))
        with np.errstate(divide="ignore"):
            logs = np.log(shares.reshape(n_rows, count, -1).mean(axis=1))
        return float(sample.weight @ normalized(logs + self.log_normal(sample))[1])

    def moments(self, sample: Sample) -> Moments:
        """Return what rows say of each part: the expectation step."""
        parts = [self._moments(chunk) for chunk in sample.chunks()]
        return functools.reduce(lambda a, b: a + b, parts)

    def _moments(self, sample: Sample) -> Moments:
        log_shares = self.log_shares(sample.x) if self.variances is None else self.joint(sample)
        shares, log_density = normalized(log_shares)
        w = sample.weight[:, None] * shares
        local = self.basis.local_values(sample.x, self.parameters)
        log_likelihood, squares = math.nan, np.zeros(sample.y.shape[1])
        if self.variances is not None:
            log_likelihood = float(sample.weight @ log_density)
            mean = np.einsum("na,naq->nq", np.exp(self.log_shares(sample.x)), self.means(sample.x))
            squares = sample.weight @ ((mean - sample.y) ** 2 + sample.scatter)
        return Moments(
            tuple(lstsq.reduce(local[:, k], sample.y, w[:, k]) for k in range(self.n_parts)),
            w.T @ sample.scatter,
            w.sum(axis=0),
            log_likelihood,
            squares,
        )

    def maximized(
        self, moments: Moments, ridge: float | None, ties: np.ndarray | None = None
    ) -> Mixture:
        """Return the mixture with the likeliest polynomials and levels: the maximisation step.

        Parameters
        ----------
        moments : Moments
        ridge : float or None
            λ in the sum over rows plus λ‖c‖²; ``None`` stands for that of the noise of each part.
        ties : array, shape (K, P), optional
            Rows whose products with c are to be small, in units of the noise.
        """
        start = self.variances
        if start is None:  # without any level so far, one that does not shrink
            start = np.full((self.n_parts, moments.scatter.shape[1]), FLOOR**2)
        c = coefficients(moments, penalties(start, ridge), start, ties)
        return dataclasses.replace(self, coefficients=c, variances=levels(moments, c))

    def roots(
        self, moments: Moments, ridge: float | None, ties: np.ndarray | None = None
    ) -> np.ndarray:
        """Return roots of the covariances of coefficients, (N_part, Q, dim V, dim V).

        That of part α and output q is W Wᵀ with W the root; of parts that are tied to each other,
        those of one part alone.
        """
        assert self.variances is not None
        penalty = penalties(self.variances, ridge)
        size = moments.reductions[0].n_functions
        found = np.zeros((self.n_parts, self.variances.shape[1], size, size))
        for q in range(self.variances.shape[1]):
            precision = _rows(moments, penalty[:, q], self.variances[:, q], ties)[0]
            if ties is None:
                for k, rows in enumerate(np.split(precision, self.n_parts)):
                    found[k, q] = _inverse_root(rows[:, k * size : (k + 1) * size])
                continue
            whole = _inverse_root(precision)
            for k in range(self.n_parts):
                mine = whole[k * size : (k + 1) * size]
                found[k, q] = lstsq.triangularize(mine.T).T  # type: ignore[arg-type]
        return found


def normalized(log_terms: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return shares (N, M) whose logarithms are given but for their sum, and that of the sum."""
    top = log_terms.max(axis=1, keepdims=True)
    terms = np.exp(log_terms - top)
    total = terms.sum(axis=1, keepdims=True)
    return terms / total, (top + np.log(total))[:, 0]


def penalties(variances: np.ndarray, ridge: float | None) -> np.ndarray:
    """Return λ of each part and output, (N_part, Q)."""
    return PRIOR * variances if ridge is None else np.full_like(variances, ridge)


def coefficients(
    moments: Moments, penalty: np.ndarray, variances: np.ndarray, ties: np.ndarray | None
) -> np.ndarray:
    """Return those of least squares of every part, (P, Q), each with the weights of its rows.

    Levels matter where parts are tied to each other alone.
    """
    n_outputs = variances.shape[1]
    if ties is None:
        found = []
        for k, reduction in enumerate(moments.reductions):
            by_output = [
                lstsq.solve(_output(reduction, q), ridge=float(penalty[k, q])).coefficients
                for q in range(n_outputs)
            ]
            found.append(np.concatenate([np.asarray(c) for c in by_output], axis=1))
        return np.concatenate(found)
    columns = []
    a: Any
    b: Any
    for q in range(n_outputs):
        a, b = _rows(moments, penalty[:, q], variances[:, q], ties, q)
        columns.append(lstsq.factorize(a).solve(b[:, None]))
    return np.concatenate(columns, axis=1)


def levels(moments: Moments, c: np.ndarray) -> np.ndarray:
    """Return the noise variances for coefficients, (N_part, Q): residuals over rows less dim V.

    A part of hardly more rows than coefficients says nothing of its noise, and gets that of all.
    """
    blocks = np.split(c, len(moments.reductions))
    squares = moments.scatter.copy()
    for k, (reduction, own) in enumerate(zip(moments.reductions, blocks, strict=True)):
        off = reduction.rotated - reduction.triangle @ own
        squares[k] += np.sum(off**2, axis=0) + np.sum(np.asarray(reduction.remainder) ** 2, axis=0)
    size = moments.reductions[0].n_functions
    free = moments.rows - size
    total = max(float(moments.rows.sum()) - size * len(free), 1.0)
    pooled = squares.sum(axis=0) / total
    known = (free >= 1.0)[:, None]
    found = np.where(known, squares / np.maximum(free, 1.0)[:, None], pooled)
    # Round-off is left of exact data: a level of 0 would be infinitely likely.
    return np.maximum(found, FLOOR**2)


def _output(reduction: lstsq.Reduction, q: int) -> lstsq.Reduction:
    """Return the reduction of the rows with one of the right-hand sides."""
    p = reduction.n_functions
    factor = np.asarray(reduction.factor)
    below = np.linalg.norm(factor[p:, p + q])
    column = np.append(factor[:p, p + q], below)[:, None]
    left = np.concatenate([factor[:p, :p], np.zeros((1, p))])
    whole: Any = np.hstack([left, column])
    return lstsq.Reduction(whole, reduction.n_rows, p)


def _rows(
    moments: Moments,
    penalty: np.ndarray,
    variance: np.ndarray,
    ties: np.ndarray | None,
    q: int = 0,
) -> tuple[np.ndarray, np.ndarray]:
    """Return rows of all parts for one output, in units of their noise, and right-hand sides."""
    count, size = len(moments.reductions), moments.reductions[0].n_functions
    height = 2 * size
    a, b = np.zeros((count * height, count * size)), np.zeros(count * height)
    for k, reduction in enumerate(moments.reductions):
        at, columns = k * height, slice(k * size, (k + 1) * size)
        a[at : at + size, columns] = reduction.triangle / math.sqrt(variance[k])
        a[at + size : at + height, columns] = np.eye(size) * math.sqrt(penalty[k] / variance[k])
        b[at : at + size] = reduction.rotated[:, q] / math.sqrt(variance[k])
    if ties is not None:
        stiff = ties / math.sqrt(variance.min())
        a, b = np.concatenate([a, stiff]), np.append(b, np.zeros(len(stiff)))
    return a, b


def _inverse_root(rows: np.ndarray) -> np.ndarray:
    """Return W (P, P) with W Wᵀ = (AᵀA)⁺."""
    factors = lstsq.factorize(rows)
    kept = np.asarray(factors.kept)
    gain = np.where(kept, 1.0 / np.where(kept, factors.s, 1.0), 0.0)
    return np.asarray(factors.vt.T * gain) / np.asarray(factors.norms)[:, None]
