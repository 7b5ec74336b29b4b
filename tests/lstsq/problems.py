"""Least-squares problems of one shared shape, with and without a known solution."""

import numpy as np

N, P, K = 60, 8, 2


def random_problem(seed=0, n=N, p=P, k=K):
    """Return a well-conditioned A and an unrelated b."""
    rng = np.random.default_rng(seed)
    return rng.normal(size=(n, p)), rng.normal(size=(n, k))


def with_condition(condition, seed=0):
    """Return A with the given condition number and b close to its columns' span."""
    rng = np.random.default_rng(seed)
    u, _ = np.linalg.qr(rng.normal(size=(N, P)))
    v, _ = np.linalg.qr(rng.normal(size=(P, P)))
    a = u * np.logspace(0, -np.log10(condition), P) @ v.T
    return a, a @ rng.normal(size=(P, K)) + 0.1 * rng.normal(size=(N, K))


def dependent(seed=0):
    """Return A of rank P − 2: one column is another, one the sum of two others."""
    a, b = random_problem(seed)
    a[:, 3] = a[:, 1]
    a[:, 6] = a[:, 0] + a[:, 2]
    return a, b
