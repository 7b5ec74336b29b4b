"""Gauss–Newton steps and last layers over parts: one answer however rows are cut and read."""

import functools
import itertools
import os
import subprocess
import sys

import jax
import numpy as np
import pytest

from adabasis import rows
from adabasis.basis import NeuralBasis
from adabasis.geometry.points import Points
from adabasis.models.record import Ridge
from adabasis.regression.solve import solve_rows
from adabasis.rows.engine import LocalEngine, using
from adabasis.rows.sources import ArrayPart
from adabasis.train import GD, LM, LSGN, Budget, Objective, train

BASIS = NeuralBasis(6, 1)


class Uneven(rows.ArraySource):
    """The rows cut anywhere, one part of weight zero among them."""

    def parts(self, n_rows=0):
        cuts = np.sort(np.random.default_rng(1).choice(np.arange(1, self.n_rows), 19, False))
        ends = [0, *cuts.tolist(), self.n_rows]
        return [
            ArrayPart(rows.Chunk(*(a[i:j] for a in self.rows)), i)
            for i, j in itertools.pairwise(ends)
        ]


def table(n=900, outputs=2):
    rng = np.random.default_rng(0)
    x = rng.uniform(-1, 1, (n, 3))
    y = np.stack([np.sin(3 * x[:, 0]) * x[:, 1], np.cos(x.sum(axis=1))], axis=1)[:, :outputs]
    weight = rng.uniform(0.5, 2, n)
    weight[40:60] = 0.0
    return x, y + 1e-2 * rng.normal(size=y.shape), weight


def begun(x, y, weight, ridge=0.0):
    objective = Objective([rows.Term(Points(x, weight), y)], ridge, BASIS)
    box = np.array([[-1.0, 1.0]] * 3)
    return objective, jax.tree.map(np.asarray, BASIS.init(jax.random.key(0), box))


def trained(source, trainer=LSGN(), steps=20, ridge=0.0, outputs=2):  # noqa: B008 (frozen)
    data = table(outputs=outputs)
    objective, initial = begun(*data, ridge=ridge)
    source = source and source(*data)
    key, budget = jax.random.key(1), Budget(steps)
    return train(trainer, objective, initial, key=key, budget=budget, source=source)


@pytest.mark.parametrize("outputs", [1, 2])
def test_steps_over_parts_are_those_on_all_rows(outputs):
    whole = trained(None, outputs=outputs)
    for source in (rows.ArraySource, Uneven):
        apart = trained(source, outputs=outputs)
        assert apart.history.loss[0] == pytest.approx(whole.history.loss[0], rel=1e-12)
        assert apart.loss == pytest.approx(whole.loss, rel=1e-6)
        assert np.allclose(apart.history.loss[:6], whole.history.loss[:6], rtol=1e-9)


def test_a_ridge_and_single_precision_do_as_on_all_rows():
    for trainer, close in ((LSGN(), 1e-8), (LSGN(precision="single"), 1e-2)):
        whole, apart = (trained(s, trainer, 6, ridge=1e-3) for s in (None, Uneven))
        assert apart.loss == pytest.approx(whole.loss, rel=close)


def test_a_run_over_parts_goes_on_as_if_it_had_not_stopped():
    data = table()
    objective, initial = begun(*data)
    common = {"key": jax.random.key(1), "source": Uneven(*data)}
    whole = train(LSGN(), objective, initial, budget=Budget(5), **common)
    half = train(LSGN(), objective, initial, budget=Budget(2), **common)
    again = train(LSGN(), objective, initial, budget=Budget(5), resume=half, **common)
    assert np.array_equal(again.history.loss, whole.history.loss)


def test_what_needs_all_rows_at_once_is_refused():
    for trainer, kind, word in (
        (GD(1e-3), TypeError, "LSGN"),
        (LSGN(solver="iterative"), ValueError, "batch_size"),
        (LSGN(jacobian="golub-pereyra"), ValueError, "kaufman"),
    ):
        with pytest.raises(kind, match=word):
            trained(Uneven, trainer, 1)


@pytest.mark.parametrize(("precision", "close"), [("double", 1e-9), ("single", 1e-3)])
def test_levenberg_marquardt_over_parts_is_that_on_all_rows(precision, close):
    x, y, weight = table()
    objective, initial = begun(x, y, weight, ridge=1e-5)
    few = slice(300)  # they tell how inputs are standardised, and the same for all
    some = Objective([rows.Term(Points(x[few], weight[few]), y[few])], 1e-5, BASIS)
    trainer, budget = LM(precision=precision), Budget(12)
    steps = functools.partial(train, trainer, parameters=initial, key=None, budget=budget)
    one = steps(some, source=rows.ArraySource(x, y, weight))
    again = steps(some, source=Uneven(x, y, weight))
    with using(LocalEngine(2)):
        apart = steps(some, source=Uneven(x, y, weight), budget=Budget(2))
    for other in (again, apart):
        own = other.history.loss
        assert np.allclose(own, one.history.loss[: len(own)], rtol=close)
    assert one.loss < 0.1 * one.history.loss[0]
    whole = steps(objective)  # in other units of the inputs, to which the ridge is another
    assert one.loss == pytest.approx(whole.loss, rel=0.2)
    found = np.asarray(one.coefficients)
    own = np.sqrt(weight / weight.sum())[:, None] * (BASIS.values(x, one.parameters) @ found - y)
    ridge = one.loss - np.mean(np.sum(own**2, axis=0))
    assert 0 < ridge < 0.3 * one.loss, "the loss is that of all rows"


def test_the_last_layer_is_the_same_however_rows_are_read():
    x, y, weight = table()
    basis = BASIS
    parameters = begun(x, y, weight)[1]
    ridge = Ridge(1e-3, relative=False)
    here = solve_rows((basis, parameters), rows.ArraySource(x, y, weight), ridge)
    with using(LocalEngine(2)):
        there = solve_rows((basis, parameters), Uneven(x, y, weight), ridge)
    size = np.abs(here.coefficients).max()
    assert np.abs(here.coefficients - there.coefficients).max() <= 1e-10 * size
    assert there.rank == here.rank


CODE = """
import jax, numpy as np
from adabasis.train import numerics
from tests.train import test_chunked as t
from adabasis import rows
with numerics():
    assert len(jax.devices()) == 8
    whole, apart = t.trained(None), t.trained(rows.ArraySource)
    print(whole.history.loss[0] / apart.history.loss[0] - 1, apart.loss / whole.loss - 1)
"""


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_eight_devices_do_as_one(monkeypatch):
    flags = "--xla_force_host_platform_device_count=8"
    env = {**os.environ, "XLA_FLAGS": flags}
    code = CODE.replace("from adabasis import rows", "from adabasis import rows\n"
        "from adabasis.train import passes; passes.ROWS_A_DEVICE = 64")  # fmt: skip
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=env, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    first, last = map(float, done.stdout.split())
    assert abs(first) <= 1e-10
    assert abs(last) <= 1e-6
