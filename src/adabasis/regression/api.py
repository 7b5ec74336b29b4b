"""The public function for data: points and values in, a fitted function out."""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypeVar

import numpy as np

from .. import lstsq, rows
from .._runtime.arguments import told_arguments
from .._runtime.compute import numerics
from .._runtime.registry import provided
from ..basis import AbstractBasis
from ..evidence.judge import judge
from ..geometry.maps import TargetMap, input_transforms, periodic_columns
from ..geometry.points import bounding_box
from ..models.fitted import Fitted
from ..models.record import Asked
from ..models.timings import with_timings
from ..selection.holdout import holding_out
from ..selection.prepared import SEARCH_ROWS, Prepared, kept_places, merged, rows_for_refit
from ..selection.search import Candidate, Search, basis_last, named_bases, resolved_trainer
from ..selection.stream import Stream
from ..selection.workers import on_workers
from ..train import AbstractTrainer, Callback, Objective
from . import reweighted
from .bases import Offered, default_bases
from .growth import chooses_ridge
from .outliers import noted
from .robust import taking_losses
from .solve import reduce_rows, solved_factor
from .strategy import MEMBERS, RegressionStrategy
from .streamed import taking_sources
from .task import RegressionTask
from .transforms import with_transforms
from .uncertainty import calibrated, relearnt

AnyFitted = TypeVar("AnyFitted", bound=Fitted)


