"""Levenberg–Marquardt steps in NumPy: derivatives, descent, stages of ridges, what a run keeps."""

import dataclasses
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from adabasis import operators, rows
from adabasis._runtime.compute import double_precision
from adabasis.basis import (
    ACTIVATIONS,
    FrozenFeatures,
    NeuralBasis,
    RBFPartition,
    activations,
)
from adabasis.basis.networks import widened
from adabasis.geometry.points import Points
from adabasis.train import LM, Budget, Objective, StopReason, train
from adabasis.train import levenberg_marquardt as lm
from adabasis.train.blocks import InPython
from adabasis.train.levenberg_marquardt import Layout, Rows, State, drawn

from ..laws import assert_close, assert_same_bits, relative_error

N = 60
NET = NeuralBasis(5, 2)
GIVEN = 1e-4


def data(n=N, n_inputs=2, n_outputs=2, seed=0):
    """Return inputs far from standard, smooth targets and uneven weights."""
    rng = np.random.default_rng(seed)
    x = rng.uniform(-1, 1, (n, n_inputs))
    y = np.stack([np.sin(3 * x.sum(axis=1) + k) + x[:, 0] for k in range(n_outputs)], axis=1)
    return 30 * x + 200, y, rng.uniform(0.5, 2.0, n)


def objective(basis=NET, given=None, ridge=0.0, noise=0.0):
    x, y, weight = data() if given is None else given
    y = y + noise * np.random.default_rng(9).normal(size=y.shape)
    return Objective([rows.Term(Points(x, weight), y)], ridge, basis)


def start(problem, seed=0):
    return drawn(problem.basis, np.asarray(problem.terms[0].points.x), seed)


def run(problem=None, trainer=None, parameters=None, max_steps=12, **options):
    problem = objective() if problem is None else problem
    kept = {k: options.pop(k) for k in ("validation", "callbacks", "resume") if k in options}
    budget = Budget(max_steps, **options)
    parameters = start(problem) if parameters is None else parameters
    trainer = LM(precision="double") if trainer is None else trainer
    return train(trainer, problem, parameters, key=None, budget=budget, **kept)


def numbers(result):
    about = dataclasses.asdict(result.history) | {"seconds": 0}
    return result.parameters, result.coefficients, result.loss, result.step, about


def values(problem, result, x):
    return problem.basis.values(x, result.parameters) @ result.coefficients


# --- Derivatives ---------------------------------------------------------------------------------


@pytest.mark.parametrize(("dtype", "tolerance"), [(np.float64, 1e-14), (np.float32, 5e-7)])
@pytest.mark.parametrize("name", ACTIVATIONS)
def test_slopes_are_those_of_autodiff(name, dtype, tolerance):
    sigma = ACTIVATIONS[name]
    z = np.concatenate([np.linspace(-30, 30, 301), [-1e9, -1e3, -1e-8, 0.0, 1e-8, 1e3, 1e9]])
    z = z.astype(dtype)
    with np.errstate(all="ignore"):
        out = sigma.values(z)
        slope = sigma.slope(z, out)
    assert slope.dtype == out.dtype == dtype
    exact = np.asarray(jax.vmap(jax.grad(sigma.function))(jnp.asarray(z.astype(float))))
    assert np.abs(exact[np.isfinite(exact)]).max() > 0.2
    seen = np.isfinite(exact)
    np.testing.assert_allclose(slope[seen], exact[seen], rtol=0, atol=tolerance * 30)


def system(problem, layout, theta, data_rows):
    """Return residuals with their weights, (N Q,), by the basis's own functions."""
    network, c = layout.unpacked(theta, data_rows)
    term = problem.terms[0]
    x, y = np.asarray(term.points.x), np.asarray(term.data)
    share = np.sqrt(term.points.weight / np.sum(term.points.weight))[:, None]
    return np.ravel(share * (problem.basis.values(x, network) @ c - y))


def normal_equations_hold(basis, n_outputs, tolerance, double=True):
    problem = objective(basis, data(12, n_outputs=n_outputs))
    found = Rows.of(problem)
    layout = Layout(basis, 2, n_outputs)
    theta = np.random.default_rng(3).normal(size=layout.size)
    gram, slope, squares = lm._normal(layout, theta, found, double)
    step = 1e-6
    jacobian = np.stack(
        [
            (system(problem, layout, theta + e, found) - system(problem, layout, theta - e, found))
            / (2 * step)
            for e in step * np.eye(layout.size)
        ],
        axis=1,
    )
    residual = system(problem, layout, theta, found)
    lower = np.tril(gram)
    assert_close(lower + np.tril(lower, -1).T, jacobian.T @ jacobian, tolerance)
    assert_close(slope, jacobian.T @ residual, tolerance)
    assert squares == pytest.approx(residual @ residual, rel=tolerance)
    assert lm._squares(layout, theta, found, double) == pytest.approx(squares, rel=tolerance)


