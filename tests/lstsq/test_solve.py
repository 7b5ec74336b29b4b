"""Coefficients: against SciPy, on the span, at any condition number, with an honest status."""

import jax
import jax.numpy as jnp
import mpmath
import numpy as np
import pytest
import scipy.linalg

from adabasis import lstsq
from adabasis.basis import FrozenFeatures
from adabasis.lstsq import Status
from adabasis.operators import Identity

from ..laws import EPS, assert_close
from ..registry import BOXES, FUNCTIONS, design, draw, evaluate
from .problems import K, N, P, dependent, random_problem, with_condition

pytestmark = pytest.mark.strict_promotion

METHODS = ("svd", "auto", "triangular", "gram")


def solved(a, b, **options):
    return lstsq.solve(lstsq.reduce(jnp.asarray(a), jnp.asarray(b)), **options)


def status(solution):
    return Status(int(solution.status))


def assert_residual_is_orthogonal(a, b, solution):
    """‖Uᵀ(A c − b)‖ is round-off for the directions U of A that the solve kept."""
    norms = np.linalg.norm(a, axis=0)
    u, s, _ = np.linalg.svd(a / np.where(norms > 0, norms, 1.0), full_matrices=False)
    kept = u[:, : int(solution.rank)]
    assert np.all(s[int(solution.rank) :] <= 2e-13 * s[0])
    c = np.asarray(solution.coefficients)
    size = np.linalg.norm(b, axis=0) + np.linalg.norm(a, axis=0) @ np.abs(c)
    assert np.all(np.linalg.norm(kept.T @ (a @ c - b), axis=0) <= 100 * EPS * size)


@pytest.mark.parametrize("method", METHODS)
def test_a_well_conditioned_problem_is_solved_by_every_method(method):
    a, b = random_problem()
    solution = solved(a, b, method=method)
    expected, _, rank, singular_values = scipy.linalg.lstsq(
        a / np.linalg.norm(a, axis=0), b, lapack_driver="gelsd"
    )
    assert_close(solution.coefficients, expected / np.linalg.norm(a, axis=0)[:, None], 1e-13)
    assert solution.rank == rank == P
    assert status(solution) is Status.FULL_RANK
    residual = np.linalg.norm(a @ solution.coefficients - b, axis=0)
    assert_close(solution.residual_norm, residual, 1e-13)
    assert_residual_is_orthogonal(a, b, solution)
    if method == "svd":
        assert_close(solution.singular_values, singular_values, 1e-14)


@pytest.mark.parametrize("condition", [1e2, 1e5, 1e8, 1e12])
def test_coefficients_are_as_accurate_as_the_condition_allows(condition):
    """Against 60 digits: normwise error ≤ eps·(cond + cond²·residual), times a modest constant."""
    a, b = with_condition(condition)
    with mpmath.workdps(60):
        am, bm = mpmath.matrix(a.tolist()), mpmath.matrix(b[:, :1].tolist())
        exact = mpmath.lu_solve(am.T * am, am.T * bm)
        exact = np.array([float(x) for x in exact])
    for method in ("svd", "auto"):
        c = np.asarray(solved(a, b[:, :1], method=method).coefficients)[:, 0]
        residual = np.linalg.norm(a @ exact - b[:, 0])
        bound = condition * np.linalg.norm(exact) + condition**2 * residual
        assert np.linalg.norm(c - exact) <= 20 * EPS * bound


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_function_in_the_span_is_reproduced(name):
    a = design(name)
    b = a @ np.random.default_rng(0).normal(size=(a.shape[1], K))
    solution = solved(a, b)
    assert_close(a @ solution.coefficients, b, 1e-12)
    assert np.all(solution.residual_norm <= 1e-12 * np.linalg.norm(b, axis=0))
    assert_residual_is_orthogonal(a, b, solution)


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_an_ill_conditioned_basis_is_solved_to_ten_digits(seed):
    basis, box, x = FrozenFeatures(100), BOXES["unit 1-D"], np.linspace(0, 1, 256)[:, None]
    a = np.asarray(evaluate(Identity(), basis, draw(basis, box, seed), x))
    b = np.sin(2 * np.pi * x)
    s = np.linalg.svd(a, compute_uv=False)
    assert s[0] / s[-1] >= 1e15
    solution = solved(a, b)
    rms = np.linalg.norm(a @ solution.coefficients - b) / 16
    assert rms <= 1e-10
    for cut_off in (None, 1e-13):  # SciPy's default is machine epsilon
        c, *_ = scipy.linalg.lstsq(a, b, cond=cut_off, lapack_driver="gelsd")
        assert rms <= 10 * np.linalg.norm(a @ c - b) / 16
    assert np.abs(solution.coefficients).max() <= 1e3
    assert status(solution) is Status.RANK_DEFICIENT
    assert 30 <= solution.rank <= 60
    assert_close(solution.residual_norm, [rms * 16], 1e-2)
    assert_residual_is_orthogonal(a, b, solution)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("condition", [1e1, 1e3])
