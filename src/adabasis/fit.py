"""The front door for data: points and values in, a fitted function out."""

from __future__ import annotations

import contextlib
import dataclasses
import math
import time
from collections.abc import Iterable, Iterator
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from . import lstsq, rows, select
from .basis import AbstractBasis, FrozenFeatures, NeuralBasis
from .fitted import CHUNK_NUMBERS, Fitted
from .notation import Parameters, RandomKey
from .prepared import Prepared
from .progress import ProgressLine
from .scope import numerics
from .train import (
    GD,
    LSGD,
    AbstractTrainer,
    Budget,
    Callback,
    History,
    Objective,
    Run,
    StopReason,
    held_out_error,
    train,
)

TRAINERS = {"gd": lambda: GD(1e-3), "lsgd": lambda: LSGD("auto")}
GOOD_ENOUGH = 1e-6
"""Relative leave-one-out error of frozen features below which descent on ξ cannot pay."""
SEARCH_ROWS = 20_000
"""Rows (a random subset) that decide between candidates; the chosen one is solved on all."""


def fit(
    basis: AbstractBasis | None,
    X: Any,
    y: Any,
    *,
    sample_weight: Any = None,
    method: str | AbstractTrainer = "auto",
    max_steps: int = 1000,
    max_seconds: float = math.inf,
    tol: float = 0.0,
    n_restarts: int = 1,
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
    basis : AbstractBasis or None
        ``None`` chooses it from the data (needs ``method="auto"``).
    X : array-like, shape (N, D)
    y : array-like, shape (N,) or (N, Q)
    sample_weight : array-like, shape (N,), optional
        Non-negative; it weights the rows, the maps and the held-out error.
    method : {"auto", "frozen", "gd", "lsgd"} or AbstractTrainer
        ``"frozen"`` keeps ξ as drawn. ``"auto"`` does that first, with ridge and feature scale
        chosen by leave-one-out error, and then descends on ξ at a rate that adjusts itself while
        the held-out error falls. A trainer, or its lower-case name, trains as told.
    max_steps : int
        Budget of steps for each training run.
    max_seconds : float
        Budget of wall-clock time for the whole call, compilation included.
    tol : float
        Stop a run when the relative root mean square residual reaches it.
    n_restarts : int
        Independent draws of ξ; the best one is returned, all are in ``candidates``.
    ridge : float or "auto"
        λ in ‖Φc − y‖² + λ‖c‖², summed over rows, in the model's units. ``"auto"`` chooses it by
        leave-one-out error (on unit-norm columns) where ``method`` is ``"auto"`` or
        ``"frozen"``, and is 0 elsewhere.
    validation : float, (X, y), "auto" or None
        The share of rows held out to stop training, or the held-out data themselves. ``"auto"``:
        0.2 for ``method="auto"`` on 40 rows or more, none for a trainer.
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
    trainer = _trainer(method, basis)
    request = Prepared(
        X, y, sample_weight, validation, random_state, standardize, split_by_default=trainer is None
    )
    budget = Budget(max_steps=max_steps, tol=tol)
    settings = {
        "method": method if isinstance(method, str) else repr(method),
        "max_steps": max_steps,
        "max_seconds": max_seconds if math.isfinite(max_seconds) else None,
        "tol": tol,
        "n_restarts": n_restarts,
        "ridge": ridge,
        "random_state": random_state,
        "standardize": standardize,
        "n_rows": len(request.x),
    }
    _check_budgets(max_steps, max_seconds, tol, n_restarts, ridge)
    with numerics(), _shown(verbose, max_steps) as shown:
        work = _Work(
            request,
            trainer,
            budget,
            time.perf_counter() + max_seconds,
            n_restarts,
            ridge,
            (*callbacks, *shown),
            settings,
        )
        if trainer is None or basis is None:
            return work.automatic(basis)
        return work.trained(basis)


def _trainer(method: Any, basis: AbstractBasis | None) -> AbstractTrainer | str | None:
    if isinstance(method, AbstractTrainer):
        trainer: AbstractTrainer | str = method
    elif method == "auto":
        return None
    elif method == "frozen":
        trainer = "frozen"
    elif isinstance(method, str) and method in TRAINERS:
        trainer = TRAINERS[method]()
    else:
        raise ValueError(
            f"fit(method={method!r}): expected 'auto', 'frozen', "
            f"{', '.join(map(repr, TRAINERS))} or a trainer such as LSGD(1e-3)."
        )
    if basis is None:
        raise ValueError(f"fit(basis=None, method={method!r}): only method='auto' chooses a basis.")
    if trainer != "frozen" and not basis.trainable:
        raise ValueError(
            f"fit({type(basis).__name__}, method={method!r}): these functions are frozen. Use "
            "method='frozen', or a NeuralBasis to train."
        )
    return trainer


def _check_budgets(
    max_steps: int, max_seconds: float, tol: float, n_restarts: int, ridge: Any
) -> None:
    wrong = [
        text
        for ok, text in [
            (max_steps >= 0, f"max_steps={max_steps}: at least 0"),
            (max_seconds > 0, f"max_seconds={max_seconds}: positive"),
            (tol >= 0, f"tol={tol}: at least 0"),
            (n_restarts >= 1, f"n_restarts={n_restarts}: at least 1"),
            (ridge == "auto" if isinstance(ridge, str) else 0 <= ridge < math.inf,
             f"ridge={ridge!r}: 'auto' or a number of at least 0"),
        ]
        if not ok
    ]  # fmt: skip
    if wrong:
        raise ValueError(f"fit({'; '.join(wrong)}).")


@contextlib.contextmanager
def _shown(verbose: bool, max_steps: int) -> Iterator[tuple[Callback, ...]]:
    if not verbose:
        yield ()
        return
    with ProgressLine(max_steps) as line:
        yield (line,)


@dataclasses.dataclass
class _Candidate:
    """A basis with parameters, and how well it did on rows its coefficients never saw."""

    basis: AbstractBasis
    parameters: Parameters
    initial: Parameters
    label: str
    error: float
    left_out: float
    ridge: float
    run: Run | None = None

    @property
    def summary(self) -> dict[str, Any]:
        return {
            "what": self.label,
            "held_out": _number(self.error),
            "left_out": _number(self.left_out),
            "ridge": _number(self.ridge),
            "steps": 0 if self.run is None else len(self.run.history) - 1,
            "stop": (self.run.stop_reason if self.run else StopReason.SOLVED).name,
        }


def _number(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None


@dataclasses.dataclass
class _Work:
    """One call of ``fit``, inside its numerical scope."""

    request: Prepared
    trainer: AbstractTrainer | str | None
    budget: Budget
    deadline: float
    n_restarts: int
    ridge: float | str
    callbacks: tuple[Callback, ...]
    settings: dict[str, Any]

    @property
    def seconds_left(self) -> float:
        return self.deadline - time.perf_counter()

    # -- a trainer, as told ---------------------------------------------------------------

    def trained(self, basis: AbstractBasis) -> Fitted:
        """Train each restart as told and keep the best; its coefficients stay as trained."""
        term = self.request.term(self.request.training_rows)
        if self.trainer == "frozen":
            frozen = self._linear([basis], term)
            return self._finish(frozen, refit=True)
        candidates = []
        for restart in range(self.n_restarts):
            key = self.request.key(restart)
            initial = basis.init(key, jnp.asarray(self.request.inner_box))
            assert isinstance(self.trainer, AbstractTrainer)
            run = self._run(self.trainer, basis, initial, term, key, callbacks=())
            candidates.append(self._trained_candidate(basis, initial, run, f"restart {restart}"))
            if run.stop_reason is StopReason.INTERRUPTED or self.seconds_left <= 0:
                break
        candidates.sort(key=lambda c: _order(c.error, c.run.loss if c.run else math.inf))
        return self._finish(candidates, refit=False)

    def _run(
        self,
        trainer: AbstractTrainer,
        basis: AbstractBasis,
        initial: Parameters,
        term: rows.Term,
        key: RandomKey,
        callbacks: tuple[Callback, ...],
    ) -> Run:
        held_out = self.request.held_out
        weight = float(np.sum(np.asarray(term.points.weight) > 0))
        ridge = 0.0 if isinstance(self.ridge, str) else self.ridge / weight
        return train(
            trainer,
            Objective([term], ridge, basis),
            initial,
            key=jax.random.fold_in(key, 1),
            budget=dataclasses.replace(self.budget, max_seconds=max(self.seconds_left, 0.0)),
            validation=Objective([held_out[1]], 0.0, basis) if held_out else None,
            callbacks=self.callbacks + callbacks,
        )

    def _trained_candidate(
        self, basis: AbstractBasis, initial: Parameters, run: Run, label: str
    ) -> _Candidate:
        error = math.nan if run.validation is None else run.validation / self._held_out_spread()
        ridge = 0.0 if isinstance(self.ridge, str) else self.ridge
        return _Candidate(basis, run.parameters, initial, label, error, math.nan, ridge, run)

    # -- automatic ------------------------------------------------------------------------

    def automatic(self, basis: AbstractBasis | None) -> Fitted:
        """Frozen functions and one solve first; then descent while the held-out error falls."""
        request = self.request
        indices = self._search_rows()
        term = request.term(indices)
        n_inputs = request.x.shape[1]
        if basis is None:
            widths = select.widths_for(len(indices), n_inputs)
            candidates = self._linear([FrozenFeatures(w) for w in widths], term)
            basis = NeuralBasis(32 if n_inputs == 1 else 64, 1 if n_inputs == 1 else 2)
        else:
            candidates = self._linear([basis], term)
        if self._worth_training(basis, candidates[0]):
            trained = self._descended(basis, term)
            candidates = sorted([*candidates, *trained], key=lambda c: _order(c.error, c.left_out))
        return self._finish(candidates, refit=True)

    def _search_rows(self) -> np.ndarray:
        indices = self.request.training_rows
        if len(indices) <= SEARCH_ROWS:
            return indices
        rng = np.random.default_rng([self.request.seed, 1])
        return np.sort(rng.choice(indices, SEARCH_ROWS, replace=False))

    def _linear(self, bases: list[AbstractBasis], term: rows.Term) -> list[_Candidate]:
        """Return candidates on frozen parameters, best first."""
        request, points, t = self.request, term.points, term.data
        found: list[select.LinearFit] = []
        for restart in range(self.n_restarts):
            key = request.key(restart)
            frozen = [b for b in bases if isinstance(b, FrozenFeatures)]
            if frozen:
                fits: Iterable[select.LinearFit] = select.frozen_fits(
                    frozen, points, t, key, request.inner_box
                )
            else:
                box = jnp.asarray(request.inner_box)
                fits = (select.linear_fit(b, b.init(key, box), points, t) for b in bases)
            for fitted in fits:
                found.append(fitted)
                if self.seconds_left <= 0:
                    break
        found.sort(key=lambda f: _order(f.left_out_error))
        scale = select.spread(np.asarray(t), np.asarray(points.weight)) or 1.0
        return [
            _Candidate(
                f.basis,
                f.parameters,
                f.parameters,
                f.label,
                self._held_out_error(f),
                f.left_out_error / scale,
                f.ridge,
            )
            for f in found
        ]

    def _worth_training(self, basis: AbstractBasis, first: _Candidate) -> bool:
        return (
            basis.trainable
            and self.request.held_out is not None
            and self.budget.max_steps > 0
            and self.seconds_left > 0
            and first.left_out > GOOD_ENOUGH
        )

    def _descended(self, basis: AbstractBasis, term: rows.Term) -> list[_Candidate]:
        found = []
        for restart in range(self.n_restarts):
            key = self.request.key(restart)
            initial = basis.init(key, jnp.asarray(self.request.inner_box))
            run = self._run(LSGD("auto"), basis, initial, term, key, callbacks=())
            label = f"{select.describe(basis)}, trained"
            found.append(self._trained_candidate(basis, initial, run, label))
            if run.stop_reason is StopReason.INTERRUPTED or self.seconds_left <= 0:
                break
        return found

    def _held_out_error(self, fitted: select.LinearFit) -> float:
        if self.request.held_out is None:
            return math.nan
        objective = Objective([self.request.held_out[1]], 0.0, select.canonical(fitted.basis))
        error = held_out_error(objective, fitted.parameters, fitted.coefficients)
        return float(error) / self._held_out_spread()

    def _held_out_spread(self) -> float:
        assert self.request.held_out is not None
        term = self.request.held_out[1]
        return select.spread(np.asarray(term.data), np.asarray(term.points.weight)) or 1.0

    # -- the end --------------------------------------------------------------------------

    def _finish(self, candidates: list[_Candidate], *, refit: bool) -> Fitted:
        """Solve the best candidate's coefficients on all rows (``refit``) and wrap it up."""
        request, best = self.request, candidates[0]
        solution = self._solution(best)
        c = solution.coefficients if refit or best.run is None else best.run.coefficients
        status = lstsq.Status(int(solution.status))
        by_split = math.isfinite(best.error)
        error, kind = (
            (best.error, request.held_out_kind) if by_split else (best.left_out, "leave-one-out")
        )
        if not math.isfinite(error):
            kind = "none"
        return Fitted(
            basis=best.basis,
            parameters=jax.tree.map(np.asarray, best.parameters),
            coefficients=np.asarray(c),
            input_map=request.input_map,
            output_map=request.output_map,
            box=request.box,
            rank=int(solution.rank),
            singular_values=np.asarray(solution.singular_values),
            status=status,
            stop_reason=best.run.stop_reason if best.run else StopReason.SOLVED,
            history=best.run.history if best.run else _one_solve(solution, len(request.x)),
            validation_error=error,
            validation_kind=kind,
            initial_parameters=jax.tree.map(np.asarray, best.initial),
            candidates=tuple(candidate.summary for candidate in candidates),
            settings=self.settings,
            notes=tuple(_notes(error, status, request)),
            flat_output=request.flat,
        )

    def _solution(self, best: _Candidate) -> lstsq.Solution:
        """Reduce all rows chunk by chunk and solve with the candidate's ridge."""
        request, basis = self.request, select.canonical(best.basis)
        n_functions = best.basis.size(request.x.shape[1])
        at_once = max(64, CHUNK_NUMBERS // n_functions)
        total = request.weight.sum()
        reduction = None
        for start in range(0, len(request.x), at_once):
            term = request.term(np.arange(start, min(start + at_once, len(request.x))))
            part = _reduced(basis, best.parameters, term, total)
            reduction = part if reduction is None else lstsq.combine(reduction, part)
        assert reduction is not None
        if not isinstance(self.ridge, str):
            return lstsq.solve(reduction, ridge=self.ridge / total)
        if best.ridge == 0:
            return lstsq.solve(reduction)
        norms = jnp.linalg.norm(reduction.triangle, axis=0)
        scaled = reduction.triangle / jnp.where(norms > 0, norms, 1.0)
        largest = jnp.linalg.norm(scaled, ord=2)
        return lstsq.solve(reduction, ridge=best.ridge * (largest * norms) ** 2)


@eqx.filter_jit
def _reduced(
    basis: AbstractBasis, parameters: Parameters, term: rows.Term, total: Any
) -> lstsq.Reduction:
    weight = jnp.asarray(term.points.weight)
    return lstsq.reduce(term.design(basis, parameters), term.targets, weight / total)


def _one_solve(solution: lstsq.Solution, n_rows: int) -> History:
    del n_rows
    loss = float(jnp.mean(solution.residual_norm**2))
    none = np.zeros(0)
    return History(
        np.array([loss]),
        np.array([float(solution.rank)]),
        np.zeros(1),
        np.zeros(1),
        none.astype(int),
        none,
    )


def _order(*errors: float) -> tuple[float, ...]:
    """Return a sort key that puts NaN last."""
    return tuple(e if math.isfinite(e) else math.inf for e in errors)


def _notes(error: float, status: lstsq.Status, request: Prepared) -> Iterator[str]:
    if np.ptp(request.y[request.weight > 0], axis=0).max() == 0:
        yield "The target is constant: so is the model."
    elif error >= 0.95:
        yield (
            f"The fit is hardly better than the mean (relative error {error:.2f} on rows it did "
            "not see): there may be nothing to learn from these columns, or too few rows."
        )
    if status in (lstsq.Status.UNDERDETERMINED, lstsq.Status.NON_FINITE):
        yield status.advice
