"""Networks that grow: sizes, stages of rows, what may be spent, and what a mean is made of."""

import dataclasses
import types

import jax
import numpy as np
import pytest

import adabasis as ab
from adabasis import AdaptiveBasisRegressor, NeuralBasis
from adabasis.basis import Ensemble
from adabasis.models.record import Asked
from adabasis.regression import growth, strategy
from adabasis.regression.growth import EFFORTS, Effort, Growth
from adabasis.regression.task import RegressionTask
from adabasis.selection.prepared import Prepared
from adabasis.selection.search import Search
from adabasis.train import LM, StopReason
from adabasis.train.levenberg_marquardt import Layout

from .laws import assert_close, assert_same_bits, relative_error

some = types.SimpleNamespace
LIKE = NeuralBasis(16, 2)
COMPILED = "/jax/core/compile/backend_compile_duration"


def function(x):
    return np.sin(4 * x[:, 0] * x[:, 1]) + np.cos(3 * x[:, 2] + 2 * x[:, 0])


def data(n=331, noise=0.1, seed=0):
    rng = np.random.default_rng(seed)
    x = rng.uniform(-1, 1, (n, 3))
    return x, function(x) + noise * rng.normal(size=n)


def error(model):
    fresh = np.random.default_rng(9).uniform(-1, 1, (1000, 3))
    return relative_error(model(fresh), function(fresh))


def grower(n_rows=240, effort="auto", noise=0.1, ridge="auto", rows=None):
    """Return the growth of a search, begun on data, that has tried nothing."""
    asked, rows = Asked("fit", ridge=ridge), rows or data(n_rows, noise)
    prepared = Prepared("fit", *rows, None, "auto", 0, split_by_default=True)
    task, search = RegressionTask(asked, prepared), Search(asked)
    search.task = task
    return Growth(search, task, LIKE, EFFORTS[effort])


def told(n_rows=10**6, n_inputs=5, effort=None, late=lambda: False):
    """Return growth of rows that do not exist: only its rules are asked."""
    rows = range(n_rows)
    z, t = some(shape=(n_rows, n_inputs)), some(shape=(n_rows, 1))
    task = some(data=some(fold=lambda number: (rows, None), z=z, t=t))
    return Growth(some(late=late, found=()), task, LIKE, effort or EFFORTS["thorough"])


def erring(errors, **about):
    """Return growth of networks whose errors are known, by size; and what it has trained."""
    self, asked = told(**about), []

    def known(size, stage):
        asked.append((size, stage))
        return errors[size]

    self._error = known
    return self, asked


# --- Fits ----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def grown():
    """Return a default fit and its events: no other test has so many rows to compile for."""
    seen = []

    def listen(event, *_, **__):
        seen.append(event)

    jax.monitoring.register_event_duration_secs_listener(listen)
    try:
        model = ab.fit(*data(), ensemble=3)
    finally:
        jax.monitoring.unregister_event_duration_listener(listen)
    return model, seen


def trained_in(model):
    return [one for one in model.record.tried if ", trained" in one.what]


@pytest.mark.plain_scope
def test_a_default_fit_trains_networks_and_compiles_nothing(grown):
    model, seen = grown
    assert any(one.what.startswith("mean of 3: NeuralBasis") for one in trained_in(model))
    assert COMPILED not in seen
    assert error(model) < 0.4


@pytest.mark.plain_scope
def test_the_record_has_every_network(grown):
    """Sizes in turn; each network with the ridge and the steps it was kept with."""
    model, _ = grown
    found = trained_in(model)
    names = " ".join(one.what for one in found)
    for width, depth in growth.SIZES[:2]:
        assert f"width {width}, depth {depth}" in names
    single = [one for one in found if not one.what.startswith("mean of")]
    assert all(one.steps > 0 and one.ridge.value > 0 and not one.ridge.relative for one in single)
    assert all(0 < one.validation_error < 1 for one in single)
    assert sum(one.what.startswith("mean of") for one in found) == 1


@pytest.mark.plain_scope
def test_the_same_fit_has_the_same_bits(grown):
    model, _ = grown
    again = ab.fit(*data(), ensemble=3)
    assert_same_bits(again.coefficients, model.coefficients)
    assert_same_bits(jax.tree.leaves(again.parameters), jax.tree.leaves(model.parameters))