def test_methods_agree_where_the_condition_is_small(method, condition):
    a, b = with_condition(condition)
    expected = np.linalg.lstsq(a, b)[0]
    solution = solved(a, b, method=method)
    assert_close(solution.coefficients, expected, 10 * EPS * condition**2)
    assert status(solution) is Status.FULL_RANK


def test_gram_is_refused_at_large_condition_and_the_svd_answers():
    a, b = with_condition(1e9)
    assert np.linalg.cond(a / np.linalg.norm(a, axis=0)) > 1e6, "with columns of unit norm too"
    refused, by_svd = solved(a, b, method="gram"), solved(a, b)
    assert status(refused) is Status.GRAM_REFUSED
    assert_close(refused.coefficients, by_svd.coefficients, 1e-14)
    assert_close(refused.singular_values, by_svd.singular_values, 1e-14)


@pytest.mark.parametrize("method", METHODS)
def test_dependent_columns_are_never_called_full_rank(method):
    a, b = dependent()
    solution = solved(a, b, method=method)
    assert status(solution) is not Status.FULL_RANK
    if method == "triangular":  # documented as unsafe: only its status counts
        return
    assert solution.rank == P - 2
    residual = np.linalg.norm(a @ np.linalg.lstsq(a, b)[0] - b, axis=0)
    assert_close(solution.residual_norm, residual, 1e-13)
    assert_residual_is_orthogonal(a, b, solution)
    norms = np.linalg.norm(a, axis=0)[:, None]
    least = np.linalg.pinv(a / norms.T, rcond=1e-13) @ b
    assert_close(norms * solution.coefficients, least, 1e-12)


def test_fewer_rows_than_functions_give_the_smallest_solution():
    a, b = random_problem(n=3)
    solution = solved(a, b)
    assert status(solution) is Status.UNDERDETERMINED
    assert solution.rank == 3
    assert_close(a @ solution.coefficients, b, 1e-13)
    norms = np.linalg.norm(a, axis=0)
    assert_close(norms[:, None] * solution.coefficients, np.linalg.pinv(a / norms) @ b, 1e-12)
    padded = [np.concatenate([x, np.zeros((N - 3, x.shape[1]))]) for x in (a, b)]
    weight = (np.arange(N) < 3).astype(float)
    weighted = lstsq.solve(lstsq.reduce(*padded, weight))
    assert status(weighted) is Status.UNDERDETERMINED


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("value", [np.nan, np.inf])
@pytest.mark.parametrize("where", ["A", "b"])
def test_entries_that_are_not_finite_are_reported(where, value, method):
    a, b = random_problem()
    (a if where == "A" else b)[7, 1] = value
    found = status(solved(a, b, method=method))
    assert found is Status.NON_FINITE
    assert not found.solved


def test_columns_of_zeros_get_zero_coefficients():
    a, b = random_problem()
    a[:, 2] = 0.0
    solution = solved(a, b)
    assert np.abs(solution.coefficients[2]).max() <= 1e-15
    assert status(solution) is Status.RANK_DEFICIENT
    rest = np.delete(np.arange(P), 2)
    assert_close(solution.coefficients[rest], np.linalg.lstsq(a[:, rest], b)[0], 1e-13)
    nothing = solved(0 * a, b)
    assert not np.asarray(nothing.coefficients).any()
    assert nothing.rank == 0