@basis_last
@told_arguments
@on_workers
@with_timings
@taking_sources(lambda *rows, **named: _search(*rows, **named))
@holding_out(judge, lambda *rows, **named: refit(*rows, **named), calibrated)
@taking_losses(lambda *rows, **named: refit(*rows, **named))
def fit(
    X: Any,
    y: Any = None,
    basis: AbstractBasis | Sequence[AbstractBasis] | None = None,
    *,
    sample_weight: Any = None,
    groups: Any = None,
    loss: str = "squared",
    quantile: float = 0.5,
    method: str | AbstractTrainer = "auto",
    max_steps: int | None = None,
    max_seconds: float = math.inf,
    tol: float = 0.0,
    n_restarts: int | str = "auto",
    ensemble: int | str = "auto",
    ridge: float | str = "auto",
    validation: float | tuple[Any, Any] | str | None = "auto",
    random_state: int = 0,
    callbacks: Iterable[Callback] = (),
    verbose: bool = False,
    effort: str = "auto",
    standardize: bool = True,
    target_transform: str | Sequence[str | None] | None = None,
    input_transform: str | Mapping[int | str, str | None] | None = "auto",
    periodic: Mapping[int | str, float] | None = None,
) -> Fitted:
    r"""Fit y ≈ Φ(x; ξ) c: least squares for c, and for ξ whatever ``method`` says.

    Inputs are mapped to the unit box and outputs to mean 0 and variance 1 (weighted); both maps
    are part of the result, whose values and derivatives are in the units of ``X`` and ``y``.

    Parameters
    ----------
    X : array-like, shape (N, D), or rows to be read
        Or a file, a folder, a pattern such as ``"part-*.parquet"`` or a list of files; an array on
        disk (``numpy.memmap``, h5py, Zarr); a re-iterable of chunks (X, y); or any
        :class:`adabasis.rows.AbstractSource`. Of more than 100,000 rows such are read chunk by
        chunk: functions are chosen on a sample, networks step on batches of all rows, and the last
        layer is solved on all.
    y : array-like, shape (N,) or (N, Q), or names of columns
        Of files the names of targets. A source or a re-iterable holds them: none then.
    basis : AbstractBasis, sequence of them, or None
        Several are compared by their error on rows they did not see. ``None`` compares frozen
        features of a few widths with trained networks (needs ``method="auto"``). The order of
        earlier versions, ``fit(basis, X, y)``, works with a FutureWarning.
    sample_weight : array-like, shape (N,), optional
        Non-negative; it weights the rows, the maps and the held-out error.
    groups : array-like, shape (N,), optional
        Rows of one label are left out and held out together: those of one patient, one batch, one
        run. The error is then that on groups not seen.
    holdout : float, "last" or None
        Rows that the whole search never sees, a share of them or the last fifth in order (of a
        series): the model is judged on them beside three plain ones, then solved again with all.
    loss : {"squared", "huber", "absolute", "quantile"}
        What the coefficients lower. ``"huber"``: squares up to 1.345 standard deviations of the
        noise, as rows left out show it, then linear: a few wild values do not matter.
        ``"absolute"``: their sizes, for the median; ``"quantile"``: max(q r, (q − 1) r) of errors
        r, for the quantile q. Rows are weighted anew until they settle. Functions are searched for
        with outliers set aside. Of a transformed target errors are those of transformed values: a
        quantile stays one, and ``"huber"`` is for the mean with outliers left aside. Whatever the
        loss, outliers are listed in ``notes`` and in ``record.outliers``.
    quantile : float
        q between 0 and 1, of ``loss="quantile"``.
    method : {"auto", "frozen", "gd", "lm", "lsgd", "lsgn"} or AbstractTrainer
        ``"frozen"`` keeps ξ as drawn. ``"auto"`` does that first, with ridge and feature scale
        chosen by leave-one-out error, and then trains networks of growing size (LM) while the
        held-out error falls. With an ``ensemble`` of more than one, features of a few trained
        directions are tried where Gaussians or a network show such, and networks are averaged
        where one is the best so far. A trainer, or its lower-case name, trains as told.
    max_steps : int, optional
        Budget of steps for each training run: by default 325 for LM, 200 for LSGN, 1000 else.
    max_seconds : float
        Budget of wall-clock time for the whole call, compilation included.
    tol : float
        Stop a run when the relative root mean square residual reaches it.
    n_restarts : int or "auto"
        Independent draws of ξ; the best one is returned, all are in ``candidates``. ``"auto"``: 1.
    ensemble : int or "auto"
        Networks that ``method="auto"`` trains on different rows and averages, where a network
        does best. ``"auto"``: 10 where no basis is named, 1 where one is.
    ridge : float or "auto"
        λ in ‖Φc − y‖² + λ‖c‖², summed over rows, in the model's units. ``"auto"`` chooses it by
        leave-one-out error (on unit-norm columns) for frozen features, by the held-out error for
        networks where ``method`` is ``"auto"`` or ``"lm"``, and is 0 elsewhere.
    validation : float, (X, y), "auto" or None
        The share of rows held out to stop training, or the held-out data themselves. ``"auto"``:
        0.1 (and up to 0.2 to make it 20 rows) on 40 rows or more for ``method="auto"``, and for
        ``"lm"`` with a ridge to choose; none for other trainers.
    random_state : int
        Seed of everything drawn.
    callbacks : iterable of callables
        Called with an :class:`adabasis.train.Progress` at checks; a true answer stops the run.
    verbose : bool
        Show progress.
    client : distributed.Client or str, optional
        Workers that do what can be done apart: rows of sources are reduced where they are read,
        restarts and the members of means are trained there. A client of Dask or the address of its
        scheduler, or an engine of :mod:`adabasis.rows.engine`. The model is the same, whatever the
        number of workers. Callbacks are not called there.
    checkpoint : path, optional
        A file that runs are kept in, renewed every half minute. The same call goes on from it as
        if it had never stopped; at its end the file has all runs, and may be deleted.
    effort : {"fast", "auto", "thorough"}
        How much the search may spend where no basis is named: ``"fast"`` about a fifth of the
        time of ``"auto"``, ``"thorough"`` up to twenty times as much, for errors that are some
        per cent smaller. It counts multiplications, not seconds: the same rows give the same model.
    standardize : bool
        Whether to map inputs and outputs; ``False`` hands them to the basis as they are.
    target_transform : {"log", "yeo-johnson", "auto"}, sequence of them, or None
        The function g of the targets that is fitted: y ≈ g⁻¹(Φ c), with the smearing correction
        that makes it a mean. ``"log"`` needs y > 0. ``"auto"`` takes what makes left-out values
        clearly likelier, otherwise none. Values, derivatives and errors stay in the units of
        ``X`` and ``y``. A sequence has one for each target.
    input_transform : "auto", "log", None, or mapping of column to one of these
        Inputs that are taken in logarithms. ``"auto"``: those over decades, such as doses, if
        left-out rows speak for it; where a basis is named and targets are not transformed, none.
        ``"log"``: all of them, or those of the mapping, by number or name: ``{"dose": "log"}``.
        Entries must not be negative; below the least positive one the logarithm goes on as its
        tangent. ``None``: none.
    periodic : mapping of column to period, optional
        Inputs such as angles, by their number or name: ``{0: 360.0}``. The model has that period
        exactly, and no value of such an input is outside.

    Returns
    -------
    Fitted

    Raises
    ------
    ValueError
        For shapes that do not fit, missing or infinite values, weights that are negative or all
        zero, a method that cannot run with the basis, the logarithm of values that have none,
        columns that do not exist or periods that are not positive.

    Examples
    --------
    >>> import numpy as np
    >>> X = np.linspace(0, 1, 200)[:, None]
    >>> model = fit(X, np.sin(6 * X[:, 0]))
    >>> bool(abs(model([[0.5]])[0] - np.sin(3)) < 1e-8)
    True
    """
    return _search(**locals())


