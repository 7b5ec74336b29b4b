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
import functools
import math
from collections.abc import Callable
from typing import Any, ClassVar

import equinox as eqx
import numpy as np
from scipy.linalg import blas, lapack

from .._runtime.notation import Parameters, RandomKey
from ..basis import NeuralBasis
from ..basis.activations import activation_named
from ..basis.layers import Affine
from ..basis.networks import Network
from ..operators import Identity
from ..rows import AbstractSource, Term
from .base import AbstractTrainer, Budget, Evaluation, Objective
from .weights import CHUNK_NUMBERS, Layout, Rows, SourceRows

#: Ridges λ on all weights, in the sum over rows of standardised values, one after another. On four
#: tables and a noisy function of five inputs the kept ones were spread over all of these.
RIDGES = (0.3, 0.1, 0.03, 0.01, 0.003, 0.001, *(10.0**-k for k in np.arange(3.5, 11, 0.5).tolist()))
#: Steps of the first stage and of each other; a stage ends before where the loss hardly falls.
FIRST_STAGE, STAGE, SMALL_FALL = 25, 15, 1e-3
#: Steps without a held-out error that is smaller by one per cent: the end.
PATIENCE = 13
#: Steps with one ridge, and the relative fall below which they end.
ONE_RIDGE, LEAST_FALL = 200, 1e-9
#: First damping, its factors after a step that lowers the loss and after one that does not, the
#: least, and the number of trials of one step.
FIRST_DAMPING, SUCCESS, FAILURE, LEAST_DAMPING, TRIALS = 1e-2, 0.25, 6.0, 1e-9, 6
#: What is added to the diagonal of G over a bound of its largest eigenvalue, from which on single
#: precision solves for a step to three digits: in two thirds of the time.
WELL_CONDITIONED = 1e-4
#: Root mean square residual, relative, from which on single precision is no longer enough: rounding
#: of the values is a few 1e-7.
DOUBLE_BELOW = 1e-3


@dataclasses.dataclass(frozen=True, eq=False)
class State:
    """All that a run needs to go on.

    Attributes
    ----------
    rows : Rows
    layout : Layout
    ridges : tuple of float
        λ/N, one after another.
    given : bool
        Whether there is one ridge alone: steps go on until the loss falls no more.
    theta : array
    damping : float
    stage, steps : int
        Which ridge, and the steps taken with it.
    double : bool
        Whether J is formed in double precision.
    """

    rows: Rows
    layout: Layout
    ridges: tuple[float, ...]
    given: bool
    theta: np.ndarray
    damping: float = FIRST_DAMPING
    stage: int = 0
    steps: int = 0
    double: bool = False

    def after(self, moved: np.ndarray | None, damping: float, fallen: float) -> tuple[State, bool]:
        """Return the state after a step, and whether there is nothing more to do."""
        stage, steps = self.stage, self.steps + 1
        enough = ONE_RIDGE if self.given else FIRST_STAGE if stage == 0 else STAGE
        over = moved is None or fallen < (LEAST_FALL if self.given else SMALL_FALL)
        over, last = over or steps >= enough, stage == len(self.ridges) - 1
        if over and not last:
            stage, steps = stage + 1, 0
        damping = FIRST_DAMPING if moved is None else max(SUCCESS * damping, LEAST_DAMPING)
        theta = self.theta if moved is None else moved
        after = dataclasses.replace(self, theta=theta, damping=damping, stage=stage, steps=steps)
        return after, over and last


