"""The posterior of the coefficients of given functions, and how many parameters these count for."""

from __future__ import annotations

import dataclasses
from typing import Any

import jax
import numpy as np

from ..basis import AbstractBasis, NeuralBasis
from ..basis.networks import Network
from ..evidence.errors import LeftOut, Places
from ..models.error_model import DRAWS, MOST_EXACT
from ..models.record import Ridge
from ..selection.places import counts
from ..selection.prepared import SEARCH_ROWS, Prepared, merged, some_rows
from ..selection.task import design
from ..train import levenberg_marquardt
from ..train.weights import Layout, Rows

#: Entries of a design matrix times its columns above which its Gram matrix is taken: less exact by
#: half of the digits, which no standard deviation needs, and many times as fast.
MOST_BY_SVD = 5e8
#: Multiplications that the effective number of all weights of a network may take, and rows.
MOST_FOR_WEIGHTS, MOST_ROWS = 1e9, 2000
#: A row of leverage 1 is known by itself alone: leverages count up to this.
MOST_LEVERAGE = 0.999


@dataclasses.dataclass(frozen=True, eq=False)
class Functions:
    """Functions with the ridge and the coefficients of their last solve, (P, Q).

    Where they are known, there are the functions at the sample of places that a posterior is of.
    """

    basis: AbstractBasis
    parameters: Any
    ridge: Ridge
    coefficients: np.ndarray
    of_sample: np.ndarray | None = None

    @property
    def members(self) -> list[tuple[AbstractBasis, Any]]:
        """The members of a mean, or the functions themselves."""
        return self.basis.members(self.parameters)

    def at(self, z: np.ndarray) -> np.ndarray:
        """Return all functions at points, (n, P)."""
        return design(self.basis.canonical(), self.parameters, z)


