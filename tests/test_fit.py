"""The public function for data: exact where it can be, unit-free, honest, and never in the way."""

import dataclasses
import math
import threading
import time

import jax
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from adabasis.basis import FrozenFeatures, NeuralBasis
from adabasis.lstsq import Status
from adabasis.models.fitted import Fitted
from adabasis.regression.api import fit
from adabasis.train import LSGD, StopReason

from .laws import assert_close, assert_same_bits, relative_error

N = 60
FROZEN = FrozenFeatures(8, scale=1.0)
NET = NeuralBasis(8, 1)
TRAINED = {"method": LSGD(1e-2), "max_steps": 10}
SOLVED = {"method": "frozen", "ridge": 1e-3}

each_method = pytest.mark.parametrize(
    ("basis", "options"), [(FROZEN, SOLVED), (NET, TRAINED)], ids=["frozen", "trained"]
)


def inputs(n=N, d=2, seed=0):
    return np.random.default_rng(seed).random((n, d))


def target(x):
    return np.sin(4 * x[:, 0]) + x[:, -1] ** 2


def numbers(model):
    """Return everything a fit computes, without its times."""
    about = dataclasses.asdict(dataclasses.replace(model.history, seconds=np.zeros(0)))
    fields = (model.parameters, model.coefficients, model.initial_parameters, model.box)
    return fields, about, model.singular_values, np.float64(model.validation_error)


# -- what is exact ----------------------------------------------------------------------------


@pytest.mark.parametrize("options", [{"method": "frozen"}, {"method": "frozen", "ridge": 0.0}, {}])
def test_affine_functions_are_reproduced_everywhere(options):
    x, far = 1e3 * inputs() - 200.0, 1e4 * inputs(seed=1)

    def affine(x):
        return 3.0 - 2.0 * x[:, 0] + 5.0 * x[:, 1]

    model = fit(x, affine(x), FROZEN, **options)
    assert_close(model(x), affine(x), 1e-12)
    assert_close(model(far), affine(far), 1e-9)  # ten boxes away
    assert_close(model.gradient(far), np.tile([-2.0, 5.0], (N, 1)), 1e-9)
    assert model.validation_error <= 1e-11


def test_several_outputs_are_several_fits():
    x = inputs()
    y = np.stack([target(x), 1e6 * target(x[:, ::-1]) - 3.0], axis=1)
    options = {"method": "frozen", "ridge": 0.0}
    together = fit(x, y, FROZEN, **options)
    apart = [fit(x, y[:, i], FROZEN, **options) for i in range(2)]
    assert together(x).shape == (N, 2)
    for i, model in enumerate(apart):
        assert model(x).shape == (N,)
        assert_close(together(x)[:, i], model(x), 1e-12)
        assert_same_bits(together.parameters, model.parameters)


@each_method
def test_a_weight_is_a_number_of_equal_rows(basis, options):
    x, copies = inputs(20), np.random.default_rng(1).integers(1, 4, 20)
    y = target(x)
    assert copies.sum() < 64
    weighted = fit(x, y, basis, sample_weight=copies, ridge=1e-3, **drop(options, "ridge"))
    repeated = fit(
        np.repeat(x, copies, axis=0), np.repeat(y, copies), basis, ridge=1e-3,
        **drop(options, "ridge"),
    )  # fmt: skip
    assert_close(weighted(inputs(seed=3)), repeated(inputs(seed=3)), 1e-8)
    assert_close(weighted.output_map.scale, repeated.output_map.scale, 1e-13)
    assert_close(weighted.history.loss, repeated.history.loss, 1e-8)


def drop(options, name):
    return {key: value for key, value in options.items() if key != name}


@each_method
def test_rows_of_weight_zero_are_no_rows(basis, options):
    x, weight = inputs(), np.random.default_rng(1).integers(0, 2, N).astype(float)
    y = np.where(weight > 0, target(x), 1e9)
    x = np.where(weight[:, None] > 0, x, 1e9)
    with_them = fit(x, y, basis, sample_weight=weight, **options)
    without = fit(x[weight > 0], y[weight > 0], basis, **options)
    assert_same_bits(numbers(with_them), numbers(without))


