"""The cases that laws are run over: every kind of basis, every activation, every initialiser.

One small shape, WIDTH × DEPTH and ROWS points, is shared by all tests, so that little is compiled.
"""

import functools

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from adabasis import rows
from adabasis.basis import (
    ACTIVATIONS,
    INITIALIZERS,
    AdditiveSplines,
    BoxInit,
    EnrichedBasis,
    Ensemble,
    FanScaled,
    FrozenFeatures,
    GaussianKernels,
    GridPartition,
    NetworkPartition,
    NeuralBasis,
    PartitionBasis,
    PlacedGaussians,
    Polynomial,
    PolynomialPartition,
    ProjectedFeatures,
    RBFPartition,
)
from adabasis.basis.enriched import Corners, Layers, Poles
from adabasis.geometry.points import AffineMap
from adabasis.lstsq import Status
from adabasis.models.fitted import Fitted
from adabasis.models.record import Asked, Record, Ridge, Tried
from adabasis.operators import Identity
from adabasis.train import History, StopReason

WIDTH, DEPTH, ROWS = 8, 2, 64

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
    "projected tanh": ProjectedFeatures(WIDTH, 1, scale=2.0),
    "projected gaussian": ProjectedFeatures(WIDTH, 3, activation="gaussian"),
    "cubics": Polynomial(3),
    "products": Polynomial(2, highest=1),
    "splines": AdditiveSplines(3),
    "kriging": GaussianKernels(4),
    "anova": GaussianKernels(4, anova=True),
    "three nets": Ensemble(NeuralBasis(WIDTH, DEPTH), 3),
    "placed": PlacedGaussians(FrozenFeatures(3, scale=2.0), 4),
    "enriched": EnrichedBasis(
        FrozenFeatures(3, scale=1.0),
        [
            Poles([(2.0, 2.0)], [1.0], 2),
            Layers([0], [1.0], [0.5], [(0, 1), (0, 1)], 1),
            Corners([(-0.5, -0.5)], [0.8], [4.5], [[0.7, 1.3]], [[0.7, 1.3]]),
        ],
        [0.0, 0.0],
        [1.0, 1.0],
    ),
    "two frozen": Ensemble(FrozenFeatures(WIDTH, activation="relu"), 2),
    "round bumps": RBFPartition(3),
    "power diagram": PolynomialPartition(3),
    "classifying net": NetworkPartition(3, width=WIDTH, depth=DEPTH, residual=True),
    "grid": GridPartition(6),
    "pou of bumps": PartitionBasis(3, 2, partition="rbf-anisotropic"),
    "pou of a grid": PartitionBasis(6, 2, partition="grid"),
    "pou of cells": PartitionBasis(2, 3, partition="affine", index_set="hyperbolic"),
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
    "Box object": NeuralBasis(WIDTH, DEPTH, activation="relu", init=BoxInit(max_slope=5.0)),
    "FanScaled object": NeuralBasis(
        WIDTH, DEPTH, activation="relu", init=FanScaled(gain=2.0, normal=True)
    ),
    "pou of an object": PartitionBasis(3, 1, partition=RBFPartition(3, width=1.0)),
    "conics": PolynomialPartition(3, 2),
}

REGISTRY = FUNCTIONS | STARTS


# One program instead of one for every operation: half the time, most of it compilation.
evaluate = eqx.filter_jit(rows.evaluate)
jacobian = eqx.filter_jit(rows.jacobian)


def key(seed=0):
    """Return a key as the public functions use; it compiles faster than JAX' default."""
    return jax.random.key(seed, impl="rbg")


def draw(basis, box=BOXES["unit 2-D"], seed=0):
    """Return parameters of a basis, drawn once for each basis, box and seed."""
    wide = jax.config.jax_enable_x64
    return _drawn(basis, np.asarray(box, dtype=float).tobytes(), seed, wide)


@functools.cache
def _drawn(basis, box, seed, wide):
    bounds = np.frombuffer(box).reshape(-1, 2)
    return basis.init(key(seed), jnp.asarray(bounds))


def points(box=BOXES["unit 2-D"], n=ROWS, seed=0):
    """Return random points of a box, its two extreme corners first."""
    x = np.random.default_rng(seed).uniform(box[:, 0], box[:, 1], (n, len(box)))
    x[0], x[1] = box[:, 0], box[:, 1]
    return x


@functools.cache
def design(name):
    """Return Φ at the shared points of the unit square, (ROWS, P)."""
    basis = FUNCTIONS[name]
    return np.asarray(evaluate(Identity(), basis, draw(basis), points()))


def smooth_functions():
    """Return the names of the bases that have a derivative."""
    return [name for name, basis in FUNCTIONS.items() if basis.smoothness >= 1]


def fitted(basis, n_outputs=2, seed=0, **changes):
    """Return a model in units far from one, with random coefficients: x by 1e3, u by 1e-3."""
    rng = np.random.default_rng(seed)
    flat = n_outputs is None
    shape = (basis.size(2), 1 if flat else n_outputs)
    parameters, other = (jax.tree.map(np.asarray, draw(basis, seed=s)) for s in (seed, seed + 1))
    units = {
        "input_map": AffineMap(np.array([-500.0, 100.0]), np.array([1e3, 2e3])),
        "output_map": AffineMap(np.full(shape[1], 7.0), np.linspace(1e-3, 2e-3, shape[1])),
        "box": np.array([[-500.0, 500.0], [100.0, 2100.0]]),
    }
    record = History(*rng.random((4, 5)), np.array([0, 4]), rng.random(2))
    about = {
        "rank": 5,
        "singular_values": rng.random(shape[0]),
        "status": Status.RANK_DEFICIENT,
        "stop_reason": StopReason.MAX_STEPS,
        "history": record,
        "validation_error": 0.1 + 0.2,
        "validation_kind": "8 of 40 rows held out",
        "initial_parameters": other,
        "record": Record(
            Asked("fit", "lsgd", ridge=1e-3),
            40,
            Ridge(1e-3, relative=False),
            (Tried("first", 0.1), Tried("second", None, 0.2, Ridge(1e-8), 3, "MAX_STEPS")),
        ),
        "notes": ("Ω ≠ ∅: a note.",),
        "flat_output": flat,
    }
    return Fitted(basis, parameters, rng.normal(size=shape), **(units | about | changes))
