"""The row reduction is a monoid: rows may come in any chunks, in any order."""

import itertools
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from adabasis import lstsq

from ..laws import assert_close, assert_same_rows
from .problems import K, N, P, dependent, random_problem, with_condition

pytestmark = pytest.mark.strict_promotion

REDUCE = sys.modules["adabasis.lstsq.reduce"]  # the package gives the name to the function


def reduction_in_chunks(a, b, chunks):
    parts = [
        lstsq.reduce(jnp.asarray(x), jnp.asarray(y))
        for x, y in zip(np.array_split(a, chunks), np.array_split(b, chunks), strict=True)
    ]
    return lstsq.combine(*parts)


def folded(a, b, chunks):
    """Reduce chunk by chunk as rows from disk are: one factor in memory."""
    parts = zip(np.array_split(a, chunks), np.array_split(b, chunks), strict=True)
    reductions = (lstsq.reduce(jnp.asarray(x), jnp.asarray(y)) for x, y in parts)
    total = next(reductions)
    for reduction in reductions:
        total = lstsq.combine(total, reduction)
    return total


@pytest.mark.parametrize("chunks", [1, 2, 7, N])
@pytest.mark.parametrize("joined", [reduction_in_chunks, folded])
@pytest.mark.parametrize(
    "problem",
    [random_problem(), dependent(), with_condition(1e14)],
    ids=["full", "dependent", "ill"],
)
def test_reducing_all_is_combining_chunks(problem, joined, chunks):
    a, b = problem
    together, apart = lstsq.reduce(a, b), joined(a, b, chunks)
    assert_same_rows(apart.factor, together.factor)
    assert_same_rows(apart.factor, np.concatenate([a, b], axis=1))
    assert apart.n_rows == together.n_rows == N
    assert apart.n_functions == together.n_functions == P


@pytest.mark.parametrize("chunks", [2, 7, N])
def test_coefficients_do_not_depend_on_chunks(chunks):
    """At condition 1e4 the factors' difference of 1e-14 σ₁ is one of 1e-10 in c."""
    a, b = with_condition(1e4)
    expected = lstsq.solve(lstsq.reduce(a, b)).coefficients
    got = lstsq.solve(reduction_in_chunks(a, b, chunks)).coefficients
    assert_close(got, expected, 1e-10)
    assert_close(got, np.linalg.lstsq(a, b)[0], 1e-10)


def test_combining_is_associative_and_commutative():
    first, second, third = (lstsq.reduce(*random_problem(seed, n=20)) for seed in range(3))
    expected = lstsq.combine(first, second, third)
    for grouping in (
        lstsq.combine(lstsq.combine(first, second), third),
        lstsq.combine(first, lstsq.combine(second, third)),
        *(lstsq.combine(*order) for order in itertools.permutations([first, second, third])),
    ):
        assert_same_rows(grouping.factor, expected.factor)
        assert grouping.n_rows == 60


def test_no_rows_are_the_unit():
    a, b = random_problem()
    some, none = lstsq.reduce(a, b), lstsq.reduce(a[:0], b[:0])
    assert not np.asarray(none.factor).any()
    for joined in (lstsq.combine(some, none), lstsq.combine(none, some)):
        assert_same_rows(joined.factor, some.factor)
        assert joined.n_rows == N


def test_weights_are_repeated_rows():
    a, b = random_problem()
    weight = np.random.default_rng(1).integers(0, 4, N)
    assert (weight == 0).any()
    weighted = lstsq.reduce(a, b, weight.astype(float))
    repeated = lstsq.reduce(np.repeat(a, weight, axis=0), np.repeat(b, weight, axis=0))
    assert_same_rows(weighted.factor, repeated.factor)
    assert weighted.n_rows == np.sum(weight > 0)


@pytest.mark.parametrize("n", [0, 1, 3, P, P + K])
def test_fewer_rows_than_columns_give_a_square_factor(n):
    a, b = random_problem(n=n)
    reduction = lstsq.reduce(a, b)
    assert reduction.factor.shape == (P + K, P + K)
    assert not np.tril(reduction.factor, -1).any()
    assert reduction.n_rows == n
    if n:
        assert_same_rows(reduction.factor, np.concatenate([a, b], axis=1))


@pytest.mark.parametrize("block_rows", [1000, 100], ids=["one level", "two levels"])
def test_a_tall_matrix_in_blocks_is_one_factorization(block_rows, monkeypatch):
    monkeypatch.setattr(REDUCE, "BLOCK_ROWS", block_rows)
    n = 4 * 1000 + 123
    assert n >= 4 * max(block_rows, 2 * (P + K)), "the blocked path"
    a, b = random_problem(n=n)
    factor = np.asarray(lstsq.reduce(a, b).factor)
    whole = np.linalg.qr(np.concatenate([a, b], axis=1), mode="r")
    signs = np.sign(np.diag(factor) * np.diag(whole))
    assert_close(signs[:, None] * whole, factor, 1e-13)
    assert not np.tril(factor, -1).any()