@pytest.mark.plain_scope
def test_units_do_not_matter(grown):
    model, _ = grown
    x, y = data()
    again = ab.fit(4 * x + 1, 8 * y - 3, ensemble=3)
    assert again.basis == model.basis
    assert error(lambda fresh: (again(4 * fresh + 1) + 3) / 8) == pytest.approx(
        error(model), rel=0.2
    )


@pytest.mark.plain_scope
def test_budgets_and_interruptions_keep_what_there_is():
    x, y = data()

    def interrupt(progress):
        if progress.step == 5:
            raise KeyboardInterrupt

    stopped = ab.fit(x, y, callbacks=[interrupt])
    assert stopped.stop_reason is StopReason.INTERRUPTED
    few = ab.fit(x, y, max_steps=2, ensemble=1)
    assert max(one.steps for one in trained_in(few)) == 2
    late = ab.fit(x, y, max_seconds=1e-3)
    assert late.stop_reason is StopReason.MAX_SECONDS
    assert len(late.record.tried) < len(few.record.tried)
    for model in (stopped, few):
        assert error(model) < 0.5


@pytest.mark.plain_scope
def test_the_same_rows_twice_are_rows_of_twice_the_weight():
    x, y = data(100)
    named = {"method": "lm", "max_steps": 20}
    twice = ab.fit(np.concatenate([x, x]), np.concatenate([y, y]), LIKE, **named)
    weighted = ab.fit(x, y, LIKE, sample_weight=np.full(len(x), 2.0), **named)
    assert_close(twice(x), weighted(x), 1e-9)


# --- The trainer by its name ---------------------------------------------------------------------


@pytest.mark.plain_scope
def test_the_trainer_has_a_name():
    x, y = data()
    basis = NeuralBasis(6, 2)
    named, made = (ab.fit(x, y, basis, method=one) for one in ("lm", LM()))
    assert_same_bits(named.coefficients, made.coefficients)
    settings = {"width": 6, "depth": 2, "method": "lm"}
    estimator = AdaptiveBasisRegressor(**settings).fit(x, y)
    assert_same_bits(estimator.fitted_.coefficients, named.coefficients)
    assert estimator.n_iter_ > 5
    with pytest.raises(ValueError, match="method='lm' needs none"):
        AdaptiveBasisRegressor(**settings, learning_rate=0.1).fit(x, y)


@pytest.mark.plain_scope
def test_it_holds_rows_out_to_choose_its_ridge_unless_one_is_given():
    x, y = data()
    basis = NeuralBasis(12, 2)
    chosen = ab.fit(x, y, basis, method="lm")
    assert chosen.stop_reason is StopReason.VALIDATION
    tried = chosen.record.tried[0].ridge
    assert tried.value in chosen.history.learning_rate
    given = ab.fit(x, y, basis, method="lm", ridge=0.5, max_steps=5)
    assert np.isnan(given.validation_error)
    np.testing.assert_allclose(given.history.learning_rate, 0.5)
    assert given.record.ridge.value == 0.5
    none = ab.fit(x, y, basis, method="lm", ridge=0.0, max_steps=5)
    assert none.history.learning_rate.max() < 1e-10
    assert none.record.ridge.value == 0


@pytest.mark.plain_scope
def test_weights_of_rows_do_not_change_the_ridge_of_the_sum():
    """λ in the sum over rows is in units of their weights."""
    x, y = data()
    one, many = (
        ab.fit(x, y, LIKE, method="lm", sample_weight=np.full(len(x), w), max_steps=20)
        for w in (1.0, 100.0)
    )
    ridges = [model.record.tried[0].ridge.value for model in (one, many)]
    assert ridges[1] == pytest.approx(100 * ridges[0])
    assert_close(many(x), one(x), 1e-6)


@pytest.mark.plain_scope
def test_functions_that_it_cannot_train_are_refused_by_name():
    x, y = data(60)
    own = NeuralBasis(5, 1, activation=lambda z: z * z)
    with pytest.raises(TypeError, match=r"LM\(\): expected a NeuralBasis .* Use LSGN\(\)"):
        ab.fit(x, y, own, method="lm")
    with pytest.raises(ValueError, match="only method='auto' chooses a basis"):
        ab.fit(x, y, method="lm")
    with pytest.raises(ValueError, match="these functions are frozen"):
        ab.fit(x, y, ab.FrozenFeatures(5), method="lm")
    with pytest.raises(ValueError, match="'lm'"):
        ab.fit(x, y, LIKE, method="levenberg")


