"""SOAP against an account of it in NumPy, and against Adam where the two are the same."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from adabasis._runtime.compute import quickly
from adabasis.train import scale_by_soap, soap

from ..laws import assert_close

SHAPES = [(4, 3), (5,), (1, 4)]


def gradients(steps, shapes=SHAPES, seed=0):
    rng = np.random.default_rng(seed)
    return [[rng.normal(size=shape) for shape in shapes] for _ in range(steps)]


def directions(transformation, sequence):
    """Return the updates for a sequence of gradients."""
    state, found = transformation.init([jnp.asarray(g) for g in sequence[0]]), []
    update = quickly(jax.jit, once=True)(transformation.update)
    for each in sequence:
        step, state = update([jnp.asarray(g) for g in each], state)
        found.append([np.asarray(leaf) for leaf in step])
    return found


def told(sequence, every):
    """Take the steps for one matrix, both sides turned, written down from the paper."""
    m = v = None
    left = right = 0.0
    for t, g in enumerate(sequence, start=1):
        left, right = 0.99 * left + 0.01 * g @ g.T, 0.99 * right + 0.01 * g.T @ g
        if t == 1:
            p, q = (np.linalg.eigh(s)[1][:, ::-1] for s in (left, right))
            m, v = np.zeros_like(g), np.zeros_like(g)
            yield m
            continue
        if (t - 1) % every == 0:
            before = p, q
            rows, columns = (np.argsort(-np.diag(e.T @ s @ e)) for s, e in ((left, p), (right, q)))
            p = np.linalg.qr((left @ p)[:, rows])[0]
            q = np.linalg.qr((right @ q)[:, columns])[0]
            m = p.T @ before[0] @ m @ before[1].T @ q
            v = v[rows][:, columns]
        inner = p.T @ g @ q
        m, v = 0.9 * m + 0.1 * inner, 0.99 * v + 0.01 * inner**2
        step = (m / (1 - 0.9 ** (t - 1))) / (np.sqrt(v / (1 - 0.99 ** (t - 1))) + 1e-8)
        yield p @ step @ q.T


def test_steps_are_those_of_the_paper():
    sequence = gradients(2 * soap.EVERY + 3, [(3, 3)])
    found = directions(scale_by_soap(), sequence)
    expected = told([g[0] for g in sequence], 10)
    for step, other in zip(found, expected, strict=True):
        assert np.abs(step[0] - other).max() < 1e-9


@pytest.mark.parametrize("longest", [soap.LONGEST, 1])
def test_vectors_and_long_sides_take_adams_steps(longest):
    shapes = [(5,), ()] if longest > 1 else SHAPES
    sequence = gradients(14, shapes)
    found = directions(scale_by_soap(longest=longest), sequence)
    adam = directions(optax.scale_by_adam(b1=0.9, b2=0.99, eps=1e-8), sequence[1:])
    for step, other in zip(found[-1], adam[-1], strict=True):
        assert_close(step, other, 1e-9)


def test_a_stack_is_its_matrices_one_by_one():
    sequence = gradients(13, [(2, 4, 3)])
    whole = directions(scale_by_soap(), sequence)[-1][0]
    for k in range(2):
        part = directions(scale_by_soap(), [[g[0][k]] for g in sequence])[-1][0]
        assert_close(whole[k], part, 1e-9)


def test_a_side_that_is_too_long_leaves_the_other_turned():
    sequence = gradients(13, [(6, 3)])
    one = directions(scale_by_soap(longest=4), sequence)[-1][0]
    both = directions(scale_by_soap(), sequence)[-1][0]
    none = directions(scale_by_soap(longest=1), sequence)[-1][0]
    assert np.abs(one - both).max() > 0.01
    assert np.abs(one - none).max() > 0.01


def test_zero_gradients_and_single_precision_stay_what_they_are():
    sequence = gradients(12, [(3, 3)])
    nothing = [[np.zeros((3, 3), np.float32)]] * 12
    exact = directions(scale_by_soap(), sequence)[-1][0]
    single = [[each[0].astype(np.float32)] for each in sequence]
    for given, expected in ((nothing, np.zeros((3, 3))), (single, exact)):
        (leaf,) = directions(scale_by_soap(), given)[-1]
        assert leaf.dtype == np.float32
        assert np.abs(leaf - expected).max() < 1e-4


def test_turned_valleys_are_no_harder_than_straight_ones():
    """On ½‖A X B‖² with turned A and B Adam zigzags; in the eigenbasis valleys are straight."""
    rng = np.random.default_rng(0)
    a, b = (
        jnp.asarray(np.linalg.qr(rng.normal(size=(8, 8)))[0] * np.logspace(0, 2, 8)[:, None])
        for _ in range(2)
    )

    def descend(transformation):
        @quickly(jax.jit, once=True)
        def step(x, state, rate):
            gradient = a.T @ (a @ x @ b) @ b.T
            direction, state = transformation.update(gradient, state)
            return x - rate * direction, state

        x = jnp.eye(8)
        state = transformation.init(x)
        for t in range(300):
            x, state = step(x, state, 0.1 * (1 - t / 300))
        return float(jnp.linalg.norm(x))

    assert descend(scale_by_soap()) < 0.3 * descend(optax.scale_by_adam(b2=0.99))


def test_sides_that_were_seen_to_hang_are_left_as_they_are():
    shapes = {n: jax.eval_shape(scale_by_soap().init, jnp.zeros((n, 8))) for n in (129, 256)}
    assert shapes[129].moments[0].left is not None
    assert shapes[256].moments[0].left is None
    assert shapes[256].moments[0].right is not None