def test_the_parts_of_a_factor_are_projections_of_b():
    a, b = random_problem()
    reduction = lstsq.reduce(a, b)
    q, _ = np.linalg.qr(a)
    assert_close(np.linalg.norm(reduction.rotated, axis=0), np.linalg.norm(q.T @ b, axis=0), 1e-14)
    assert_same_rows(reduction.remainder, b - q @ (q.T @ b))
    assert_same_rows(reduction.triangle, a)


@pytest.mark.parametrize("ridge", [1e-3, np.logspace(-4, 2, P)], ids=["number", "vector"])
def test_a_ridge_is_appended_rows(ridge):
    a, b = random_problem()
    rows = np.diag(np.sqrt(np.broadcast_to(ridge, P)))
    whole = np.block([[a, b], [rows, np.zeros((P, K))]])
    ridged = lstsq.with_ridge(lstsq.reduce(a, b), ridge)
    assert_same_rows(ridged.factor, whole)
    assert ridged.n_rows == N


@pytest.mark.parametrize("panels", [1, 2, 3, 4])
@pytest.mark.parametrize("n", [1, 3, 4, 9])
def test_a_triangle_over_a_diagonal_is_reduced_as_all_rows_are(n, panels):
    rng = np.random.default_rng(n)
    factor, diagonal = np.triu(rng.normal(size=(n, n + K))), rng.uniform(0.1, 1.0, n)
    found = lstsq.over_diagonal(jnp.asarray(factor), jnp.asarray(diagonal), panels)
    assert found.shape == (n + min(n, K), n + K)
    assert not np.tril(found, -1).any()
    assert_same_rows(found, np.vstack([factor, np.pad(np.diag(diagonal), ((0, 0), (0, K)))]))


def test_a_ridge_in_panels_is_that_in_one(monkeypatch):
    reduction = lstsq.reduce(*random_problem())
    expected = lstsq.with_ridge(reduction, 0.1)
    monkeypatch.setattr(REDUCE, "PANELLED", 1)
    assert_same_rows(lstsq.with_ridge(reduction, 0.1).factor, expected.factor)


def test_unit_columns_have_unit_norm_and_the_same_right_hand_sides():
    a, b = random_problem()
    a[:, 2] = 0.0
    unit, norms = lstsq.unit_columns(lstsq.reduce(a, b))
    expected = np.where(np.arange(P) == 2, 1.0, np.linalg.norm(a, axis=0))
    assert_close(norms, expected, 1e-14)
    assert_same_rows(unit.factor, np.concatenate([a / expected, b], axis=1))
    assert_close(lstsq.column_norms(a), expected, 1e-14)
    assert lstsq.column_norms(a, unseen=None)[2] == expected.max()
    assert isinstance(lstsq.column_norms(a), np.ndarray)


def test_jit_and_eager_agree():
    a, b = random_problem()
    weight = np.linspace(0, 1, N)
    eager, compiled = lstsq.reduce(a, b, weight), jax.jit(lstsq.reduce)(a, b, weight)
    assert_close(compiled.factor, eager.factor, 1e-14)
    assert compiled.n_rows == eager.n_rows == N - 1


def test_float32_is_kept():
    a, b = (x.astype(np.float32) for x in random_problem())
    reduction = lstsq.reduce(jnp.asarray(a), jnp.asarray(b))
    assert reduction.factor.dtype == np.float32
    assert_same_rows(reduction.factor.astype(float), np.concatenate([a, b], axis=1), 1e-5)


@pytest.mark.parametrize(
    "reductions",
    [
        lambda: (),
        lambda: (lstsq.reduce(*random_problem()), lstsq.reduce(*random_problem(p=P + 1, k=K - 1))),
        lambda: (lstsq.reduce(*random_problem()), lstsq.reduce(*random_problem(k=K + 1))),
    ],
    ids=["none", "other functions", "other right-hand sides"],
)
def test_what_does_not_fit_together_is_refused(reductions):
    with pytest.raises(ValueError, match="combine: expected reductions of one"):
        lstsq.combine(*reductions())


def test_a_fold_of_many_chunks_is_their_combination_and_keeps_few():
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(1000, 3)), rng.normal(size=(1000, 1))
    fold, most = lstsq.Fold(), 0
    for k in range(0, 1000, 2):
        fold.add(lstsq.reduce(a[k : k + 2], b[k : k + 2]))
        most = max(most, sum(map(len, fold.levels)))
    whole = lstsq.reduce(a, b)
    assert_same_rows(fold.reduction.factor, whole.factor)
    assert fold.reduction.n_rows == 1000
    assert most < 3 * lstsq.Fold.WAYS < 500
