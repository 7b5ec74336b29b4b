r"""Levenberg–Marquardt on all weights of a network at once, in NumPy and LAPACK.

With θ = (ξ, c) and inputs standardised to mean 0 and variance 1 over the rows, the loss is

.. math::

    F(\theta) = \frac{1}{Q \sum_i w_i} \sum_i w_i \|u(x_i; \theta) - y_i\|^2
              + \frac{\lambda}{Q N} \|\theta\|^2.

A step solves (G + (λ/N + μ tr G/n) I) s = −∇F/2 by Cholesky, G = JᵀJ weighted likewise. Where data
have noise the square root of the condition that a QR of J would spare is no loss: the ridge stands
above it. J is formed in single precision, chunk by chunk, and its Gram matrix taken by BLAS, so
that a step on 1,000 rows and 300 weights takes 3 ms; nothing is compiled.

The ridge falls in stages, each from where the last one ended. A large one smooths the loss, so that
first steps find good minima; the held-out error, watched by the loop, tells the stage to keep. One
descent thus chooses its ridge and its end.

References
----------
.. [1] Levenberg, "A method for the solution of certain non-linear problems in least squares",
   Quart. Appl. Math. 2 (1944); Marquardt, J. SIAM 11 (1963).
.. [2] Hagan, Menhaj, "Training feedforward networks with the Marquardt algorithm", IEEE Trans.
   Neural Networks 5 (1994).
.. [3] LeCun, Bottou, Orr, Müller, "Efficient BackProp" (1998): the scale of first weights.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator
from typing import Any, ClassVar

import equinox as eqx
import numpy as np
from scipy.linalg import blas, lapack

from .._runtime.notation import Parameters, RandomKey
from ..basis import NeuralBasis
from ..basis.activations import Activation, activation_named
from ..basis.layers import Affine
from ..basis.networks import Network
from ..operators import Identity
from ..rows import Term
from .base import AbstractTrainer, Budget, Evaluation, Objective

#: Ridges λ on all weights, in the sum over rows of standardised values, one after another. On four
#: tables and a noisy function of five inputs the kept ones were spread over all of these.
RIDGES = (0.3, 0.1, 0.03, 0.01, 0.003, 0.001, 0.0003)
#: Steps of the first stage and of each other; a stage ends before where the loss hardly falls.
FIRST_STAGE, STAGE, SMALL_FALL = 25, 6, 1e-3
#: Steps with one ridge, and the relative fall below which they end.
ONE_RIDGE, LEAST_FALL = 200, 1e-9
#: First damping, its factors after a step that lowers the loss and after one that does not, the
#: least, and the number of trials of one step.
FIRST_DAMPING, SUCCESS, FAILURE, LEAST_DAMPING, TRIALS = 1e-2, 0.25, 6.0, 1e-9, 6
#: Root mean square residual, relative, from which on single precision is no longer enough: rounding
#: of the values is a few 1e-7.
DOUBLE_BELOW = 1e-3
#: Entries of J formed at once: few enough to stay in the cache of a processor.
CHUNK_NUMBERS = 2**20


@dataclasses.dataclass(frozen=True, eq=False)
class Rows:
    """Rows of an objective in NumPy, inputs standardised, those of weight 0 left out.

    Attributes
    ----------
    x, y, root : arrays, shapes (N, D), (N, Q), (N, 1)
        Inputs, targets, and √(w/Σw).
    mean, scale : arrays, shape (D,)
        x = (inputs − mean)/scale.
    spread : float
        Root mean square of the targets.
    """

    x: np.ndarray
    y: np.ndarray
    root: np.ndarray
    mean: np.ndarray
    scale: np.ndarray
    spread: float

    @classmethod
    def of(cls, objective: Objective) -> Rows:
        """Return the rows of an objective of one term."""
        (term,) = objective.terms
        weight = np.asarray(term.points.weight)  # type: ignore[attr-defined]
        z, t = np.asarray(term.points.x), np.asarray(term.data)  # type: ignore[attr-defined]
        seen = weight > 0
        z, t, share = z[seen], t[seen], weight[seen] / weight[seen].sum()
        mean = share @ z
        scale = np.sqrt(share @ (z - mean) ** 2)
        scale = np.where(scale > 0, scale, 1.0)
        spread = math.sqrt(float(share @ np.mean(t**2, axis=1)))
        return cls((z - mean) / scale, t, np.sqrt(share)[:, None], mean, scale, spread)

    def chunks(self, most: int, dtype: Any) -> Iterator[tuple[np.ndarray, ...]]:
        """Yield inputs, targets and roots of so many rows at a time."""
        for start in range(0, len(self.x), most):
            part = slice(start, start + most)
            yield tuple(a[part].astype(dtype) for a in (self.x, self.y, self.root))


@dataclasses.dataclass(frozen=True)
class Layout:
    """Where the weights of a network stand in θ: a layer after another, then each output.

    A row of a layer's matrix holds a unit's weights and its bias, the last.
    """

    basis: NeuralBasis
    n_inputs: int
    n_outputs: int

    @property
    def shapes(self) -> list[tuple[int, int]]:
        """The shape of each layer's matrix, the last for the outputs."""
        w, last = self.basis.width, self.basis.width + self.basis.constant
        return [
            (w, self.n_inputs + 1),
            *[(w, w + 1)] * (self.basis.depth - 1),
            (self.n_outputs, last),
        ]

    @property
    def starts(self) -> np.ndarray:
        """Where each layer starts, and the end."""
        return np.cumsum([0, *(rows * columns for rows, columns in self.shapes)])

    def layers(self, theta: np.ndarray) -> list[np.ndarray]:
        """Return views of the layers' matrices."""
        starts = self.starts
        return [
            theta[start:end].reshape(shape)
            for start, end, shape in zip(starts[:-1], starts[1:], self.shapes, strict=True)
        ]

    def packed(self, network: Network, rows: Rows, c: np.ndarray) -> np.ndarray:
        """Return θ for parameters in the units of the rows' inputs and coefficients (P, Q)."""
        weight, bias = (np.asarray(a, float) for a in network.first)
        first = np.column_stack([weight * rows.scale, bias + weight @ rows.mean])
        hidden = [np.asarray(a, float) for a in network.hidden or ()]
        rest = [np.column_stack(layer) for layer in zip(*hidden, strict=True)]
        return np.concatenate([np.ravel(layer) for layer in (first, *rest, c.T)])

    def unpacked(self, theta: np.ndarray, rows: Rows) -> tuple[Network, np.ndarray]:
        """Return the parameters and the coefficients (P, Q)."""
        first, *rest, c = self.layers(theta)
        weight = first[:, :-1] / rows.scale
        hidden = None
        if rest:
            stacked = np.stack(rest)
            hidden = Affine(stacked[..., :-1].copy(), stacked[..., -1].copy())  # type: ignore[arg-type]
        affine = Affine(weight, first[:, -1] - weight @ rows.mean)  # type: ignore[arg-type]
        return Network(affine, hidden), c.T.copy()

    def values(
        self, layers: list[np.ndarray], x: np.ndarray
    ) -> tuple[list[np.ndarray], list[np.ndarray], np.ndarray]:
        """Return each layer's input, its slopes σ′, and the outputs (n, Q)."""
        sigma = activation_named(self.basis.activation)
        inputs, slopes = [x], []
        for number, matrix in enumerate(layers[:-1]):
            h = inputs[-1]
            z = h @ matrix[:, :-1].T
            z += matrix[:, -1]
            out = sigma.values(z)
            slopes.append(_slope(sigma, z, out))
            inputs.append(h + out if number and self.basis.residual else out)
        return inputs, slopes, self._outputs(layers[-1], inputs[-1])

    def outputs(self, layers: list[np.ndarray], x: np.ndarray) -> np.ndarray:
        """Return the outputs (n, Q) alone."""
        sigma, h = activation_named(self.basis.activation), x
        for number, matrix in enumerate(layers[:-1]):
            z = h @ matrix[:, :-1].T
            z += matrix[:, -1]
            out = sigma.values(z)
            h = h + out if number and self.basis.residual else out
        return self._outputs(layers[-1], h)

    def _outputs(self, c: np.ndarray, h: np.ndarray) -> np.ndarray:
        width = self.basis.width
        out = h @ c[:, :width].T
        return out + c[:, width] if self.basis.constant else out

    def jacobian(
        self,
        layers: list[np.ndarray],
        inputs: list[np.ndarray],
        slopes: list[np.ndarray],
        root: np.ndarray,
        output: int,
    ) -> np.ndarray:
        """Return the derivatives of one output in ξ and its own coefficients, times the roots."""
        n, starts = len(root), self.starts
        hidden, width = int(starts[-2]), self.basis.width
        jacobian = np.empty((n, hidden + self.shapes[-1][1]), root.dtype)
        np.multiply(inputs[-1], root, out=jacobian[:, hidden : hidden + width])
        if self.basis.constant:
            jacobian[:, -1:] = root
        back = root * layers[-1][output, :width]
        for number in range(self.basis.depth - 1, -1, -1):
            slope = back * slopes[number]
            columns = jacobian[:, starts[number] : starts[number + 1]]
            rows, size = self.shapes[number]
            block = columns.reshape(n, rows, size)
            assert np.shares_memory(block, jacobian)
            np.multiply(slope[:, :, None], inputs[number][:, None, :], out=block[:, :, :-1])
            block[:, :, -1] = slope
            if number:
                through = slope @ layers[number][:, :-1]
                back = back + through if self.basis.residual else through
        return jacobian


