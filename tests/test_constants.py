"""The numbers that decide between candidates: each is missed if it is ten times another.

No function is fitted here: the rules are given errors on both sides of their thresholds.
"""

import dataclasses
import types

import numpy as np
import pytest

from adabasis import LSGN, Box, FrozenFeatures, NeuralBasis, operators, pde
from adabasis.evidence import verdict
from adabasis.geometry.maps import Coordinates, TargetMap, Transform
from adabasis.geometry.points import default_sampler
from adabasis.lstsq.losses import Loss
from adabasis.models.record import Asked, Record
from adabasis.pde import adapt, collocation, enlarged, probe, strategy
from adabasis.pde.verdict import Stability, verdict_of
from adabasis.pou import candidates as segmented
from adabasis.pou.segmentation import LocalFits
from adabasis.pou.starts import SegmentationOptions
from adabasis.pou.strategy import POUNetTask
from adabasis.regression import bases, robust, task, transforms
from adabasis.regression.strategy import RegressionStrategy
from adabasis.regression.task import RegressionTask
from adabasis.selection.prepared import Prepared

x, y = pde.coordinates("x", "y")
PLANE = pde.LinearProblem(Box(x=(0, 1), y=(0, 1)), operators.Laplacian(), 0.0, [pde.Dirichlet(0.0)])
some = types.SimpleNamespace


def test_widths_of_frozen_features_are_what_rows_and_memory_support():
    assert bases.widths_for(10_000, 2) == [64, 256, 1024]
    assert bases.widths_for(300, 2) == [64, 147]
    assert bases.widths_for(10**6, 1) == [28]


@pytest.mark.parametrize(
    ("n_rows", "networks"),
    [
        (50, [(16, 1)]),
        (200, [(16, 1), (12, 2)]),
        (900, [(16, 1), (16, 2)]),
        (10**4, [(16, 1), (8, 2)]),
    ],
)
def test_the_deepest_network_that_is_affordable_is_tried(n_rows, networks):
    tried = [b for b in bases.default_bases(n_rows, 1) if isinstance(b, NeuralBasis)]
    assert [(b.width, b.depth) for b in tried] == networks


def test_projected_features_have_at_most_a_quarter_of_the_rows():
    tried = [(b.width, b.scale) for b in bases.projected_bases(600, 3, 2)]
    assert tried == [(128, 1.0), (64, 1.0), (128, 2.0), (64, 2.0)]
    assert [b.width for b in bases.projected_bases(5000, 3, 2)] == [256, 128] * 2
    assert bases.projected_bases(250, 3, 2) == []


@pytest.mark.parametrize(("n_rows", "held_out"), [(1000, 100), (120, 20), (60, 12), (39, 0)])
def test_a_tenth_of_the_rows_is_held_out_or_twenty(n_rows, held_out):
    z = np.linspace(0, 1, n_rows)[:, None]
    data = Prepared("fit", z, z[:, 0], None, "auto", 0, split_by_default=True)
    kept = len(data.folds[0][0]) if data.folds else n_rows
    assert n_rows - kept == held_out


@pytest.mark.parametrize(("noise", "precision"), [(0.9e-3, "double"), (1.1e-3, "single")])
def test_noise_of_a_thousandth_asks_for_single_precision(noise, precision):
    searching = some(task=some(asked=some(fixed_ridge=None)))
    assert RegressionStrategy._steps(searching, noise**2 / 40) == LSGN(precision=precision)


@pytest.mark.parametrize(("error", "unfinished"), [(1.1e-4, True), (0.9e-4, False)])
def test_an_error_of_a_ten_thousandth_over_all_rows_is_enough(error, unfinished):
    task = some(least_error=0.0, data=some(places=some(noise=(0.0, 0))))
    search = some(late=lambda: False, best=some(loo_error=error))
    searching = some(search=search, task=task)
    assert RegressionStrategy._unfinished(searching) is unfinished