# --- Sizes and stages ----------------------------------------------------------------------------


@pytest.mark.parametrize("constant", [True, False])
@pytest.mark.parametrize(("depth", "n_inputs", "n_outputs"), [(1, 1, 1), (2, 3, 1), (3, 5, 2)])
def test_weights_are_counted(depth, n_inputs, n_outputs, constant):
    basis = NeuralBasis(7, depth, constant=constant)
    counted = growth.number_of_weights(basis, n_inputs, n_outputs)
    assert counted == Layout(basis, n_inputs, n_outputs).size


def test_each_size_has_about_twice_the_weights_of_the_last():
    weights = [growth.number_of_weights(NeuralBasis(*size), 5, 1) for size in growth.SIZES]
    ratios = np.array(weights[1:]) / weights[:-1]
    assert weights[0] < 100
    assert weights[-1] > 5000
    assert np.all((ratios > 1.3) & (ratios < 2.6))


@pytest.mark.parametrize(
    ("n_rows", "stages"),
    [
        (300, [2000]),
        (2400, [2400]),
        (2600, [2000, 2600]),
        (13_000, [2000, 13_000]),
        (20_000, [2000, 12_000, 20_000]),
        (10**6, [2000, 12_000, 90_000]),
    ],
)
def test_six_times_as_many_rows_make_a_stage(n_rows, stages):
    assert told(n_rows).stages == stages


def test_later_stages_take_few_steps():
    self = told(10**6)
    assert [self._steps(stage) for stage in range(3)] == [None, 30, 12]


@pytest.mark.parametrize("n_rows", [180, 182, 365, 960, 1000])
@pytest.mark.parametrize(("error", "share"), [(None, 0.7), (0.11, 0.7), (0.09, 1.0)])
def test_networks_have_seven_weights_for_ten_numbers_or_as_many(n_rows, error, share):
    weights = [growth.number_of_weights(NeuralBasis(*size), 5, 1) for size in growth.SIZES]
    allowed = sum(w <= share * n_rows for w in weights)
    self = told(n_rows)
    if error:
        self.search = some(found=[None], best=some(error=error))
    assert list(self._affordable(0)) == list(growth.SIZES[:allowed])
    assert sum(w <= 7.0 * n_rows for w in weights) > allowed


def test_rows_of_the_stage_count():
    self = told(10**6)
    first, last = (len(list(self._affordable(stage))) for stage in (0, 2))
    assert first < last == len(growth.SIZES)


SIZES = growth.SIZES


@pytest.mark.parametrize(
    ("share", "tried"), [(0.975, 4), (0.985, 3)], ids=["helps by 2.5 %", "helps by 1.5 %"]
)
def test_sizes_are_tried_while_they_help_by_a_fiftieth(share, tried):
    """Two that do not are the end."""
    errors = dict.fromkeys(SIZES, 2.0) | {SIZES[0]: 1.0, SIZES[1]: share}
    self, asked = erring(errors)
    self._first_size()
    assert len(asked) == tried


def test_of_sizes_that_do_about_alike_the_largest_is_taken():
    errors = dict.fromkeys(SIZES, 2.0) | {SIZES[0]: 1.0, SIZES[1]: 1.11, SIZES[2]: 1.13}
    self, asked = erring(errors)
    assert self._first_size() == SIZES[1]
    assert len(asked) == len(set(asked))


def test_larger_ones_are_tried_again_with_more_rows():
    errors = {size: 1.0 / (1 + k) for k, size in enumerate(SIZES)} | {SIZES[4]: 1.0}
    self, asked = erring(errors)
    assert self._larger(SIZES[1], 1) == SIZES[3]
    assert asked == [(size, 1) for size in SIZES[1:5]]
    self, asked = erring(dict.fromkeys(SIZES, 1.0))
    assert self._larger(SIZES[1], 1) == SIZES[1]
    assert len(asked) == 2


