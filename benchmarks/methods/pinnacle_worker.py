# mypy: ignore-errors
# (its packages live in another environment)
"""Solve a problem of PINNacle by one peer in one process, as ``worker.py`` fits data.

Each is stated in the peer's own words, and gets :data:`SECONDS` of CPU for one seed: networks,
points, rates and optimisers are those that ``equations_worker.py`` gives other problems.
"""

import contextlib
import io
import os
import pathlib
import sys
import time

import numpy as np

sys.path.append(str(pathlib.Path(__file__).parent))  # last, so that it hides no installed module
import worker

SECONDS = 120.0
PEERS = {}
peer = worker.registrar(PEERS)
pi = np.pi
HOLES = [(a, b) for a in (-0.3, 0.3) for b in (-0.3, 0.3)]
HEAT = (1 / (500 * pi) ** 2, 1 / pi**2)


@peer("DeepXDE, 120 s", "DeepXDE")
def deepxde(job):
    """Three tanh layers of 32, Adam at 1e-3 for half of the time, then L-BFGS."""
    import deepxde as dde
    import torch

    torch.set_num_threads(1)
    dde.config.set_default_float("float64")
    dde.config.set_random_seed(int(job["seed"]))
    began = time.process_time()
    data, n_inputs = STATED[str(job["name"])](dde, torch)
    model = dde.Model(data, dde.nn.FNN([n_inputs, 32, 32, 32, 1], "tanh", "Glorot normal"))

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


def _second(dde, u, x, axes):
    return [dde.grad.hessian(u, x, i=i, j=i) for i in axes]


def _plate(dde, torch):
    """Δu = 0 on a square, where u is 1, minus four disks, where it is 0."""
    domain = dde.geometry.Rectangle([-0.5, -0.5], [0.5, 0.5])
    square, holes = domain, [dde.geometry.Disk(center, 0.1) for center in HOLES]
    for hole in holes:
        domain = dde.geometry.CSGDifference(domain, hole)
    conditions = [
        dde.icbc.DirichletBC(domain, lambda x: 1.0, lambda x, on: on and square.on_boundary(x)),
        dde.icbc.DirichletBC(domain, lambda x: 0.0, lambda x, on: on and not square.on_boundary(x)),
    ]
    data = dde.data.PDE(
        domain,
        lambda x, u: sum(_second(dde, u, x, (0, 1))),
        conditions,
        num_domain=4000,
        num_boundary=1200,
    )
    return data, 2


def _heat(dde, torch):
    """Heat conduction of two speeds, from sin 20πx sin πy, 0 on the sides of a square."""
    square = dde.geometry.Rectangle([0, 0], [1, 1])
    domain = dde.geometry.GeometryXTime(square, dde.geometry.TimeDomain(0, 5))

    def residual(x, u):
        second = _second(dde, u, x, (0, 1))
        return dde.grad.jacobian(u, x, j=2) - HEAT[0] * second[0] - HEAT[1] * second[1]

    def start(x):
        return np.sin(20 * pi * x[:, :1]) * np.sin(pi * x[:, 1:2])

    conditions = [
        dde.icbc.DirichletBC(domain, lambda x: 0.0, lambda x, on: on),
        dde.icbc.IC(domain, start, lambda x, on: on),
    ]
    count = {"num_domain": 4000, "num_boundary": 800, "num_initial": 1600}
    return dde.data.TimePDE(domain, residual, conditions, **count), 3


def _sines(dde, torch):
    """−Δu = ¼ π² Σ sin ½πx_i in five dimensions."""
    domain = dde.geometry.Hypercube([0.0] * 5, [1.0] * 5)

    def residual(x, u):
        source = 0.25 * pi**2 * torch.sin(0.5 * pi * x).sum(1, keepdim=True)
        return sum(_second(dde, u, x, range(5))) + source

    exact = dde.icbc.DirichletBC(
        domain, lambda x: np.sin(0.5 * pi * x).sum(1, keepdims=True), lambda x, on: on
    )
    return dde.data.PDE(domain, residual, [exact], num_domain=4000, num_boundary=1200), 5


