"""Bases to try on numbers, and the ridge of their coefficients.

One factorization of the rows gives the leave-one-out residuals of every ridge in closed form, so a
choice costs a few least-squares solves and needs no held-out rows.
"""

from __future__ import annotations

import dataclasses
import itertools
import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from .._runtime.compute import quickly
from .._runtime.notation import AnyArray, Parameters, RandomKey
from ..basis import (
    AbstractBasis,
    AdditiveSplines,
    FrozenFeatures,
    GaussianKernels,
    NeuralBasis,
    Polynomial,
    ProjectedFeatures,
)
from ..evidence.errors import LeftOut, Places, Unseen, left_out_kind
from ..models.record import Ridge
from ..selection.prepared import FARTHEST, PROBES, Prepared
from ..selection.task import design
from .kriging import FEWEST_OF_ANOVA, MOST_CENTERS, MOST_OF_ANOVA

#: Ridges tried, relative to the largest singular value of the unit-norm columns, squared.
RIDGES = np.array([0.0, *np.logspace(-12, 1, 14)])
#: The largest ridge whose left-out error is within this share of the least one is taken: it costs
#: next to nothing on the data and keeps coefficients small in gaps between them.
INDIFFERENCE = 0.1
SCALES = (0.25, 0.5, 1.0, 2.0, 4.0, 8.0)
#: Entries of a design matrix the search will factorize: bounds memory at about 1 GB.
MOST_NUMBERS = 3 * 10**7
#: Knots of splines of one input: as many as show a curve, few enough to be told from a few rows.
MOST_KNOTS = 10
#: Highest degrees of polynomials of one, two and three inputs, and rows up to which they are tried:
#: of more, frozen features do the same.
HIGHEST_DEGREE, FEW_ROWS = {1: 12, 2: 6, 3: 4}, 1000
#: Ratio of the extents of inputs, in all directions, from which they nearly depend on each other:
#: values off the rows are as many times as uncertain (energy's areas, which add up but for their
#: rounding, have 1e4; a diagonal cloud with a fiftieth of its length across, 60).
MOST_ALIKE = 100.0
#: Functions of a plain basis for each row: with a ridge there may be more of them than rows.
FUNCTIONS_A_ROW = 3
#: Rows that tell the parameters of Gaussians, and inputs for which they are chosen.
FEWEST_CENTERS, MOST_KRIGED = 4, 20
WIDTHS = (64, 256)
WIDEST = 1024
#: Width and depth of networks to train: the first, and the last that is affordable.
NETWORKS = ((16, 1), (8, 2), (12, 2), (16, 2), (24, 2))
#: Multiplications of a Gauss–Newton step that a network trained by default may cost.
MOST_WORK = 5e8
#: Width from which networks are grown: half as wide as the final one at each stage, so that the
#: stages before the last cost little.
NARROWEST = 8
PROJECTED_WIDTHS = (64, 128, 256)
PROJECTED_SCALES = (1.0, 2.0)
MOST_DIRECTIONS = 4
#: How much the gradients may vary along directions that are left out, and how much more they must
#: along the last that is not.
SMALL_VARIATION, CLIFF = 1e-3, 30.0
#: Points whose gradients are looked at.
DIRECTIONS_FROM = 2000


