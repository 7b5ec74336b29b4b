"""The benchmark of designed experiments asks what its designs can answer."""

import numpy as np
import pytest

from benchmarks.cases import designs

pytestmark = pytest.mark.plain_scope
SETS = {"first": designs.first(), "second": designs.second()}
EXPERIMENTS = [pytest.param(e, id=f"{s}: {e.name}") for s, several in SETS.items() for e in several]


def terms(truth, u):
    """Return the columns that a truth is a combination of; None for a curve."""
    k = u.shape[1]
    pairs = {"linear": None, "interactions": 1, "quadratic": 0}
    if truth.__name__ not in pairs:
        return None
    columns = [np.ones(len(u)), *u.T]
    if (offset := pairs[truth.__name__]) is not None:
        columns += [u[:, i] * u[:, j] for i in range(k) for j in range(i + offset, k)]
    return np.stack(columns, axis=1)


@pytest.mark.parametrize("several", SETS.values(), ids=SETS)
def test_thirty_experiments_of_different_names(several):
    assert len({experiment.name for experiment in several}) == 30


@pytest.mark.parametrize("experiment", EXPERIMENTS)
def test_the_design_identifies_the_truth(experiment):
    columns = terms(experiment.truth, experiment.design)
    if columns is None:
        assert experiment.group == "Latin hypercube"  # two or three levels cannot tell a curve
        return
    assert np.linalg.matrix_rank(columns) == columns.shape[1]


@pytest.mark.parametrize("experiment", EXPERIMENTS)
def test_unseen_points_are_clean_and_lie_in_the_domain(experiment):
    problem, twin = experiment.problem(7), experiment.problem(7)
    assert np.array_equal(problem.x_test, twin.x_test)
    assert np.array_equal(problem.y, twin.y)
    assert problem.x_test.shape == (designs.UNSEEN, problem.x.shape[1])
    lower, upper = problem.x.min(axis=0), problem.x.max(axis=0)
    beyond = 0.1 * (upper - lower)  # a Latin hypercube stops short of its box
    assert (problem.x_test > lower - beyond).all()
    assert (problem.x_test < upper + beyond).all()
    columns = terms(experiment.truth, (problem.x_test - lower) / (upper - lower))
    if columns is not None:
        left = np.linalg.lstsq(columns, problem.y_test, rcond=None)[1]
        assert np.sqrt(left / len(columns)).max(initial=0) < 1e-9 * problem.scale


def test_a_ratio_is_to_the_best_peer_and_small_errors_are_equal():
    names = [designs.OURS.name, *(peer.name for peer in designs.PEERS)]
    assert designs.ratio(dict(zip(names, (0.3, 0.2, 0.1, np.nan), strict=True))) == pytest.approx(3)
    assert designs.ratio(dict(zip(names, (9e-7, 1e-15, 1.0, 1.0), strict=True))) == 1
    assert designs.ratio(dict(zip(names, (np.nan, 1.0, 1.0, 1.0), strict=True))) == np.inf


def test_the_summary_counts_and_averages():
    lines = list(designs.summary([1.0, 1.0, 1.4, 4.0]))
    assert lines[0].startswith("at most 1.1: 2 of 4")
    assert lines[1].startswith("at most 1.5: 3 of 4")
    assert lines[2].startswith("geometric mean 1.538")
