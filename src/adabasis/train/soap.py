r"""SOAP: Adam in the eigenbasis of Shampoo's preconditioner, for steps on mini-batches.

For a matrix of parameters with the gradient G (m, n), the running means L of G Gᵀ and R of Gᵀ G
have eigenvectors Q_L and Q_R. In their coordinates G′ = Q_Lᵀ G Q_R, where the preconditioner of
Shampoo is diagonal, Adam takes its step, which Q_L and Q_R turn back [1]_. Eigenvectors change
slowly: they are improved every few steps by one orthogonal iteration, L Q = Q′ R, instead of being
found anew.

References
----------
.. [1] Vyas, Morwani, Zhao, Shapira, Brandfonbrener, Janson, Kakade, "SOAP: improving and
   stabilizing Shampoo using Adam", arXiv:2409.11321 (2024).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

if TYPE_CHECKING:
    import optax

#: Decay of the mean gradient, and of the means of squares, G Gᵀ and Gᵀ G.
BETAS = (0.9, 0.99)
#: Steps between two improvements of the eigenvectors.
EVERY = 10
#: A side longer than this keeps its own coordinates: with jax 0.10.2 on two cores, steps of
#: networks 256 wide waited for ever with their eigenvectors; 129 is the most that ran with them.
LONGEST = 160
#: What is added to the root of the mean square.
EPSILON = 1e-8


class Side(NamedTuple):
    """One side of a matrix of parameters, or of a stack of such.

    Attributes
    ----------
    square : array, shape (..., m, m)
        Running mean of G Gᵀ, or of Gᵀ G.
    turn : array, shape (..., m, m)
        Its eigenvectors, about, in columns.
    """

    square: Array
    turn: Array


class Moments(NamedTuple):
    """What SOAP keeps of one leaf; without sides it is what Adam keeps.

    Attributes
    ----------
    first, second : arrays of the leaf's shape
        Running means of G′ and of its square, in the coordinates of the sides.
    left, right : Side or None
    """

    first: Array
    second: Array
    left: Side | None
    right: Side | None


class SOAPState(NamedTuple):
    """Steps so far, and the moments of each leaf in their order."""

    steps: Array
    moments: tuple[Moments, ...]


def scale_by_soap(
    betas: tuple[float, float] = BETAS,
    *,
    epsilon: float = EPSILON,
    every: int = EVERY,
    longest: int = LONGEST,
) -> optax.GradientTransformation:
    """Return SOAP as a transformation of gradients: like ``optax.scale_by_adam``, without a rate.

    Arrays of more than two axes are stacks of matrices. Sides of one entry or more than ``longest``
    are left as they are, and so are vectors: there it is Adam. The first step only looks for
    eigenvectors: its direction is 0.

    Parameters
    ----------
    betas : (float, float)
        Decay of the mean gradient, and of the means of squares.
    epsilon : float
        Adam's ε.
    every : int
        Steps between two improvements of the eigenvectors.
    longest : int
        Longest side of an array that gets eigenvectors; longer ones are left to Adam.

    Returns
    -------
    optax.GradientTransformation
        The precision is that of the gradients.

    Examples
    --------
    >>> import jax.numpy as jnp
    >>> soap, weights = scale_by_soap(), jnp.ones((3, 2))
    >>> direction, state = soap.update(weights, soap.init(weights))
    >>> direction.shape
    (3, 2)
    """
    import optax

    def init(parameters: Any) -> SOAPState:
        leaves = map(jnp.asarray, jax.tree.leaves(parameters))
        return SOAPState(jnp.asarray(0), tuple(_moments(leaf, longest) for leaf in leaves))

    def update(gradients: Any, state: SOAPState, _: Any = None) -> tuple[Any, SOAPState]:
        leaves, structure = jax.tree.flatten(gradients)
        # The first gradient gives eigenvectors only: along those of eigenvalue 0 it is round-off.
        begun = state.steps > 0
        corrections = [1 - beta ** jnp.maximum(state.steps, 1.0) for beta in betas]
        directions, moments = [], []
        for gradient, known in zip(leaves, state.moments, strict=True):
            known = _turned(known, gradient, state.steps, betas[1], every)
            inner = jnp.where(begun, _inwards(known, gradient), 0.0)
            first = betas[0] * known.first + (1 - betas[0]) * inner
            second = betas[1] * known.second + (1 - betas[1]) * inner**2
            known = known._replace(first=first, second=second)
            mean, square = (
                moment / correction.astype(gradient.dtype)
                for moment, correction in zip((first, second), corrections, strict=True)
            )
            directions.append(_outwards(known, mean / (jnp.sqrt(square) + epsilon)))
            moments.append(known)
        return jax.tree.unflatten(structure, directions), SOAPState(state.steps + 1, tuple(moments))

    return optax.GradientTransformation(init, update)


def _moments(leaf: Array, longest: int) -> Moments:
    zero = jnp.zeros_like(leaf)
    if leaf.ndim < 2:
        return Moments(zero, zero, None, None)
    *stack, m, n = leaf.shape

    def side(length: int) -> Side | None:
        if not 1 < length <= longest:
            return None
        square = jnp.zeros((*stack, length, length), leaf.dtype)
        return Side(square, square + jnp.eye(length, dtype=leaf.dtype))

    return Moments(zero, zero, side(m), side(n))


def _turned(known: Moments, gradient: Array, count: Array, beta: float, every: int) -> Moments:
    # Update the squares; every so often turn to better eigenvectors, the moments with them.
    if known.left is None and known.right is None:
        return known
    left, right = known.left, known.right
    if left is not None:
        square = beta * left.square + (1 - beta) * gradient @ gradient.mT
        left = left._replace(square=square)
    if right is not None:
        square = beta * right.square + (1 - beta) * gradient.mT @ gradient
        right = right._replace(square=square)
    known = known._replace(left=left, right=right)
    stage = jnp.where(count == 0, 2, jnp.where(count % every == 0, 1, 0))
    return jax.lax.switch(stage, [lambda k: k, _improved, _found], known)


def _found(known: Moments) -> Moments:
    # Turn to the eigenvectors at the first step, where there are no moments yet.
    def found(side: Side | None) -> Side | None:
        if side is None:
            return None
        turn = jnp.linalg.eigh(side.square)[1][..., ::-1]
        return side._replace(turn=turn)

    return known._replace(left=found(known.left), right=found(known.right))


def _improved(known: Moments) -> Moments:
    # Take one orthogonal iteration on each side, its vectors in the order of their eigenvalues.
    first, second = known.first, known.second
    left, right = known.left, known.right
    if left is not None:
        turn, order = _iterated(left)
        first = (turn.mT @ left.turn) @ first
        second = jnp.take_along_axis(second, order[..., :, None], axis=-2)
        left = left._replace(turn=turn)
    if right is not None:
        turn, order = _iterated(right)
        first = first @ (right.turn.mT @ turn)
        second = jnp.take_along_axis(second, order[..., None, :], axis=-1)
        right = right._replace(turn=turn)
    return Moments(first, second, left, right)


def _iterated(side: Side) -> tuple[Array, Array]:
    image = side.square @ side.turn
    order = jnp.argsort(-jnp.sum(side.turn * image, axis=-2), axis=-1)
    image = jnp.take_along_axis(image, order[..., None, :], axis=-1)
    return jnp.linalg.qr(image)[0], order


def _inwards(known: Moments, leaf: Array) -> Array:
    leaf = leaf if known.left is None else known.left.turn.mT @ leaf
    return leaf if known.right is None else leaf @ known.right.turn


def _outwards(known: Moments, leaf: Array) -> Array:
    leaf = leaf if known.left is None else known.left.turn @ leaf
    return leaf if known.right is None else leaf @ known.right.turn.mT