def _search(
    X: Any,
    y: Any,
    basis: AbstractBasis | Sequence[AbstractBasis] | None = None,
    *,
    sample_weight: Any = None,
    groups: Any = None,
    loss: str = "squared",
    quantile: float = 0.5,
    method: str | AbstractTrainer = "auto",
    max_steps: int | None = None,
    max_seconds: float = math.inf,
    tol: float = 0.0,
    n_restarts: int | str = "auto",
    ensemble: int | str = "auto",
    ridge: float | str = "auto",
    validation: float | tuple[Any, Any] | str | None = "auto",
    random_state: int = 0,
    callbacks: Iterable[Callback] = (),
    verbose: bool = False,
    effort: str = "auto",
    standardize: bool = True,
    target_transform: str | Sequence[str | None] | None = None,
    input_transform: str | Mapping[int | str, str | None] | None = "auto",
    periodic: Mapping[int | str, float] | None = None,
    stream: Stream | None = None,
) -> Fitted:
    """Do the work of :func:`fit`, of rows in memory that may be a sample of a stream."""
    asked = Asked(
        "fit",
        str(method),
        max_steps,
        max_seconds,
        tol,
        n_restarts,
        ensemble,
        ridge,
        "given" if isinstance(validation, tuple) else validation,
        random_state,
        standardize,
        effort=effort,
        loss=loss,
        quantile=quantile,
        target_transform=tuple(target_transform)
        if isinstance(target_transform, list)
        else target_transform,
        input_transform=input_transforms("fit", X, input_transform if standardize else None),
        periodic=periodic_columns("fit", X, periodic),
    )
    search: Search[Candidate] = Search(asked, callbacks, verbose)
    bases = named_bases(basis)
    trainer = resolved_trainer("fit", method, bases, Objective)
    prepared = functools.partial(
        Prepared,
        "fit",
        X,
        y,
        sample_weight,
        validation,
        random_state,
        split_by_default=trainer is None or chooses_ridge(trainer, asked),
        standardize=standardize,
        groups=groups,
        stream=stream,
    )
    data, choice = with_transforms(prepared, asked, bases)
    joint = isinstance(trainer, AbstractTrainer) and trainer.joint
    task = RegressionTask(asked, data, joint=joint, choice=choice)
    strategy = RegressionStrategy(search, task)
    if trainer is None:
        usual = 1 if bases else MEMBERS
        grow = not bases or isinstance(basis, Offered)
        n_rows, n_inputs = min(data.n_distinct, SEARCH_ROWS), data.z.shape[1]
        bases = bases or default_bases(n_rows, n_inputs, data.y.shape[1])
        members = usual if isinstance(ensemble, str) else ensemble
        return search.run(task, lambda: strategy.automatic(bases, members, grow))
    if isinstance(trainer, str):
        return search.run(task, lambda: strategy.frozen(bases))
    return search.run(task, lambda: strategy.descend(trainer, bases))