def widths_for(n_rows: int, n_inputs: int) -> list[int]:
    """Return up to three feature counts for N rows: at most N/2 functions, within memory.

    Of few rows there are none: what so few features could do, plain bases do better.
    """
    most = min(n_rows // 2, MOST_NUMBERS // max(n_rows, 1)) - n_inputs - 1
    widest = min(most, WIDEST)
    return [w for w in WIDTHS if 2 * w <= widest] + ([widest] if widest >= NARROWEST else [])


def plain_bases(n_rows: int, n_inputs: int) -> list[AbstractBasis]:
    """Return what one would use without thinking, the simplest first.

    A constant, a line, products of inputs, quadratics, splines, polynomials, Gaussians; those with
    too many functions for the rows are left out.
    """
    functions = max(FUNCTIONS_A_ROW * n_rows, 2)
    splines = AdditiveSplines(min(MOST_KNOTS, max(1, n_rows // (2 * n_inputs) - 1)))
    products = [Polynomial(2, highest=1)] if n_inputs > 1 else []
    plain = [Polynomial(0), Polynomial(1), *products, Polynomial(2), splines]
    higher = range(3, HIGHEST_DEGREE.get(n_inputs, 2) + 1) if n_rows <= FEW_ROWS else ()
    polynomials = [Polynomial(m) for m in higher if 2 * Polynomial(m).size(n_inputs) <= n_rows]
    anova = n_rows >= FEWEST_OF_ANOVA and n_inputs > 1
    most = MOST_OF_ANOVA if anova else MOST_CENTERS
    gaussians = GaussianKernels(min(n_rows, most), anova=anova)
    return [
        *(basis for basis in plain if basis.size(n_inputs) <= functions),
        *polynomials,
        *([gaussians] if n_rows >= FEWEST_CENTERS and n_inputs <= MOST_KRIGED else []),
    ]


class Offered(list[AbstractBasis]):
    """Bases to compare where none is named: the size of networks among them is open."""


def default_bases(
    n_rows: int,
    n_inputs: int,
    n_outputs: int = 1,
    *,
    activation: Any = "tanh",
    residual: bool = False,
    init: Any = "box",
) -> Offered:
    """Return the bases that the public functions compare when none is named.

    Plain ones, frozen features of a few widths that N rows can support, and two networks to train:
    a trained function is worth many frozen ones.
    """
    frozen = [FrozenFeatures(w, activation=activation) for w in widths_for(n_rows, n_inputs)]
    networks = [
        NeuralBasis(width, depth, activation=activation, residual=residual, init=init)
        for width, depth in NETWORKS
    ]
    deep = [net for net in networks[1:] if _affordable(net, n_rows, n_inputs, n_outputs)]
    return Offered([*plain_bases(n_rows, n_inputs), *frozen, networks[0], *deep[-1:]])


@quickly(once=True)
def widen(basis: AbstractBasis, narrow: Parameters, key: RandomKey, box: AnyArray) -> Parameters:
    """Widen a trained network in one compiled call."""
    return basis.widened(narrow, key, jnp.asarray(box))


def _affordable(basis: NeuralBasis, n_rows: int, n_inputs: int, n_outputs: int) -> bool:
    """Whether there are rows enough for the hidden parameters, and steps by QR are short."""
    parameters = basis.width * (n_inputs + 1 + (basis.depth - 1) * (basis.width + 1))
    work = 2.0 * n_rows * (basis.width + 1 + n_outputs * parameters) ** 2
    return parameters <= n_rows and work <= MOST_WORK


@quickly()
def _scatter_of_gradients(
    basis: AbstractBasis, parameters: Parameters, c: AnyArray, x: AnyArray
) -> Array:
    """Return the covariance (D, D) of the gradients of all outputs at points x (N, D)."""
    gradients = jax.vmap(jax.jacrev(lambda point: basis(point, parameters) @ c))(jnp.asarray(x))
    about = gradients - jnp.mean(gradients, axis=0)
    return jnp.einsum("nqi,nqj->ij", about, about) / x.shape[0]


def directions(
    basis: AbstractBasis, parameters: Parameters, c: AnyArray, x: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return directions (D, D), and how much the gradient of a fitted function varies along each.

    The gradient of u(x) = g(V x) + a·x varies within the rows of V, so its covariance has as many
    eigenvalues that are not zero, here relative to the largest and descending.
    """
    few = x[:: max(1, len(x) // DIRECTIONS_FROM)][:DIRECTIONS_FROM]
    values, vectors = np.linalg.eigh(np.asarray(_scatter_of_gradients(basis, parameters, c, few)))
    largest = values[-1] if values[-1] > 0 else 1.0
    return _turned(vectors[:, ::-1].T), values[::-1] / largest


def _turned(vectors: np.ndarray) -> np.ndarray:
    """Return eigenvectors (r, D) with their signs set, which round-off decides otherwise.

    Not by the largest entry: of a difference of two inputs both are the largest.
    """
    falling = 0.618 ** np.arange(vectors.shape[1])
    return np.where(vectors @ falling < 0, -1.0, 1.0)[:, None] * vectors


def clear_rank(variation: np.ndarray) -> int:
    """Return after how many directions the variation of the gradient falls off a cliff, or 0.

    What follows the cliff is the noise of the fit's gradients, which its error does not tell.
    """
    ahead = variation[1 : MOST_DIRECTIONS + 1]
    falls = np.maximum(variation[: len(ahead)], 1e-300) / np.maximum(ahead, 1e-300)
    falls = np.where(ahead <= SMALL_VARIATION, falls, 0.0)
    return int(np.argmax(falls)) + 1 if falls.max(initial=0.0) >= CLIFF else 0


def projected_bases(n_rows: int, n_inputs: int, rank: int) -> list[ProjectedFeatures]:
    """Return features of r directions to compare, smoothest first."""
    most = n_rows // 4 - n_inputs - 1
    widths = [width for width in PROJECTED_WIDTHS if width <= most][-2:]
    sizes = itertools.product(widths, PROJECTED_SCALES)
    bases = [ProjectedFeatures(width, rank, scale=scale) for width, scale in sizes]
    return sorted(bases, key=lambda basis: (basis.scale, -basis.width))


@dataclasses.dataclass(frozen=True, eq=False)
class LinearFit:
    """Coefficients on given functions, and what is known of their error.

    Attributes
    ----------
    ridge : Ridge
    unseen : Unseen
        Each row's loss where it is left out.
    coefficients : array, shape (P, Q)
    overshoot : float
        How far values between the rows are from the middle of theirs, in ranges.
    tried : array, shape (K, N)
        Losses with every ridge tried whose values between the rows stay near.
    effective : float
        The effective number of parameters.
    beside : array, shape (M, Q)
        Values beside the rows (:attr:`adabasis.selection.prepared.Prepared.beside`).
    functions : array, shape (N, P)
        At the rows.
    """

    ridge: Ridge
    unseen: Unseen
    coefficients: np.ndarray
    overshoot: float
    tried: np.ndarray
    effective: float = math.nan
    beside: np.ndarray = dataclasses.field(default_factory=lambda: np.zeros((0, 1)))
    functions: np.ndarray = dataclasses.field(default_factory=lambda: np.zeros((0, 0)))


def linear_fit(
    basis: AbstractBasis,
    parameters: Parameters,
    data: Prepared,
    indices: np.ndarray,
    ridge: Ridge | None = None,
) -> LinearFit:
    """Fit the coefficients on given functions.

    Parameters
    ----------
    basis : AbstractBasis
    parameters : pytree
    data : Prepared
    indices : array of int
        Which of its places.
    ridge : Ridge, optional
        By default one of :data:`RIDGES` is chosen by leave-one-out error among those whose values
        between the rows stay near.
    """
    basis, places = basis.canonical(), data.places[indices]
    n_free = n_not_penalized(basis, places) if ridge is None else ridge.n_free
    matrix = design(basis, parameters, places.z)
    between = design(basis, parameters, data.probes)
    if not np.isfinite(matrix).all():
        unknown = Unseen(
            indices, np.full(len(places), np.inf), places.weight, places.group, "none",
            residuals=np.full_like(places.t, np.nan),
        )  # fmt: skip
        zero = np.zeros((matrix.shape[1], places.t.shape[1]))
        return LinearFit(ridge or Ridge(), unknown, zero, math.inf, unknown.losses[None])
    absolute = 0.0 if ridge is None or ridge.relative else ridge.value / places.weight.sum()
    fit = LeftOut(places, matrix, absolute, n_free)
    offered = RIDGES
    if ridge is not None:
        offered = np.array([ridge.value if ridge.relative else 0.0])
    losses = np.stack([fit.losses(relative) for relative in offered])
    c = np.stack([fit.solve(relative) for relative in offered])
    around = between @ c
    far, beyond = np.array([data.overshoot(values) for values in around]).T
    losses = losses + beyond[:, None] ** 2
    errors = np.sqrt(np.average(losses, axis=1, weights=places.weight))
    allowed = far <= max(FARTHEST, far.min())
    errors = np.where(np.isfinite(errors) & allowed, errors, np.inf)
    best = int(np.flatnonzero(errors <= (1 + INDIFFERENCE) * errors.min())[-1])
    kind = left_out_kind(places)
    count = places.count if places.within else None
    residuals = fit.residuals(float(offered[best]))[0]
    unseen = Unseen(
        indices,
        losses[best],
        places.weight,
        places.group,
        kind,
        count=count,
        residuals=residuals,
    )
    return LinearFit(
        ridge or Ridge(float(offered[best]), n_free=n_free),
        unseen,
        c[best],
        float(far[best]),
        losses[allowed],
        fit.effective(float(offered[best])),
        around[best][PROBES:],
        matrix,
    )


def n_not_penalized(basis: AbstractBasis, places: Places) -> int:
    """Return how many of the last functions no ridge shrinks: 1 and x, where rows are enough.

    Rows in a line are found whatever the values of x, two levels among them. Not where inputs
    nearly depend on each other: along what they hardly show of x a free line goes anywhere.
    """
    about = places.z - places.z.mean(axis=0)
    norms = np.linalg.norm(about, axis=0)
    shown = np.linalg.svd(about[:, norms > 0] / norms[norms > 0], compute_uv=False)
    if len(shown) and shown[-1] * MOST_ALIKE < shown[0]:
        return 0
    n_affine = basis.n_affine(places.z.shape[1])
    n_rows = places.count.sum() if places.within else len(places)
    return n_affine if 3 * n_affine <= 2 * n_rows else 0