def test_work_is_limited():
    """What is tried is counted in multiplications: six times the rows cost six times as much."""
    errors = {size: 1.0 / (1 + k) for k, size in enumerate(SIZES)}
    self, asked = erring(errors, effort=Effort(1.0, 0.0))
    self.work = 2.0
    assert self._first_size() == SIZES[0]
    assert len(asked) == 1
    self, asked = erring(errors, effort=Effort(1e3, 0.0))
    assert self._larger(SIZES[0], 1) == SIZES[0]  # another would cost more than is left
    weights = growth.number_of_weights(NeuralBasis(*SIZES[0]), 5, 1)
    assert self._cost(SIZES[0], 0) == 60 * 2000 * weights**2
    assert self._cost(SIZES[0], 1) == (60 * 2000 + 30 * 12_000) * weights**2
    stopped, asked = erring(errors, late=lambda: True)
    assert stopped._first_size() == SIZES[0]
    assert len(asked) == 1


def test_efforts_are_ordered():
    fast, usual, thorough = (EFFORTS[name] for name in ("fast", "auto", "thorough"))
    assert 10 * fast.work < usual.work < thorough.work / 10
    assert fast.worth > usual.worth > thorough.worth == 0


def test_without_time_no_network_is_needed():
    assert told(20)._first_size() is None
    assert told(20).best_size() is None


# --- Networks ------------------------------------------------------------------------------------


def test_many_rows_go_through_stages(monkeypatch):
    monkeypatch.setattr(growth, "FIRST_ROWS", 40)
    monkeypatch.setattr(growth, "MORE_ROWS", 3)
    seen, trained = [], RegressionTask.trained

    def told_rows(self, search, trainer, basis, ridge, *, most_rows, **named):
        seen.append((basis.width, most_rows, trainer))
        return trained(self, search, trainer, basis, ridge, most_rows=most_rows, **named)

    monkeypatch.setattr(RegressionTask, "trained", told_rows)
    monkeypatch.setattr(growth, "SIZES", ((4, 1), (6, 1)))
    self = grower()
    assert self.stages == [40, 120, 216]
    found = self.trained((4, 1), 0, 2)
    assert [rows for _, rows, _ in seen] == [40, 120, 216]
    first, *later = [trainer for *_, trainer in seen]
    assert first == LM()
    for before, trainer in zip([self.found[(4, 1), 0, k] for k in (0, 1)], later, strict=True):
        assert trainer.most_ridge == pytest.approx(growth._penalty(before))
        assert trainer.max_steps == 30
    assert self.found[(4, 1), 0, 2] is found
    assert self.last == 2
    assert self.trained((4, 1), 0, 2) is found  # once
    assert len(seen) == 3
    assert found in self.search.found
    spent = sum(
        len(self.found[(4, 1), 0, k].run.history) * min(rows, 216) * 21.0**2
        for k, rows in enumerate(self.stages)
    )
    assert self.work == pytest.approx(spent)


def test_networks_begin_with_one_of_half_their_width(monkeypatch):
    seen, trained = [], RegressionTask.trained

    def told_start(self, search, trainer, basis, ridge, *, initial, **named):
        seen.append((basis, initial, trainer))
        return trained(self, search, trainer, basis, ridge, initial=initial, **named)

    monkeypatch.setattr(RegressionTask, "trained", told_start)
    self = grower()
    self.trained((10, 1), 0, 0)
    (narrow, _, one), (wide, initial, other) = seen
    assert (narrow.width, wide.width) == (5, 10)
    assert (one.most_ridge, other.most_ridge) == (np.inf, 0.1)
    before = self.found[(5, 1), 0, 0]
    z = self.task.data.z
    assert_close(wide.values(z, initial)[:, :5], narrow.values(z, before.parameters)[:, :5], 1e-13)
    seen.clear()
    self.trained((9, 1), 0, 0)
    assert [basis.width for basis, *_ in seen] == [9]


def test_of_clean_rows_wider_networks_begin_with_a_ridge_that_keeps_what_is_known(monkeypatch):
    """A sine: five functions err by some 1e-5, and a ridge of .1 by more than 1e-3."""
    x = np.linspace(-1, 1, 240)[:, None]
    rows = (x, np.sin(3 * x[:, 0]))
    self = grower(rows=rows)
    wide = self.trained((10, 1), 0, 0)
    assert wide.validation_error <= 1.1 * self.found[(5, 1), 0, 0].validation_error
    monkeypatch.setattr(growth, "RISE", 1e12)
    self = grower(rows=rows)
    wide = self.trained((10, 1), 0, 0)
    assert wide.validation_error > 10 * self.found[(5, 1), 0, 0].validation_error