@pytest.mark.parametrize(
    ("depth", "residual", "constant", "n_outputs"),
    [*itertools.product([1, 2, 3], [False, True], [False, True], [1, 2])],
)
def test_normal_equations_are_those_of_differences(depth, residual, constant, n_outputs):
    basis = NeuralBasis(4, depth, residual=residual, constant=constant)
    normal_equations_hold(basis, n_outputs, 1e-7)


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_so_they_are_for_every_activation(name):
    normal_equations_hold(NeuralBasis(3, 2, activation=name), 1, 1e-6)


def test_chunks_and_single_precision_change_digits_only(monkeypatch):
    normal_equations_hold(NET, 2, 2e-5, double=False)
    found, layout = Rows.of(objective(given=data(300))), Layout(NET, 2, 2)
    theta = np.random.default_rng(3).normal(size=layout.size)
    whole = lm._normal(layout, theta, found, True), layout.last_layer(theta, found)
    monkeypatch.setattr(lm, "CHUNK_NUMBERS", 1)
    assert len(list(found.chunks(64, float))) == 5
    parts = lm._normal(layout, theta, found, True), layout.last_layer(theta, found)
    for a, b in zip(jax.tree.leaves(whole), jax.tree.leaves(parts), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-11, atol=1e-12)


@pytest.mark.parametrize("depth", [1, 3])
def test_weights_are_packed_and_unpacked(depth):
    basis = NeuralBasis(4, depth)
    problem = objective(basis)
    found, layout = Rows.of(problem), Layout(basis, 2, 2)
    network, c = start(problem), np.random.default_rng(0).normal(size=(5, 2))
    theta = layout.packed(network, found, c)
    assert theta.shape == (layout.size,)
    again = layout.unpacked(theta, found)
    for a, b in zip(jax.tree.leaves((network, c)), jax.tree.leaves(again), strict=True):
        np.testing.assert_allclose(b, a, rtol=1e-9, atol=1e-12)


# --- Descent -------------------------------------------------------------------------------------


@pytest.mark.parametrize("residual", [False, True])
def test_steps_lower_the_loss_and_the_best_iterate_is_kept(residual):
    problem = objective(NeuralBasis(5, 2, residual=residual), ridge=GIVEN)
    result = run(problem, max_steps=30)
    loss = result.history.loss
    assert len(loss) == 31
    assert np.all(np.diff(loss) < 0)
    assert loss[-1] < 0.2 * loss[0]
    assert (result.loss, result.step) == (loss.min(), loss.argmin())


def weighted_loss(problem, result):
    """Return the loss that the module promises, from parameters in the user's units."""
    found, term = Rows.of(problem), problem.terms[0]
    layout = Layout(problem.basis, 2, 2)
    theta = layout.packed(result.parameters, found, result.coefficients)
    weight = np.asarray(term.points.weight) / np.sum(term.points.weight)
    residual = values(problem, result, np.asarray(term.points.x)) - np.asarray(term.data)
    return (weight @ np.sum(residual**2, axis=1) + problem.ridge * theta @ theta) / 2


def test_a_given_ridge_is_one_for_all_weights():
    problem = objective(ridge=GIVEN)
    result = run(problem)
    assert result.loss == pytest.approx(weighted_loss(problem, result), rel=1e-10)
    np.testing.assert_allclose(result.history.learning_rate, GIVEN * N, rtol=1e-12)


def test_the_gradient_of_that_loss_vanishes_at_the_end():
    """Hidden weights are under the ridge as coefficients are."""
    problem = objective(NeuralBasis(3, 1), ridge=1e-2)
    result = run(problem, max_steps=300)
    assert result.stop_reason is StopReason.CONVERGED
    found, layout = Rows.of(problem), Layout(problem.basis, 2, 2)
    theta = layout.packed(result.parameters, found, result.coefficients)
    _, slope, _ = lm._normal(layout, theta, found, True)
    assert np.abs(slope).max() > 1e-4
    assert_close(slope, -problem.ridge * theta, 1e-2)