def _ball(dde, torch):
    """u_t = Δu/5 − (r²/5) e^{r²/2+t} in the ball of five dimensions, its flux given."""
    ball = dde.geometry.Hypersphere([0.0] * 5, 1.0)
    domain = dde.geometry.GeometryXTime(ball, dde.geometry.TimeDomain(0, 1))

    def exact(x):
        return np.exp(0.5 * (x[:, :5] ** 2).sum(1, keepdims=True) + x[:, 5:])

    def residual(x, u):
        square = (x[:, :5] ** 2).sum(1, keepdim=True)
        source = square / 5 * torch.exp(0.5 * square + x[:, 5:])
        return dde.grad.jacobian(u, x, j=5) - sum(_second(dde, u, x, range(5))) / 5 + source

    conditions = [
        dde.icbc.NeumannBC(domain, exact, lambda x, on: on),  # ∂u/∂r = r u, and r = 1
        dde.icbc.IC(domain, exact, lambda x, on: on),
    ]
    count = {"num_domain": 4000, "num_boundary": 1200, "num_initial": 1200}
    return dde.data.TimePDE(domain, residual, conditions, **count), 6


STATED = {"Poisson2d-C": _plate, "Heat2d-MS": _heat, "PNd": _sines, "HNd": _ball}


@peer("jinns, 120 s", "jinns")
def jinns_natural_gradient(job):
    """Two tanh layers of 16, natural gradients with a line search, on the heat equation alone."""
    import equinox
    import jax
    import jax.numpy as jnp

    jax.config.update("jax_enable_x64", True)
    import jinns
    from jinns.loss import BoundaryConditionAbstract, PDENonStatio

    assert str(job["name"]) == "Heat2d-MS"
    began = time.process_time()
    key, draw = jax.random.split(jax.random.key(int(job["seed"])))
    tanh, linear = (jax.nn.tanh,), equinox.nn.Linear
    layers = ((linear, 3, 16), tanh, (linear, 16, 16), tanh, (linear, 16, 1))
    u, weights = jinns.nn.PINN_MLP.create(key=key, eqx_list=layers, eq_type="PDENonStatio")
    params = jinns.parameters.Params(nn_params=weights, eq_params={})
    points = jinns.data.CubicMeshPDENonStatio(
        key=draw,
        n=4000,
        nb=800,
        ni=1600,
        dim=2,
        min_pts=(0.0, 0.0),
        max_pts=(1.0, 1.0),
        tmin=0.0,
        tmax=5.0,
        method="uniform",
    )

    class Equation(PDENonStatio):
        def equation(self, t_x, u, params):
            def value(z):
                return u(z, params)[0]

            second = jnp.diag(jax.hessian(value)(t_x))
            first = jax.grad(value)(t_x)
            return (first[0] - HEAT[0] * second[1] - HEAT[1] * second[2])[None]

    class Sides(BoundaryConditionAbstract):
        """Facets are x = 0, x = 1, y = 0, y = 1, the last axis of ``inputs``."""

        def equation_u(self, inputs, u, params):
            return tuple(u(inputs[:, i], params) for i in range(4))

        def equation_f(self, inputs, params, gridify=False):
            return (jnp.zeros(1),) * 4

    loss = jinns.loss.LossPDENonStatio(
        u=u,
        dynamic_loss=Equation(),
        boundary_condition=Sides(),
        initial_condition_fun=lambda x: jnp.sin(20 * pi * x[:1]) * jnp.sin(pi * x[1:]),
        loss_weights=jinns.loss.LossWeightsPDENonStatio(
            dyn_loss=1.0, boundary_loss=1.0, initial_condition=1.0
        ),
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
    values = jax.vmap(lambda z: u(z, params)[0])

    def predict(x):
        return np.asarray(values(jnp.asarray(np.roll(x, 1, axis=1))))  # time is first there

    return predict, steps, "max_seconds"


if __name__ == "__main__":
    os.environ.setdefault("DDE_BACKEND", "pytorch")
    worker.main(PEERS)