@dataclasses.dataclass(frozen=True, eq=False)
class Data:
    """Rows that coefficients were solved on, in the model's units.

    Attributes
    ----------
    places : Places
    each, at, weight : arrays, shapes (n, Q), (n,), (n,)
        Values, place and weight of each row.
    grouped : bool
    seed : int
    """

    places: Places
    each: np.ndarray
    at: np.ndarray
    weight: np.ndarray
    grouped: bool = False
    seed: int = 0

    @classmethod
    def prepared(cls, data: Prepared) -> Data:
        """Return the rows of a search."""
        each = data.output_map(data.each)
        return cls(data.places, each, data.at, data.row_weight, data.grouped, data.seed)

    @classmethod
    def of(cls, z: np.ndarray, t: np.ndarray, weight: np.ndarray, seed: int) -> Data:
        """Return rows that coefficients are solved on again."""
        used = weight > 0
        places, mean, total, scatter, at = merged(z, t, weight)
        count = counts(total, at, scatter, z.shape[1])
        found = Places(places, mean, total, count, scatter, np.arange(len(places)))
        return cls(found, t[used], at, weight[used], seed=seed)

    @property
    def n_rows(self) -> float:
        """How many rows there are; one of weight k is k rows."""
        return float(self.places.count.sum())

    def rows_of(
        self, numbers: np.ndarray, residuals: np.ndarray, gain: np.ndarray | float
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return which rows are at some places, and their errors, of those of the means (k, Q).

        Where a row is left out of its place, its distance from the mean grows by a gain.
        """
        if len(self.at) == len(self.places):
            where = np.empty(len(self.at), int)
            where[self.at] = np.arange(len(self.at))
            return where[numbers], residuals
        position = np.full(len(self.places), -1)
        position[numbers] = np.arange(len(numbers))
        rows = np.flatnonzero(position[self.at] >= 0)
        k = position[self.at[rows]]
        scatter = self.each[rows] - self.places.t[self.at[rows]]
        gain = gain[k, None] if isinstance(gain, np.ndarray) else gain
        return rows, residuals[k] + gain * scatter


class Posterior:
    """The coefficients' posterior, and what it says of the rows.

    Parameters
    ----------
    functions : Functions
    data : Data
    """

    def __init__(self, functions: Functions, data: Data) -> None:
        self.functions, self.data, places = functions, data, data.places
        self.some = some_rows(np.arange(len(places)), SEARCH_ROWS, data.seed)
        sample, ridge = places[self.some], functions.ridge
        absolute = 0.0 if ridge.relative else ridge.value / places.weight.sum()
        relative = ridge.value if ridge.relative else 0.0
        roots, leverages, errors = [], [], sample.t.copy()
        c = np.split(functions.coefficients, len(functions.members))
        for (basis, parameters), own in zip(functions.members, c, strict=True):
            matrix = functions.of_sample
            if matrix is None:
                matrix = design(basis.canonical(), parameters, sample.z)
            errors -= matrix @ own
            root, leverage = _posterior(sample, matrix, absolute, relative, ridge.n_free)
            roots.append(root / np.sqrt(data.n_rows))
            leverages.append(leverage)
        self.roots = np.stack(roots)
        #: Of the places of the sample, in a fit to the sample.
        self.leverages = np.mean(leverages, axis=0)
        self.errors = errors
        self.linear = float(self.leverages.sum())

    @property
    def left_out(self) -> np.ndarray:
        """The errors of the sample's places, each left out of the last solve, (n, Q)."""
        share = self.data.places.within / self.data.places.count[self.some]
        share = share if self.data.places.within else np.ones(len(self.some))
        return self.errors / (1 - np.minimum(share * self.leverages, MOST_LEVERAGE))[:, None]

    def weights(self, penalty: float) -> float:
        """Return the effective number of all weights of a network; NaN where it is not known.

        Of JᵀJ (JᵀJ + λ)⁻¹ the trace, J the derivatives of the values in all weights of the first
        member: what Gauss–Newton steps see. The penalty is λ in the sum over rows.
        """
        functions, n_outputs = self.functions, self.data.each.shape[1]
        basis, parameters = functions.members[0]
        if not (isinstance(basis, NeuralBasis) and levenberg_marquardt.fits(basis)):
            return float("nan")
        network = jax.tree.map(np.asarray, parameters)
        assert isinstance(network, Network)
        layout = Layout(basis, self.data.places.z.shape[1], n_outputs)
        size = layout.size
        most = int(MOST_FOR_WEIGHTS / (n_outputs * size**2))
        some = some_rows(self.some, min(MOST_ROWS, most), self.data.seed)
        if most < min(len(self.some), 2 * size):
            return float("nan")
        places = self.data.places[some]
        rows = Rows.of_arrays(places.z, places.t, places.weight)
        n_members = len(functions.members)
        c = n_members * functions.coefficients[: len(functions.coefficients) // n_members]
        layers = layout.layers(layout.packed(network, rows, c))
        inputs, slopes, _ = layout.values(layers, rows.x)
        hidden, last = layout.starts[-2], layout.shapes[-1][1]
        jacobian = np.zeros((n_outputs, len(rows.x), size))
        for output in range(n_outputs):
            own = layout.jacobian(layers, inputs, slopes, rows.root, output)
            jacobian[output, :, :hidden] = own[:, :hidden]
            start = hidden + output * last
            jacobian[output, :, start : start + last] = own[:, hidden:]
        flat = jacobian.reshape(-1, size)
        values = np.linalg.eigvalsh(flat.T @ flat)
        values = np.maximum(values, 0.0)
        penalty = max(penalty / float(self.data.places.weight.sum()), 1e-12 * float(values[-1]))
        return float(np.sum(values / (values + penalty))) / n_outputs


def _posterior(
    places: Places, matrix: np.ndarray, absolute: float, relative: float, n_free: int
) -> tuple[np.ndarray, np.ndarray]:
    """Return C with C Cᵀ = (AᵀA + Λ)⁻¹ of normalised weights, (P, R), and leverages (N,)."""
    (n, size), root = matrix.shape, np.sqrt(places.weight / places.weight.sum())
    if float(n) * size**2 <= MOST_BY_SVD:
        fit = LeftOut(places, matrix, absolute, n_free)
        factors = fit.factors
        ridge = relative * float(factors.largest) ** 2
        penalty = np.where(np.arange(len(factors.s)) < factors.n_free, 0.0, ridge)
        gain = np.where(factors.kept, 1 / np.sqrt(np.maximum(factors.s**2 + penalty, 1e-300)), 0.0)
        c = (factors.vt.T * gain) / factors.norms[:, None]
        leverages = fit.leverages(relative)
    else:
        a = root[:, None] * matrix
        norms = np.linalg.norm(a, axis=0)
        a /= np.where(norms > 0, norms, 1.0)
        gram = a.T @ a
        largest = float(np.linalg.eigvalsh(gram)[-1])
        penalty = relative * largest + absolute / np.maximum(norms, 1e-150) ** 2
        penalty[size - n_free :] = 0.0
        values, vectors = np.linalg.eigh(gram + np.diag(penalty))
        c = vectors / np.sqrt(np.maximum(values, 1e-13 * values[-1]))
        leverages = np.einsum("np,np->n", a @ c, a @ c)
        c /= np.where(norms > 0, norms, 1.0)[:, None]
    if size > MOST_EXACT:
        draws = np.random.default_rng(0).normal(size=(c.shape[1], DRAWS)) / np.sqrt(DRAWS)
        c = c @ draws
    return np.asarray(c), np.minimum(leverages, 1.0)