@pytest.mark.parametrize(
    ("basis", "options"),
    [(FROZEN, {"method": "frozen"}), (NET, TRAINED | {"max_steps": 0})],
    ids=["frozen", "trained"],
)
def test_the_ridge_is_that_of_the_sum_over_rows(basis, options):
    x, y = inputs(), target(inputs())
    model = fit(x, y, basis, ridge=0.5, **options)
    phi = model.functions(x)
    t = (y - y.mean()) / y.std()
    expected = np.linalg.solve(phi.T @ phi + 0.5 * np.eye(phi.shape[1]), phi.T @ t)
    assert_close(model.coefficients[:, 0], expected, 1e-10)


def test_a_trained_model_is_the_best_iterate_and_its_loss_is_the_mean_square():
    x, y = inputs(), target(inputs())
    model = fit(x, y, NET, **TRAINED)
    assert len(model.history) == 11
    assert_close(np.mean((model(x) - y) ** 2) / y.var(), model.history.loss.min(), 1e-8)
    raw = fit(x, y, NET, standardize=False, **TRAINED)
    assert_close(np.mean((raw(x) - y) ** 2), raw.history.loss.min(), 1e-8)
    assert np.array_equal(raw.input_map(x), x)
    phi = raw.functions(x, initial=True)
    residual = phi @ np.linalg.lstsq(phi, y)[0] - y
    assert_close(raw.history.loss[0], np.mean(residual**2), 1e-8)


# -- units ------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def plain_errors():
    x, fresh = inputs(), inputs(seed=7)
    with jax.enable_x64(True):
        models = [fit(x, target(x), basis, **o) for basis, o in ((FROZEN, SOLVED), (NET, TRAINED))]
        return [relative_error(model(fresh), target(fresh)) for model in models]


@pytest.mark.parametrize("unit_x", [(1e-9, 0.0), (1e9, 0.0), (1e-3, 5.0), (1e3, -1e5)])
@pytest.mark.parametrize("unit_y", [(1e-9, 0.0), (1e9, 0.0), (1e9, 1e12)])
@pytest.mark.parametrize("kind", [0, 1], ids=["frozen", "trained"])
def test_units_change_nothing(kind, unit_x, unit_y, plain_errors):
    basis, options = ((FROZEN, SOLVED), (NET, TRAINED))[kind]
    (scale_x, shift_x), (scale_y, shift_y) = unit_x, unit_y
    x, fresh = inputs(), inputs(seed=7)
    model = fit(scale_x * x + shift_x, scale_y * target(x) + shift_y, basis, **options)
    answer = (model(scale_x * fresh + shift_x) - shift_y) / scale_y
    error = relative_error(answer, target(fresh))
    assert plain_errors[kind] / 2 <= error <= 2 * plain_errors[kind]
    assert plain_errors[kind] > 1e-6, "an error of round-off would not be invariant"


# -- small and odd data -----------------------------------------------------------------------


def with_constant_column(x):
    return np.stack([x[:, 0], np.full(len(x), 0.7)], axis=1)


ODD_DATA = {
    "one row": (1, lambda x: x, target),
    "two rows": (2, lambda x: x, target),
    "fewer rows than functions": (5, lambda x: x, target),
    "constant target": (N, lambda x: x, lambda x: np.full(len(x), 0.1)),
    "constant column": (N, with_constant_column, target),
    "equal columns": (N, lambda x: x[:, [0, 0]], target),
    "one place, many values": (N, lambda x: np.full_like(x, 3.0), lambda x: target(inputs())),
}


@each_method
@pytest.mark.parametrize("name", ODD_DATA)
def test_odd_data_give_finite_answers(name, basis, options):
    n, arrange, values = ODD_DATA[name]
    x, fresh = arrange(inputs(n)), arrange(inputs(seed=7))
    y = values(x)
    model = fit(x, y, basis, **options)
    assert np.all(np.isfinite(model(fresh)))
    assert np.all(np.isfinite(model.gradient(fresh)))
    assert np.all(np.isfinite(model.coefficients))
    n_functions = len(model.coefficients)
    assert model.status is not Status.NON_FINITE
    assert (model.rank == n_functions) == (model.status is Status.FULL_RANK)
    assert model.rank <= min(n_functions, len(np.unique(x, axis=0)))
    if name in ("constant target", "one row", "one place, many values"):
        assert_close(model(fresh), np.full(N, y.mean()), 1e-10)
    else:
        assert np.abs(model(fresh)).max() <= 50 * np.abs(y).max()


