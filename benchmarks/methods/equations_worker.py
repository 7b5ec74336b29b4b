# mypy: ignore-errors
# (its packages live in another environment)
"""Solve one equation by one peer in one process, as ``worker.py`` fits data.

Each problem is stated in the peer's own words, with the network, points and optimisers of the
peer's documentation, and gets :data:`SECONDS` of CPU.
"""

import contextlib
import dataclasses
import io
import os
import pathlib
import sys
import time
from collections.abc import Callable

import numpy as np

sys.path.append(str(pathlib.Path(__file__).parent))  # last, so that it hides no installed module
import worker

SECONDS = 60.0
PEERS = {}
peer = worker.registrar(PEERS)


@dataclasses.dataclass(frozen=True)
class Advection:
    """u_t + a(x) u_x = 0 on the unit square of (x, t), u = 0 at x = 0, u = u₀ at t = 0.

    Functions take the module whose operations they are to use: numpy, torch or jax.numpy.
    """

    velocity: Callable
    initial: Callable


@dataclasses.dataclass(frozen=True)
class Poisson:
    """−Δu = 2π² sin πx sin πy on the unit square, u = 0 on its boundary."""


def tent(m, x):
    """Return the tent of half-width 0.1 at 0.2."""
    return m.maximum(1 - 10 * m.abs(x - 0.2), 0 * x)


def bump(m, x):
    """Return the smooth bump of width 0.1 at 0.5."""
    return m.exp(-(((x - 0.5) / 0.1) ** 2))


PROBLEMS = {
    "advection-constant-tent": Advection(lambda x: 1.0, tent),
    "advection-variable-tent": Advection(lambda x: x, tent),
    "advection-variable": Advection(lambda x: x, bump),
    "poisson-2d": Poisson(),
}


@peer("DeepXDE, Adam then L-BFGS", "DeepXDE")
def deepxde(job):
    """Three tanh layers of 32, Adam at 1e-3 for half of the time, then L-BFGS."""
    import deepxde as dde
    import torch

    torch.set_num_threads(1)
    dde.config.set_default_float("float64")
    dde.config.set_random_seed(int(job["seed"]))
    square = dde.geometry.Rectangle([0, 0], [1, 1])
    problem, points = PROBLEMS[str(job["name"])], {"num_domain": 2540, "num_boundary": 240}
    data = dde.data.PDE(
        square, _deepxde_residual(dde, problem), _deepxde_conditions(dde, problem, square), **points
    )
    model = dde.Model(data, dde.nn.FNN([2, 32, 32, 32, 1], "tanh", "Glorot normal"))
    began = time.process_time()

    class Until(dde.callbacks.Callback):
        def __init__(self, seconds):
            super().__init__()
            self.seconds = seconds

        def on_epoch_end(self):
            if time.process_time() - began > self.seconds:
                self.model.stop_training = True

    quiet = {"verbose": 0, "display_every": 10**9}
    model.compile("adam", lr=1e-3, verbose=0)
    model.train(iterations=10**7, callbacks=[Until(SECONDS / 2)], **quiet)
    # A call of the optimiser makes maxiter / 10 steps, and time is looked at between calls only.
    dde.optimizers.set_LBFGS_options(maxiter=10**6)
    dde.optimizers.LBFGS_options["iter_per_step"] = 20
    model.compile("L-BFGS", verbose=0)
    model.train(callbacks=[Until(SECONDS)], **quiet)
    return lambda x: model.predict(x)[:, 0], int(model.train_state.step), "max_seconds"


def _deepxde_residual(dde, problem):
    import torch

    if isinstance(problem, Poisson):

        def residual(x, u):
            second = [dde.grad.hessian(u, x, i=i, j=i) for i in range(2)]
            wave = torch.sin(np.pi * x[:, :1]) * torch.sin(np.pi * x[:, 1:])
            return second[0] + second[1] + 2 * np.pi**2 * wave

        return residual

    def residual(x, u):
        u_x, u_t = (dde.grad.jacobian(u, x, j=j) for j in range(2))
        return u_t + problem.velocity(x[:, :1]) * u_x

    return residual


