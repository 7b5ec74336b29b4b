"""Leave-one-out errors are those of refits, and claims are no better than rows can tell."""

import numpy as np
import pytest

from adabasis.evidence import errors
from adabasis.evidence.errors import LeftOut, Places, Unseen

from ..laws import assert_close

RNG = np.random.default_rng(0)
N, P = 60, 7


def places(count=1, group=None, within=False, scatter=0.0):
    z = RNG.uniform(size=(N, 2))
    t = np.sin(4 * z @ [[1.0, 0.5], [-0.5, 2.0]])
    return Places(
        z,
        t,
        RNG.uniform(0.5, 2, N),
        np.full(N, count),
        np.full((N, 2), scatter),
        np.arange(N) if group is None else group,
        within,
    )


def columns(z):
    return np.stack([np.cos(k * z[:, 0]) * (1 + z[:, 1]) ** (k % 3) for k in range(P)], axis=1)


def refitted(at, out, ridge):
    """Return the coefficients of the rows that are not left out, by the normal equations."""
    keep = ~out
    w = at.weight / at.weight.sum()
    a, b = (np.sqrt(w)[keep, None] * m[keep] for m in (columns(at.z), at.t))
    return np.linalg.solve(a.T @ a + ridge * np.eye(P), a.T @ b)


@pytest.mark.parametrize("ridge", [1e-6, 1e-3])
@pytest.mark.parametrize("size", [1, 3, 4])
def test_losses_are_those_of_refits_without_the_group(size, ridge):
    group = np.arange(N) // size if size < 4 else RNG.integers(0, 12, N)
    at = places(group=group)
    got = LeftOut(at, columns(at.z), ridge).losses()
    for label in np.unique(group)[:5]:
        out = group == label
        error = columns(at.z)[out] @ refitted(at, out, ridge) - at.t[out]
        assert_close(got[out], np.mean(error**2, axis=1) / at.spread**2, 1e-6)


def test_one_of_several_rows_at_a_place_is_left_out_alone():
    """With a scatter of 0, all k rows of a place have its mean: a refit weighs it by (k − 1)/k."""
    at = places(count=4, within=True)
    got = LeftOut(at, columns(at.z), 1e-6).losses()
    w = at.weight / at.weight.sum()
    for i in range(3):
        lighter = np.where(np.arange(N) == i, 0.75 * w, w)
        a, b = (np.sqrt(lighter)[:, None] * m for m in (columns(at.z), at.t))
        c = np.linalg.solve(a.T @ a + 1e-6 * np.eye(P), a.T @ b)
        error = columns(at.z)[i] @ c - at.t[i]
        assert got[i] == pytest.approx(np.mean(error**2) / at.spread**2, rel=1e-6)


def test_a_row_that_alone_determines_a_function_is_evidence_of_nothing():
    at = places()
    matrix = columns(at.z)
    matrix[:, 0] = np.arange(N) == 5
    losses = LeftOut(at, matrix).losses()
    assert np.flatnonzero(np.isinf(losses)).tolist() == [5]
    assert Unseen(np.arange(N), losses, at.weight, at.group, "").error == np.inf
    group = np.where(np.arange(N) < 7, 0, np.arange(N))
    at = places(group=group)
    matrix = columns(at.z)
    matrix[:, 0] = np.arange(N) < 7
    assert np.isinf(LeftOut(at, matrix).losses()).sum() == 7


def seen(losses, group=None, root=True, surprise=0.0):
    n = len(losses)
    group = np.arange(n) if group is None else group
    return Unseen(np.arange(n), np.asarray(losses), np.ones(n), group, "", root, surprise)


@pytest.mark.parametrize("n", [10, 30, 300])
def test_a_claim_is_too_low_about_as_often_as_stated(n):
    squares = np.random.default_rng(1).normal(size=(2000, n)) ** 2
    low = np.mean([seen(row).claim < 1 for row in squares])
    assert errors.CHANCE / 3 <= low <= 1.6 * errors.CHANCE


def test_a_claim_is_wider_where_few_rows_have_most_of_the_error():
    even, uneven = np.ones(100), np.where(np.arange(100) < 2, 50.0, 0.0)
    assert seen(even).error == seen(uneven).error == 1
    assert 1 < seen(even).claim < 1.2 < 2 < seen(uneven).claim < 5


def test_rows_of_one_group_count_as_one():
    losses = np.repeat(RNG.normal(size=10) ** 2, 10)
    alone, together = seen(losses), seen(losses, np.arange(100) // 10)
    assert alone.error == together.error
    assert together.claim > 1.1 * alone.claim
    assert together.range[1] > 1.1 * alone.range[1]
    assert alone.range[0] > together.range[0]


def test_rows_that_are_all_as_expected_do_not_show_how_rare_others_are():
    sure = seen(np.full(99, 1e-6), root=False, surprise=20.0)
    assert sure.claim == pytest.approx(0.2, rel=1e-3)


def test_the_worst_evidence_is_what_is_claimed():
    claims = [seen(np.full(9, v)) for v in (1.0, 4.0, 2.0)]
    assert Unseen.worst(claims) is claims[1]
    both = Unseen.joined(claims[:2], "both")
    assert (len(both.losses), both.kind) == (18, "both")


@pytest.mark.parametrize(
    ("n", "words"), [(12, "25 %"), (300, "1 %"), (2, "at any other place"), (10**6, "0.0003 %")]
)
def test_what_n_rows_cannot_see_is_three_in_n(n, words):
    assert words in errors.unseen_share(n)


def test_blocks_of_very_many_groups_vary_as_the_groups_do(monkeypatch):
    losses = RNG.chisquare(1, 6000)
    in_blocks = seen(losses).range
    better = seen(losses).least_ratio(1.2 * losses)
    monkeypatch.setattr(errors, "BLOCKS", 10**9)
    alone = seen(losses).range
    assert_close(np.diff(in_blocks), np.diff(alone), 0.15)
    assert in_blocks != alone
    assert_close(better, seen(losses).least_ratio(1.2 * losses), 1e-12)  # the same draws for both
