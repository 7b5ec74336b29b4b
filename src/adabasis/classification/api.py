"""The front door for classes: points and labels in, probabilities out."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax

from .._runtime.errors import counted, listed
from .._runtime.scope import numerics
from ..basis import AbstractBasis
from ..geometry.domains import AffineMap
from ..lstsq import Status
from ..models.classifier import Classifier, logits
from ..models.labels import index_of, indicators, learn_classes
from ..regression.api import solved_again
from ..selection.data import Prepared, checked_data, merged, padded_term, some_rows
from ..selection.options import Options, named_bases, shown
from ..selection.search import Candidate
from ..train import GD, NGD, AbstractTrainer, Callback, LastLayer
from ..train.last_layer import SEPARATED
from .strategy import MEMBERS, ClassSearch, optimum

TRAINERS = {"gd": lambda: GD(1e-3), "ngd": lambda: NGD()}
SOLVED_NUMBERS = 10**8
"""Entries of Φ in the last solve: more rows than fit are left out of it (a random choice)."""
TEMPERATURES = (0.05, 20.0)
"""Calibration looks between these."""
FEW = 2
"""A class of fewer rows cannot be learnt and checked."""


def classify(
    basis: AbstractBasis | Sequence[AbstractBasis] | None,
    X: Any,
    y: Any,
    *,
    sample_weight: Any = None,
    method: str | AbstractTrainer = "auto",
    max_steps: int | None = None,
    max_seconds: float = math.inf,
    tol: float = 0.0,
    n_restarts: int = 1,
    ensemble: int | str = "auto",
    ridge: float | str = "auto",
    validation: float | tuple[Any, Any] | str | None = "auto",
    calibrate: bool = False,
    random_state: int = 0,
    callbacks: Iterable[Callback] = (),
    verbose: bool = False,
) -> Classifier:
    r"""Fit p(y | x) = softmax(Φ(x; ξ) c): Newton's method for c, descent for ξ.

    Parameters
    ----------
    basis : AbstractBasis, sequence of them, or None
        Several are compared by their cross-entropy on rows they did not see. ``None`` compares
        frozen features with trained networks.
    X : array-like, shape (N, D)
    y : array-like, shape (N,)
        Labels: strings, true and false, whole numbers, categories.
    sample_weight : array-like, shape (N,), optional
    method : {"auto", "frozen", "gd", "ngd"} or AbstractTrainer
        ``"frozen"`` keeps ξ as drawn; ``"auto"`` does that first and then trains (NGD) while the
        held-out cross-entropy falls. A trainer, or its lower-case name, trains as told.
    max_steps : int, optional
    max_seconds : float
    tol : float
        Training stops where the cross-entropy is this share of that of the class frequencies.
    n_restarts : int
    ensemble : int or "auto"
        How many draws of the best functions ``method="auto"`` averages; ``"auto"``: 5 where
        ``basis`` is ``None``, else 1.
    ridge : float or "auto"
        λ in Σ w_i H_i + ½ λ‖c‖². ``"auto"`` chooses it by held-out cross-entropy; where no rows
        are held out it is 0.01. With 0, classes that the functions separate have no optimum: the
        solve stops and says so.
    validation : float, (X, y), "auto" or None
        As for :func:`adabasis.fit`; ``"auto"`` holds rows out for ``"frozen"`` too.
    calibrate : bool
        Divide the scores by the temperature that suits the held-out rows best.
    random_state : int
    callbacks : iterable of callables
    verbose : bool

    Returns
    -------
    Classifier

    Raises
    ------
    ValueError
        For shapes that do not fit, missing values or labels, fewer than two classes, labels in
        ``validation`` that the data do not have, or ``calibrate`` without held-out rows.

    Examples
    --------
    >>> import numpy as np
    >>> X = np.random.default_rng(0).uniform(-1, 1, (200, 2))
    >>> model = classify(None, X, np.where(X[:, 0] * X[:, 1] > 0, "same", "other"))
    >>> model.predict([[0.5, 0.5], [0.5, -0.5]]).tolist()
    ['same', 'other']
    """
    bases = named_bases(basis)
    options = Options(
        "classify", method, max_steps, max_seconds, tol, n_restarts, ensemble, ridge, random_state
    )
    trainer = options.trainer(
        bases, TRAINERS, (GD, NGD), "GD(1e-3); least-squares trainers do not minimise cross-entropy"
    )
    classes, index = _classes(y, sample_weight)
    targets = indicators(index, len(classes))
    if isinstance(validation, tuple):
        validation = _given(validation, classes)
    weight = np.ones(len(targets)) if sample_weight is None else np.asarray(sample_weight, float)
    weight = np.where(index < 0, 0.0, weight) if weight.shape == index.shape else weight
    splits = not isinstance(trainer, AbstractTrainer)
    data = Prepared(X, targets, weight, validation, random_state, True, splits, map_outputs=False)
    if calibrate and not data.folds:
        raise ValueError(
            "classify(calibrate=True): no rows are held out to calibrate on. Give a validation "
            "share such as 0.1, or more than 40 distinct rows with method='auto'."
        )
    settings = options.settings(data, calibrate=calibrate)
    with numerics(), shown(verbose, max_steps) as lines:
        search = options.search(ClassSearch, data, (*callbacks, *lines))
        try:
            search.run(trainer, bases, options.members(bases, MEMBERS))
        except KeyboardInterrupt:
            search.interrupted()
        return _finished(search, classes, trainer, settings)


def _classes(y: Any, sample_weight: Any) -> tuple[np.ndarray, np.ndarray]:
    if sample_weight is None or np.shape(sample_weight) != np.shape(y):
        return learn_classes(y)
    return learn_classes(y, np.asarray(sample_weight, float) > 0)


def _given(validation: tuple[Any, Any], classes: np.ndarray) -> tuple[Any, np.ndarray]:
    X, y = validation
    index = index_of(y, classes)
    if (index < 0).any():
        label = np.asarray(y)[index < 0].tolist()[0]
        raise ValueError(
            f"classify(validation=(X, y)): the label {label!r} is in none of the rows to fit. "
            "Leave those rows out, or fit to some like them."
        )
    return X, indicators(index, len(classes))


def _finished(
    search: ClassSearch,
    classes: np.ndarray,
    trainer: AbstractTrainer | str | None,
    settings: dict[str, Any],
) -> Classifier:
    """Solve the best candidate's coefficients on all rows and wrap it up.

    Joint training has coefficients of its own: those are the result there.
    """
    data, best = search.data, search.best
    penalty = search.usual_ridge if best.penalty is None else best.penalty
    used, solved = _solved(best, data.z, data.t, data.weight, penalty, data.seed)
    temperature = _temperature(search, best, penalty) if settings["calibrate"] else 1.0
    n_scores, status = solved.coefficients.shape[1], _status(solved, penalty)
    return search.result(
        Classifier,
        solved,
        float(solved.loss),
        joint=isinstance(trainer, GD),
        output_map=AffineMap(np.zeros(n_scores), np.full(n_scores, 1 / temperature)),
        status=status,
        validation_error=best.held_out,
        validation_kind=data.held_out_kind if math.isfinite(best.held_out) else "none",
        settings=settings | {"penalty": penalty},
        notes=tuple(_notes(search, classes, status, len(used))),
        flat_output=n_scores == 1,
        classes=classes,
        temperature=temperature,
    )


def _solved(
    best: Candidate,
    z: np.ndarray,
    targets: np.ndarray,
    weight: np.ndarray,
    penalty: float,
    seed: int,
) -> tuple[np.ndarray, LastLayer]:
    """Return the rows used, all that fit into memory, and the optimum there.

    The ridge is for all rows: it shrinks with their share.
    """
    most = max(64, SOLVED_NUMBERS // best.basis.size(z.shape[1]))
    used = some_rows(np.arange(len(z)), most, seed)
    term = padded_term(z[used], targets[used], weight[used])
    share = weight[used].sum() / weight.sum()
    return used, optimum(best.basis, best.parameters, term, penalty * share)


def refit_classes(model: Classifier, X: Any, y: Any, *, sample_weight: Any = None) -> Classifier:
    """Solve a classifier's coefficients again for other rows; its functions Φ(x; ξ) stay.

    Parameters
    ----------
    model : Classifier
    X : array-like, shape (N, D)
    y : array-like, shape (N,)
        Labels among ``model.classes``.
    sample_weight : array-like, shape (N,), optional

    Returns
    -------
    Classifier
        With the box, rank and status of these rows; held-out error and temperature stay.

    Raises
    ------
    ValueError
        For labels the model does not know, other numbers of columns, or missing values.
    """
    index = index_of(y, model.classes)
    unknown = np.asarray(y)[index < 0].tolist()
    if unknown:
        raise ValueError(
            f"refit_classes(model, X, y): the label {unknown[0]!r} is not one of the model's. Fit "
            "anew."
        )
    x, t, weight = checked_data(X, indicators(index, len(model.classes)), sample_weight)
    n_rows = int(np.count_nonzero(weight))
    x, t, weight, _ = merged(x, t, weight)
    candidate = Candidate(model.basis, model.parameters, model.initial_parameters, "")
    penalty = float(model.settings["penalty"])
    with numerics():
        _, solved = _solved(candidate, model.input_map(x), t, weight, penalty, 0)
    return solved_again(model, solved, _status(solved, penalty), x, n_rows)


def _temperature(search: ClassSearch, best: Candidate, penalty: float) -> float:
    """Return the temperature of least cross-entropy on the held-out rows, ξ and c not knowing them.

    It is that of the kept rows' coefficients; those of all rows differ little.
    """
    kept, held_out = search.data.fold(0)
    assert held_out is not None
    term = search.data.term(search.some(kept))
    c = optimum(best.basis, best.parameters, term, penalty).coefficients
    scores = logits(np.asarray(held_out.design(best.basis, best.parameters) @ c))
    weight, targets = np.asarray(held_out.points.weight), np.asarray(held_out.data)

    def surprise(log_temperature: float) -> float:
        likely = log_softmax(scores * math.exp(-log_temperature), axis=1)
        return float(-weight @ np.sum(targets * likely, axis=1))

    low, high = map(math.log, TEMPERATURES)
    return math.exp(minimize_scalar(surprise, bounds=(low, high), method="bounded").x)


def _status(solved: LastLayer, penalty: float) -> Status:
    if not np.isfinite(solved.loss):
        return Status.NON_FINITE
    if penalty == 0 and float(solved.loss) < SEPARATED:
        return Status.SEPARABLE
    full = int(solved.rank) == len(solved.singular_values)
    return Status.FULL_RANK if full else Status.RANK_DEFICIENT


def _notes(search: ClassSearch, classes: np.ndarray, status: Status, n_used: int) -> Iterator[str]:
    data, best = search.data, search.best
    if best.held_out >= 0.95:
        yield (
            "The model is hardly better than the classes' frequencies (relative cross-entropy "
            f"{best.held_out:.2f} on rows it did not see): there may be nothing to learn from "
            "these columns, or too few rows."
        )
    rare = classes[(data.t > 0).sum(axis=0) < FEW].tolist()
    if rare:
        yield (
            f"Too few rows to learn and to check: {listed(rare)} "
            f"({'has' if len(rare) == 1 else 'have'} fewer than {FEW}). Collect more, or merge "
            "classes."
        )
    if status in (Status.SEPARABLE, Status.NON_FINITE):
        yield status.advice
    if n_used < len(data.x):
        yield (
            f"The coefficients were solved on {counted(n_used, 'row')} drawn from "
            f"{len(data.x):,}: all would not fit into memory."
        )
