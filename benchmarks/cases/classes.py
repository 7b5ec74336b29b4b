"""Classification: digits and spirals by default, and the last layer beside LogisticRegression."""

from __future__ import annotations

import dataclasses
import resource
import sys
from collections.abc import Iterator, Sequence
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from sklearn.datasets import load_breast_cancer, load_digits, load_iris
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold
from sklearn.neural_network import MLPClassifier
from sklearn.svm import SVC

from adabasis import GD, NGD, AdaptiveBasisClassifier, FrozenFeatures, NeuralBasis, classify
from adabasis._runtime.compute import numerics
from adabasis.experiments.spirals import spirals
from adabasis.geometry.points import AffineMap, Points, bounding_box, unit_box
from adabasis.models.classifier import indicators
from adabasis.rows import Term
from adabasis.train import CrossEntropy, newton

from ..fitting import Method, Outcome, Problem, compare
from ..measure import start_afresh, timed
from ..methods.classical import estimator
from ..records import Bar, Measurement
from ..registry import Settings, case
from .tables import paired

STEPS, NETWORK, RIDGE = 40, NeuralBasis(64, 1), 0.1
LOGISTIC = "LogisticRegression"
ROWS, FUNCTIONS, CLASSES, INPUTS = 60_000, 256, 10, 20


@dataclasses.dataclass(frozen=True)
class Classes(Problem):
    """Labels to predict: the error is the share of test points that get another one."""

    def error(self, predicted: np.ndarray) -> float:
        """Return the share of wrong labels."""
        return float(np.mean(predicted != self.y_test))


def _outcome(fitted: Any) -> Outcome:
    steps = len(fitted.history) - 1
    return Outcome(fitted.predict, steps, fitted.stop_reason.name.lower())


def _default(problem: Problem, seed: int) -> Outcome:
    model = AdaptiveBasisClassifier(random_state=seed).fit(problem.x, problem.y)
    return _outcome(model.fitted_)


def _alone(name: str, trainer: Any) -> Method:
    """Return one network, trained on all rows for a fixed number of gradients."""

    def fit(problem: Problem, seed: int) -> Outcome:
        options = {"max_steps": STEPS, "ridge": RIDGE, "random_state": seed}
        return _outcome(classify(problem.x, problem.y, NETWORK, method=trainer, **options))

    return Method(name, fit)


DEFAULT = Method("adabasis", _default)
ALONE = [
    _alone("NGD", NGD()),
    _alone("NGD Adam 1e-2", NGD(1e-2)),
    _alone("GD 1e-2", GD(1e-2)),
    _alone("GD 3e-2", GD(3e-2)),
]
PEERS = [
    estimator("MLP as shipped", lambda problem, seed: MLPClassifier(random_state=seed)),
    estimator(
        "HistGradientBoosting",
        lambda problem, seed: HistGradientBoostingClassifier(random_state=seed),
    ),
    estimator("SVC as shipped", lambda problem, seed: SVC()),
]


@case(
    "digits",
    f"scikit-learn's digits, 10 folds; NGD and GD: one network of 64 tanh, {STEPS} gradients",
    error="share of wrong labels",
    repeats=1,
    reference="adabasis",
)
def digits(settings: Settings) -> Iterator[Measurement]:
    """Compare on every fold; the differences are taken fold by fold."""
    x, y = load_digits(return_X_y=True)
    folds = StratifiedKFold(10, shuffle=True, random_state=0).split(x, y)
    problems = [
        Classes("digits", f"fold {i}", x[kept], y[kept], x[out], y[out], 1.0)
        for i, (kept, out) in enumerate(folds)
    ]
    measured = []
    for m in compare(problems[: 1 if settings.quick else 10], [DEFAULT, *ALONE, *PEERS], settings):
        measured.append(m)
        yield m
    for reference in (DEFAULT.name, "NGD"):
        settings.note(f"mean errors less that of {reference}, fold by fold, ± standard error")
        for line in paired(measured, reference):
            settings.note(line.replace("less adabasis", f"less {reference}"))


@case(
    "spirals",
    "two spirals of 3 turns, noise 0.02: 1,000 rows to fit, 2,000 to judge, 16 seeds",
    error="share of wrong labels",
    repeats=1,
    reference="adabasis",
    bars=(Bar("spirals", "adabasis", "error", 0.01),),
)
def two_spirals(settings: Settings) -> Iterator[Measurement]:
    """Compare on every seed; the note says on how many 99 % are right."""
    measured, problems = [], []
    for seed in range(1 if settings.quick else 16):
        train, test = spirals(1000, 3, 0.02, seed), spirals(2000, 3, 0.02, 1000 + seed)
        problems.append(Classes("spirals", f"seed {seed}", *train, *test, 1.0))
    for m in compare(problems, [DEFAULT, *PEERS], settings):
        measured.append(m)
        yield m
    for name in (DEFAULT.name, *(peer.name for peer in PEERS)):
        errors = [m.error for m in measured if m.method == name]
        enough = sum(error <= 0.01 for error in errors)
        settings.note(f"{name}: at least 99 % right on {enough} of {len(errors)} seeds")