def test_a_given_ridge_is_kept():
    found = grower(ridge=0.25).trained((4, 1), 0, 0)
    assert (found.ridge.value, found.ridge.relative) == (0.25, False)
    np.testing.assert_allclose(found.run.history.learning_rate, 0.25)
    none = grower(ridge=0.0).trained((4, 1), 0, 0)
    assert none.ridge.value == 0
    assert none.run.history.learning_rate.max() < 1e-10


def test_a_mean_has_members_without_other_rows():
    self = grower()
    self.average((4, 1), 3)
    folds = sorted(fold for _, fold, _ in self.found)
    assert folds == [0, 1, 2]
    mean = self.search.found[-1]
    assert (mean.mean_of, mean.basis) == (3, Ensemble(LIKE.replace(width=4, depth=1), 3))
    alone = grower()
    alone.effort = Effort(1.0, 0.0)
    alone.trained((4, 1), 0, 0)
    alone.average((4, 1), 5)  # the one that is known, and one more
    assert len(alone.found) == 2


def test_the_error_of_a_mean_is_that_of_its_members_less_what_they_differ_by(monkeypatch):
    self = told(effort=EFFORTS["auto"])
    values = np.random.default_rng(0).normal(size=(4, 500, 1))
    group = alike(self, monkeypatch, values, 1.5)
    variance = float(np.mean(values.var(axis=0, ddof=1)))
    assert self._error_of_mean(group) == pytest.approx(np.sqrt(2.25 - 0.75 * variance))


@pytest.mark.parametrize(("loss", "enough"), [(1.2, True), (1.35, False)])
def test_members_end_where_very_many_would_err_more_than_functions_as_drawn(
    monkeypatch, loss, enough
):
    """Judged at rows that were held out of the members, not at all."""
    self = told(effort=EFFORTS["auto"])
    values = np.random.default_rng(0).normal(size=(3, 500, 1))
    variance = float(np.mean(values.var(axis=0, ddof=1)))
    group = alike(self, monkeypatch, values, np.sqrt(1.3 + variance))
    self.task.data.out = np.array_split(np.arange(30), 3)
    seen = some(rows=np.arange(40), losses=np.repeat([loss, 0.0], [30, 10]))
    self.search.found = [some(run=None, unseen=seen, loo_error=1.0)]
    assert self._enough(group) is enough


def alike(self, monkeypatch, values, error):
    """Return members with values at 500 places, all with one error."""
    about = {"z": np.zeros((500, 1)), "some_places": slice(None), "places": some(spread=1.0)}
    self.task.data = some(**about, out=[])
    monkeypatch.setattr(growth, "design", lambda basis, number, at: values[number])
    run = some(coefficients=np.eye(1))
    return [
        some(basis=None, parameters=k, run=run, fold=k, validation_error=float(error))
        for k in range(len(values))
    ]


@pytest.mark.parametrize(("effort", "enough"), [("fast", True), ("auto", False)])
def test_members_are_as_many_as_are_worth_it(monkeypatch, effort, enough):
    """The fifth of equal members takes 1/20 of their variance away: here one per cent."""
    self = told(effort=EFFORTS[effort])
    self.search.found = []
    values = np.random.default_rng(0).normal(size=(4, 500, 1))
    variance = float(np.mean(values.var(axis=0, ddof=1)))
    # v/(k (k + 1)) is to be one per cent of what a mean of four errs by, in squares.
    single = variance * (1 / 20 / 0.01 + 3 / 4)
    group = alike(self, monkeypatch, values, single**0.5)
    assert self._enough(group) is enough
    assert not self._enough(group[:3])  # too few to tell


def test_growth_takes_networks_that_it_can_train(monkeypatch):
    x, y = data(120)
    seen = []
    monkeypatch.setattr(strategy.RegressionStrategy, "_grow", lambda *_: seen.append("grown"))
    monkeypatch.setattr(strategy.RegressionStrategy, "descend", lambda *_: seen.append("descent"))
    ab.fit(x, y, ensemble=1)
    ab.fit(x, y, [LIKE], ensemble=1)  # a network that was named stays as it is
    assert seen == ["grown", "descent"]