@dataclasses.dataclass(frozen=True, eq=False)
class State:
    """All that a run needs to go on.

    Attributes
    ----------
    theta : array
    damping : float
    stage, steps : int
        Which ridge, and the steps taken with it.
    rows : Rows
    double : bool
        Whether J is formed in double precision.
    """

    theta: np.ndarray
    damping: float
    stage: int
    steps: int
    rows: Rows
    double: bool


class LM(AbstractTrainer):
    r"""Levenberg–Marquardt steps on all weights (ξ, c) of a network, with a ridge on all of them.

    Nothing is compiled: the first step of a small network is taken within milliseconds. Where the
    objective has a ridge of its own, that is λ for all weights; else λ falls in stages, for the
    held-out error to choose.

    Parameters
    ----------
    precision : {"auto", "single", "double"}
        Of the Jacobian. ``"auto"``: single while the relative residual is above 1e-3.

    Raises
    ------
    ValueError
        For another precision.
    TypeError
        At the first step, where the basis is no network with an activation whose derivative is
        known in NumPy, or the objective no plain rows of data.

    Examples
    --------
    >>> import numpy as np, adabasis as ab
    >>> X = np.linspace(0, 1, 100)[:, None]
    >>> basis = ab.NeuralBasis(6, 2)
    >>> model = ab.fit(X, np.sin(6 * X[:, 0]), basis, method=LM(), ridge=1e-9)
    >>> bool(abs(model([[0.5]])[0] - np.sin(3)) < 1e-2)
    True
    """

    name: ClassVar[str] = "lm"
    sets_ridge: ClassVar[bool] = True
    interpreted: ClassVar[bool] = True

    precision: str = eqx.field(static=True, default="auto")

    def __check_init__(self) -> None:
        if self.precision not in ("auto", "single", "double"):
            raise ValueError(
                f"LM(precision={self.precision!r}): expected 'auto', 'single' or 'double'."
            )

    @property
    def pace(self) -> Budget:
        """Stages of all ridges; two stages without a better held-out error are the end."""
        return Budget(
            FIRST_STAGE + STAGE * (len(RIDGES) - 1), check_every=1, patience=2 * STAGE + 1
        )

    def init(self, objective: Objective, parameters: Parameters, key: RandomKey) -> State:
        """Solve for the coefficients of the first parameters, with the first ridge."""
        check_network(objective)
        rows = Rows.of(objective)
        layout = _layout(objective, rows)
        zero = np.zeros((layout.shapes[-1][1], layout.n_outputs))
        theta = layout.packed(parameters, rows, zero)
        h = np.concatenate(
            [
                root * np.column_stack([inputs[-1], np.ones(len(x))])[:, : len(zero)]
                for x, _, root in rows.chunks(4096, float)
                for inputs in [layout.values(layout.layers(theta), x)[0]]
            ]
        )
        gram = h.T @ h
        gram[np.diag_indices(len(gram))] += max(self._ridge(objective, 0, rows), 1e-12)
        c = np.linalg.solve(gram, h.T @ (rows.root * rows.y))
        theta = layout.packed(parameters, rows, c)
        return State(theta, FIRST_DAMPING, 0, 0, rows, self.precision == "double")

    def step(self, objective: Objective, state: State) -> tuple[State, Evaluation]:
        """Evaluate the loss, and take a step that lowers it, if there is one."""
        rows, theta = state.rows, state.theta
        layout = _layout(objective, rows)
        gram, slope, squares = _normal(layout, theta, rows, state.double)
        ridge = self._ridge(objective, state.stage, rows)
        loss = squares + ridge * float(theta @ theta)
        damping, moved, fallen = state.damping, None, 0.0
        if math.isfinite(loss):
            slope = slope + ridge * theta
            mean = float(np.trace(gram)) / len(theta)
            for _ in range(TRIALS):
                damped = gram.copy(order="F")
                damped[np.diag_indices(len(theta))] += ridge + damping * mean
                _, change, failed = lapack.dposv(damped, slope, lower=1, overwrite_a=1)
                if not failed:
                    new = theta - change
                    there = _squares(layout, new, rows, state.double) + ridge * float(new @ new)
                    if there < loss:
                        moved, fallen = new, (loss - there) / loss
                        break
                damping *= FAILURE
        n_outputs = layout.n_outputs
        after, stuck = self._after(objective, state, moved, damping, fallen)
        if self.precision == "auto" and squares / n_outputs < (DOUBLE_BELOW * rows.spread) ** 2:
            after = dataclasses.replace(after, double=True)
        network, c = layout.unpacked(theta, rows)
        evaluated = Evaluation(
            loss / n_outputs,
            network,
            c,
            len(c),
            ridge * len(rows.x),
            stuck,  # type: ignore[arg-type]
        )
        return after, evaluated

    def _after(
        self,
        objective: Objective,
        state: State,
        moved: np.ndarray | None,
        damping: float,
        fallen: float,
    ) -> tuple[State, bool]:
        """Return the state after a step, and whether there is nothing more to do."""
        one, stage, steps = bool(objective.ridge), state.stage, state.steps + 1
        enough = ONE_RIDGE if one else FIRST_STAGE if stage == 0 else STAGE
        small = LEAST_FALL if one else SMALL_FALL
        over = moved is None or fallen < small or steps >= enough
        last = one or stage == len(RIDGES) - 1
        if over and not last:
            stage, steps = stage + 1, 0
        damping = FIRST_DAMPING if moved is None else max(SUCCESS * damping, LEAST_DAMPING)
        theta = state.theta if moved is None else moved
        stuck = over and last and (moved is None or not one or fallen < small)
        after = dataclasses.replace(state, theta=theta, damping=damping, stage=stage, steps=steps)
        return after, stuck

    def _ridge(self, objective: Objective, stage: int, rows: Rows) -> float:
        """Return λ/N, or the objective's own ridge."""
        return float(objective.ridge) or RIDGES[stage] / len(rows.x)

    def goal(self, objective: Objective, tol: float) -> float:
        """Return ``tol``² times the data's mean square."""
        return 0.0 if not tol else tol**2 * Rows.of(objective).spread ** 2

    def held_out(self, objective: Objective, now: Evaluation) -> float:
        """Return the root mean square of the residual on rows held out."""
        (term,) = objective.terms
        weight = np.asarray(term.points.weight)  # type: ignore[attr-defined]
        seen = weight > 0
        z, t = np.asarray(term.points.x)[seen], np.asarray(term.data)[seen]  # type: ignore[attr-defined]
        residual = objective.basis.values(z, now.parameters) @ np.asarray(now.coefficients) - t
        return float(np.sqrt(np.average(np.mean(residual**2, axis=1), weights=weight[seen])))