@pytest.mark.parametrize(("validation_error", "first"), [(1.4e-5, 1), (1.6e-5, 0)])
def test_functions_of_directions_go_first_unless_they_are_clearly_worse(validation_error, first):
    def candidate(error, loo_error):
        return some(
            errors=(error,),
            error=error,
            validation_error=error,
            loo_error=loo_error,
            run=True,
            mean_of=0,
            overshoot=0.5,
        )

    found = [candidate(1e-5, np.nan), candidate(validation_error, 0.9e-4)]
    assert RegressionTask.ranked(object.__new__(RegressionTask), found)[0] is found[first]


def test_plain_functions_are_as_many_as_rows_tell():
    def splines(n_rows):
        found = bases.plain_bases(n_rows, 1)
        return [b.n_knots for b in found if isinstance(b, bases.AdditiveSplines)]

    assert [splines(n) for n in (12, 22, 100)] == [[5], [10], [10]]

    def degrees(n_rows, n_inputs):
        found = bases.plain_bases(n_rows, n_inputs)
        powers = (b for b in found if isinstance(b, bases.Polynomial) and b.highest is None)
        return max(b.degree for b in powers)

    assert [degrees(4, 4), degrees(5, 4)] == [1, 2]  # 15 functions for 12 or 15
    assert [degrees(1000, n_inputs) for n_inputs in (1, 2, 3, 4)] == [12, 6, 4, 2]
    assert degrees(1001, 1) == 2


def drawn(error, size):
    about = {"errors": (error,), "error": error, "validation_error": np.nan, "loo_error": error}
    basis = some(size=lambda n_inputs: size)
    return some(**about, run=None, mean_of=0, overshoot=0.5, basis=basis)


@pytest.mark.parametrize(("worse", "first"), [(1.06, 1), (1.08, 0)])
def test_of_functions_about_as_good_the_fewest_go_first(worse, first):
    found = [drawn(1e-2, 30), drawn(worse * 1e-2, 3)]
    task = object.__new__(RegressionTask)
    task.data = some(z=np.zeros((2, 1)))
    assert task.ranked(found)[0] is found[first]


@pytest.mark.parametrize(("error", "anew"), [(0.9e-3, 1), (1.1e-3, 0)])
def test_lengths_of_many_exact_rows_are_chosen_anew(monkeypatch, error, anew):
    monkeypatch.setattr(task, "MOST_CENTERS", 20)
    z = np.linspace(0, 1, 30)[:, None]
    data = Prepared("fit", z, np.sin(z[:, 0]), None, None, 0, split_by_default=False)
    best = some(loo_error=error, basis=bases.GaussianKernels(20), overshoot=0.5)
    searching = RegressionTask(Asked("fit"), data)
    assert len(list(searching._kriged_anew(best))) == anew


@pytest.mark.parametrize(("times", "suffices"), [(1.4, True), (1.6, False)])
def test_a_line_that_is_not_clearly_behind_does_as_well_unless_its_error_is_half_as_much_again(
    times, suffices
):
    compared = verdict.Comparison(some(n_rows=9, x=np.zeros((9, 1))), {})
    compared._lag = lambda score, ours: 0
    assert compared._linear_suffices(some(relative=times), some(relative=1.0)) is suffices


@pytest.mark.parametrize(("others", "searches"), [(2, 1), (3, 2), (20, 2)])
def test_a_tenth_of_other_outliers_asks_for_a_second_search(monkeypatch, others, searches):
    aside, calls = np.arange(60)[:, None] < 20, []
    far = [np.arange(60)[:, None] < 20 + others, aside, aside]
    monkeypatch.setattr(robust, "far_off", lambda *rows: aside)
    monkeypatch.setattr(robust, "_far_from", lambda *rows: far[len(calls) - 1])
    monkeypatch.setattr(robust, "_claimed", lambda model, *rows: model)

    @dataclasses.dataclass
    class Model:
        record: Record
        stop_reason: None = None
        output_map: None = None

    def search(**given):
        calls.append(int((given["sample_weight"] > 0).sum()))
        return Model(Record(Asked("fit")))

    rows = {"X": np.zeros((60, 1)), "y": np.zeros(60)}
    robust._searched("fit", search, rows, Loss("huber"), lambda model, *rows, **named: model)
    assert calls == [40, 40 - others][:searches]