def test_what_may_be_spent_is_the_users(monkeypatch):
    seen = []

    class Told(Growth):
        def best_size(self, *_):
            seen.append(self.effort)

    monkeypatch.setattr(strategy, "Growth", Told)
    for effort in ("fast", "auto", "thorough"):
        about = grower()
        about.task.asked = dataclasses.replace(Asked("fit"), effort=effort)
        self = strategy.RegressionStrategy(about.search, about.task)
        about.search.stages = self._stages(True, True, 1)
        self._grow(LIKE, 1)
    assert seen == list(EFFORTS.values())


# --- Mini-batches --------------------------------------------------------------------------------


@pytest.mark.plain_scope
def test_many_rows_are_trained_on_in_batches(monkeypatch):
    """The first width is always tried, a larger one only where that did better than others."""
    assert strategy.MANY_ROWS == 20_000
    assert [width for width, _ in strategy.BATCHES[EFFORTS["auto"]]] == [64, 128]
    monkeypatch.setattr(strategy, "MANY_ROWS", 200)
    monkeypatch.setattr(strategy, "BATCH", 64)
    sizes = dict.fromkeys(EFFORTS.values(), ((8, 60), (12, 60)))
    monkeypatch.setattr(strategy, "BATCHES", sizes)
    monkeypatch.setattr(strategy.RegressionStrategy, "_project", lambda self: None)
    tried = [one.what for one in ab.fit(*data(), effort="fast", ensemble=1).record.tried]
    assert any("width 8, depth 3" in what for what in tried)
    monkeypatch.setattr(strategy, "MANY_ROWS", 10_000)
    tried = [one.what for one in ab.fit(*data(), effort="fast", ensemble=1).record.tried]
    assert not any("width 8, depth 3" in what for what in tried)


@pytest.mark.plain_scope
def test_what_is_averaged_of_clean_rows_is_decided_after_other_steps(monkeypatch):
    """A network that has grown and stays the best is averaged with its like, not with others."""
    x = np.linspace(-1, 1, 240)[:, None]
    about, seen = grower(rows=(x, np.sin(3 * x[:, 0]))), []
    self = strategy.RegressionStrategy(about.search, about.task)
    about.search.stages = self._stages(True, True, 3)
    monkeypatch.setattr(growth, "SIZES", growth.SIZES[:1])
    grown = self._grow(LIKE, 3)
    (first,) = [one for (size, *_), one in grown.found.items() if size == (6, 2)]
    assert first.validation_error < strategy.CLEAN
    assert not any(one.mean_of for one in about.search.found)
    monkeypatch.setattr(Growth, "average", lambda _, *given: seen.append(given))
    self._average(3, grown)
    assert seen == [((6, 2), 3)]


@pytest.mark.parametrize("effort", ["fast", "auto"])
def test_fit_takes_an_effort(effort):
    model = ab.fit(*data(n=60), effort=effort, max_steps=2)
    assert model.record.asked.effort == effort
    with pytest.raises(ValueError, match=r"fit\(effort='quick'\): expected 'fast', 'auto' or"):
        ab.fit(*data(n=60), effort="quick")


# --- Clean data ----------------------------------------------------------------------------------


@pytest.mark.plain_scope
@pytest.mark.parametrize("level", [0.0, np.inf])
def test_clean_data_take_steps_by_qr_as_well(monkeypatch, level):
    assert strategy.CLEAN == 3e-3
    asked = []
    for name in ("descend", "_project", "_average"):
        monkeypatch.setattr(strategy.RegressionStrategy, name, lambda *_: asked.append(1))
    monkeypatch.setattr(strategy.RegressionStrategy, "_grow", lambda *_: None)
    monkeypatch.setattr(strategy, "CLEAN", level)
    ab.fit(*data(n=60))
    assert bool(asked) == (level > 0)


@pytest.mark.plain_scope
def test_the_last_ridge_does_not_spoil_networks_that_go_far_where_no_row_is(monkeypatch):
    """Half of the square has no rows, and there the function of the others would be large."""
    monkeypatch.setattr(strategy, "CLEAN", 0.0)
    rng = np.random.default_rng(0)
    x = rng.uniform(0, 1, (2000, 2))
    x = x[x[:, 1] < x[:, 0]]
    y = 1 / (0.15 + x[:, 0] - x[:, 1])
    model = ab.fit(x[:240], y[:240], effort="fast", ensemble=3)
    members = [one for one in model.record.tried if one.what.startswith("mean of")]
    assert members
    assert relative_error(model(x[240:]), y[240:]) < 10 * members[0].validation_error
