"""The public function for equations: a problem in, a solution with a certificate out."""

from __future__ import annotations

import math
from collections.abc import Iterable

from .._runtime.arguments import told_arguments
from ..basis import AbstractBasis, PartitionBasis
from ..geometry.points import AbstractSampler, default_sampler
from ..models.record import Asked
from ..models.timings import with_timings
from ..selection.search import Search, named_bases, resolved_trainer
from ..selection.workers import on_workers
from ..train import AbstractTrainer, Callback, Objective
from .adapt import AdaptiveStrategy
from .candidate import EquationCandidate
from .problem import Problem
from .solution import Solution
from .strategy import EquationTask


@told_arguments
@on_workers
@with_timings
def solve(
    problem: Problem,
    basis: AbstractBasis | None = None,
    *,
    method: str | AbstractTrainer = "auto",
    points: AbstractSampler | None = None,
    max_steps: int | None = None,
    max_seconds: float = math.inf,
    tol: float | None = None,
    n_restarts: int | str = "auto",
    ridge: float | str = "auto",
    random_state: int = 0,
    callbacks: Iterable[Callback] = (),
    verbose: bool = False,
) -> Solution:
    """Solve L[u] = f with its conditions by least squares on adaptive functions.

    On a box of up to three coordinates polynomials on cells come first, of higher degree and on
    more of them, where equations are linear or start from values at a time. Else, or if their
    residual stays,
    frozen functions and one least-squares solve: activation, slope, width and the weight of the
    conditions are chosen by residuals on points that no solve has seen. Where the residual stays,
    functions are moved by Gauss–Newton.

    Parameters
    ----------
    problem : Problem
        The equations, with the domain and the conditions.
    basis : AbstractBasis, optional
        The functions; by default they are searched for. ``PartitionBasis(64, 12,
        partition="grid")`` are polynomials of degree 12 on 64 cells of a box, joined by rows.
    method : {"auto", "frozen", "lsgn", "lsgd", "gd"} or AbstractTrainer
        ``"frozen"`` moves nothing; a trainer, or its name, trains ``basis``.
    points : AbstractSampler, optional
        Where the equation is asked for: ``samplers.Cartesian(30)``. By default Gauss points on
        an interval, a Sobol sequence elsewhere, twice as many as functions.
    max_steps : int, optional
        Of every training run.
    max_seconds : float
        The best candidate by then is returned.
    tol : float, optional
        Relative residual on fresh points that is good enough to stop the search.
    n_restarts : int or "auto"
        Draws of moved functions, at most. ``"auto"``: 3.
    ridge : float or "auto"
        λ in the sum over rows plus λ‖c‖², the rows being those of the weighted mean squares, u in
        its own unit. ``"auto"`` is 0: but for round-off, data of equations are exact.
    random_state : int
        Seed of everything drawn.
    callbacks : iterable of callables
        Called with an :class:`adabasis.train.Progress` at checks of a training run; a true answer
        stops it.
    verbose : bool
        Show progress.
    client, checkpoint : optional
        Workers that do what can be done apart, a file that runs are kept in: see
        :func:`adabasis.fit`.

    Returns
    -------
    Solution
        ``solution.certificate`` says how good it is.

    Raises
    ------
    TypeError, ValueError
        For something that is no problem, unknown methods, budgets that cannot be meant, functions
        less smooth than the equation needs, or a problem that cells cannot state.
    """
    asked = Asked(
        "solve",
        str(method),
        max_steps,
        max_seconds,
        tol,
        n_restarts,
        ridge=ridge,
        random_state=random_state,
    )
    search: Search[EquationCandidate] = Search(asked, callbacks, verbose)
    if not isinstance(problem, Problem):
        raise TypeError(
            f"solve(problem={problem!r}): expected a LinearProblem or a Problem; "
            "pde.catalog.problem(name) has examples."
        )
    sampler = points or default_sampler(problem.domain.n_inputs)
    task = EquationTask(asked, problem, sampler)
    task.sampler_given = points is not None
    strategy = AdaptiveStrategy(search, task)
    if basis is None and method in ("auto", "frozen"):
        steps = strategy.frozen if method == "frozen" else strategy.automatic
        return search.run(strategy.task, steps)
    as_drawn = method in ("auto", "frozen")
    if isinstance(basis, PartitionBasis) and basis.on_a_grid and as_drawn:
        return search.run(strategy.task, lambda: strategy.on_given_cells(basis))
    trainer = resolved_trainer("solve", method, named_bases(basis), Objective)
    assert basis is not None  # or the line above would have complained
    if basis.smoothness < problem.order - 1:
        raise ValueError(
            f"solve(problem, {basis!r}): the equation takes derivatives of order {problem.order}, "
            f"which these functions lack: theirs end at {basis.smoothness + 1:g}. Use a smoother "
            "activation, such as tanh."
        )
    if isinstance(trainer, AbstractTrainer):
        return search.run(strategy.task, lambda: strategy.descend(trainer, basis))
    steps_on = strategy.automatic_on if trainer is None else strategy.one
    return search.run(strategy.task, lambda: steps_on(basis))
