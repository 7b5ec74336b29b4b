"""The stored factorization: leverages, left-out residuals, right-hand sides that arrive later."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.linalg

from adabasis import lstsq

from ..laws import assert_close
from .problems import K, N, P, dependent, random_problem

pytestmark = pytest.mark.strict_promotion

PROBLEMS = {"full": random_problem, "dependent": dependent, "few rows": lambda: random_problem(n=3)}
RIDGES = [0.0, 0.1]

each_problem = pytest.mark.parametrize("problem", PROBLEMS.values(), ids=PROBLEMS)


def ridge_solution(a, b, ridge, norms):
    """Solve min ‖A c − b‖² + ridge ‖norms·c‖² by SciPy, the smallest scaled c of several."""
    augmented = np.concatenate([a / norms, np.sqrt(ridge) * np.eye(a.shape[1])])
    target = np.concatenate([b, np.zeros((a.shape[1], b.shape[1]))])
    scaled = scipy.linalg.lstsq(augmented, target, cond=1e-13, lapack_driver="gelsd")[0]
    return scaled / norms[:, None]


@each_problem
def test_it_is_the_matrix(problem):
    a, _ = problem()
    factors = lstsq.factorize(a)
    assert_close(factors.u * factors.s @ factors.vt * factors.norms, a, 1e-14)
    assert_close(factors.u.T @ factors.u, np.eye(factors.u.shape[1]), 1e-14)
    assert factors.rank == np.linalg.matrix_rank(a)


@each_problem
@pytest.mark.parametrize("ridge", RIDGES)
def test_later_right_hand_sides_are_solved_as_if_known_at_once(problem, ridge):
    a, b = problem()
    norms = np.linalg.norm(a, axis=0)
    got = lstsq.factorize(a).solve(b, ridge)
    assert_close(got, ridge_solution(a, b, ridge, norms), 1e-12)
    assert_close(got, lstsq.solve(lstsq.reduce(a, b), ridge=ridge * norms**2).coefficients, 1e-12)


@each_problem
def test_leverages_sum_to_the_rank(problem):
    a, _ = problem()
    factors = lstsq.factorize(a)
    leverages = np.asarray(factors.leverages())
    assert abs(leverages.sum() - np.linalg.matrix_rank(a)) <= 1e-12
    assert np.all((leverages >= 0) & (leverages <= 1))
    assert_close(leverages, np.diag(a @ np.linalg.pinv(a, rcond=1e-13)), 1e-12)
    assert np.all(factors.leverages(0.1) <= leverages + 1e-15)


@pytest.mark.parametrize("problem", [random_problem, dependent], ids=["full", "dependent"])
@pytest.mark.parametrize("ridge", RIDGES)
def test_left_out_residuals_are_those_of_refits(problem, ridge):
    a, b = problem()
    norms = np.linalg.norm(a, axis=0)
    got = lstsq.factorize(a).loo_residuals(b, ridge)
    assert got.shape == (N, K)
    for i in range(0, N, 7):
        c = ridge_solution(np.delete(a, i, axis=0), np.delete(b, i, axis=0), ridge, norms)
        assert_close(got[i], b[i] - a[i] @ c, 1e-11)


def test_rows_that_alone_hold_a_direction_are_evidence_of_nothing():
    """Nothing is known of them without themselves: they do not count as error 0."""
    a, b = random_problem()
    a[:, 0] = 0.0
    a[5, 0] = 1.0
    got = np.asarray(lstsq.factorize(a).loo_residuals(b))
    assert np.flatnonzero(np.isinf(got).all(axis=1)).tolist() == [5]
    assert np.count_nonzero(np.isfinite(got)) == (N - 1) * K
    assert np.all(np.isinf(lstsq.factorize(a[:P]).loo_residuals(b[:P])))


@pytest.mark.parametrize("ridge", RIDGES)
def test_left_out_residuals_of_groups_are_those_of_refits(ridge):
    a, b = random_problem()
    norms, groups = np.linalg.norm(a, axis=0), np.arange(N) // 3
    got = lstsq.factorize(np.asarray(a)).loo_residuals(b, ridge, groups=groups)
    for label in range(0, N // 3, 5):
        out = groups == label
        c = ridge_solution(a[~out], b[~out], ridge, norms)
        assert_close(got[out], b[out] - a[out] @ c, 1e-10)


def test_rows_that_alone_hold_a_direction_may_count_with_their_values():
    a, b = random_problem()
    a[:, 0] = 0.0
    a[5, 0] = 1.0
    got = np.asarray(lstsq.factorize(a).loo_residuals(b, alone="itself"))
    assert_close(got[5], b[5], 1e-14)
    others = np.arange(N) != 5
    assert_close(got[others], np.asarray(lstsq.factorize(a).loo_residuals(b))[others], 1e-14)
    few = np.asarray(lstsq.factorize(a[:P]).loo_residuals(b[:P], alone="itself"))
    assert_close(few, b[:P], 1e-14)
    nearly = lstsq.factorize(a).leverages()[7]
    assert_close(
        lstsq.factorize(a).loo_residuals(b, alone="itself", least=1 - nearly + 1e-9)[7], b[7], 1e-14
    )


@each_problem
@pytest.mark.parametrize("unit", [True, False])
def test_numpys_arrays_are_factored_by_numpy(problem, unit):
    a, b = problem()
    got, expected = (lstsq.factorize(xp.asarray(a), 1e-12, unit=unit) for xp in (np, jnp))
    assert_close(got.leverages(0.1), expected.leverages(0.1), 1e-12)
    for name, options in (
        ("solve", {}),
        ("solve", {"ridge": 0.1}),
        ("loo_residuals", {"ridge": 0.1}),
        ("loo_residuals", {"alone": "itself"}),
    ):
        mine = getattr(got, name)(b, **options)
        assert isinstance(mine, np.ndarray)
        assert_close(mine, getattr(expected, name)(jnp.asarray(b), **options), 1e-11)
    assert got.rank == expected.rank
    norms = np.linalg.norm(a, axis=0) if unit else np.ones(P)
    least = np.linalg.lstsq(a / norms, b, rcond=1e-12)[0] / norms[:, None]
    assert_close(got.solve(b), least, 1e-12)


def test_jit_and_eager_agree():
    a, b = random_problem()
    compiled = jax.jit(lambda a, b: lstsq.factorize(a).loo_residuals(b, 0.1))(a, b)
    assert_close(compiled, lstsq.factorize(a).loo_residuals(b, 0.1), 1e-13)


def test_float32_finds_the_rank_at_its_own_precision():
    a, b = (jnp.asarray(x, jnp.float32) for x in dependent())
    factors = lstsq.factorize(a)
    assert factors.u.dtype == np.float32
    assert factors.rank == P - 2
    assert np.abs(factors.solve(b)).max() < 10


@pytest.mark.parametrize("problem", [random_problem, dependent], ids=["full", "dependent"])
@pytest.mark.parametrize("ridge", [0.1, 1e3])
def test_free_columns_are_not_penalized(problem, ridge):
    a, b = problem()
    n_free, norms = 3, np.linalg.norm(a, axis=0)
    factors = lstsq.factorize(a, n_free=n_free)
    below = np.sqrt(ridge) * np.diag(norms)[: P - n_free]
    augmented = np.concatenate([a, below])
    target = np.concatenate([b, np.zeros((len(below), K))])
    c = np.linalg.lstsq(augmented, target, rcond=1e-13)[0]
    assert_close(factors.solve(b, ridge), c, 1e-11)
    absolute = np.append(ridge * norms[: P - n_free] ** 2, np.zeros(n_free))
    by_rows = lstsq.solve(lstsq.reduce(a, b), ridge=jnp.asarray(absolute)).coefficients
    assert_close(factors.solve(b, ridge), by_rows, 1e-11)
    left_out = np.stack(
        [
            b[i]
            - a[i] @ np.linalg.lstsq(np.delete(augmented, i, 0), np.delete(target, i, 0), 1e-13)[0]
            for i in range(N)
        ]
    )
    assert_close(factors.loo_residuals(b, ridge), left_out, 1e-11)


def test_a_free_line_is_found_under_any_ridge():
    x = np.repeat([0.0, 1.0], 5)
    a = np.stack([np.tanh(3 * x), x**2, np.ones(10), x], axis=1)
    c = lstsq.factorize(a, n_free=2).solve((3 + 4 * x)[:, None], 1e6)
    assert_close(c[:, 0], [0, 0, 3, 4], 1e-12)


def test_small_singular_values_stay_orthogonal_to_free_columns():
    """A projection of F off T leaves 1e-16 along T: much beside singular values of 1e-12."""
    x = np.linspace(0, 1, 100)
    smooth = np.tanh(np.outer(x, np.linspace(0.5, 3, 12)) - np.linspace(0, 2, 12))
    a = np.column_stack([smooth, np.ones(100), x])
    factors = lstsq.factorize(a, n_free=2)
    kept = factors.u[:, np.asarray(factors.kept)]
    assert_close(kept.T @ kept, np.eye(kept.shape[1]), 1e-13)
    b = a @ np.arange(14.0)[:, None]
    assert np.abs(factors.loo_residuals(b)).max() < 1e-9
    assert np.abs(a @ factors.solve(b) - b).max() < 1e-9


@pytest.mark.parametrize(
    ("apart", "tolerance"), [(1.0, 1e-13), (1e-2, 1e-10), (1e-4, 1e-10), (1e-6, 1e-9)]
)
def test_columns_that_are_independent_need_no_singular_values(apart, tolerance):
    """By a Cholesky factor, by two, by QR, and, where columns are the same, by singular values."""
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(40, 6)), rng.normal(size=(40, 2))
    a[:, 1] = a[:, 0] + apart * a[:, 1]
    found, whole = lstsq.factorize_full_rank(a), lstsq.factorize(a)
    assert (found.s == 1).all()
    assert_close(found.u.T @ found.u, np.eye(6), 1e-10)
    assert_close(found.solve(b), whole.solve(b), tolerance)
    assert_close(found.leverages(), whole.leverages(), tolerance)
    assert_close(found.loo_residuals(b), whole.loo_residuals(b), tolerance)
    a[:, 1] = a[:, 0]
    same = lstsq.factorize_full_rank(a)
    assert same.rank == 5
    assert_close(same.solve(b), lstsq.factorize(a).solve(b), 1e-12)
