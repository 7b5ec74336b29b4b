"""The cases that laws are run over: every kind of basis, every activation, every initialiser.

One small shape, WIDTH × DEPTH and ROWS points, is shared by all tests, so that little is compiled.
"""

import functools

import jax
import jax.numpy as jnp
import numpy as np

from adabasis import rows
from adabasis.basis import ACTIVATIONS, INITIALIZERS, Box, FanScaled, FrozenFeatures, NeuralBasis
from adabasis.operators import Identity

WIDTH, DEPTH, ROWS = 8, 3, 64

BOXES = {
    "unit 1-D": np.array([[0.0, 1.0]]),
    "shifted 1-D": np.array([[-2.0, 3.0]]),
    "unit 2-D": np.array([[0.0, 1.0], [0.0, 1.0]]),
    "long 2-D": np.array([[-1e3, 1e3], [0.2, 0.3]]),
    "unit 10-D": np.tile([0.0, 1.0], (10, 1)),
    "mixed 10-D": np.stack([np.linspace(-9.0, 0.0, 10), np.linspace(-8.0, 10.0, 10)], axis=1),
}

# The same functions Φ, one recipe each.
FUNCTIONS = {
    **{
        f"residual {name}": NeuralBasis(WIDTH, DEPTH, activation=name, residual=True)
        for name in ACTIVATIONS
    },
    "plain relu": NeuralBasis(WIDTH, DEPTH, activation="relu", constant=False),
    "plain tanh": NeuralBasis(WIDTH, DEPTH, constant=False),
    "one layer tanh": NeuralBasis(WIDTH, 1),
    "deep residual tanh": NeuralBasis(WIDTH, 20, residual=True),
    "frozen relu": FrozenFeatures(WIDTH, activation="relu"),
    "frozen tanh": FrozenFeatures(WIDTH, scale=2.0),
}

# The same functions, other initial parameters.
STARTS = {
    **{
        f"residual relu {name}": NeuralBasis(
            WIDTH, DEPTH, activation="relu", residual=True, init=name
        )
        for name in INITIALIZERS
        if name != "box"
    },
    "Box object": NeuralBasis(WIDTH, DEPTH, activation="relu", init=Box(max_slope=5.0)),
    "FanScaled object": NeuralBasis(
        WIDTH, DEPTH, activation="relu", init=FanScaled(gain=2.0, normal=True)
    ),
}

REGISTRY = FUNCTIONS | STARTS


def key(seed=0):
    return jax.random.key(seed)


def draw(basis, box=BOXES["unit 2-D"], seed=0):
    """Return parameters of a basis."""
    return basis.init(key(seed), jnp.asarray(box))


def points(box=BOXES["unit 2-D"], n=ROWS, seed=0):
    """Return random points of a box, its two extreme corners first."""
    x = np.random.default_rng(seed).uniform(box[:, 0], box[:, 1], (n, len(box)))
    x[0], x[1] = box[:, 0], box[:, 1]
    return x


@functools.cache
def design(name):
    """Return Φ at the shared points of the unit square, (ROWS, P)."""
    basis = FUNCTIONS[name]
    return np.asarray(rows.evaluate(Identity(), basis, draw(basis), points()))


def smooth_functions():
    """Return the names of the bases that have a derivative."""
    return [name for name, basis in FUNCTIONS.items() if basis.smoothness >= 1]
