# mypy: ignore-errors
# (its packages live in another environment)
"""Fit one peer in one process: ``worker.py NAME job.npz result.npz``, or ``worker.py --list``.

Runs in an environment without adabasis, so it imports nothing of the project. A peer is a function
from (x, y, seed) to (predict, steps, status); its package is imported by :func:`prepare`, which is
not timed.
"""

from __future__ import annotations

import importlib
import importlib.metadata
import importlib.util
import itertools
import json
import sys
import time

import numpy as np

PEERS = {}
MODULES = {
    "torch": "torch",
    "lightgbm": "lightgbm",
    "catboost": "catboost",
    "pytabkit": "pytabkit",
    "pykan": "kan",
    "DeepXDE": "deepxde",
    "jinns": "jinns",
}
HELD_OUT = 0.15
SECONDS = 6.0


def registrar(peers):
    """Return a decorator that registers a peer, a function of the job, with its package."""

    def peer(name, package):
        def register(fit):
            peers[name] = (package, fit)
            return fit

        return register

    return peer


def peer(name, package):
    """Register a peer that fits data."""

    def register(fit):
        PEERS[name] = (package, lambda job: fit(job["x"], job["y"], int(job["seed"])))
        return fit

    return register


def prepare(package):
    """Import what the peer needs, on one thread, and run its first operation."""
    importlib.import_module(MODULES[package])
    if package in ("torch", "pykan"):
        import torch

        torch.set_num_threads(1)
        torch.set_default_dtype(torch.float64)
        line = torch.nn.Linear(1, 1)
        line(torch.ones(1, 1)).sum().backward()


class Scaled:
    """Standardised data, split for early stopping, and the way back."""

    def __init__(self, x, y, seed, held_out=HELD_OUT):
        self.shift, self.scale = x.mean(0), np.where(x.std(0) > 0, x.std(0), 1.0)
        self.y_shift, self.y_scale = y.mean(), y.std() or 1.0
        order = np.random.default_rng(seed).permutation(len(x))
        out = np.isin(np.arange(len(x)), order[: round(held_out * len(x))])
        z, t = self.map(x), ((y - self.y_shift) / self.y_scale)[:, None]
        self.train, self.held_out = (z[~out], t[~out]), (z[out], t[out])

    def map(self, x):
        """Return standardised inputs."""
        return (x - self.shift) / self.scale

    def unmap(self, t):
        """Return predictions in the user's units."""
        return self.y_shift + self.y_scale * np.asarray(t).reshape(-1)


def network(n_inputs, width, depth, activation):
    """Return a plain torch network with one output."""
    from torch import nn

    sizes = [n_inputs, *[width] * depth]
    layers = []
    for a, b in itertools.pairwise(sizes):
        layers += [nn.Linear(a, b), activation()]
    return nn.Sequential(*layers, nn.Linear(sizes[-1], 1))


class EarlyStop:
    """Keeps the parameters of least held-out error; says when to stop."""

    def __init__(self, model, held_out, patience):
        import torch

        self.model, self.patience = model, patience
        self.x, self.y = map(torch.as_tensor, held_out)
        self.best, self.kept, self.since = np.inf, None, 0
        self.start, self.status = time.perf_counter(), ""

    def error(self):
        """Return the held-out mean square."""
        import torch

        with torch.no_grad():
            return float(((self.model(self.x) - self.y) ** 2).mean())

    def stop(self):
        """Take the held-out error, keep the best, and answer whether to stop."""
        error = self.error()
        self.since += 1
        if error < self.best:
            self.best, self.since = error, 0
            self.kept = {k: v.detach().clone() for k, v in self.model.state_dict().items()}
        if self.since >= self.patience:
            self.status = "validation"
        elif not np.isfinite(error):
            self.status = "diverged"
        elif time.perf_counter() - self.start > SECONDS:
            self.status = "max_seconds"
        return bool(self.status)

    def finish(self, data):
        """Put the best parameters back and return the predictor."""
        import torch

        if self.kept is not None:
            self.model.load_state_dict(self.kept)

        def predict(x):
            with torch.no_grad():
                return data.unmap(self.model(torch.as_tensor(data.map(x))).numpy())

        return predict


