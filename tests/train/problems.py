"""One small problem for all trainers, with oracles that share no code with them."""

import functools

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from adabasis import rows
from adabasis.basis import NeuralBasis
from adabasis.geometry.points import Points
from adabasis.train import GD, LSGD, LSGN, Budget, Objective, train

from ..registry import FUNCTIONS, ROWS, draw, key, points

BASIS = FUNCTIONS["one layer tanh"]
FRAGILE = NeuralBasis(8, 2, activation="relu")  # overflows at huge parameters
PLAIN, CONTROLLED, JOINT = LSGD(0.1), LSGD("auto"), GD(1e-2)
TRAINERS = {
    "lsgd": PLAIN,
    "lsgd auto": CONTROLLED,
    "gd": JOINT,
    "lsgn": LSGN(),
    "lsgn single": LSGN(precision="single"),
    "lsgn iterative": LSGN(solver="iterative"),
}


def objective(basis=BASIS, *, ridge=0.0, seed=0, noise=0.0):
    """Return a smooth target of two outputs on 64 weighted points of the unit square."""
    x, rng = points(seed=seed), np.random.default_rng(seed)
    y = np.stack([np.sin(5 * x[:, 0] + 3 * x[:, 1]), np.cos(4 * x[:, 0] * x[:, 1])], axis=1)
    y = y + noise * rng.normal(size=y.shape)
    weight = rng.uniform(0.5, 2.0, ROWS)
    return Objective([rows.Term(Points(x, weight), y)], ridge, basis)


def run(trainer, *, problem=None, parameters=None, seed=0, **options):
    """Train with a budget given by keywords."""
    problem = objective() if problem is None else problem
    parameters = draw(problem.basis) if parameters is None else parameters
    other = {name: options.pop(name) for name in ("validation", "callbacks") if name in options}
    budget = Budget(**options)
    return train(trainer, problem, parameters, key=key(seed), budget=budget, **other)


def augmented(problem, parameters):
    """Return the rows and targets with the ridge appended."""
    a, b = problem.design(parameters), problem.targets
    identity = jnp.sqrt(problem.ridge) * jnp.eye(a.shape[1])
    return jnp.concatenate([a, identity]), jnp.concatenate([b, jnp.zeros((a.shape[1], 2))])


@functools.partial(eqx.filter_jit)
def projected(problem, parameters):
    """Return min over c of the loss, by projection, and its gradient in ξ."""

    def loss(parameters):
        a, b = augmented(problem, parameters)
        q, _ = jnp.linalg.qr(a)
        return jnp.sum((b - q @ (q.T @ b)) ** 2) / b.shape[1]

    return jax.value_and_grad(loss)(parameters)


def adam(variables, gradients, rate, steps, epsilon):
    """Take Adam steps in NumPy; ``gradients`` maps a list of arrays to a list of arrays."""
    first = [np.zeros_like(v) for v in variables]
    second = [np.zeros_like(v) for v in variables]
    for t in range(1, steps + 1):
        g = gradients(variables)
        first = [0.9 * m + 0.1 * x for m, x in zip(first, g, strict=True)]
        second = [0.999 * v + 0.001 * x**2 for v, x in zip(second, g, strict=True)]
        moves = [
            (m / (1 - 0.9**t)) / (np.sqrt(v / (1 - 0.999**t)) + epsilon)
            for m, v in zip(first, second, strict=True)
        ]
        variables = [v - rate * move for v, move in zip(variables, moves, strict=True)]
    return variables
