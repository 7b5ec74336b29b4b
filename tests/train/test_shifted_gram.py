"""Gram matrices in single precision that round-off leaves indefinite."""

import numpy as np
import pytest
from scipy.linalg import cho_solve

from adabasis.train import last_layer


def indefinite(dtype=np.float32, below=-3e-5):
    """Return a symmetric matrix with one eigenvalue that is below 0 by more than round-off."""
    q, _ = np.linalg.qr(np.random.default_rng(0).normal(size=(6, 6)))
    return (q * [1.0, 0.5, 0.1, 1e-2, 1e-3, below] @ q.T).astype(dtype)


def test_an_indefinite_gram_matrix_is_shifted_until_it_has_a_factor():
    gram = indefinite()
    kept = gram.copy()
    factor = last_layer._cholesky(gram, np.float32(0.0))
    assert (gram == kept).all()
    step = cho_solve(factor, np.ones(6, np.float32))
    assert step.dtype == np.float32
    assert np.isfinite(step).all()
    assert step @ np.ones(6) > 0  # downhill


def test_a_definite_one_keeps_the_least_shift():
    gram = indefinite(float, 1e-4)
    factor = last_layer._cholesky(gram, 0.1)
    b = np.arange(6.0)
    assert cho_solve(factor, b) == pytest.approx(np.linalg.solve(gram + 0.1 * np.eye(6), b))


def test_without_growing_shifts_the_diagonal_is_left(monkeypatch):
    monkeypatch.setattr(last_layer, "SHIFTS", 1)
    lower, _ = last_layer._cholesky(indefinite(), np.float32(0.0))
    assert (lower == np.diag(np.diag(lower))).all()
    monkeypatch.setattr(last_layer, "SHIFTS", 7)
    monkeypatch.setattr(last_layer, "GROWTH", 1.0)
    lower, _ = last_layer._cholesky(indefinite(), np.float32(0.0))
    assert (lower == np.diag(np.diag(lower))).all()