# --- Transforms ----------------------------------------------------------------------------------


def test_a_mean_is_that_of_sixty_four_residuals():
    one = Transform("yeo-johnson", 1.0, 0.0)
    r = 0.8 * np.random.default_rng(0).normal(size=(4000, 1))
    zero, weight = np.zeros(1), np.ones(len(r))
    found = TargetMap(zero, zero + 1, zero[None], (one,)).smeared(r, weight)
    assert found.residuals.shape == (64, 1)
    exact = one.inverse(3.0 + r).mean()
    assert abs(found.inverse(np.array([[3.0]]))[0, 0] / exact - 1) < 0.01
    fewer = dataclasses.replace(found, residuals=found.residuals[5::11])
    assert abs(fewer.inverse(np.array([[3.0]]))[0, 0] / exact - 1) > 0.02


def test_bends_are_where_a_few_a_quarter_and_three_quarters_of_the_values_are_less():
    y = np.arange(1.0, 102)
    offered = {(one.unit, one.power) for one in transforms.offered_to(y, "yeo-johnson")}
    assert offered == {(unit, power) for unit in (6.0, 26.0, 76.0) for power in (0.0, 0.5)}
    mirrored = {(one.unit, one.power) for one in transforms.offered_to(-y, "yeo-johnson")}
    assert mirrored == {(unit, power) for unit in (6.0, 26.0, 76.0) for power in (2.0, 1.5)}


@pytest.mark.parametrize(("most", "kinds"), [(None, ("log", "plain")), (1, None)])
def test_inputs_are_taken_out_of_logarithms_one_by_one(monkeypatch, most, kinds):
    if most is not None:
        monkeypatch.setattr(transforms, "MOST_SINGLE", most)
    x = 10 ** np.random.default_rng(0).uniform(-2, 2, (40, 2))
    y = np.log(x[:, 0]) + x[:, 1] / 50
    data = Prepared("fit", x, y, None, None, 0, split_by_default=False)
    chosen = transforms.Chooser(data, [], (None,)).choice(Coordinates.plain(2)).coordinates.kinds
    assert chosen == kinds or (kinds is None and chosen != ("log", "plain"))


# --- Equations -----------------------------------------------------------------------------------


def test_there_are_two_rows_for_a_function_and_fresh_points_beside():
    rows = collocation.rows_for(PLANE, 100, default_sampler(2), 1.0)
    fresh = collocation.fresh_rows(PLANE, 1.0)
    assert len(fresh.x) == 2048
    assert len(rows.x) == 200
    assert [len(term.points.x) for term in rows.terms[1:]] == [30] * 4
    line = pde.LinearProblem(
        Box(x=(0, 1)), operators.Partial(x), 0.0, [pde.Dirichlet(0.0, on=(x, 0.0))]
    )
    assert len(collocation.rows_for(line, 100, default_sampler(1), 1.0).x) == 200


@pytest.mark.parametrize(
    ("estimate", "word"),
    [(0.9e-5, "Solved"), (1.1e-5, "Approximate"), (0.9e-2, "Approximate"), (1.1e-2, "Not solved")],
)
def test_words_of_a_certificate_follow_from_the_estimate(estimate, word):
    assert said(estimate, 0.0, 0.0).startswith(f"{word}: ")


def test_a_fiftieth_of_the_data_that_nothing_meets_is_a_contradiction():
    assert "contradict each other" in said(1e-5, 0.021, 0.021)
    assert "contradict each other" not in said(1e-5, 0.019, 1.0)
    assert "contradict each other" not in said(1e-5, 1.0, 0.019)


