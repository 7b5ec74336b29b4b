"""Assertions that several tests share."""

import jax
import numpy as np

EPS = np.finfo(float).eps


def relative_error(got, expected):
    """Return ‖got − expected‖ / ‖expected‖."""
    got, expected = np.asarray(got), np.asarray(expected)
    assert got.shape == expected.shape
    return np.linalg.norm(got - expected) / np.linalg.norm(expected)


def assert_close(got, expected, tolerance):
    """The relative error in the Euclidean norm is within the tolerance."""
    error = relative_error(got, expected)
    assert error <= tolerance, f"relative error {error:.1e} > {tolerance:.1e}"


def assert_same_bits(first, second):
    """Two pytrees have equal structure, shapes, dtypes and bits."""
    assert jax.tree.structure(first) == jax.tree.structure(second)
    for a, b in zip(jax.tree.leaves(first), jax.tree.leaves(second), strict=True):
        a, b = np.asarray(a), np.asarray(b)
        assert (a.shape, a.dtype) == (b.shape, b.dtype)
        assert a.tobytes() == b.tobytes()


def assert_same_rows(first, second, tolerance=1e-13):
    """Two factors stand for the same rows: ‖R₁ᵀR₁ − R₂ᵀR₂‖ ≤ tolerance ‖A‖², and σ to 1e-14 σ₁."""
    first, second = np.asarray(first), np.asarray(second)
    gap = np.linalg.norm(first.T @ first - second.T @ second, 2)
    assert gap <= tolerance * np.linalg.norm(second, 2) ** 2
    s1, s2 = (np.linalg.svd(r, compute_uv=False) for r in (first, second))
    n = min(len(s1), len(s2))
    assert np.abs(s1[:n] - s2[:n]).max() <= 0.1 * tolerance * s2[0]
    assert np.all(s1[n:] <= 0.1 * tolerance * s2[0])


def assert_derivative(function, derivative, x, direction, step, tolerance):
    """Central differences of a function of (N, D) arrays agree with its derivative."""
    moved = step * np.asarray(direction)
    numeric = (np.asarray(function(x + moved)) - np.asarray(function(x - moved))) / (2 * step)
    scale = np.abs(numeric).max()
    assert scale > 0
    np.testing.assert_allclose(derivative, numeric, rtol=0, atol=tolerance * scale)