class LM(AbstractTrainer):
    r"""Levenberg–Marquardt steps on all weights (ξ, c) of a network, with a ridge on all of them.

    Nothing is compiled: the first step of a small network is taken within milliseconds. Where the
    objective has a ridge of its own, that is λ for all weights; else λ falls in stages, for the
    held-out error to choose.

    Parameters
    ----------
    precision : {"auto", "single", "double"}
        Of the Jacobian. ``"auto"``: single while the relative residual is above 1e-3.
    most_ridge : float
        The largest λ to begin with: a run that goes on from good weights needs none larger than
        the one that was kept. Below all of them, such as 0, the least of all is taken alone.
    max_steps : int, optional
        By default as many as all ridges take.
    patience : int
        Steps without a held-out error that is smaller by one per cent: the end.

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
    takes_sources: ClassVar[bool] = True

    precision: str = eqx.field(static=True, default="auto")
    most_ridge: float = eqx.field(static=True, default=math.inf)
    max_steps: int | None = eqx.field(static=True, default=None)
    patience: int = eqx.field(static=True, default=PATIENCE)

    def __check_init__(self) -> None:
        if self.precision not in ("auto", "single", "double"):
            raise ValueError(
                f"LM(precision={self.precision!r}): expected 'auto', 'single' or 'double'."
            )
        if self.patience < 1:
            raise ValueError(
                f"LM(patience={self.patience!r}): expected a number of steps, 1 or more."
            )

    @property
    def pace(self) -> Budget:
        """Stages of all ridges, while the held-out error falls."""
        usual = FIRST_STAGE + STAGE * (len(RIDGES) - 1)
        steps = usual if self.max_steps is None else self.max_steps
        return Budget(steps, check_every=1, patience=self.patience)

    def init(
        self,
        objective: Objective,
        parameters: Parameters,
        key: RandomKey,
        source: AbstractSource | None = None,
    ) -> State:
        """Solve for the coefficients of the first parameters, with the first ridge.

        With a source, sums of each step go over all its rows, of which the objective has some.
        """
        check_network(objective)
        basis, own = objective.basis, float(objective.ridge)
        rows = Rows.of(objective)
        if source is not None:
            rows = SourceRows.of_source(objective, source)
        assert isinstance(basis, NeuralBasis)
        layout = Layout(basis, rows.x.shape[1], rows.y.shape[1])
        tried = [ridge for ridge in RIDGES if ridge <= self.most_ridge] or RIDGES[-1:]
        ridges = (own,) if own else tuple(ridge / rows.n_rows for ridge in tried)
        n_functions = layout.shapes[-1][1]
        zero = layout.packed(parameters, rows, np.zeros((n_functions, layout.n_outputs)))
        gram, right = rows.total(functools.partial(layout.last_layer, zero))
        gram[np.diag_indices(n_functions)] += max(ridges[0], LEAST_DAMPING * np.trace(gram))
        theta = layout.packed(parameters, rows, np.linalg.solve(gram, right))
        alone = len(ridges) == 1
        return State(rows, layout, ridges, alone, theta, double=self.precision == "double")

    def step(self, objective: Objective, state: State) -> tuple[State, Evaluation]:
        """Evaluate the loss, and take a step that lowers it, if there is one."""
        rows, theta, layout = state.rows, state.theta, state.layout
        ridge, damping, n_outputs = state.ridges[state.stage], state.damping, layout.n_outputs
        sums = functools.partial(_normal, layout, theta, double=state.double)
        gram, slope, squares = rows.total(sums)
        exact = squares / n_outputs < (DOUBLE_BELOW * rows.spread) ** 2
        if self.precision == "auto" and exact and not state.double:
            # At once: a step of rounding alone would be the last one.
            return self.step(objective, dataclasses.replace(state, double=True))
        loss, moved, fallen = squares + ridge * float(theta @ theta), None, 0.0
        slope += ridge * theta
        diagonal = np.diag_indices(len(theta))
        mean = float(np.mean(gram[diagonal], dtype=float))
        for _ in range(TRIALS if math.isfinite(loss) else 0):
            added = ridge + damping * mean
            single = not state.double and added > WELL_CONDITIONED * mean * len(theta)
            damped = gram.astype(np.float32 if single else float, order="F")
            damped[diagonal] += added
            solve = lapack.sposv if single else lapack.dposv
            _, change, failed = solve(damped, slope, lower=1, overwrite_a=1)
            if not failed:
                new = theta - change
                alone = functools.partial(_squares, layout, new, double=state.double)
                there = rows.total(alone) + ridge * float(new @ new)
                if there < loss:
                    moved, fallen = new, (loss - there) / loss
                    break
            damping *= FAILURE
        after, stuck = state.after(moved, damping, fallen)
        network, c = layout.unpacked(theta, rows)
        rate = ridge * rows.n_rows
        return after, Evaluation(loss / n_outputs, network, c, len(c), rate, stuck)  # type: ignore[arg-type]

    def goal(self, objective: Objective, tol: float) -> float:
        """Return the square of ``tol`` times the data's mean square."""
        return 0.0 if not tol else tol**2 * Rows.of(objective).spread ** 2

    def judge(self, objective: Objective) -> Callable[[Evaluation], float]:
        """Return what measures the root mean square of the residual on rows held out."""
        (term,) = objective.terms
        weight = np.asarray(term.points.weight)
        seen = weight > 0
        z, t = np.asarray(term.points.x)[seen], np.asarray(term.data)[seen]  # type: ignore[attr-defined]
        share, values = weight[seen] / weight[seen].sum() / t.shape[1], objective.basis.values

        def error(now: Evaluation) -> float:
            residual = values(z, now.parameters) @ np.asarray(now.coefficients) - t
            return math.sqrt(share @ np.sum(residual**2, axis=1))

        return error


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
    mean = rows_x.mean(axis=0)
    scale = np.where(np.ptp(rows_x, axis=0) > 0, rows_x.std(axis=0), 1.0)
    weight = rng.normal(size=(basis.width, n_inputs)) / math.sqrt(n_inputs) / scale
    first = Affine(weight, rng.uniform(-1, 1, basis.width) - weight @ mean)  # type: ignore[arg-type]
    if basis.depth == 1:
        return Network(first, None)
    shape = (basis.depth - 1, basis.width, basis.width)
    hidden = rng.normal(size=shape) / math.sqrt(basis.width)
    return Network(first, Affine(hidden, np.zeros(shape[:2])))  # type: ignore[arg-type]