@pytest.mark.parametrize("n", [1, 2, 3])
def test_very_few_rows_choose_a_basis(n):
    x, y = inputs(n), target(inputs(n))
    model = fit(x, y, max_steps=5)
    assert np.all(np.isfinite(model(inputs(seed=7))))
    assert np.abs(model(inputs(seed=7))).max() <= 10 * np.abs(y).max()


# -- choices ----------------------------------------------------------------------------------


def test_nothing_but_data_is_needed():
    x = np.linspace(0, 1, N)[:, None]
    model = fit(x, np.sin(6 * x[:, 0]))
    fresh = inputs(d=1)
    error = np.sqrt(np.mean((model(fresh) - np.sin(6 * fresh[:, 0])) ** 2)) / np.std(np.sin(6 * x))
    assert error <= 1e-4
    # Left out, a row at an end is extrapolated: the claim is careful.
    assert error / 3 <= model.validation_error <= 100 * max(error, 1e-14)
    assert model.notes == ()


def test_restarts_are_candidates_best_first():
    x, y = inputs(), target(inputs())
    model = fit(x, y, NET, n_restarts=3, **TRAINED)
    alone = fit(x, y, NET, **TRAINED)
    assert len(model.candidates) == 3
    assert len(alone.candidates) == 1
    assert len({candidate["what"] for candidate in model.candidates}) == 3
    assert model.history.loss.min() <= alone.history.loss.min()
    held = fit(x, y, NET, n_restarts=3, validation=0.25, **TRAINED)
    errors = [candidate["validation_error"] for candidate in held.candidates]
    assert errors == sorted(errors)
    assert len(set(errors)) == 3
    assert held.validation_error >= errors[0]
    frozen = fit(x, y, FROZEN, n_restarts=3, **SOLVED)
    errors = [candidate["loo_error"] for candidate in frozen.candidates]
    assert len(errors) == 3
    assert errors == sorted(errors)


@pytest.mark.parametrize(
    ("wrong", "meant"),
    [
        ("max_second", "'max_seconds'"),
        ("weights", "Did you mean 'sample_weight'"),
        ("tolerance", "Did you mean 'tol'"),
        ("bogus", "It takes X, y, basis"),
    ],
)
def test_arguments_that_do_not_exist_name_those_that_may_be_meant(wrong, meant):
    with pytest.raises(TypeError, match=meant) as caught:
        fit([[0.0], [1.0]], [0.0, 1.0], **{wrong: 1})
    assert str(caught.value).startswith(f"fit() has no argument '{wrong}'")
    with pytest.raises(TypeError, match=r"fit\(\): missing a required argument: 'y'"):
        fit([[0.0], [1.0]])


def test_several_bases_are_compared():
    x, y = inputs(), target(inputs())
    model = fit(x, y, [FROZEN, NET], method="frozen")
    assert len(model.candidates) == 2
    assert model.validation_error >= model.candidates[0]["loo_error"]


def test_an_open_scale_is_chosen_by_the_left_out_error():
    x, y = inputs(), target(inputs())
    model = fit(x, y, FROZEN.replace(scale="auto"), method="frozen")
    errors = {candidate["what"]: candidate["loo_error"] for candidate in model.candidates}
    assert len(errors) >= 3
    assert errors[model.candidates[0]["what"]] == min(errors.values()) <= model.validation_error
    assert isinstance(model.basis.scale, float)