@told_arguments
def refit(model: Fitted, X: Any, y: Any, *, sample_weight: Any = None) -> Fitted:
    """Solve a model's coefficients again for other rows, by its loss; its functions Φ(x; ξ) stay.

    The use is a model that was chosen and judged with some rows held out: this one solve lets it
    learn from them too.

    Parameters
    ----------
    model : Fitted or Classifier
        Whose functions are kept.
    X : array-like, shape (N, D)
        The rows to solve for.
    y : array-like, shape (N,) or (N, Q)
        Of a classifier, labels among ``model.classes``.
    sample_weight : array-like, shape (N,), optional
        How much each row counts; not negative.

    Returns
    -------
    Fitted or Classifier
        With the box, rank and status of these rows, and values (N,) or (N, Q) like this y; the
        held-out error stays that of ``model``.

    Raises
    ------
    ValueError
        For other numbers of columns, missing or infinite values, bad weights, labels that the model
        does not know, or the solution of an equation.
    """
    if model.solved_from in ("classes", "parts with noise"):
        of_kind = provided(f"refit of {model.solved_from}")
        return of_kind(model, X, y, sample_weight=sample_weight)
    if model.solved_from != "numbers":
        raise ValueError(
            f"refit({model!r}, X, y): its coefficients are solved from {model.solved_from}, not "
            "from rows of data. Solve again, or give the rows to the problem as pde.Observe."
        )
    x, values, weight = rows_for_refit(model, X, y, sample_weight)
    n_rows, used = int(np.count_nonzero(weight)), weight > 0
    if isinstance(model.output_map, TargetMap):
        model.output_map.check("refit(model, X, y)", values)
    factor = None
    with numerics():
        if reweighted.loss_of(model).plain:
            # Means are of values in the model's units, which a transform makes others.
            places, means, total, *_ = merged(x, model.output_map(values), weight)
            source = rows.ArraySource(model.input_map(places), means, total)
            factor = reduce_rows((model.basis, model.parameters), source)
            solved = solved_factor(factor, model.record.ridge)
        else:
            solved = reweighted.solve(model, x, values, weight)
    again = solved_again(model, solved, lstsq.Status(int(solved.status)), x[used], n_rows)
    again = dataclasses.replace(again, flat_output=np.ndim(y) == 1, factor=factor)
    again = dataclasses.replace(again, error_model=relearnt(again, x, values, weight))
    return noted(again, x, values, weight)


def solved_again(
    model: AnyFitted, solved: Any, status: lstsq.Status, x: np.ndarray, n_rows: int
) -> AnyFitted:
    """Return a model with the coefficients, rank, box and support of other rows."""
    return dataclasses.replace(
        model,
        coefficients=np.asarray(solved.coefficients),
        rank=int(solved.rank),
        singular_values=np.asarray(solved.singular_values),
        status=status,
        box=bounding_box(x),
        places=kept_places(model.input_map(x), model.record.asked.random_state),
        record=dataclasses.replace(model.record, n_rows=n_rows),
        factor=None,
    )


def add_rows(model: AnyFitted, X: Any, y: Any, *, sample_weight: Any = None) -> AnyFitted:
    """Return a model whose coefficients are those of its rows and others besides.

    Rows gone by are not needed: what they were reduced to is (:attr:`Fitted.factor`), and that of
    the others is stacked below it. Functions, maps and the ridge stay, and so does what was claimed
    of rows held out.

    Parameters
    ----------
    model : Fitted
    X : array-like, shape (n, D)
    y : array-like, shape (n,) or (n, Q)
    sample_weight : array-like, shape (n,), optional

    Raises
    ------
    ValueError
        For bad rows, and for a model that does not hold what its rows were reduced to.
    """
    if model.factor is None:
        raise ValueError(
            f"{model!r} does not hold what its rows were reduced to: it was read from a file, or "
            "lowers another loss than squares. Use refit with all rows."
        )
    x, values, weight = rows_for_refit(model, X, y, sample_weight)
    if isinstance(model.output_map, TargetMap):
        model.output_map.check("add_rows(model, X, y)", values)
    with numerics():
        source = rows.ArraySource(model.input_map(x), model.output_map(values), weight)
        new = reduce_rows((model.basis, model.parameters), source)
        factor = model.factor.joined(new)
        solved = solved_factor(factor, model.record.ridge)
    seen = bounding_box(x[weight > 0])
    low, high = (np.stack([a, b]) for a, b in zip(model.box.T, seen.T, strict=True))
    n_rows = (model.record.n_rows or 0) + new.n_rows
    return dataclasses.replace(
        model,
        coefficients=np.asarray(solved.coefficients),
        rank=int(solved.rank),
        singular_values=np.asarray(solved.singular_values),
        status=lstsq.Status(int(solved.status)),
        box=np.stack([low.min(axis=0), high.max(axis=0)], axis=1),
        record=dataclasses.replace(model.record, n_rows=n_rows),
        factor=factor,
    )