def _normal(
    layout: Layout, theta: np.ndarray, rows: Rows, double: bool
) -> tuple[np.ndarray, np.ndarray, float]:
    """Return JᵀJ (its lower triangle), Jᵀρ and ‖ρ‖², rows weighted by √(w/Σw)."""
    dtype, syrk = (np.float64, blas.dsyrk) if double else (np.float32, blas.ssyrk)
    size, n_hidden = len(theta), layout.starts[-2]
    gram: np.ndarray | None = None
    slope, squares = np.zeros(size), 0.0
    layers = layout.layers(theta.astype(dtype))
    width = layout.shapes[-1][1]
    for x, y, root in rows.chunks(max(64, CHUNK_NUMBERS // size), dtype):
        inputs, slopes, outputs = layout.values(layers, x)
        residual = (outputs - y) * root
        squares += float(np.sum(residual**2, dtype=np.float64))
        for output in range(layout.n_outputs):
            jacobian = layout.jacobian(layers, inputs, slopes, root, output)
            if layout.n_outputs == 1:  # all columns at once, without a sum where one chunk is all
                part = syrk(1.0, jacobian, trans=1, lower=1)
                gram = part if gram is None else np.add(gram, part, dtype=float)
                slope += jacobian.T @ residual[:, 0]
                continue
            gram = np.zeros((size, size), order="F") if gram is None else gram
            own = n_hidden + output * width
            part = syrk(1.0, jacobian, trans=1, lower=1)
            inner = jacobian.T @ residual[:, output]
            gram[:n_hidden, :n_hidden] += part[:n_hidden, :n_hidden]
            gram[own : own + width, :n_hidden] += part[n_hidden:, :n_hidden]
            gram[own : own + width, own : own + width] += part[n_hidden:, n_hidden:]
            slope[:n_hidden] += inner[:n_hidden]
            slope[own : own + width] += inner[n_hidden:]
    if gram is None:  # a part without rows
        gram = np.zeros((size, size))
    return gram, slope, squares


def _squares(layout: Layout, theta: np.ndarray, rows: Rows, double: bool) -> float:
    """Return ‖ρ‖² alone."""
    dtype = np.float64 if double else np.float32
    layers, found = layout.layers(theta.astype(dtype)), 0.0
    at_once = max(64, CHUNK_NUMBERS // layout.width)
    with np.errstate(all="ignore"):
        for x, y, root in rows.chunks(at_once, dtype):
            residual = (layout.outputs(layers, x) - y) * root
            found += float(np.sum(residual**2, dtype=np.float64))
    return found if math.isfinite(found) else math.inf