@pytest.mark.parametrize("ridge", [0.0, 0.5])
def test_the_left_out_error_is_that_of_refits(ridge):
    x, y = inputs(), target(inputs())
    model = fit(x, y, FROZEN, method="frozen", ridge=ridge)
    phi, t = model.functions(x), (y - y.mean()) / y.std()
    below, left_out = np.sqrt(ridge) * np.eye(phi.shape[1]), []
    for i in range(N):
        rows = np.concatenate([np.delete(phi, i, axis=0), below])
        values = np.concatenate([np.delete(t, i), np.zeros(phi.shape[1])])
        left_out.append(phi[i] @ np.linalg.lstsq(rows, values)[0] - t[i])
    error = np.sqrt(np.mean(np.square(left_out)))
    assert_close(model.candidates[0]["loo_error"], error, 1e-8)
    assert error < model.validation_error < 1.5 * error
    low, high = model.validation_range
    assert low < error < high
    assert model.validation_kind == "leave-one-out"


def test_given_validation_data_are_used():
    x, fresh = inputs(), inputs(40, seed=7)
    model = fit(x, target(x), NET, validation=(fresh, target(fresh)), **TRAINED)
    kept = np.sqrt(np.mean((model(fresh) - target(fresh)) ** 2)) / target(fresh).std()
    assert_close(model.validation_error, kept, 1e-8)
    assert model.validation_kind == "40 rows given for validation"


@pytest.mark.parametrize("seed", range(4))
def test_noise_is_called_noise(seed):
    """An honest flag: nothing can be learnt of a target that knows nothing of X."""
    x, y = inputs(seed=seed), np.random.default_rng(seed + 100).normal(size=N)
    model = fit(x, y, FROZEN, method="frozen", random_state=seed)
    assert model.validation_error >= 0.95
    assert "No better than a constant" in model.verdict


def test_what_can_be_learnt_raises_no_doubt():
    assert fit(inputs(), target(inputs()), FROZEN, method="frozen").notes == ()
    constant = fit(inputs(), np.full(N, 3.0), FROZEN, method="frozen")
    assert any("constant" in note for note in constant.notes)
    few = fit(inputs(5), target(inputs(5)), FROZEN, method="frozen")
    assert Status.UNDERDETERMINED.advice in few.notes


# -- budgets and interrupts -------------------------------------------------------------------


def test_the_time_budget_is_kept_roughly():
    x, y = inputs(), target(inputs())
    fit(x, y, NET, **TRAINED)  # compiled
    for n_restarts in (1, 50):
        began = time.perf_counter()
        model = fit(
            x, y, NET, method=LSGD(1e-2), max_steps=10**6, max_seconds=0.5, n_restarts=n_restarts
        )
        assert time.perf_counter() - began < 5.0
        assert model.stop_reason is StopReason.MAX_SECONDS
        assert np.all(np.isfinite(model(x)))
    tiny = fit(x, y, NET, method=LSGD(1e-2), max_seconds=1e-9)
    assert np.all(np.isfinite(tiny(x)))


def test_an_interrupt_keeps_what_there_is():
    def interrupt(progress):
        if progress.step >= 20:
            raise KeyboardInterrupt

    x, y = inputs(), target(inputs())
    model = fit(x, y, NET, method=LSGD(1e-2), callbacks=[interrupt], n_restarts=3)
    assert model.stop_reason is StopReason.INTERRUPTED
    assert len(model.candidates) == 1
    assert len(model.history) == 21
    assert np.all(np.isfinite(model(x)))


def test_callbacks_and_tolerance_reach_the_training_loop():
    x, y = inputs(), target(inputs())
    stopped = fit(x, y, NET, method=LSGD(1e-2), callbacks=[lambda progress: progress.step >= 20])
    assert stopped.stop_reason is StopReason.CALLBACK
    assert len(stopped.history) == 21
    easy = fit(x, y, NET, method=LSGD(1e-2), tol=0.9)
    assert easy.stop_reason is StopReason.TOLERANCE
    assert len(easy.history) == 1


def test_verbose_shows_lines_without_a_terminal(capsys):
    fit(inputs(), target(inputs()), NET, verbose=True, **TRAINED)
    shown = capsys.readouterr()
    assert "step 10" in shown.err
    assert "rms" in shown.err
    assert shown.out == ""
    fit(inputs(), target(inputs()), NET, **TRAINED)
    assert capsys.readouterr() == ("", "")


# -- repeatability and scope ------------------------------------------------------------------