@pytest.mark.parametrize("ridge", [1e-3, np.logspace(-6, 2, P)], ids=["number", "vector"])
@pytest.mark.parametrize("problem", [random_problem, dependent, lambda: random_problem(n=3)])
def test_a_ridge_is_the_augmented_problem(problem, ridge):
    a, b = problem()
    augmented = np.concatenate([a, np.diag(np.sqrt(np.broadcast_to(ridge, P)))])
    target = np.concatenate([b, np.zeros((P, K))])
    expected = scipy.linalg.lstsq(augmented, target, lapack_driver="gelsd")[0]
    solution = solved(a, b, ridge=ridge)
    assert_close(solution.coefficients, expected, 1e-11)
    residual = np.linalg.norm(augmented @ expected - target, axis=0)
    assert_close(solution.residual_norm, residual, 1e-11)
    assert status(solution) is Status.FULL_RANK


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("problem", [random_problem, dependent, lambda: random_problem(n=3)])
def test_a_relative_ridge_is_one_on_unit_columns(method, problem):
    """In shares of σ₁² there, or of its bound P where no singular values are known."""
    (a, b), share = problem(), 1e-3
    norms = np.linalg.norm(a, axis=0)
    size = P if method == "triangular" else np.linalg.norm(a / norms, ord=2) ** 2
    expected = solved(a, b, ridge=share * size * norms**2)
    got = solved(a, b, relative_ridge=share, method=method)
    assert_close(got.coefficients, expected.coefficients, 1e-12)
    assert_close(got.residual_norm, expected.residual_norm, 1e-12)
    assert status(got) is Status.FULL_RANK
    later = lstsq.orthonormalize(jnp.asarray(a), share)
    assert later.q.shape == a.shape
    if method == "triangular":
        assert_close(later.solve(jnp.asarray(b)), got.coefficients, 1e-12)


def test_a_tiny_relative_ridge_makes_back_substitution_safe_on_dependent_columns():
    """Where the data are all but met, as those of equations are."""
    a, _ = dependent()
    b = a @ np.random.default_rng(1).normal(size=(P, K))
    options = {"relative_ridge": 1e-26, "method": "triangular"}
    got, expected = solved(a, b, **options), solved(a, b)
    later = lstsq.orthonormalize(jnp.asarray(a), 1e-26).solve(jnp.asarray(b))
    for c in (got.coefficients, later):
        assert_close(a @ c, a @ expected.coefficients, 1e-12)


@pytest.mark.parametrize("options", [{}, {"relative_ridge": 1e-3}], ids=["plain", "relative"])
def test_scaling_columns_or_rows_changes_only_units(options):
    a, b = with_condition(1e3)
    c = np.asarray(solved(a, b, **options).coefficients)
    units = np.logspace(-9, 9, P)
    assert_close(units[:, None] * solved(a * units, b, **options).coefficients, c, 1e-12)
    assert_close(1e9 * np.asarray(solved(1e9 * a, b, **options).coefficients), c, 1e-12)


def test_normal_equations_are_solved_from_their_triangle():
    a, b = random_problem()
    reduction = lstsq.reduce(a, b)
    expected = np.linalg.solve(a.T @ a, a.T @ b)
    assert_close(lstsq.solve_normal(reduction.triangle, jnp.asarray(a.T @ b)), expected, 1e-12)


def test_the_cut_off_is_the_callers():
    a, b = with_condition(1e9)
    s = np.asarray(solved(a, b).singular_values)
    for kept in (3, 5, P):
        cut = 0.5 * (s[kept - 1] + (s[kept] if kept < P else 0.0)) / s[0]
        assert solved(a, b, rcond=cut).rank == kept


def test_float32_is_solved_at_its_own_precision():
    a, b = random_problem()
    a32, b32 = jnp.asarray(a, jnp.float32), jnp.asarray(b, jnp.float32)
    for method in METHODS:
        solution = solved(a32, b32, method=method)
        assert solution.coefficients.dtype == np.float32
        assert_close(solution.coefficients, np.linalg.lstsq(a, b)[0], 1e-5)
        assert status(solution) is Status.FULL_RANK
    a, b = dependent()
    solution = solved(jnp.asarray(a, jnp.float32), jnp.asarray(b, jnp.float32))
    assert solution.rank == P - 2
    assert np.abs(solution.coefficients).max() < 10


@pytest.mark.parametrize("method", METHODS)
def test_jit_and_eager_agree(method):
    a, b = random_problem()
    compiled = jax.jit(lambda a, b: lstsq.solve(lstsq.reduce(a, b), ridge=1e-3, method=method))
    got, expected = compiled(a, b), solved(a, b, ridge=1e-3, method=method)
    assert_close(got.coefficients, expected.coefficients, 1e-13)
    assert_close(got.residual_norm, expected.residual_norm, 1e-13)
    assert got.rank == expected.rank
    assert got.status == expected.status


def test_an_unknown_method_is_named():
    with pytest.raises(ValueError, match=r"method='lu'.*svd.*gram"):
        solved(*random_problem(), method="lu")


def test_every_status_has_advice():
    advice = {found.advice for found in Status}
    assert len(advice) == len(Status)
    assert all(text.endswith(".") for text in advice)