def test_without_one_the_ridge_falls_in_stages():
    result = run(max_steps=400)
    rates = result.history.learning_rate
    assert np.all(np.diff(rates) <= 0)
    assert rates[0] == pytest.approx(lm.RIDGES[0])
    assert rates[-1] == pytest.approx(lm.RIDGES[-1])
    assert len(np.unique(rates)) == len(lm.RIDGES)
    later = run(trainer=LM(most_ridge=0.02), max_steps=3).history.learning_rate
    assert later[0] == pytest.approx(0.01)
    last = run(trainer=LM(most_ridge=1e-99), max_steps=3).history.learning_rate
    np.testing.assert_allclose(last, lm.RIDGES[-1])


def test_the_held_out_error_chooses_the_ridge():
    """Of noise the stage that is kept is not the last; the error is that of the kept iterate."""
    x, y, weight = data(90)
    fresh = objective(given=tuple(a[N:] for a in (x, y, weight)), noise=0.5)
    problem = objective(NeuralBasis(12, 2), tuple(a[:N] for a in (x, y, weight)), noise=0.5)
    result = run(problem, validation=fresh, max_steps=200, check_every=1, patience=13)
    assert result.stop_reason is StopReason.VALIDATION
    assert result.history.learning_rate[result.step] > lm.RIDGES[-1]
    term = fresh.terms[0]
    left = values(problem, result, np.asarray(term.points.x)) - np.asarray(term.data)
    error = np.sqrt(np.average(np.mean(left**2, axis=1), weights=term.points.weight))
    assert result.validation == pytest.approx(error, rel=1e-12)
    assert error == pytest.approx(float(fresh.error(result.parameters, result.coefficients)))


def test_the_tolerance_is_relative_to_the_data():
    x, y, weight = data()
    for scale in (1.0, 1e6):
        result = run(objective(given=(x, scale * y, weight), ridge=1e-12), tol=0.5, max_steps=99)
        assert result.stop_reason is StopReason.TOLERANCE
        mean = np.average(np.mean((scale * y) ** 2, axis=1), weights=weight)
        assert result.history.loss[-1] <= 0.25 * mean < result.history.loss[0] * 99


def test_single_precision_is_as_good_on_noisy_rows():
    problem = objective(noise=0.1, ridge=GIVEN)
    single, double = (run(problem, LM(precision=p), max_steps=3) for p in ("single", "double"))
    assert_close(single.history.loss, double.history.loss, 1e-4)
    assert relative_error(single.history.loss, double.history.loss) > 0


def test_exact_rows_are_met_beyond_single_precision():
    x, _, weight = data()
    basis = NeuralBasis(4, 1)
    truth, c = drawn(basis, x, 0), np.random.default_rng(2).normal(size=(5, 1))
    problem = objective(basis, (x, basis.values(x, truth) @ c, weight), ridge=1e-20)
    near = jax.tree.map(lambda a: 1.01 * a, truth)
    left = {p: run(problem, LM(precision=p), near, 99).loss for p in ("auto", "single")}
    assert left["auto"] < 1e-3 * left["single"]


# --- Units, weights ------------------------------------------------------------------------------


@pytest.mark.parametrize("ridge", [0.0, GIVEN])
def test_units_of_inputs_and_scales_of_weights_do_not_matter(ridge):
    x, y, weight = data()
    problem = objective(ridge=ridge)
    expected = run(problem)
    moved = objective(given=(1e-3 * x - 7.0, y, 50 * weight), ridge=ridge)
    result = run(moved)
    assert_close(result.history.loss, expected.history.loss, 1e-9)
    assert_close(values(moved, result, 1e-3 * x - 7.0), values(problem, expected, x), 1e-7)


def test_a_weight_is_a_number_of_equal_rows():
    x, y, _ = data(30)
    copies = np.random.default_rng(1).integers(0, 4, 30)
    weighted = objective(given=(x, y, copies.astype(float)), ridge=GIVEN)
    again = tuple(np.repeat(a, copies, axis=0) for a in (x, y))
    repeated = objective(given=(*again, np.ones(copies.sum())), ridge=GIVEN)
    parameters = start(repeated)
    one, other = (run(p, parameters=parameters) for p in (weighted, repeated))
    assert_close(one.history.loss, other.history.loss, 1e-10)
    assert_close(values(weighted, one, x), values(repeated, other, x), 1e-8)