@each_method
def test_the_same_seed_gives_the_same_bits(basis, options):
    x, y, options = inputs(), target(inputs()), options | {"validation": 0.25}
    np.random.seed(1)  # noqa: NPY002 (to show that it does not matter)
    first = fit(x, y, basis, random_state=3, **options)
    np.random.seed(2)  # noqa: NPY002
    second = fit(x, y, basis, random_state=3, **options)
    assert_same_bits(numbers(first), numbers(second))
    assert_same_bits(first(x), second(x))
    other = fit(x, y, basis, random_state=4, **options)
    assert not np.array_equal(other.coefficients, first.coefficients)


@each_method
def test_containers_of_the_same_numbers_give_the_same_bits(basis, options):
    x = np.round(inputs(), 3).astype(np.float32)
    y = np.round(target(x), 2).astype(np.float32)
    expected = numbers(fit(x.astype(float), y.astype(float), basis, **options))
    for data in ((x, y), (x.tolist(), y.tolist()), (np.asfortranarray(x), y[::1])):
        assert_same_bits(numbers(fit(*data, basis, **options)), expected)


@pytest.mark.plain_scope
def test_float64_does_not_leak():
    assert not jax.config.jax_enable_x64
    x, y = inputs(), target(inputs())
    models = [fit(x, y, FROZEN, **SOLVED), fit(x, y, NET, **TRAINED)]
    assert not jax.config.jax_enable_x64
    assert jax.numpy.ones(2).dtype == np.float32
    for model in models:
        leaves = [model.coefficients, model(x), *jax.tree.leaves(model.parameters)]
        assert all(type(leaf) is np.ndarray and leaf.dtype == np.float64 for leaf in leaves)
    with jax.enable_x64(True):
        assert_same_bits(numbers(fit(x, y, FROZEN, **SOLVED)), numbers(models[0]))


@pytest.mark.plain_scope
def test_a_failed_fit_does_not_leak_either():
    def fail(progress):
        raise RuntimeError("mine")

    with pytest.raises(RuntimeError, match="mine"):
        fit(inputs(), target(inputs()), NET, callbacks=[fail], **TRAINED)
    assert not jax.config.jax_enable_x64


@pytest.mark.plain_scope
def test_a_thread_computes_the_same_bits():
    x, y = inputs(), target(inputs())
    found = []
    thread = threading.Thread(target=lambda: found.append(fit(x, y, FROZEN, **SOLVED)))
    thread.start()
    thread.join()
    assert_same_bits(numbers(found[0]), numbers(fit(x, y, FROZEN, **SOLVED)))


# -- what is refused --------------------------------------------------------------------------

entries = st.tuples(st.integers(0, N - 1), st.integers(0, 1))
not_finite = st.sampled_from([math.nan, math.inf, -math.inf])


@given(st.sampled_from(["X", "y", "sample_weight"]), entries, not_finite)
def test_entries_that_are_not_finite_are_named_and_placed(name, place, value):
    data = {"X": inputs(), "y": inputs(seed=1), "sample_weight": np.ones(N)}
    place = place[: data[name].ndim]
    data[name][place] = value
    where = f"row {place[0]}"
    if len(place) > 1:
        where = rf"column {place[1]} \(1 of {N}, {where}\)"
    with pytest.raises(ValueError, match=rf"fit\({name}\): 1 entry .*: {where}\."):
        fit(data["X"], data["y"], FROZEN, sample_weight=data["sample_weight"])


shapes = st.lists(st.integers(0, 4), max_size=3).map(tuple)


@given(shapes, shapes)
def test_shapes_that_do_not_fit_are_named(shape_x, shape_y):
    fits = len(shape_x) == 2 and 0 not in shape_x and len(shape_y) in (1, 2)
    fits = fits and shape_x[0] == shape_y[0]
    if fits and 0 not in shape_y:
        return
    with pytest.raises(ValueError, match=r"fit\(X, y\): expected X of shape") as caught:
        fit(np.zeros(shape_x), np.zeros(shape_y), FROZEN)
    assert str(shape_x) in str(caught.value)
    assert str(shape_y) in str(caught.value)