@case(
    "last-layer",
    "Newton for the last layer beside LogisticRegression, on 64 frozen features",
    error="largest difference between Newton's coefficients and LogisticRegression's",
    repeats=1,
    reference="LogisticRegression",
    bars=tuple(Bar(name, "Newton", "error", 1e-6) for name in ("digits", "cancer", "iris")),
)
def last_layer(settings: Settings) -> Iterator[Measurement]:
    """Solve by both; the status is the norm of the gradient of the sum of losses."""
    for name, load in (
        ("digits", load_digits),
        ("cancer", load_breast_cancer),
        ("iris", load_iris),
    ):
        phi, index = _frozen(*load(return_X_y=True))
        for penalty in (1.0, 1e-2):
            yield from _beside(name, penalty, phi, index, [("newton-cholesky", 1e-10)], settings)


@case(
    "large-newton",
    f"one Newton solve of {ROWS:,} rows, {FUNCTIONS} functions, {CLASSES} classes",
    error="largest difference between Newton's coefficients and LogisticRegression's",
    repeats=1,
    reference="lbfgs, tol 0.0001",
)
def large_newton(settings: Settings) -> Iterator[Measurement]:
    """Solve to the end beside L-BFGS, at its default accuracy and at a better one."""
    n = ROWS // 20 if settings.quick else ROWS
    rng = np.random.default_rng(0)
    x = rng.uniform(-1, 1, (n, INPUTS))
    scores = np.sin(3 * x @ rng.normal(size=(INPUTS, CLASSES))) + rng.gumbel(size=(n, CLASSES)) / 4
    phi, index = _frozen(x, scores.argmax(axis=1), FUNCTIONS - INPUTS - 1)
    yield from _beside("large", 1.0, phi, index, [("lbfgs", 1e-4), ("lbfgs", 1e-8)], settings)


def _frozen(x: np.ndarray, index: np.ndarray, width: int = 64) -> tuple[np.ndarray, np.ndarray]:
    """Return frozen features of scaled inputs, and the labels."""
    basis = FrozenFeatures(width, scale=1.0)
    z = AffineMap.onto_unit_box(bounding_box(x))(x)
    with numerics():
        parameters = basis.init(jax.random.key(0), jnp.asarray(unit_box(x.shape[1])))
        term = Term(Points(z, np.ones(len(z))), np.zeros((len(z), 1)))
        return np.asarray(term.design(basis, parameters)), index


@eqx.filter_jit
def _newton(objective: CrossEntropy, phi: Any) -> Any:
    start = jnp.zeros((phi.shape[1], objective.n_outputs), phi.dtype)
    return newton(objective, phi, start)


def _beside(
    name: str,
    penalty: float,
    phi: np.ndarray,
    index: np.ndarray,
    rivals: Sequence[tuple[str, float]],
    settings: Settings,
) -> Iterator[Measurement]:
    """Yield the solves of one problem; the error is that of the last rival's coefficients."""
    settings.doing(f"{name}, λ = {penalty:g}")
    problem, n = f"{name}, λ = {penalty:g}", len(phi)
    targets = indicators(index, int(index.max()) + 1)
    start_afresh()
    before = _peak()
    with numerics(), timed() as ours:
        term = Term(Points(phi, np.ones(n)), targets)
        objective = CrossEntropy(term, penalty / n, NETWORK)
        solved = jax.block_until_ready(_newton(objective, jnp.asarray(phi)))
    gradient, taken = float(solved.gradient) * n, _peak() - before
    rows, gap = [], float("nan")
    for solver, tol in rivals:
        regression = LogisticRegression(
            C=1 / penalty, fit_intercept=False, tol=tol, max_iter=10_000, solver=solver
        )
        with timed() as theirs:
            regression.fit(phi, index)
        gap = float(np.abs(regression.coef_.T - np.asarray(solved.coefficients)).max())
        status, count = f"{solver}, tol {tol:g}", int(regression.n_iter_[0])
        rows.append((LOGISTIC if len(rivals) == 1 else status, gap, theirs, count, status))
    status = f"gradient {gradient:.1e}, {int(solved.products)} products"
    rows.append(("Newton", gap, ours, int(solved.steps), status))
    for method, error, timing, count, status in rows:
        yield Measurement(
            name, problem, method, 0, error, timing.seconds, timing.compile_seconds,
            timing.cpu_seconds, count, status,
        )  # fmt: skip
    settings.note(
        f"{problem}: Newton's peak memory {taken / 2**20:,.0f} MiB above the features "
        f"({phi.nbytes / 2**20:,.0f} MiB)"
    )


def _peak() -> int:
    """Return the largest resident size so far in bytes."""
    size = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return size if sys.platform == "darwin" else 1024 * size