def fits(basis: Any) -> bool:
    """Whether a basis is a network that these steps can train."""
    return isinstance(basis, NeuralBasis) and activation_named(basis.activation).slope is not None


def check_network(objective: Objective) -> None:
    """Refuse an objective that these steps cannot lower.

    Raises
    ------
    TypeError
    """
    if not fits(objective.basis):
        raise TypeError(
            f"LM(): expected a NeuralBasis whose activation has a derivative in NumPy "
            f"(Activation(…, numpy=…, slope=…)), got {objective.basis!r}. Use LSGN()."
        )
    if len(objective.terms) != 1 or not (
        isinstance(objective.terms[0], Term) and isinstance(objective.terms[0].operator, Identity)
    ):
        raise TypeError("LM(): expected one term of plain rows of data. Use LSGN().")


def drawn(basis: NeuralBasis, rows_x: np.ndarray, seed: Any) -> Network:
    """Draw a network for inputs that are standardised over rows (N, D), in their own units.

    Weights are N(0, 1/fan-in) [3]_, the first biases uniform in [−1, 1], the others 0.
    """
    rng, n_inputs = np.random.default_rng(seed), rows_x.shape[1]
    mean, scale = rows_x.mean(axis=0), rows_x.std(axis=0)
    scale = np.where(scale > 0, scale, 1.0)
    weight = rng.normal(size=(basis.width, n_inputs)) / math.sqrt(n_inputs) / scale
    first = Affine(weight, rng.uniform(-1, 1, basis.width) - weight @ mean)  # type: ignore[arg-type]
    if basis.depth == 1:
        return Network(first, None)
    shape = (basis.depth - 1, basis.width, basis.width)
    hidden = rng.normal(size=shape) / math.sqrt(basis.width)
    return Network(first, Affine(hidden, np.zeros(shape[:2])))  # type: ignore[arg-type]