@given(st.lists(st.floats(-2, 2), min_size=N, max_size=N))
def test_negative_weights_are_refused(weight):
    weight = -np.abs(weight)
    with pytest.raises(ValueError, match=r"fit\(sample_weight\): weights must not be negative"):
        fit(inputs(), target(inputs()), FROZEN, sample_weight=weight)


@given(st.integers(0, 2 * N).filter(lambda n: n != N))
def test_weights_of_another_length_are_refused(n):
    with pytest.raises(ValueError, match=rf"fit\(sample_weight\): expected shape \({N},\)"):
        fit(inputs(), target(inputs()), FROZEN, sample_weight=np.ones(n))


BAD_ARGUMENTS = {
    "max_steps=-1": {"max_steps": -1},
    "max_seconds=0.0": {"max_seconds": 0.0},
    "max_seconds=nan": {"max_seconds": math.nan},
    "tol=-0.1": {"tol": -0.1},
    "tol=nan": {"tol": math.nan},
    "n_restarts=0": {"n_restarts": 0},
    "ridge=-1.0": {"ridge": -1.0},
    "ridge=inf": {"ridge": math.inf},
    "ridge='large'": {"ridge": "large"},
    "validation=0.0": {"validation": 0.0},
    "validation=1.0": {"validation": 1.0},
    "validation=nan": {"validation": math.nan},
    "validation='some'": {"validation": "some"},
    "method='newton'": {"method": "newton"},
    "FrozenFeatures": {"method": "gd", "basis": FROZEN},
    "basis=None, method='lsgd'": {"method": "lsgd", "basis": None},
    "basis=None, method='frozen'": {"method": "frozen", "basis": None},
    "only method='auto' chooses": {"method": LSGD(1e-3), "basis": []},
}
BAD_VALIDATION = {
    "a column too many": (inputs(d=3), target(inputs())),
    "a column too few": (inputs(d=1), target(inputs())),
    "an output too many": (inputs(), inputs()),
    "a row too few": (inputs(), target(inputs())[:-1]),
    "missing values": (inputs(), np.full(N, np.nan)),
}


@pytest.mark.parametrize("words", BAD_ARGUMENTS)
def test_bad_arguments_are_named(words):
    options = {"basis": NET} | BAD_ARGUMENTS[words]
    with pytest.raises(ValueError, match=r"fit\(") as caught:
        fit(X=inputs(), y=target(inputs()), **options)
    assert words in str(caught.value)


@pytest.mark.parametrize("name", BAD_VALIDATION)
def test_bad_validation_data_are_named(name):
    with pytest.raises(ValueError, match=r"fit\(.*validation"):
        fit(inputs(), target(inputs()), NET, validation=BAD_VALIDATION[name], **TRAINED)


def test_the_result_remembers_the_call():
    model = fit(inputs(), target(inputs()), FROZEN, **SOLVED)
    assert isinstance(model, Fitted)
    assert model.record.asked.method == "frozen"
    assert model.record.asked.ridge == 1e-3
    assert model.record.n_rows == N
    assert_same_bits(model.box, np.stack([inputs().min(axis=0), inputs().max(axis=0)], axis=1))
    assert model.stop_reason is StopReason.SOLVED
    assert len(model.history) == 1


@pytest.mark.parametrize("weighted", [False, True])
def test_a_table_that_is_there_twice_gives_the_same_model_and_claim(weighted):
    """Copies are no measurements: a fit that goes through all of them would be without error."""
    r = np.random.default_rng(0)
    x = r.uniform(size=(200, 2))
    y = np.sin(5 * x[:, 0]) + x[:, 1] + 0.1 * r.normal(size=200)
    options = {"ensemble": 1, "max_steps": 5}
    once = fit(x, y, **options)
    if weighted:
        twice = fit(x, y, sample_weight=np.full(200, 2.0), **options)
    else:
        twice = fit(np.r_[x, x], np.r_[y, y], **options)
    assert twice.validation_error == pytest.approx(once.validation_error, rel=1e-6)
    assert_close(twice(x), once(x), 1e-6)
    widths = [np.ptp(model.predict_interval(x[:20]), axis=0) for model in (once, twice)]
    assert_close(widths[1], widths[0], 1e-3)