@pytest.mark.parametrize("level", [0.1, 1 / 3, 0.0, 1e5 / 7])
def test_an_input_that_does_not_vary_keeps_its_weights_finite(level):
    """Its spread over rows of uneven weights is round-off, not a scale."""
    x, y, weight = data()
    still = np.column_stack([x, np.full(N, level)])
    problem = objective(given=(still, y, weight), ridge=GIVEN)
    result = run(problem)
    assert np.abs(result.parameters.first.weight[:, 2]).max() < 10
    beside = still + np.array([0, 0, 1e-9 * max(level, 1.0)])
    assert_close(values(problem, result, beside), values(problem, result, still), 1e-3)


# --- Runs ----------------------------------------------------------------------------------------


def test_the_same_run_has_the_same_bits():
    assert_same_bits(numbers(run(max_steps=40)), numbers(run(max_steps=40)))
    one, other = (drawn(NET, data()[0], seed) for seed in ([3, 1], [3, 1]))
    assert_same_bits(one, other)
    assert relative_error(drawn(NET, data()[0], 4).first.weight, one.first.weight) > 0.1


@pytest.mark.parametrize("stop", [0, 1, 24, 25, 60])
def test_a_resumed_run_is_the_undisturbed_one(stop):
    problem, fresh = objective(noise=0.1), objective(noise=0.3)
    options = {"validation": fresh, "check_every": 1, "patience": 1000}
    expected = run(problem, LM(), max_steps=70, **options)
    part = run(problem, LM(), max_steps=stop, **options)
    assert len(part.history) == stop + 1
    again = run(problem, LM(), max_steps=70, resume=part, **options)
    assert_same_bits(numbers(again), numbers(expected))


def test_an_interruption_and_the_clock_keep_the_best():
    def interrupt(progress):
        if progress.step == 6:
            raise KeyboardInterrupt

    problem = objective(ridge=GIVEN)
    expected = run(problem, max_steps=6)
    result = run(problem, max_steps=99, callbacks=[interrupt], check_every=1)
    assert result.stop_reason is StopReason.INTERRUPTED
    assert_same_bits(result.coefficients, expected.coefficients)
    late = run(problem, max_steps=10**6, max_seconds=0.0)
    assert late.stop_reason is StopReason.MAX_SECONDS
    assert np.isfinite(late.loss)


def test_callbacks_see_progress_and_may_stop():
    seen = []
    problem = objective(ridge=GIVEN)
    result = run(problem, callbacks=[seen.append], check_every=2, max_steps=6)
    assert [one.step for one in seen] == [0, 2, 4, 6]
    assert_same_bits([one.loss for one in seen], result.history.loss[::2].tolist())
    assert_same_bits(seen[-1].coefficients, result.coefficients)
    stopped = run(problem, callbacks=[lambda one: one.step == 4], check_every=2)
    assert (stopped.stop_reason, len(stopped.history)) == (StopReason.CALLBACK, 5)


def test_blocks_of_steps_in_python_are_steps():
    problem, trainer = objective(ridge=GIVEN), LM(precision="double")
    blocks = InPython(trainer, problem)
    state, none = blocks.begun(start(problem), None)
    assert float(none.loss) == np.inf
    block = blocks.run(state, none, 5, 0.0)
    assert (block.steps, block.records.shape) == (5, (3, 5))
    assert_same_bits(block.records[0], run(problem, max_steps=4).history.loss)
    assert block.least == block.loss == block.records[0].min()
    goal = float(np.sqrt(block.records[0][2] / trainer.goal(problem, 1.0)))
    early = blocks.run(state, none, 5, goal * (1 + 1e-9))
    assert (early.steps, early.reached, early.stuck) == (3, True, False)


def test_values_that_overflow_end_a_run():
    x, y, weight = data()
    huge = objective(NeuralBasis(5, 3, activation="relu"), (x, y, weight), ridge=GIVEN)
    parameters = jax.tree.map(lambda a: a * 1e200, start(huge))
    with np.errstate(all="ignore"):
        result = run(huge, parameters=parameters)
    assert result.stop_reason is StopReason.DIVERGED
    assert_same_bits(result.coefficients, np.zeros((6, 2)))


@pytest.mark.plain_scope
def test_nothing_is_compiled():
    seen = []

    def listen(event, *_, **__):
        seen.append(event)

    with double_precision():  # so many rows are in no other test: nothing was compiled before
        problem, fresh = objective(given=data(67), noise=0.1), objective(given=data(71))
        jax.monitoring.register_event_duration_secs_listener(listen)
        try:
            run(problem, LM(), validation=fresh, max_steps=30)
        finally:
            jax.monitoring.unregister_event_duration_listener(listen)
    assert "/jax/core/compile/backend_compile_duration" not in seen


