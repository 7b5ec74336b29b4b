"""Means leave out members that are off between the rows, and have a ridge that suits them all."""

import dataclasses
import inspect
import math
from types import SimpleNamespace as Some

import numpy as np
import pytest

import adabasis as ab
from adabasis import FrozenFeatures
from adabasis.basis import Ensemble
from adabasis.evidence.errors import Unseen
from adabasis.models.record import Asked, Ridge
from adabasis.regression.task import RegressionTask
from adabasis.selection.prepared import FARTHEST, PROBES, Prepared
from adabasis.selection.search import AbstractTask, Candidate
from adabasis.selection.task import FEWEST_AGREEING, OUTLYING, UNLEARNT, _learnt, design

BASIS = FrozenFeatures(8)


@pytest.fixture(scope="module")
def task():
    x = np.random.default_rng(0).uniform(size=(60, 2))
    data = Prepared("fit", x, x.sum(axis=1), None, "auto", 0, split_by_default=True)
    return RegressionTask(Asked("fit"), data)


def members(task, offsets):
    """Return candidates whose values are off by constants."""
    parameters, c = task.drawn(BASIS), np.zeros((BASIS.size(2), 1))
    runs = [Some(coefficients=c + at * unit(task, parameters)) for at in offsets]
    return [Candidate(BASIS, parameters, parameters, "", run=run) for run in runs]


def unit(task, parameters):
    """Return the coefficients of the function 1."""
    phi = design(BASIS, parameters, task.data.probes)
    return np.linalg.lstsq(phi, np.ones((len(phi), 1)))[0]


def test_a_member_far_from_the_others_is_left_out(task):
    close = [-1.0, -0.5, 0.0, 0.5, 1.0]
    assert OUTLYING == 4.0  # of the median .75 of the distances from the median .25
    for far, kept in ((3.0, 6), (3.5, 5)):
        assert len(task._agreeing(members(task, [*close, far]))[0]) == kept
    few = members(task, [0.0, 0.0, 50.0])
    assert len(few) < FEWEST_AGREEING
    assert task._agreeing(few) == (few, [])


def test_members_that_differ_beside_the_rows_bound_the_claim(task):
    group, (apart,) = task._agreeing(members(task, [-1.0, -0.5, 0.0, 0.5, 1.0]))
    assert len(group) == 5
    expected = np.std([-1.0, -0.5, 0.0, 0.5, 1.0], ddof=1) / task.data.places.spread
    assert apart.error == pytest.approx(expected, rel=1e-6)


def fit_of(ridge, error, overshoot=0.5):
    losses = np.full(60, error**2)
    seen = Unseen(np.arange(60), losses, np.ones(60), np.arange(60), "leave-one-out")
    return Some(ridge=ridge, unseen=seen, overshoot=overshoot)


@pytest.mark.parametrize(("overshoot", "chosen"), [(0.5, 1e-3), (1.1 * FARTHEST, 1e-6)])
def test_the_ridge_is_the_one_that_suits_all_members(task, monkeypatch, overshoot, chosen):
    """One member needs none, the other some; with too little, values go far between the rows."""
    errors = {None: 0.5, 0.0: 0.4, 1e-6: 0.2, 1e-3: 0.1}

    def fits(self, best, ridge):
        if ridge is None:
            return [fit_of(Ridge(value), 0.0) for value in (0.0, 1e-6, 1e-3)]
        at = ridge.value if ridge.relative else None
        return [fit_of(ridge, errors[at], overshoot if at == 1e-3 else 0.5)] * 2

    monkeypatch.setattr(RegressionTask, "_member_fits", fits)
    best = members(task, [0.0])[0]
    seen = fit_of(Ridge(), 0.15).unseen
    best = dataclasses.replace(best, ridge=Ridge(1.0, relative=False), unseen=seen)
    found, claim = task.evidence(best, [])
    assert found.ridge == Ridge(chosen)
    assert claim.error == pytest.approx(max(0.15, errors[chosen]))


@pytest.mark.parametrize("averaged", [True, False])
def test_a_network_claims_no_less_than_those_like_it_on_other_rows(task, monkeypatch, averaged):
    """However many rows its own fold has: those at the edges, with most of the error, may miss."""
    left = fit_of(Ridge(), 0.01)
    monkeypatch.setattr(RegressionTask, "_member_fits", lambda self, best, ridge: [left])
    best, *others = (dataclasses.replace(c, fold=k) for k, c in enumerate(members(task, [0] * 3)))
    best = dataclasses.replace(best, unseen=fit_of(Ridge(), 0.02).unseen)
    assert task.evidence(best, [best])[1].error == pytest.approx(0.02)
    if averaged:
        unseen = fit_of(Ridge(), 0.3).unseen
        mean = dataclasses.replace(best, basis=Ensemble(BASIS, 3), mean_of=3, unseen=unseen)
        assert task.evidence(best, [best, *others, mean])[1].error == pytest.approx(0.3)
    else:
        claim = task.evidence(best, [best, *others])[1]
        seen = np.concatenate([task.unseen(c, c.run.coefficients).losses for c in others])
        assert claim.error == pytest.approx(math.sqrt(seen.mean()))
        assert len(claim.losses) == len(seen)
        assert "like it" in claim.kind


