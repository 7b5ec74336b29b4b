"""The front door for data: points and values in, a fitted function out."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import jax.numpy as jnp
import numpy as np
from jax import Array

from .. import lstsq, rows
from .._runtime.compiled import quickly
from .._runtime.notation import Parameters
from .._runtime.scope import numerics
from ..basis import AbstractBasis, Ensemble, PartitionBasis
from ..basis.pou.partition import hard_assignment
from ..geometry.domains import bounding_box
from ..models.fitted import CHUNK_NUMBERS, Fitted
from ..selection import linear as select
from ..selection.data import Prepared, checked_data, merged, padded_term
from ..selection.options import Options, named_bases, shown
from ..selection.search import SEARCH_ROWS, AnyFitted, Candidate
from ..train import GD, LSGD, LSGN, AbstractTrainer, Callback
from .strategy import MEMBERS, Search

TRAINERS = {"gd": lambda: GD(1e-3), "lsgd": lambda: LSGD("auto"), "lsgn": lambda: LSGN()}


def fit(
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
    random_state: int = 0,
    callbacks: Iterable[Callback] = (),
    verbose: bool = False,
    standardize: bool = True,
) -> Fitted:
    r"""Fit y ≈ Φ(x; ξ) c: least squares for c, and for ξ whatever ``method`` says.

    Inputs are mapped to the unit box and outputs to mean 0 and variance 1 (weighted); both maps
    are part of the result, whose values and derivatives are in the units of ``X`` and ``y``.

    Parameters
    ----------
    basis : AbstractBasis, sequence of them, or None
        Several are compared by their error on rows they did not see. ``None`` compares frozen
        features of a few widths with trained networks (needs ``method="auto"``).
    X : array-like, shape (N, D)
    y : array-like, shape (N,) or (N, Q)
    sample_weight : array-like, shape (N,), optional
        Non-negative; it weights the rows, the maps and the held-out error.
    method : {"auto", "frozen", "gd", "lsgd", "lsgn"} or AbstractTrainer
        ``"frozen"`` keeps ξ as drawn. ``"auto"`` does that first, with ridge and feature scale
        chosen by leave-one-out error, and then takes Gauss–Newton steps on ξ (LSGN) while the
        held-out error falls. With an ``ensemble`` of more than one, features of a few trained
        directions are tried where a network shows such, and networks are averaged where one is
        the best so far. A trainer, or its lower-case name, trains as told.
    max_steps : int, optional
        Budget of steps for each training run: by default 200 for Gauss–Newton, 1000 else.
    max_seconds : float
        Budget of wall-clock time for the whole call, compilation included.
    tol : float
        Stop a run when the relative root mean square residual reaches it.
    n_restarts : int
        Independent draws of ξ; the best one is returned, all are in ``candidates``.
    ensemble : int or "auto"
        Networks that ``method="auto"`` trains on different rows and averages, where a network
        does best. ``"auto"``: 10 where no basis is named, 1 where one is.
    ridge : float or "auto"
        λ in ‖Φc − y‖² + λ‖c‖², summed over rows, in the model's units. ``"auto"`` chooses it by
        leave-one-out error (on unit-norm columns) for frozen features, by the noise for networks
        where ``method`` is ``"auto"``, and is 0 elsewhere.
    validation : float, (X, y), "auto" or None
        The share of rows held out to stop training, or the held-out data themselves. ``"auto"``:
        0.1 (and up to 0.2 to make it 20 rows) for ``method="auto"`` on 40 rows or more, none for
        a trainer.
    random_state : int
        Seed of everything drawn.
    callbacks : iterable of callables
        Called with an :class:`adabasis.train.Progress` at checks; a true answer stops the run.
    verbose : bool
        Show progress.
    standardize : bool
        Whether to map inputs and outputs; ``False`` hands them to the basis as they are.

    Returns
    -------
    Fitted

    Raises
    ------
    ValueError
        For shapes that do not fit, missing or infinite values, weights that are negative or all
        zero, or a method that cannot run with the basis.

    Examples
    --------
    >>> import numpy as np
    >>> X = np.linspace(0, 1, 200)[:, None]
    >>> model = fit(None, X, np.sin(6 * X[:, 0]))
    >>> bool(abs(model([[0.5]])[0] - np.sin(3)) < 1e-8)
    True
    """
    bases = named_bases(basis)
    options = Options(
        "fit", method, max_steps, max_seconds, tol, n_restarts, ensemble, ridge, random_state
    )
    trainer = options.trainer(bases, TRAINERS, (AbstractTrainer,), "LSGD(1e-3)")
    data = Prepared(
        X, y, sample_weight, validation, random_state, standardize, split_by_default=trainer is None
    )
    settings = options.settings(data, standardize=standardize)
    with numerics(), shown(verbose, max_steps) as lines:
        search = options.search(Search, data, (*callbacks, *lines))
        try:
            if trainer is None:
                members = options.members(bases, MEMBERS)
                search.automatic(bases or _default_bases(data), members)
            elif isinstance(trainer, str):
                search.frozen(bases)
            else:
                search.descend(trainer, bases)
        except KeyboardInterrupt:
            search.interrupted()
        return finished(search, settings, refit=not isinstance(trainer, GD))


def _default_bases(data: Prepared) -> list[AbstractBasis]:
    n_rows, n_inputs = data.x.shape
    return select.default_bases(min(n_rows, SEARCH_ROWS), n_inputs, data.y.shape[1])


def finished(search: Search, settings: dict[str, Any], *, refit: bool) -> Fitted:
    """Solve the best candidate's coefficients on all rows (``refit``) and wrap it up.

    Joint training has coefficients of its own: those are the result there.
    """
    data, best = search.data, search.best
    solution = _solution(search, best)
    status = lstsq.Status(int(solution.status))
    error, kind = best.held_out, data.held_out_kind
    if isinstance(best.basis, Ensemble) and len(data.folds) > 1:
        kind += ", others for each member"
    if not math.isfinite(error):
        error, kind = best.left_out, "leave-one-out"
        if best.run is not None:
            kind += ", of functions trained on all rows"
    return search.result(
        Fitted,
        solution,
        float(np.mean(np.asarray(solution.residual_norm) ** 2)),
        joint=not refit,
        output_map=data.output_map,
        status=status,
        validation_error=error,
        validation_kind=kind if math.isfinite(error) else "none",
        settings=settings,
        notes=(*_notes(error, status, data), *_idle(best, data.z, settings)),
        flat_output=data.flat,
    )


def _solution(search: Search, best: Candidate) -> lstsq.Solution:
    """Solve all rows with the candidate's ridge, or with the user's."""
    data = search.data
    penalty = best.penalty if isinstance(search.ridge, str) else float(search.ridge)
    return _solve_rows(
        best.basis, best.parameters, data.z, data.t, data.weight, best.ridge, penalty
    )


def _solve_rows(
    basis: AbstractBasis,
    parameters: Parameters,
    z: np.ndarray,
    t: np.ndarray,
    weight: np.ndarray,
    ridge: float,
    penalty: float | None,
) -> lstsq.Solution:
    """Reduce rows chunk by chunk, in the model's units, and solve; parts apart, then their mean.

    The ridge is relative; ``penalty``, if any, replaces it and is λ in the sum over rows.
    """
    relative, total = penalty is None, weight.sum()
    shrink = jnp.asarray(ridge if penalty is None else penalty / total)
    solutions, source = [], rows.ArraySource(z, t, weight)
    for part, inside in basis.parts(parameters):
        part = select.canonical(part)
        at_once = max(64, CHUNK_NUMBERS // part.size(z.shape[1]))
        reduced = [
            _reduced(part, inside, padded_term(*chunk), total) for chunk in source.chunks(at_once)
        ]
        reduction = lstsq.combine(*reduced) if len(reduced) > 1 else reduced[0]
        solutions.append(_solved(reduction, shrink, relative=relative))
    return solutions[0] if len(solutions) == 1 else lstsq.average(solutions)


def refit(model: Fitted, X: Any, y: Any, *, sample_weight: Any = None) -> Fitted:
    """Solve a model's coefficients again for other rows; its functions Φ(x; ξ) stay.

    The use is a model that was chosen and judged with some rows held out: this one solve lets it
    learn from them too.

    Parameters
    ----------
    model : Fitted
    X : array-like, shape (N, D)
    y : array-like, shape (N,) or (N, Q)
    sample_weight : array-like, shape (N,), optional

    Returns
    -------
    Fitted
        With the box, rank and status of these rows; the held-out error stays that of ``model``.

    Raises
    ------
    ValueError
        For other numbers of columns, missing or infinite values, or bad weights.
    """
    x, values, weight = checked_data(X, y, sample_weight)
    if x.shape[1] != model.n_inputs or values.shape[1] != model.n_outputs:
        raise ValueError(
            f"refit(model, X, y): expected {model.n_inputs} inputs and {model.n_outputs} outputs, "
            f"got {x.shape[1]} and {values.shape[1]}."
        )
    n_rows = int(np.count_nonzero(weight))
    x, values, weight, _ = merged(x, values, weight)
    asked = model.settings.get("ridge", "auto")
    chosen = model.candidates[0] if model.candidates else {}
    penalty = chosen.get("penalty") if isinstance(asked, str) else float(asked)
    z, t = model.input_map(x), model.output_map(values)
    with numerics():
        solution = _solve_rows(
            model.basis, model.parameters, z, t, weight, chosen.get("ridge", 0.0), penalty
        )
    status = lstsq.Status(int(solution.status))
    return solved_again(model, solution, status, x, n_rows)


def solved_again(
    model: AnyFitted, solved: Any, status: lstsq.Status, x: np.ndarray, n_rows: int
) -> AnyFitted:
    """Return a model with the coefficients, rank and box of other rows."""
    return dataclasses.replace(
        model,
        coefficients=np.asarray(solved.coefficients),
        rank=int(solved.rank),
        singular_values=np.asarray(solved.singular_values),
        status=status,
        box=bounding_box(x),
        settings={**model.settings, "n_rows": n_rows},
    )


@quickly()
def _reduced(
    basis: AbstractBasis, parameters: Parameters, term: rows.Term, total: float
) -> lstsq.Reduction:
    weight = jnp.asarray(term.points.weight)
    data = lstsq.reduce(term.design(basis, parameters), term.targets, weight / total)
    _, *ties = rows.tied(term, basis)
    if not ties:
        return data
    root = jnp.sqrt(jnp.sum(weight) / total)  # the share of the rows that this chunk has
    block = rows.assemble(ties, basis, parameters)
    tied = lstsq.reduce(root * block.matrix, root * block.rhs)
    return lstsq.combine(data, dataclasses.replace(tied, n_rows=0))


@quickly(once=True)
def _solved(reduction: lstsq.Reduction, ridge: Array, *, relative: bool) -> lstsq.Solution:
    """Solve with a ridge, or one relative to the largest singular value of unit-norm columns.

    Rank, singular values and status are those of the rows alone: a ridge hides them.
    """
    absolute, share = (0.0, ridge) if relative else (ridge, 0.0)
    solution = lstsq.solve(reduction, ridge=absolute, relative_ridge=share)
    plain = lstsq.solve(reduction)
    return dataclasses.replace(
        solution, rank=plain.rank, singular_values=plain.singular_values, status=plain.status
    )


def _idle(best: Candidate, x: np.ndarray, settings: Mapping[str, Any]) -> Iterator[str]:
    """Say how many partitions of a partition of unity network own no row."""
    if not isinstance(best.basis, PartitionBasis):
        return
    owned = hard_assignment(best.basis.unity, best.parameters.partition, x)
    counts = np.bincount(owned, minlength=best.basis.n_partitions)
    empty = int(np.sum(counts == 0))
    if empty:
        chosen = settings.get("n_partitions") == "auto"
        choose = "" if chosen else ", or let fit_pounet choose (n_partitions='auto')"
        yield (
            f"{empty} of {len(counts)} partitions own no row: the data show fewer pieces, or "
            f"training has emptied them. Ask for {len(counts) - empty}{choose}."
        )


def _notes(error: float, status: lstsq.Status, data: Prepared) -> Iterator[str]:
    if np.ptp(data.y, axis=0).max() == 0:
        yield "The target is constant: so is the model."
    elif error >= 0.95:
        yield (
            f"The fit is hardly better than the mean (relative error {error:.2f} on rows it did "
            "not see): there may be nothing to learn from these columns, or too few rows."
        )
    if status in (lstsq.Status.UNDERDETERMINED, lstsq.Status.NON_FINITE):
        yield status.advice
