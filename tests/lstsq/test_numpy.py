"""NumPy's arrays are reduced and solved by NumPy as JAX does it, and nothing is compiled."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from adabasis import lstsq
from adabasis.lstsq.reduce import PANELLED, over_diagonal

from ..laws import assert_close, assert_same_rows
from .problems import N, P, dependent, random_problem, with_condition

PROBLEMS = {
    "full": random_problem(),
    "dependent": dependent(),
    "ill": with_condition(1e14),
    "few rows": random_problem(n=3),
    "tall": random_problem(n=4100, p=3),
}
RIDGES = [{}, {"ridge": 1e-3}, {"relative_ridge": np.linspace(0.0, 1e-3, P)}]


@pytest.fixture
def nothing_compiles():
    """Fail on any program that JAX compiles."""
    seen = []

    def listen(event, *_, **__):
        seen.append(event)

    jax.monitoring.register_event_duration_secs_listener(listen)
    yield
    jax.monitoring.unregister_event_duration_listener(listen)
    assert not [event for event in seen if "compile" in event]


def both(a, b, weight=None):
    arrays = [x if x is None else jnp.asarray(x) for x in (a, b, weight)]
    return lstsq.reduce(a, b, weight), lstsq.reduce(*arrays)


@pytest.mark.parametrize("name", PROBLEMS)
def test_reductions_are_those_of_jax(name):
    a, b = PROBLEMS[name]
    weight = np.arange(len(a)) % 4 / 3.0
    ours, theirs = both(a, b, weight)
    assert isinstance(ours.factor, np.ndarray)
    assert_same_rows(ours.factor, theirs.factor)
    assert ours.n_rows == theirs.n_rows == np.count_nonzero(weight)
    halves = [slice(None, len(a) // 2), slice(len(a) // 2, None)]
    parts = [lstsq.reduce(a[half], b[half], weight[half]) for half in halves]
    assert_same_rows(lstsq.combine(*parts).factor, ours.factor)


@pytest.mark.parametrize("method", lstsq.solve.__globals__["METHODS"])
@pytest.mark.parametrize("ridge", RIDGES, ids=["none", "absolute", "relative"])
@pytest.mark.parametrize("name", ["full", "dependent", "ill", "few rows"])
def test_solutions_are_those_of_jax(name, ridge, method):
    ours, theirs = both(*PROBLEMS[name])
    found, expected = (lstsq.solve(r, **ridge, method=method) for r in (ours, theirs))
    assert isinstance(found.coefficients, np.ndarray)
    assert found.rank == expected.rank
    assert found.status == expected.status
    if name == "full" or (method == "svd" and name != "ill"):
        assert_close(found.coefficients, expected.coefficients, 1e-12)
        assert np.all(abs(found.residual_norm - expected.residual_norm) <= 1e-12)
        np.testing.assert_allclose(found.singular_values, expected.singular_values, atol=1e-12)


@pytest.mark.usefixtures("nothing_compiles")
def test_nothing_is_compiled():
    a, b = random_problem(n=4100)
    reduction = lstsq.combine(lstsq.reduce(a, b, np.ones(len(a))), lstsq.reduce(a, b))
    for method in ("svd", "auto", "triangular", "gram"):
        lstsq.solve(reduction, method=method, ridge=np.full(P, 0.1), relative_ridge=1e-9)
    found = [lstsq.solve(reduction)] * 2
    assert lstsq.solve.__globals__["average"](found).rank == 2 * P


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_entries_that_are_no_numbers_are_reported(value):
    a, b = random_problem()
    a[7, 1] = value
    for method in ("svd", "auto", "triangular", "gram"):
        found = lstsq.solve(lstsq.reduce(a, b), method=method, relative_ridge=1e-9)
        assert found.status == lstsq.Status.NON_FINITE
        assert found.coefficients.shape == (P, b.shape[1])


def test_singular_triangles_are_no_error():
    a, b = random_problem()
    a[:, 2] = 0.0
    found = lstsq.solve(lstsq.reduce(a, b), method="auto")
    assert found.rank == P - 1
    assert np.all(abs(found.coefficients[2]) <= 1e-14)


def test_a_ridge_in_panels():
    rng = np.random.default_rng(0)
    factor, ridge = np.triu(rng.normal(size=(PANELLED, PANELLED + 1))), rng.uniform(size=PANELLED)
    ours = over_diagonal(factor, ridge)
    assert isinstance(ours, np.ndarray)
    assert_same_rows(ours, over_diagonal(jnp.asarray(factor), jnp.asarray(ridge)))


def test_arrays_of_both_kinds_make_one_of_jax():
    a, b = random_problem()
    reduction = lstsq.reduce(a, jnp.asarray(b))
    assert isinstance(reduction.factor, jax.Array)
    gradient = jax.grad(lambda b: lstsq.solve(lstsq.reduce(a, b)).coefficients.sum())(b)
    assert gradient.shape == (N, b.shape[1])