def _layout(objective: Objective, rows: Rows) -> Layout:
    basis = objective.basis
    assert isinstance(basis, NeuralBasis)
    return Layout(basis, rows.x.shape[1], rows.y.shape[1])


def _slope(sigma: Activation, z: np.ndarray, out: np.ndarray) -> np.ndarray:
    assert sigma.slope is not None
    return sigma.slope(z, out)


def _normal(
    layout: Layout, theta: np.ndarray, rows: Rows, double: bool
) -> tuple[np.ndarray, np.ndarray, float]:
    """Return JᵀJ (its lower triangle), Jᵀρ and ‖ρ‖², rows weighted by √(w/Σw)."""
    dtype, syrk = (np.float64, blas.dsyrk) if double else (np.float32, blas.ssyrk)
    size, n_hidden = len(theta), int(layout.starts[-2])
    gram, slope, squares = np.zeros((size, size), order="F"), np.zeros(size), 0.0
    layers = layout.layers(theta.astype(dtype))
    width = layout.shapes[-1][1]
    for x, y, root in rows.chunks(max(64, CHUNK_NUMBERS // size), dtype):
        inputs, slopes, outputs = layout.values(layers, x)
        residual = (outputs - y) * root
        squares += float(np.sum(residual**2, dtype=np.float64))
        for output in range(layout.n_outputs):
            jacobian = layout.jacobian(layers, inputs, slopes, root, output)
            own = n_hidden + output * width
            part = syrk(1.0, jacobian.T, lower=1)
            inner = jacobian.T @ residual[:, output]
            gram[:n_hidden, :n_hidden] += part[:n_hidden, :n_hidden]
            gram[own : own + width, :n_hidden] += part[n_hidden:, :n_hidden]
            gram[own : own + width, own : own + width] += part[n_hidden:, n_hidden:]
            slope[:n_hidden] += inner[:n_hidden]
            slope[own : own + width] += inner[n_hidden:]
    return gram, slope, squares


def _squares(layout: Layout, theta: np.ndarray, rows: Rows, double: bool) -> float:
    """Return ‖ρ‖² alone."""
    dtype = np.float64 if double else np.float32
    layers, found = layout.layers(theta.astype(dtype)), 0.0
    at_once = max(64, CHUNK_NUMBERS // layout.basis.width)
    with np.errstate(all="ignore"):
        for x, y, root in rows.chunks(at_once, dtype):
            residual = (layout.outputs(layers, x) - y) * root
            found += float(np.sum(residual**2, dtype=np.float64))
    return found if math.isfinite(found) else math.inf