def _deepxde_conditions(dde, problem, square):
    if isinstance(problem, Poisson):
        return [dde.icbc.DirichletBC(square, lambda x: 0.0, lambda x, on: on)]
    on_left = dde.icbc.DirichletBC(square, lambda x: 0.0, lambda x, on: on and np.isclose(x[0], 0))
    at_start = dde.icbc.DirichletBC(
        square,
        lambda x: problem.initial(np, x[:, :1]),
        lambda x, on: on and np.isclose(x[1], 0),
    )
    return [on_left, at_start]


@peer("jinns, natural gradient", "jinns")
def jinns_natural_gradient(job):
    """Two tanh layers of 16, natural gradients with a line search.

    On 30 × 30 points for Poisson's equation; on 101 × 101 for transport, where fewer fail.
    """
    import equinox
    import jax

    jax.config.update("jax_enable_x64", True)
    import jinns

    began, problem = time.process_time(), PROBLEMS[str(job["name"])]
    key, draw = jax.random.split(jax.random.key(int(job["seed"])))
    tanh, linear = (jax.nn.tanh,), equinox.nn.Linear
    layers = ((linear, 2, 16), tanh, (linear, 16, 16), tanh, (linear, 16, 1))
    u, weights = jinns.nn.PINN_MLP.create(key=key, eqx_list=layers, eq_type="PDEStatio")
    params = jinns.parameters.Params(nn_params=weights, eq_params={})
    side = 30 if isinstance(problem, Poisson) else 101
    points = jinns.data.CubicMeshPDEStatio(
        key=draw,
        n=side**2,
        nb=4 * side,
        dim=2,
        min_pts=(0.0, 0.0),
        max_pts=(1.0, 1.0),
        method="grid",
    )
    equation, condition = _jinns_problem(problem)
    loss = jinns.loss.LossPDEStatio(
        u=u,
        dynamic_loss=equation,
        boundary_condition=condition,
        loss_weights=jinns.loss.LossWeightsPDEStatio(dyn_loss=1.0, boundary_loss=1.0),
        params=params,
    )
    optimizer, state, steps, rate = jinns.optimizers.vanilla_ngd(), None, 0, 0.0
    while time.process_time() - began < 0.95 * SECONDS:
        left = SECONDS - (time.process_time() - began)
        n = 20 if not steps else max(1, int(left * rate))
        start = time.process_time()
        with contextlib.redirect_stdout(io.StringIO()):
            params, _, _, points, loss, state, *_ = jinns.solve(
                n_iter=n,
                init_params=params,
                data=points,
                loss=loss,
                optimizer=optimizer,
                opt_state=state,
                verbose=False,
            )
        steps, rate = steps + n, n / (time.process_time() - start)
    values = jax.vmap(lambda x: u(x, params)[0])
    return lambda x: np.asarray(values(jax.numpy.asarray(x))), steps, "max_seconds"


def _jinns_problem(problem):
    import jax
    import jax.numpy as jnp
    from jinns.loss import BoundaryConditionAbstract, PDEStatio

    zero = jnp.zeros(1)

    class Equation(PDEStatio):
        def equation(self, x, u, params):
            def value(x):
                return u(x, params)[0]

            if isinstance(problem, Poisson):
                wave = jnp.sin(jnp.pi * x[0]) * jnp.sin(jnp.pi * x[1])
                return (jnp.trace(jax.hessian(value)(x)) + 2 * jnp.pi**2 * wave)[None]
            u_x, u_t = jax.grad(value)(x)
            return (u_t + problem.velocity(x[0]) * u_x)[None]

    class Condition(BoundaryConditionAbstract):
        """Facets are x = 0, x = 1, y = 0, y = 1, the last axis of ``inputs``."""

        facets = (0, 1, 2, 3) if isinstance(problem, Poisson) else (0, 2)

        def equation_u(self, inputs, u, params):
            return tuple(u(inputs[:, i], params) for i in self.facets)

        def equation_f(self, inputs, params, gridify=False):
            if isinstance(problem, Poisson):
                return (zero,) * 4
            return zero, problem.initial(jnp, inputs[0, 2])[None]

    return Equation(), Condition()


if __name__ == "__main__":
    os.environ.setdefault("DDE_BACKEND", "pytorch")
    worker.main(PEERS)