def said(estimate, contradiction, conditions):
    return verdict_of(
        PLANE,
        some(conditions=conditions, score=1.0, data=1.0),
        Stability(1.0, 0, contradiction),
        estimate,
        0.0,
        {"Equation": 1.0, "Dirichlet": 2.0},
    )


@pytest.mark.parametrize(("share", "balanced"), [(0.9e-3, True), (1.1e-3, False)])
def test_a_thousandth_of_the_data_that_stays_where_functions_are_free_is_unbalanced(
    share, balanced
):
    verdict = verdict_of(
        PLANE,
        some(conditions=0.0, score=share, data=1.0),
        Stability(1e-9, 1, 0.0),
        1.0,
        1.0,
        {"Equation": 1.0},
    )
    assert verdict.startswith("Not determined" if balanced else "Contradictory")


@pytest.mark.parametrize(("size", "free"), [(0.9e5, 0), (1.1e5, 1)])
def test_functions_of_a_hundred_thousand_residuals_are_free(size, free):
    rows = np.eye(3)[:, :2]
    found = enlarged.Enlarged(rows, np.array([size, 1.0]), np.eye(2))
    assert found.free == free
    wide, stays, bound = found.correction(some(by_term=[np.array([0.0, 3.0]), np.array([4.0])]))
    assert stays == pytest.approx(0.8)
    assert bound == pytest.approx(5.0 if free else 5 * size)
    # What is hardly seen, but not free, is uncertain by the residual that stays over √rows.
    assert wide == pytest.approx(3.0 if free else np.hypot(3, 4 * size / 3**0.5))


@pytest.mark.parametrize(("difference", "followed"), [(0.19, False), (0.21, True)])
def test_a_fifth_of_the_range_between_neighbours_is_followed_down(difference, followed):
    def stairs(p):
        return np.floor(p[:, 0] / 0.3001 + 1e-9).clip(0, 1) * difference + 0.79 * p[:, 0]

    assert (probe.look(stairs, np.array([[0.0, 1.0]])).jump is not None) is followed


@pytest.mark.parametrize(
    ("before", "after", "adapted"),
    [(0.9e-2, 1.0, False), (1.1e-2, 0.19 * 1.1e-2, False), (1.1e-2, 0.21 * 1.1e-2, True)],
)
def test_functions_are_moved_where_wider_ones_do_not_help(before, after, adapted):
    done = []

    class Told(adapt.AdaptiveStrategy):
        def __init__(self):
            self.search, self.widths = some(best=None), [1, 2, 3]

        def start(self):
            self.search.best = some(shortfall=before)

        def grow(self, most):
            done.append(most)
            self.search.best = some(shortfall=after)

        def adapt(self):
            done.append("adapt")

        def place(self):
            done.append("place")
            return False

    Told().elsewhere()
    assert ("adapt" in done) is adapted
    assert ("place" in done) is (before > 1e-2)


@pytest.mark.parametrize(("share", "kept"), [(0.71, 1.0), (0.69, 10.0)])
def test_another_weight_must_lower_the_residuals_clearly(share, kept):
    @dataclasses.dataclass(frozen=True)
    class System:
        weight: float
        rows: object

    class Told(strategy.EquationStrategy):
        def __init__(self):
            first = some(
                validation_error=1.0,
                system=System(1.0, some(terms=[1, 2], n_equations=1)),
                label="",
                basis=None,
            )
            self.search = some(best=first, late=lambda: False, add=self.add)
            self.task = some(problem=some(linear=True), judged=self.judged)

        def add(self, candidate):
            self.search.best = candidate

        def judged(self, basis, system, label, began):
            error = share if system.weight == 10.0 else 1.0
            return some(validation_error=error, system=system, label=label, basis=basis)

    told = Told()
    told._weigh()
    assert told.search.best.system.weight == kept


