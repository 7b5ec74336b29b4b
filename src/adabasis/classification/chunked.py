r"""The last layer of a classifier on rows that come chunk by chunk.

Loss and gradient are sums over all rows; the Hessian is that of a sample of them. With n rows in
the sample, a step leaves about a share :math:`\sqrt{P Q / n}` of the distance to the optimum
[1]_: from where the sample has its own, a few passes do, each of them a function of a chunk and a
sum. A step is halved until the loss of all rows falls.

References
----------
.. [1] Roosta-Khorasani, Mahoney, "Sub-sampled Newton methods", Math. Program. 174 (2019).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import jax
import numpy as np

from .. import rows
from .._runtime.notation import Parameters
from .._runtime.timing import charged_to
from ..basis import AbstractBasis
from ..geometry.points import Points
from ..train import CrossEntropy, LastLayer, average_layers
from ..train.exact import ACCURACY
from ..train.last_layer import ARMIJO, Sampled
from ..train.passes import total_over
from .solve import optimum, problem_of

#: Passes at most. From the optimum of 20,000 rows two to four are taken.
PASSES = 20
#: Entries of the functions in memory at once (8 MiB): blocks fit in the cache.
NUMBERS = 2**20


@dataclasses.dataclass
class _Member:
    # One part of a mean: where it is, and where it is going.
    basis: AbstractBasis
    parameters: Parameters
    begun: LastLayer
    some: Sampled
    c: np.ndarray
    trial: np.ndarray
    loss: float = np.inf
    step: np.ndarray | None = None
    promised: float = np.inf
    length: float = 1.0
    gradient: float = np.nan
    passes: int = 0

    @property
    def over(self) -> bool:
        return self.step is not None and self.promised <= ACCURACY * self.loss

    @property
    def ended(self) -> LastLayer:
        numbers: dict[str, Any] = {
            "coefficients": self.c,
            "loss": np.asarray(self.loss),
            "gradient": np.asarray(self.gradient),
            "steps": np.asarray(self.passes),
        }
        return dataclasses.replace(self.begun, **numbers)

    def told(self, loss: float, gradient: np.ndarray) -> None:
        # Take the loss and its gradient at the trial, and choose the next one.
        self.passes += 1
        enough = self.loss - ARMIJO * self.length * self.promised
        step = self.step
        if step is None or loss <= enough:
            self.c, self.loss, self.length = self.trial, loss, 1.0
            self.gradient = float(np.linalg.norm(gradient))
            step, self.promised = self.some.step(self.c, gradient, loss)
        else:
            self.length /= 2
        self.step, self.trial = step, self.c + self.length * step


@dataclasses.dataclass(frozen=True)
class Sums:
    """Cross-entropies and gradients of a chunk's rows, weighted, one after another: (K (1 + P Q),).

    Attributes
    ----------
    trials : sequence of (AbstractBasis, pytree, array of shape (P, Q))
        Functions and coefficients.
    """

    trials: Sequence[tuple[AbstractBasis, Parameters, np.ndarray]]

    def __call__(self, chunk: rows.Chunk) -> np.ndarray:
        """Return the sums over a chunk."""
        found: list[np.ndarray] = []
        some = chunk.weight > 0
        x, y, weight = (array[some] for array in chunk)
        total = weight.sum()
        for basis, parameters, c in self.trials:
            if not len(x):
                found += [np.zeros(1), np.zeros(c.size)]
                continue
            of_rows: Any = CrossEntropy(rows.Term(Points(x, weight), y), 0.0, basis)
            functions = basis.values(x, parameters)
            scores = functions @ c
            gradient = functions.T @ of_rows.slope(scores)
            found += [np.array([total * of_rows.surprise(scores)]), total * gradient.ravel()]
        return np.concatenate(found)


@charged_to("solves")
def solve_source(
    model: tuple[AbstractBasis, Parameters],
    source: rows.AbstractSource,
    sample: rows.Term,
    ridge: float,
) -> LastLayer:
    """Return the optimum of the last layer on all rows; parts of a basis are solved apart.

    Parameters
    ----------
    model : (AbstractBasis, pytree)
        The functions.
    source : rows.AbstractSource
        Rows in the model's units, values being indicators of classes.
    sample : rows.Term
        Some of these rows. Rank and singular values are theirs.
    ridge : float
        λ in the sum over all rows.
    """
    basis, parameters = model
    total = source.statistics().total_weight
    share = float(np.sum(np.asarray(sample.points.weight))) / total
    members = []
    for part, inside in basis.members(parameters):
        begun = optimum(part, inside, sample, ridge * share)
        objective, functions = problem_of(part, inside, sample)
        objective = dataclasses.replace(objective, ridge=ridge / total)
        c = np.asarray(begun.coefficients)
        plain = jax.tree.map(np.asarray, inside)
        some = Sampled.of(objective, functions)
        members.append(_Member(part.canonical(), plain, begun, some, c, c))
    widest = max(len(one.c) for one in members)
    for _ in range(PASSES):
        going = [one for one in members if not one.over]
        if not going:
            break
        trials = [(one.basis, one.parameters, one.trial) for one in going]
        found = total_over(source, Sums(trials), max(256, NUMBERS // widest)) / total
        for one in going:
            shape = one.trial.shape
            loss, gradient = found[0], found[1 : 1 + one.trial.size].reshape(shape)
            found = found[1 + one.trial.size :]
            loss = float(loss) + 0.5 * ridge / total * float(np.sum(one.trial**2))
            one.told(loss, gradient + ridge / total * one.trial)
    layers = [one.ended for one in members]
    return layers[0] if len(layers) == 1 else average_layers(layers)