# --- Networks ------------------------------------------------------------------------------------


@pytest.mark.parametrize("residual", [False, True])
@pytest.mark.parametrize("depth", [1, 2, 3])
def test_the_functions_of_a_narrower_network_stay(depth, residual):
    x = data()[0]
    narrow, wide = (NeuralBasis(w, depth, residual=residual) for w in (3, 7))
    one, other = drawn(narrow, x, 0), drawn(wide, x, 1)
    found = widened(other, one)
    both = wide.values(x, found)
    assert_close(both[:, :3], narrow.values(x, one)[:, :3], 1e-13)
    assert np.linalg.matrix_rank(both) == 8
    assert jax.tree.map(np.shape, found) == jax.tree.map(np.shape, other)
    assert not np.allclose(other.first.weight[:3], found.first.weight[:3])


def test_networks_are_drawn_for_inputs_of_mean_zero_and_variance_one():
    x = data(2000)[0]
    network = drawn(NeuralBasis(400, 2), x, 0)
    z = x @ network.first.weight.T + network.first.bias - x.mean(axis=0) @ network.first.weight.T
    centers = network.first.bias + network.first.weight @ x.mean(axis=0)
    assert np.abs(centers).max() <= 1
    assert np.std(centers) == pytest.approx(3**-0.5, rel=0.1)
    assert np.mean(z.var(axis=0)) == pytest.approx(1.0, rel=0.15)
    assert np.var(network.hidden.weight) * 400 == pytest.approx(1.0, rel=0.05)
    assert drawn(NeuralBasis(3, 1), x, 0).hidden is None
    still = drawn(NeuralBasis(3, 1), np.full((7, 1), 0.1), 0)
    assert np.abs(still.first.weight).max() < 10  # round-off is no spread


# --- Bad input -----------------------------------------------------------------------------------


@pytest.mark.parametrize("precision", ["half", None, 64])
def test_another_precision_is_refused(precision):
    with pytest.raises(ValueError, match="expected 'auto', 'single' or 'double'"):
        LM(precision=precision)


def test_patience_is_a_number_of_steps():
    with pytest.raises(ValueError, match=r"LM\(patience=0\): expected a number of steps"):
        LM(patience=0)
    assert LM(patience=7).pace.patience == 7


@pytest.mark.parametrize(
    "basis", [FrozenFeatures(5), NeuralBasis(5, 1, activation=jnp.arctan), RBFPartition(3)]
)
def test_other_functions_are_refused(basis):
    assert not lm.fits(basis)
    with pytest.raises(TypeError, match=r"LM\(\): expected a NeuralBasis .* Use LSGN\(\)"):
        run(objective(basis), LM(), parameters=())


def test_operators_and_several_terms_are_refused():
    problem = objective()
    (term,) = problem.terms
    derivative = rows.Term(term.points, term.data, operators.Partial(0))
    for terms in ([derivative], [term, term]):
        with pytest.raises(TypeError, match=r"one term of plain rows of data. Use LSGN\(\)"):
            run(dataclasses.replace(problem, terms=terms), parameters=start(problem))


def test_an_activation_of_ones_own_with_a_derivative_is_trained(monkeypatch):
    def slope(z, h):
        return 1 / (1 + z**2)

    own = activations.Activation(jnp.arctan, lambda lo, hi: (lo, hi), numpy=np.arctan, slope=slope)
    monkeypatch.setitem(ACTIVATIONS, "inclined", own)  # a name that no other test has
    basis = NeuralBasis(4, 2, activation="inclined")
    assert lm.fits(basis)
    normal_equations_hold(basis, 1, 1e-7)


# --- Constants: each is missed if it is another --------------------------------------------------


def state(**changes):
    problem = objective(**changes.pop("about", {}))
    first = LM(precision="double").init(problem, start(problem), None)
    return problem, dataclasses.replace(first, **changes)