@pytest.mark.parametrize(("error", "fold", "first"), [(0.009, 0, 1), (0.011, 0, 0), (0.009, 1, 0)])
def test_one_far_better_than_a_mean_on_the_same_rows_goes_before_it(task, error, fold, first):
    """By a factor of ten: not by luck. On other rows, which may be easier, it may be."""
    run = Some(loss=1.0)
    group = [
        dataclasses.replace(c, fold=k, validation_error=own, run=run)
        for k, (c, own) in enumerate(zip(members(task, [0, 0]), (0.1, 0.05), strict=True))
    ]
    about = {"basis": Ensemble(BASIS, 2), "mean_of": 2, "members": tuple(group), "fold": None}
    mean = dataclasses.replace(group[0], **about)
    alone = dataclasses.replace(group[0], validation_error=error, fold=fold)
    assert task.ranked([mean, alone])[0] is (mean, alone)[first]
    assert AbstractTask.ranked(task, [mean, alone])[0] is (mean, alone)[first]


def test_values_far_off_between_rows_are_seen(task):
    values = np.zeros((len(task.data.probes), 1))
    assert task.data.overshoot(values) == (pytest.approx(0.0, abs=0.5), 0.0)
    low, high = task.data.t.min(), task.data.t.max()
    values[3] = high + 2.0 * (high - low)
    assert task.data.overshoot(values) == (pytest.approx(2.5), 0.0)
    values[PROBES + 3] = high + 2.0 * (high - low)
    assert task.data.overshoot(values)[1] > 0
    assert task.data.overshoot(values * np.nan) == (math.inf, math.inf)


@pytest.mark.parametrize(("error", "first"), [(0.12, 0), (0.14, 1)])
def test_candidates_that_go_far_go_last_among_those_of_like_errors(task, error, first):
    good, far = (dataclasses.replace(c, loo_error=e, run=None) for c, e in
                 zip(members(task, [0.0, 0.0]), (error, 0.1), strict=True))  # fmt: skip
    far = dataclasses.replace(far, overshoot=1.1 * FARTHEST)
    assert task.ranked([good, far])[0] is (good, far)[first]
    assert task.ranked([far])[0] is far


@pytest.mark.parametrize("call", [ab.fit, ab.classify, ab.fit_pounet])
def test_holdout_and_groups_are_arguments_of_every_fit(call):
    named = inspect.signature(call).parameters
    assert {"holdout", "groups"} <= set(named)
    X, y = np.random.default_rng(0).uniform(size=(30, 1)), np.arange(30) % 2
    with pytest.raises(ValueError, match=rf"{call.__name__}\(holdout='first'\)"):
        call(X, y, holdout="first")
    with pytest.raises(ValueError, match=rf"{call.__name__}\(groups\)"):
        call(X, y, groups=np.zeros(30))


def judged(loss, error):
    """Return a candidate of a training run with a loss on its rows and an error on others."""
    return Candidate(BASIS, (), (), "", validation_error=error, run=Some(loss=loss))


@pytest.mark.parametrize(
    ("worse", "left_out"),
    [
        ((1.1 * UNLEARNT, 1.1 * UNLEARNT), True),
        ((0.9 * UNLEARNT, 1e3), False),  # harder rows alone: it has learnt as much as the others
        ((1e3, 0.9 * UNLEARNT), False),  # a worse fit that errs as little elsewhere
    ],
)
def test_a_member_that_has_not_learnt_its_own_rows_is_left_out_of_a_mean(worse, left_out):
    assert UNLEARNT == 3.0  # times the errors of independent members: 1.6 already are too many
    own, elsewhere = worse
    good = [judged(1e-8, 1e-4), judged(1.5e-8, 2e-4)]
    bad = judged(own**2 * 1e-8, elsewhere * 1e-4)
    learnt, unlearnt = _learnt([*good, bad])
    assert (bad is unlearnt[0] if unlearnt else False) == left_out
    assert len(learnt) + len(unlearnt) == 3
    assert _learnt([good[0], bad]) == ([good[0], bad], []), "a mean is of two at least"
