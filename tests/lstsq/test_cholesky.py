"""Shifted Cholesky-QR gives the factor that reflections give, at any condition and rank."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from adabasis import lstsq
from adabasis.lstsq import cholesky

from ..laws import assert_close, assert_same_rows

N, P = 400, 12


def graded(condition, seed=0, n=N, p=P):
    rng = np.random.default_rng(seed)
    u, _ = np.linalg.qr(rng.normal(size=(n, p)))
    v, _ = np.linalg.qr(rng.normal(size=(p, p)))
    return u * np.logspace(0, -np.log10(condition), p) @ v.T


def dependent():
    a = graded(1e4)
    a[:, 3], a[:, 7], a[:, 9] = a[:, 1], a[:, 0] + a[:, 2], 0.0
    return a


def badly_scaled():
    return graded(1e3) * np.logspace(-120, 120, P)


def smooth():
    x = np.linspace(0, 1, N)[:, None]
    return np.tanh(3 * (x - np.linspace(0, 1, P)))


PROBLEMS = {
    **{f"condition {c:.0e}": graded(c) for c in (1.0, 1e4, 1e8, 1e12, 1e15)},
    "dependent": dependent(),
    "one": np.ones((N, P)),
    "smooth": smooth(),
    "zero": np.zeros((N, P)),
}
factor = jax.jit(cholesky.cholesky_factor)


@pytest.mark.parametrize("name", PROBLEMS)
def test_it_is_the_factor_of_the_rows(name):
    a = PROBLEMS[name]
    r = np.asarray(factor(a))
    assert np.array_equal(r, np.triu(r))
    if name == "zero":
        assert not r.any()
        return
    assert_same_rows(r, np.linalg.qr(a, mode="r"))
    assert np.linalg.norm(r.T @ r - a.T @ a, 2) <= 1e-13 * np.linalg.norm(a, 2) ** 2


def test_scales_of_columns_do_not_matter():
    a = badly_scaled()
    norms = np.linalg.norm(a, axis=0)
    assert_same_rows(np.asarray(factor(a)) / norms, np.linalg.qr(a / norms, mode="r"))


@pytest.mark.parametrize("condition", [1e4, 1e8, 1e12, 1e15])
def test_columns_become_orthonormal(condition):
    """A R⁻¹ is as orthonormal as with the R of reflections."""
    a = graded(condition)
    off = [
        np.linalg.norm(q.T @ q - np.eye(P))
        for r in (np.asarray(factor(a)), np.linalg.qr(a, mode="r"))
        for q in [np.linalg.solve(r.T, a.T).T]
    ]
    assert off[0] <= 10 * max(off[1], 1e-12)


@pytest.mark.parametrize("constant", ["PASSES", "SHIFT"])
def test_without_shifted_passes_small_singular_values_are_lost(monkeypatch, constant):
    a = graded(1e12)
    exact = np.linalg.svd(a, compute_uv=False)

    def off():
        r = np.asarray(jax.jit(lambda a: cholesky.cholesky_factor.fun(a))(a))
        return np.abs(np.linalg.svd(r, compute_uv=False) - exact)[-1] / exact[-1]

    assert off() < 1e-3
    monkeypatch.setattr(cholesky, constant, 0)
    assert off() > 0.1


def test_solutions_are_those_of_qr(monkeypatch):
    a, c = graded(1e6), np.ones((P, 1))
    rows, answers = [jnp.asarray(a), jnp.asarray(a @ c)], {}
    for way in (cholesky.QR, cholesky.CHOLESKY):
        monkeypatch.setenv(cholesky.VARIABLE, way)
        assert cholesky.suits(N, P) == (way == cholesky.CHOLESKY)
        answers[way] = lstsq.solve(lstsq.reduce(*rows, jnp.ones(N)))
        assert_close(answers[way].coefficients, c, 1e-8)
    assert answers[cholesky.QR].rank == answers[cholesky.CHOLESKY].rank == P


def test_few_rows_go_by_reflections(monkeypatch):
    monkeypatch.setenv(cholesky.VARIABLE, "cholesky")
    a = jnp.asarray(graded(10.0)[: P + 1])
    assert_same_rows(lstsq.triangularize(a), np.linalg.qr(a, mode="r"))


def test_the_choice_is_that_of_the_platform(monkeypatch):
    monkeypatch.delenv(cholesky.VARIABLE, raising=False)
    assert cholesky.method() == "qr"
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    assert cholesky.method() == "cholesky"
    monkeypatch.setenv(cholesky.VARIABLE, "svd")
    with pytest.raises(ValueError, match="ADABASIS_REDUCTIONS=svd: expected 'qr' or 'cholesky'"):
        cholesky.method()


def test_derivatives_are_those_of_qr():
    a = jnp.asarray(graded(10.0))
    signs = jnp.sign(jnp.diag(jnp.linalg.qr(a, mode="r"))) * jnp.sign(jnp.diag(factor(a)))

    def loss(by):
        return lambda a: jnp.sum(jnp.cos(by(a)))

    ours = jax.grad(loss(cholesky.cholesky_factor))(a)
    theirs = jax.grad(loss(lambda a: signs[:, None] * jnp.linalg.qr(a)[1]))(a)
    assert_close(ours, theirs, 1e-9)
    vmapped = jax.vmap(cholesky.cholesky_factor)(jnp.stack([a, 2 * a]))
    assert_same_rows(vmapped[1], 2 * factor(a))


def test_single_precision_keeps_to_its_own():
    r = factor(jnp.asarray(graded(1e3), jnp.float32))
    assert r.dtype == jnp.float32
    assert_same_rows(r.astype(float), np.linalg.qr(graded(1e3), mode="r"), 1e-5)
