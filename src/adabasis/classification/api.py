"""The public function for classes: points and labels in, probabilities out."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from .._runtime.arguments import told_arguments
from .._runtime.arrays import floats, in_order
from .._runtime.compute import numerics
from ..basis import AbstractBasis
from ..evidence.classes import judge_classes
from ..geometry.maps import input_transforms, periodic_columns
from ..models.classifier import Classifier, index_of, indicators, learn_classes
from ..models.record import Asked
from ..models.timings import with_timings
from ..regression.api import solved_again
from ..regression.bases import Offered
from ..regression.decades import as_told
from ..regression.streamed import taking_sources
from ..selection.holdout import holding_out
from ..selection.prepared import SEARCH_ROWS, Prepared, checked_data, merged
from ..selection.search import Candidate, Search, basis_last, named_bases, resolved_trainer
from ..selection.stream import Stream
from ..selection.workers import on_workers
from ..train import AbstractTrainer, Callback, CrossEntropy
from .solve import solve_rows, status_of
from .strategy import MEMBERS, ClassificationStrategy, default_bases
from .streamed import Labels
from .task import ClassificationTask


@basis_last
@told_arguments
@on_workers
@with_timings
@taking_sources(lambda *rows, **named: _search(*rows, **named), Labels())
@holding_out(
    judge_classes,
    lambda *rows, **named: _refitted(*rows, **named),
    lambda again, *rows: again.knowing_labels(*rows),
)
def classify(
    X: Any,
    y: Any = None,
    basis: AbstractBasis | Sequence[AbstractBasis] | None = None,
    *,
    sample_weight: Any = None,
    groups: Any = None,
    method: str | AbstractTrainer = "auto",
    max_steps: int | None = None,
    max_seconds: float = math.inf,
    tol: float = 0.0,
    n_restarts: int | str = "auto",
    ensemble: int | str = "auto",
    ridge: float | str = "auto",
    validation: float | tuple[Any, Any] | str | None = "auto",
    calibrate: bool = False,
    random_state: int = 0,
    callbacks: Iterable[Callback] = (),
    verbose: bool = False,
    effort: str = "auto",
    input_transform: str | Mapping[int | str, str | None] | None = None,
    periodic: Mapping[int | str, float] | None = None,
) -> Classifier:
    r"""Fit p(y | x) = softmax(Φ(x; ξ) c): Newton's method for c, descent for ξ.

    Parameters
    ----------
    X : array-like, shape (N, D), or rows that are read chunk by chunk
        Files (``classify("part-*.parquet", "species")``), arrays on disk, chunks (X, y), or a
        source (:func:`adabasis.tables.open_rows` with ``classify=True``). Of more than 100,000 rows
        functions are chosen on a sample, and the last layer is solved on all.
    y : array-like, shape (N,)
        Labels: strings, true and false, whole numbers, categories. Of files, the name of a column.
    basis : AbstractBasis, sequence of them, or None
        Several are compared by their cross-entropy on rows they did not see. ``None`` compares
        frozen features with trained networks. The order of earlier versions,
        ``classify(basis, X, y)``, works with a FutureWarning.
    sample_weight : array-like, shape (N,), optional
        How much each row counts; not negative.
    groups : array-like, shape (N,), optional
        Rows of one label are held out together: those of one patient, one batch, one run.
    holdout : float, "last" or None
        Rows that the whole search never sees, to judge the model by: see :func:`adabasis.fit`.
    method : {"auto", "frozen", "gd", "ngd"} or AbstractTrainer
        ``"frozen"`` keeps ξ as drawn; ``"auto"`` does that first and then trains (NGD) while the
        held-out cross-entropy falls. A trainer, or its lower-case name, trains as told.
    max_steps : int, optional
        Most steps of each training run.
    max_seconds : float
        Wall-clock seconds after which the best model so far is returned.
    tol : float
        Training stops where the cross-entropy is this share of that of the class frequencies.
    n_restarts : int or "auto"
        ``"auto"``: 1.
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
        Seed of everything drawn.
    callbacks : iterable of callables
        Called with an :class:`adabasis.train.Progress` at checks; a true answer stops the run.
    verbose : bool
        Show progress.
    client, checkpoint : optional
        Workers that do what can be done apart, a file that runs are kept in: see
        :func:`adabasis.fit`.
    effort : {"fast", "auto", "thorough"}
        How much the search may spend where no basis is named: ``"fast"`` trains one network,
        ``"thorough"`` compares two widths and averages three times as many as ``"auto"``.
    input_transform : "log", mapping of column to "log", or None
        Inputs to take in logarithms, all or those named: ``{"dose": "log"}``.
    periodic : mapping of column to period, optional
        Inputs such as angles: see :func:`adabasis.fit`.

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
    >>> model = classify(X, np.where(X[:, 0] * X[:, 1] > 0, "same", "other"))
    >>> model.predict([[0.5, 0.5], [0.5, -0.5]]).tolist()
    ['same', 'other']
    """
    return _search(**locals())


def _search(
    X: Any,
    y: Any,
    basis: AbstractBasis | Sequence[AbstractBasis] | None = None,
    *,
    sample_weight: Any = None,
    groups: Any = None,
    method: str | AbstractTrainer = "auto",
    max_steps: int | None = None,
    max_seconds: float = math.inf,
    tol: float = 0.0,
    n_restarts: int | str = "auto",
    ensemble: int | str = "auto",
    ridge: float | str = "auto",
    validation: float | tuple[Any, Any] | str | None = "auto",
    calibrate: bool = False,
    random_state: int = 0,
    callbacks: Iterable[Callback] = (),
    verbose: bool = False,
    effort: str = "auto",
    input_transform: str | Mapping[int | str, str | None] | None = None,
    periodic: Mapping[int | str, float] | None = None,
    stream: Stream | None = None,
) -> Classifier:
    """Do the work of :func:`classify`, of rows in memory that may be a sample of a stream."""
    asked = Asked(
        "classify",
        str(method),
        max_steps,
        max_seconds,
        tol,
        n_restarts,
        ensemble,
        ridge,
        "given" if isinstance(validation, tuple) else validation,
        random_state,
        calibrate=calibrate,
        effort=effort,
        input_transform=input_transforms("classify", X, input_transform),
        periodic=periodic_columns("classify", X, periodic),
    )
    inputs = asked.of_inputs(np.shape(X)[-1], auto=False)
    if asked.input_transform == "auto" or "auto" in inputs:
        raise ValueError(
            f"classify(input_transform={input_transform!r}): 'auto' is for numbers. Name the "
            "columns to take in logarithms, such as {0: 'log'}."
        )
    told = None
    if asked.periodic or "log" in inputs:
        told = as_told(asked, floats("classify", "X", X), inputs)
    search: Search[Candidate] = Search(asked, callbacks, verbose)
    bases = named_bases(basis)
    trainer = resolved_trainer("classify", method, bases, CrossEntropy)
    if stream is None:
        classes, index = _classes(y, sample_weight)
    else:  # the sample may lack a rare one
        assert stream.classes is not None
        classes = stream.classes
        index = index_of(y, classes)
    targets = indicators(index, len(classes))
    if isinstance(validation, tuple):
        validation = _given(validation, classes)
    weight = np.ones(len(targets)) if sample_weight is None else np.asarray(sample_weight, float)
    weight = np.where(index < 0, 0.0, weight) if weight.shape == index.shape else weight
    data = Prepared(
        "classify",
        X,
        targets,
        weight,
        validation,
        random_state,
        split_by_default=not isinstance(trainer, AbstractTrainer),
        map_outputs=False,
        groups=groups,
        coordinates=told,
        stream=stream,
    )
    if calibrate and not data.folds:
        raise ValueError(
            "classify(calibrate=True): no rows are held out to calibrate on. Give a validation "
            "share such as 0.1, or more than 40 distinct rows with method='auto'."
        )
    task = ClassificationTask(
        asked, data, classes, joint=isinstance(trainer, AbstractTrainer) and trainer.joint
    )
    strategy = ClassificationStrategy(search, task)
    if isinstance(trainer, AbstractTrainer):
        return search.run(task, lambda: strategy.descend(trainer, bases))
    grow = not bases or isinstance(basis, Offered)
    usual = 1 if bases else MEMBERS[effort]
    rows, inputs = min(data.n_distinct, SEARCH_ROWS), data.z.shape[1]
    bases = bases or default_bases(rows, inputs, effort=effort)
    if trainer == "frozen":
        return search.run(task, lambda: strategy.frozen(bases))
    members = usual if isinstance(ensemble, str) else ensemble
    return search.run(task, lambda: strategy.automatic(bases, members, grow))


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


def _refitted(model: Classifier, X: Any, y: Any, *, sample_weight: Any = None) -> Classifier:
    """Solve again with the rows whose labels the model knows: others were held out, all of them."""
    known = index_of(y, model.classes) >= 0
    weight = None if sample_weight is None else sample_weight[known]
    return refit_classes(model, X[known], np.asarray(y)[known], sample_weight=weight)


def refit_classes(model: Classifier, X: Any, y: Any, *, sample_weight: Any = None) -> Classifier:
    """Solve a classifier's coefficients again for other rows: what :func:`adabasis.refit` does.

    Parameters
    ----------
    model : Classifier
        Whose functions are kept.
    X : array-like, shape (N, D)
        The rows to solve for.
    y : array-like, shape (N,)
        Labels among ``model.classes``.
    sample_weight : array-like, shape (N,), optional
        How much each row counts; not negative.

    Returns
    -------
    Classifier
        With the box, rank and status of these rows; held-out error and temperature stay.

    Raises
    ------
    ValueError
        For labels the model does not know, other numbers of columns, or missing values.
    """
    index = index_of(y, model.classes, "refit_classes")
    unknown = np.asarray(y)[index < 0].tolist()
    if unknown:
        raise ValueError(
            f"refit_classes(model, X, y): the label {unknown[0]!r} is not one of the model's. Fit "
            "anew."
        )
    targets = indicators(index, len(model.classes))
    X = in_order("refit_classes(model, X, y)", X, model.record.input_names)
    x, t, weight = checked_data("refit_classes", X, targets, sample_weight)
    if x.shape[1] != model.n_inputs:
        raise ValueError(
            f"refit_classes(model, X, y): expected {model.n_inputs} inputs, got {x.shape[1]}."
        )
    n_rows = int(np.count_nonzero(weight))
    x, t, weight, *_ = merged(x, t, weight)
    ridge = model.record.ridge.value
    with numerics():
        functions = model.basis, model.parameters
        _, solved = solve_rows(functions, model.input_map(x), t, weight, ridge, 0)
    return solved_again(model, solved, status_of(solved, ridge), x, n_rows)