@peer("torch ReLU, Adam", "torch")
def torch_adam(x, y, seed):
    """Three ReLU layers of 64, Adam in batches, rate halved on plateaus, early stopping."""
    import torch

    torch.manual_seed(seed)
    data = Scaled(x, y, seed)
    model = network(x.shape[1], 64, 3, torch.nn.ReLU)
    inputs, targets = map(torch.as_tensor, data.train)
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
    plateau = torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer, factor=0.5, patience=40)
    watch, steps = EarlyStop(model, data.held_out, patience=200), 0
    while True:
        for batch in torch.randperm(len(inputs)).split(128):
            optimizer.zero_grad()
            ((model(inputs[batch]) - targets[batch]) ** 2).mean().backward()
            optimizer.step()
            steps += 1
        if watch.stop():
            return watch.finish(data), steps, watch.status
        plateau.step(watch.error())


@peer("torch tanh, L-BFGS", "torch")
def torch_lbfgs(x, y, seed):
    """Two tanh layers of 32, L-BFGS with a strong Wolfe search, early stopping."""
    import torch

    torch.manual_seed(seed)
    data = Scaled(x, y, seed)
    model = network(x.shape[1], 32, 2, torch.nn.Tanh)
    inputs, targets = map(torch.as_tensor, data.train)
    optimizer = torch.optim.LBFGS(
        model.parameters(),
        max_iter=10,
        history_size=50,
        tolerance_grad=1e-12,
        tolerance_change=1e-16,
        line_search_fn="strong_wolfe",
    )

    def loss():
        optimizer.zero_grad()
        value = ((model(inputs) - targets) ** 2).mean()
        value.backward()
        return value

    watch, steps = EarlyStop(model, data.held_out, patience=20), 0
    while not watch.stop():
        optimizer.step(loss)
        steps += 10
    return watch.finish(data), steps, watch.status


GOAL, GOAL_SECONDS = 1e-9, 60.0


def _to_goal(x, y, seed, optimizer, step):
    """Train one layer of 8 tanh on data as they are, to the goal or a minute."""
    import torch

    torch.manual_seed(seed)
    model = network(x.shape[1], 8, 1, torch.nn.Tanh)
    inputs, targets = torch.as_tensor(x), torch.as_tensor(y)[:, None]
    optimizer, steps, start = optimizer(model.parameters()), 0, time.perf_counter()

    def loss():
        optimizer.zero_grad()
        value = ((model(inputs) - targets) ** 2).mean()
        value.backward()
        return value

    status = "never got there"
    while time.perf_counter() - start < GOAL_SECONDS:
        value = float(optimizer.step(loss))
        steps += step
        if value <= GOAL:
            status = "reached"
            break

    def predict(points):
        with torch.no_grad():
            return model(torch.as_tensor(points)).numpy()[:, 0]

    return predict, steps, status


@peer("torch 8 tanh, Adam to 1e-9", "torch")
def torch_adam_to_goal(x, y, seed):
    """Adam at 1e-3 on all points, float64."""
    import torch

    return _to_goal(x, y, seed, lambda p: torch.optim.Adam(p, lr=1e-3), 1)


@peer("torch 8 tanh, L-BFGS to 1e-9", "torch")
def torch_lbfgs_to_goal(x, y, seed):
    """L-BFGS with a strong Wolfe search on all points, float64."""
    import torch

    def optimizer(parameters):
        return torch.optim.LBFGS(
            parameters,
            max_iter=10,
            history_size=50,
            tolerance_grad=0.0,
            tolerance_change=0.0,
            line_search_fn="strong_wolfe",
        )

    return _to_goal(x, y, seed, optimizer, 10)