@pytest.mark.parametrize(
    ("changes", "fallen", "leads_to"),
    [
        ({"steps": 23}, 1.0, (0, 24, False)),
        ({"steps": 24}, 1.0, (1, 0, False)),
        ({"steps": 13, "stage": 1}, 1.0, (1, 14, False)),
        ({"steps": 14, "stage": 1}, 1.0, (2, 0, False)),
        ({}, 1.1e-3, (0, 1, False)),
        ({}, 0.9e-3, (1, 0, False)),
        ({"stage": 20}, 1.1e-3, (20, 1, False)),
        ({"stage": 20}, 0.9e-3, (20, 1, True)),
        ({"given": True, "ridges": (1.0,)}, 1.1e-9, (0, 1, False)),
        ({"given": True, "ridges": (1.0,)}, 0.9e-9, (0, 1, True)),
        ({"given": True, "ridges": (1.0,), "steps": 198}, 1.0, (0, 199, False)),
        ({"given": True, "ridges": (1.0,), "steps": 199}, 1.0, (0, 200, True)),
    ],
)
def test_stages_end_after_so_many_steps_or_where_the_loss_hardly_falls(changes, fallen, leads_to):
    _, now = state(**changes)
    after, over = now.after(now.theta, 1.0, fallen)
    assert (after.stage, after.steps, over) == leads_to


def test_damping_follows_what_steps_achieve():
    _, now = state()
    assert now.damping == 1e-2
    assert now.after(now.theta, 1e-3, 1.0)[0].damping == pytest.approx(0.25e-3)
    assert now.after(now.theta, 2e-9, 1.0)[0].damping == 1e-9
    assert now.after(None, 7.0, 0.0)[0].damping == 1e-2


def test_six_trials_are_each_damped_six_times_as_much(monkeypatch):
    problem, now = state(about={"ridge": GIVEN})
    tried = []

    def squares(layout, theta, *_, **__):
        tried.append(theta)
        return np.inf

    monkeypatch.setattr(lm, "_squares", squares)
    after, found = LM(precision="double").step(problem, now)
    gram, slope, _ = lm._normal(now.layout, now.theta, now.rows, True)
    gram = np.tril(gram) + np.tril(gram, -1).T
    mean, identity = np.trace(gram) / len(gram), np.eye(len(gram))
    assert len(tried) == 6
    for k, theta in enumerate(tried):
        damped = gram + (GIVEN + 1e-2 * 6**k * mean) * identity
        step = np.linalg.solve(damped, slope + GIVEN * now.theta)
        assert_close(now.theta - theta, step, 1e-6)
    assert found.stuck
    assert after.theta is now.theta


def near_exact(relative):
    """Return rows that coefficients miss by so much, and the state there, in single precision."""
    problem, now = state()
    x = np.asarray(problem.terms[0].points.x)
    network, c = now.layout.unpacked(now.theta, now.rows)
    y = problem.basis.values(x, network) @ c
    exact = objective(given=(x, y, np.ones(N)))
    seen = Rows.of(exact)
    off = now.layout.packed(network, seen, c * (1 + relative))
    return exact, State(seen, now.layout, (1e-30,), True, off)


@pytest.mark.parametrize(("relative", "double"), [(0.9e-3, True), (1.1e-3, False)])
def test_below_a_thousandth_steps_are_in_double_precision(relative, double):
    exact, before = near_exact(relative)
    assert not before.double
    assert LM().step(exact, before)[0].double is double
    assert LM(precision="single").step(exact, before)[0].double is False


def test_a_step_that_rounding_would_end_is_taken_in_double_precision():
    exact, before = near_exact(1e-9)
    after, found = LM().step(exact, before)
    assert not found.stuck
    assert found.loss == pytest.approx(1e-18 * before.rows.spread**2, rel=1e-3)
    assert LM().step(exact, after)[1].loss < 0.1 * found.loss


def test_the_first_solve_is_bounded_where_functions_are_dependent():
    """Equal units: without a ridge of 1e-9 of the trace the solve would be singular."""
    problem = objective(ridge=1e-300)
    parameters = jax.tree.map(np.ones_like, start(problem))
    first = LM().init(problem, parameters, None)
    assert np.all(np.isfinite(first.theta))
    assert np.abs(first.layout.layers(first.theta)[-1]).max() < 10


def test_patience_and_ridges():
    pace = LM().pace
    assert (pace.patience, pace.check_every) == (13, 1)
    assert pace.max_steps == 25 + 15 * 20
    assert LM(max_steps=7).pace.max_steps == 7
    ratios = np.array(lm.RIDGES[:-1]) / lm.RIDGES[1:]
    assert lm.RIDGES[0] == 0.3
    assert 1e-11 < lm.RIDGES[-1] < 1e-10
    assert np.all((ratios > 2.9) & (ratios < 3.4))