@pytest.mark.parametrize(
    ("level", "error", "grows"),
    [(1, 1.1e-9, True), (1, 0.9e-9, False), (2, 1.1e-7, True), (2, 0.9e-7, False)],
)
def test_wider_functions_are_worth_it_above_a_goal(level, error, grows):
    tried = []

    class Told(strategy.EquationStrategy):
        def __init__(self):
            best = some(
                shortfall=error,
                posterior=None,
                basis=FrozenFeatures(8, scale=1.0),
                system=some(weight=1.0),
                places=None,
            )
            about = {"asked": some(tol=None), "late": lambda: False, "begin": lambda what: None}
            self.search = some(best=best, ranked=[best], **about)
            self.level, self.widths = level, [8, 16, 32]
            self.task = some(scales=None)

        def _each(self, tried_now, weight, places):
            tried.extend(tried_now)

    Told().grow(1)
    assert bool(tried) is grows
    if grows:
        slopes = {1: [1.0, 2.0, 0.5], 2: [1.0, 1.5]}[level]
        assert [b.scale for b in tried] == slopes
        assert {b.width for b in tried} == {8 * 2**level}


# --- Segments ------------------------------------------------------------------------------------


def test_degrees_that_are_compared_have_four_rows_a_polynomial():
    options = SegmentationOptions()
    assert options.degrees(39, 2) == [1, 2]
    assert options.degrees(10**6, 1) == [0, 1, 2, 3, 5]
    assert options.degrees(2, 1) == [0, 1]  # constants and lines apart
    assert options.degrees(10**6, 4) == [1, 2, 3]
    assert options.degrees(10**6, 12) == [1, 2]  # 455 polynomials of degree 3 are too many
    assert options.degrees(7, 2) == [1]
    assert options.degrees(2, 2) == [0]


@pytest.mark.parametrize(("n_rows", "counts"), [(39, [1]), (40, [1, 2, 3, 4])])
def test_numbers_of_segments_are_compared_where_there_are_rows(n_rows, counts):
    z = np.random.default_rng(0).random((n_rows, 2))
    options = SegmentationOptions(degree=1)
    made = segmented.segmentations((z, np.sin(9 * z[:, :1]), np.ones(n_rows)), None, options)
    assert [each.count for each in made] == counts


def made(count, loo_error, beside, n=60):
    z = np.random.default_rng(0).random((n, 2))
    fits = LocalFits(z, z[:, :1], np.ones(n), 1)
    found = segmented.Segmentation(fits, np.arange(n) % count, loo_error, "merging", loo_error)
    found.__dict__["beside"] = beside
    return found


@pytest.mark.parametrize(
    ("share", "more", "first"), [(0.009, 1.9, 2), (0.011, 1.9, 4), (0.009, 2.1, 4)]
)
def test_borders_decide_where_they_hide_the_error_and_do_about_as_well(share, more, first):
    few, many = made(2, 1.3 * share, more), made(4, share, 1.0)
    assert segmented.ranked([few, many])[0].count == first


def trained(error, loss, tied=0.0):
    return some(
        errors=(error,),
        validation_error=error,
        error=error,
        run=some(loss=loss),
        basis=some(tie_weight=tied),
        mean_of=0,
    )


@pytest.mark.parametrize(
    ("worse", "loss", "first"), [(9.0, 0.9e-8, 1), (11.0, 0.9e-8, 0), (9.0, 1.1e-8, 0)]
)
def test_an_exact_fit_goes_before_one_that_is_better_on_few_rows(worse, loss, first):
    found = [trained(1e-2, 1.0), trained(worse * 1e-2, loss)]
    assert POUNetTask.ranked(object.__new__(POUNetTask), found)[0] is found[first]


@pytest.mark.parametrize(("worse", "first"), [(1.09, 1), (1.11, 0)])
def test_ties_go_before_what_is_better_by_chance(worse, first):
    found = [trained(1e-2, 1.0), trained(worse * 1e-2, 1.0, tied=1e4)]
    assert POUNetTask.ranked(object.__new__(POUNetTask), found)[0] is found[first]