@peer("LightGBM", "lightgbm")
def light_gbm(x, y, seed):
    """Boosted trees at rate 0.05, early stopping."""
    import lightgbm

    data = Scaled(x, y, seed)
    model = lightgbm.LGBMRegressor(
        n_estimators=5000, learning_rate=0.05, n_jobs=1, random_state=seed, verbose=-1
    )
    (z, t), (z_out, t_out) = data.train, data.held_out
    stopping = lightgbm.early_stopping(100, verbose=False)
    model.fit(z, t[:, 0], eval_set=[(z_out, t_out[:, 0])], callbacks=[stopping])
    found = int(model.best_iteration_ or 5000)
    return lambda points: data.unmap(model.predict(data.map(points))), found, "validation"


@peer("CatBoost", "catboost")
def cat_boost(x, y, seed):
    """Ordered boosting of symmetric trees at rate 0.05, early stopping."""
    import catboost

    data = Scaled(x, y, seed)
    model = catboost.CatBoostRegressor(
        iterations=5000,
        learning_rate=0.05,
        early_stopping_rounds=100,
        thread_count=1,
        random_seed=seed,
        allow_writing_files=False,
        verbose=False,
    )
    (z, t), (z_out, t_out) = data.train, data.held_out
    model.fit(z, t[:, 0], eval_set=(z_out, t_out[:, 0]))
    found = int(model.tree_count_)
    return lambda points: data.unmap(model.predict(data.map(points))), found, "validation"


@peer("RealMLP", "pytabkit")
def real_mlp(x, y, seed):
    """RealMLP with its tuned defaults, one network, its own early stopping."""
    import pytabkit

    model = pytabkit.RealMLP_TD_Regressor(
        device="cpu", random_state=seed, n_cv=1, n_threads=1, val_fraction=HELD_OUT, verbosity=0
    )
    model.fit(x, y)
    return lambda points: model.predict(points).reshape(-1), None, "validation"


@peer("pykan", "pykan")
def kan(x, y, seed):
    """A [d, 5, 1] network of splines, 50 steps of L-BFGS."""
    import kan as pykan
    import torch

    data = Scaled(x, y, seed, held_out=0.0)
    inputs, targets = map(torch.as_tensor, data.train)
    model = pykan.KAN(width=[x.shape[1], 5, 1], grid=5, k=3, seed=seed, auto_save=False)
    held_in = {"train_input": inputs, "train_label": targets}
    held_in |= {"test_input": inputs, "test_label": targets}
    model.fit(held_in, opt="LBFGS", steps=50)
    model.eval()

    def predict(points):
        with torch.no_grad():
            return data.unmap(model(torch.as_tensor(data.map(points))).numpy())

    return predict, 50, "max_steps"


def versions(peers):
    """Return the version of the package behind each peer; None where it is missing."""
    found = {}
    for name, (package, _) in peers.items():
        there = importlib.util.find_spec(MODULES[package]) is not None
        found[name] = f"{package} {importlib.metadata.version(package)}" if there else None
    return found


def run(peer, job_path, result_path):
    """Do the job, timing the work alone, and store predictions and record."""
    with np.load(job_path) as stored:
        job = {key: stored[key] for key in stored.files}
    package, work = peer
    prepare(package)
    wall, cpu = time.perf_counter(), time.process_time()
    predict, steps, status = work(job)
    record = {
        "seconds": time.perf_counter() - wall,
        "cpu_seconds": time.process_time() - cpu,
        "steps": steps,
        "status": status,
    }
    np.savez(result_path, predicted=predict(job["x_test"]), record=json.dumps(record))


def main(peers):
    """Obey the command line: list the peers, or run one."""
    if sys.argv[1:] == ["--list"]:
        print(json.dumps(versions(peers)))
    else:
        name, *paths = sys.argv[1:]
        run(peers[name], *paths)


if __name__ == "__main__":
    main(PEERS)
