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
from adabasis.selection import task as selection_task
from adabasis.selection.members import ROUND_OFF, UNLEARNT, learnt_and_not
from adabasis.selection.prepared import FARTHEST, PROBES, Prepared
from adabasis.selection.search import AbstractTask, Candidate, Search
from adabasis.selection.task import FEWEST_AGREEING, OUTLYING, design

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


def test_what_goes_far_is_told_by_networks_where_there_are_enough(task):
    """Where most go far, the data do, and one that goes as far as they do goes by its error."""
    run = Some(loss=1.0)
    near, *others = (
        dataclasses.replace(c, validation_error=0.11, overshoot=1.5 * FARTHEST, run=run)
        for c in members(task, [0.0] * FEWEST_AGREEING)
    )
    near = dataclasses.replace(near, overshoot=1.0)
    far = dataclasses.replace(others[0], validation_error=0.1)
    wild = dataclasses.replace(others[0], validation_error=0.1, overshoot=20 * FARTHEST)
    assert task.ranked([near, *others, far])[0] is far
    assert task.ranked([near, *others[1:], far][: FEWEST_AGREEING - 1])[0] is near, "too few"
    assert task.ranked([near, *others[1:], wild])[0].validation_error == 0.11, "farther than most"


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
    learnt, unlearnt = learnt_and_not([*good, bad])
    assert (bad is unlearnt[0] if unlearnt else False) == left_out
    assert len(learnt) + len(unlearnt) == 3
    assert learnt_and_not([good[0], bad]) == ([good[0], bad], []), "a mean is of two at least"


def test_a_member_off_by_no_more_than_round_off_has_learnt():
    good, bad = judged(1e-30, 1e-15), judged(0.9 * (UNLEARNT * ROUND_OFF) ** 2, 1e-3)
    assert learnt_and_not([good, good, bad]) == ([good, good, bad], [])
    bad = judged(1.1 * (UNLEARNT * ROUND_OFF) ** 2, 1.1 * UNLEARNT * ROUND_OFF)
    assert learnt_and_not([good, good, bad])[1] == [bad]


@pytest.mark.parametrize(("again", "claimed"), [(1e-5, 1e-5), (1.0, 2.0), (math.nan, 2.0)])
def test_rows_are_hard_only_if_a_second_draw_does_not_learn_without_them(
    task, monkeypatch, again, claimed
):
    """One draw may fail by chance: its errors say nothing of the rows that it has not seen."""
    made, n_folds = [], len(task.data.folds)

    def another(number):
        made.append(number)
        good = dataclasses.replace(
            members(task, [0.0])[0], fold=number, validation_error=1e-5, initial=()
        )
        loss = 1e-10
        if number == 2 or number > 3:
            error = 2.0 if number == 2 else again
            good, loss = dataclasses.replace(good, validation_error=error), error**2
        run = Some(coefficients=good.run.coefficients, loss=loss)
        return dataclasses.replace(good, run=run)

    monkeypatch.setattr(task, "_agreeing", lambda group: (group, []))
    search = Search(Asked("fit"))
    first = another(0)
    task.average(search, first, 4, another, lambda group: max(c.validation_error for c in group))
    (mean,) = search.found
    assert mean.mean_of == 3
    assert made == [0, 1, 2, 3, 2 + n_folds]
    assert mean.validation_error == claimed


def test_a_mean_goes_as_far_as_the_mean_of_its_members_does(task):
    group = members(task, [-9.0, 0.0, 9.0])
    alone = [task.data.overshoot(task._at_probes([one])[0])[0] for one in group]
    assert task._overshoot(group) == pytest.approx(alone[1], rel=1e-6)
    assert task._overshoot(group) < 0.1 * max(alone)


def test_what_a_candidate_says_at_many_points_is_evaluated_some_at_a_time(task, monkeypatch):
    parameters, z = task.drawn(BASIS), task.data.z
    candidate = Candidate(BASIS, parameters, parameters, "")
    c = np.random.default_rng(1).normal(size=(BASIS.size(2), 2))
    z = np.tile(z, (4, 1))
    monkeypatch.setattr(selection_task, "CHUNK_NUMBERS", 100 * len(c))
    found = selection_task.said(candidate, c, z)
    np.testing.assert_allclose(found, design(BASIS, parameters, z) @ c, rtol=1e-12)
    assert selection_task.said(candidate, c, z[:0]).shape == (0, 2)
