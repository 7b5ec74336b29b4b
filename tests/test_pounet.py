"""Partition of unity networks: known pieces are found, ties pull, bad input is named."""

import dataclasses
import math
import re

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from adabasis import LSGD, POUNetRegressor, fit, fit_pounet, load, plots, rows
from adabasis.basis import PartitionBasis, PolynomialPartition
from adabasis.basis.pou.partition import AbstractSoftmax, hard_assignment
from adabasis.geometry.points import Points
from adabasis.operators import Identity, Partial
from adabasis.plots.partitions import breaks, pieces, shares
from adabasis.pou.segmentation import LocalFits
from adabasis.train import LSGN, Budget, Objective, Snapshot, StopReason, train

from .laws import assert_close, assert_same_bits
from .registry import FUNCTIONS, draw, fitted, key, points

KINKS = PartitionBasis(3, 2, partition="affine", continuity=10.0, reach=0.3)


def bent(x):
    return np.abs(x - 0.37) + 2 * np.abs(x - 0.71)


@pytest.fixture(scope="module")
def bent_data():
    x = np.random.default_rng(0).random((200, 1))
    return x, np.concatenate([bent(x), 1 - 2 * bent(x)], axis=1)


def jumping(x):
    return (2 * np.abs(4 * x - np.floor(4 * x + 0.5)) - 1) ** 2 + np.floor(4 * x) % 2


@pytest.mark.parametrize("seed", [0, 9, 10])
def test_a_held_out_row_beside_a_jump_does_not_blur_it(seed):
    """With seeds 9 and 10 such a row is on the other side of the border of the rows fitted."""
    x = np.random.default_rng(seed).random((300, 1))
    late = 1e3 if seed == 9 else math.inf  # far away, it changes nothing
    found = fit_pounet(x, jumping(x[:, 0]), n_partitions=4, degree=2, max_seconds=late)
    assert_close(found(x), jumping(x[:, 0]), 1e-12)


@pytest.mark.parametrize(("seed", "noise"), [(0, 1e-2), (2, 1e-7)])
def test_noise_does_not_move_a_border_off_a_jump(seed, noise):
    """Polynomials of both sides may meet some points beyond it."""
    x = np.random.default_rng(seed).random((300, 1))
    y = jumping(x[:, 0])
    found = fit_pounet(
        x, y + noise * np.random.default_rng(1).normal(size=300), n_partitions=4, degree=2
    )
    assert np.abs(found(x) - y).max() < 3 * noise


@pytest.mark.slow
def test_a_jump_along_a_circle_has_two_parts():
    """More parts fit the smooth side better, and their borders are where errors come from."""
    x = np.random.default_rng(3).random((1000, 2))
    there = np.random.default_rng(4).random((4000, 2))

    def true(x):
        inside = np.sum((x - 0.5) ** 2, axis=1) < 0.09
        return np.where(inside, 2 + x[:, 0] * x[:, 1], np.cos(3 * x[:, 0]) + x[:, 1] ** 2)

    found = fit_pounet(x, true(x), degree=6, max_steps=0)
    off = np.abs(found(there) - true(there))
    assert found.basis.n_partitions == 2
    assert np.median(off) < 1e-4
    assert np.mean(off > 1e-2) < 0.01  # on the wrong side of the border


def test_pieces_of_hardly_more_points_than_coefficients_are_not_taken():
    """Lines through two points each leave no residual, and say nothing."""
    x = np.random.default_rng(0).random((300, 1))
    parts = [np.sin(6 * x), 1.5 - x, np.abs(x - 0.8) * 4 - 0.3]
    y = np.select([x < 0.3, x < 0.62], parts[:2], parts[2])
    found = fit_pounet(x, y, max_steps=0)
    assert found.basis.degree == 5
    assert np.median(np.abs(found(x) - y)) < 1e-9


def halves(x):
    return np.where(np.sum((x - 0.5) ** 2, axis=1) < 0.1, 1.0, 0.0)


def test_without_rows_held_out_training_counts():
    """By the error of each row left out in turn, like that of functions as drawn."""
    x = np.random.default_rng(2).random((80, 1))
    y = np.abs(x[:, 0] - 0.5) + 0.05 * np.random.default_rng(1).normal(size=80)
    found = fit_pounet(x, y, n_partitions=2, degree=1, validation=None)
    assert found.basis.n_partitions == 2
    assert all(row["loo_error"] is not None for row in found.candidates)


def test_what_no_border_of_its_kind_can_tell_apart_is_fitted_all_the_same():
    x = np.stack(np.meshgrid(*[np.linspace(0, 1, 6)] * 2), axis=-1).reshape(-1, 2)
    y = ((x[:, 0] < 0.5) ^ (x[:, 1] < 0.5)).astype(float)
    assert np.isfinite(fit_pounet(x, y, n_partitions=2, degree=0, max_steps=0)(x)).all()


def test_the_unit_of_weights_does_not_matter():
    x = np.random.default_rng(2).random((80, 1))
    noisy = np.abs(x[:, 0] - 0.5) + 0.05 * np.random.default_rng(1).normal(size=80)
    options = {"n_partitions": 2, "degree": 1, "max_steps": 3}
    small = fit_pounet(x, noisy, sample_weight=np.full(80, 1e-6), **options)
    assert_close(small(x), fit_pounet(x, noisy, **options)(x), 1e-6)


@pytest.fixture(scope="module")
def model(bent_data):
    return fit_pounet(*bent_data, n_partitions=3, degree=1, start="merging")


def test_continuous_pieces_are_found_between_the_points_too(model):
    x = np.append(np.linspace(0.01, 0.99, 997), [0.37, 0.71])[:, None]
    assert_close(model(x)[:, 0], bent(x)[:, 0], 1e-10)
    assert_close(model(x)[:, 1], 1 - 2 * bent(x)[:, 0], 1e-10)
    assert model.basis.n_partitions == 3
    assert model.rank == 6


def test_its_derivatives_are_those_of_the_pieces(model):
    slopes = model.apply(Partial(0), [[0.1], [0.5], [0.9]])
    assert_close(slopes[:, 0], np.array([-3.0, -1.0, 3.0]), 1e-9)


def test_it_is_saved_and_read_with_its_ties(model, tmp_path):
    path = tmp_path / "m.adabasis"
    model.save(path)
    again = load(path)
    assert again.basis == model.basis
    assert_same_bits(again([[0.5]]), model([[0.5]]))


def test_the_same_seed_gives_the_same_bits(bent_data, model):
    again = fit_pounet(*bent_data, n_partitions=3, degree=1, start="merging")
    assert_same_bits(again.coefficients, model.coefficients)


def test_numbers_left_open_are_found_where_there_is_a_jump():
    x = np.random.default_rng(1).random((150, 1))
    y = np.where(x[:, 0] < 0.4, x[:, 0], 2.0)
    chosen = POUNetRegressor().fit(x, y)
    assert (chosen.n_partitions_, chosen.degree_) == (2, 1)
    assert_close(chosen.predict([[0.1], [0.9]]), np.array([0.1, 2.0]), 1e-9)


def test_a_smooth_target_needs_one_part():
    x = np.random.default_rng(0).random((150, 1))
    found = fit_pounet(x, 1 + x[:, 0] - x[:, 0] ** 3)
    assert (found.basis.n_partitions, found.basis.degree) == (1, 3)


def test_dependent_inputs_work_and_the_rank_says_so():
    x = np.random.default_rng(0).random((150, 1)) @ [[1.0, 2.0]]
    found = fit_pounet(x, np.where(x[:, 0] < 0.4, x[:, 0], 2.0), n_partitions=2, degree=1)
    assert found.rank == 4 < found.basis.size(2)
    assert np.all(np.isfinite(found(x)))


def test_parts_that_own_nothing_are_reported():
    x = np.random.default_rng(0).random((60, 1))
    basis = PartitionBasis(8, 1, partition="network")
    method = LSGD(0.3)  # which empties parts
    collapsed = fit(x, bent(x), basis, method=method, max_steps=60)
    owned = hard_assignment(basis.unity, collapsed.parameters.partition, collapsed.input_map(x))
    empty = 8 - len(np.unique(owned))
    assert empty > 0
    assert f"{empty} of 8 partitions own no row" in " ".join(collapsed.notes)


def test_a_part_that_has_lost_its_rows_is_given_a_new_place(bent_data, monkeypatch):
    cloud_settled, calls = LocalFits.settled, []

    def two_at_first(cloud, labels):
        calls.append(labels)
        return np.minimum(cloud_settled(cloud, labels), 1 if len(calls) == 1 else 2)

    monkeypatch.setattr(LocalFits, "settled", two_at_first)
    again = fit_pounet(*bent_data, n_partitions=3, degree=1, start="merging")
    assert again.basis.n_partitions == 3
    assert_close(again([[0.2], [0.8]])[:, 0], bent(np.array([0.2, 0.8])), 1e-9)


def test_drafts_stop_in_time_and_an_interrupt_keeps_them(monkeypatch):
    x = points(n=200)
    y = np.where(x[:, 0] < 0.5, np.sin(3 * x[:, 1]), 2.0)
    late = fit_pounet(x, y, max_seconds=1e-6)
    assert late.stop_reason == StopReason.MAX_SECONDS
    assert np.all(np.isfinite(late(x)))
    calls, settled = [], LocalFits.settled

    def interrupted(cloud, labels):
        calls.append(labels)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return settled(cloud, labels)

    monkeypatch.setattr(LocalFits, "settled", interrupted)
    kept = fit_pounet(x, y, degree=1, start="merging")
    assert kept.stop_reason == StopReason.INTERRUPTED
    assert kept.basis.n_partitions == 2
    calls[:] = [None, None]
    assert fit_pounet(x, y, degree=1, start="merging").basis.n_partitions == 1


def test_a_grid_has_the_cells_asked_for_or_as_many_as_help():
    x = (np.arange(256)[:, None] + 0.5) / 256
    y = np.floor(8 * x[:, 0])
    assert fit_pounet(x, y, partition="grid", n_partitions=5).basis.n_partitions == 5
    found = fit_pounet(x, y, partition="grid", degree=0)
    assert found.basis.n_partitions == 8
    assert_close(found(x), y, 1e-12)


class Halves(AbstractSoftmax):
    """A kind of partition that the package does not know."""

    n_partitions: int = 2

    @property
    def smoothness(self):
        return math.inf

    def init(self, key, box):
        return jnp.array([3.0, 0.4 + 0.0 * box[0, 0]])

    def logits(self, x, parameters):
        slope, place = parameters
        return jnp.stack([0 * x[0], slope * (x[0] - place)])

    def sharpened(self, parameters, factor):
        return parameters * jnp.array([factor, 1.0])


def test_a_partition_of_one_s_own_kind_is_trained():
    x = np.linspace(0, 1, 120)[:, None]
    y = 1 / (1 + np.exp(-20 * (x[:, 0] - 0.6)))
    found = fit_pounet(x, y, partition=Halves(), degree=0)
    assert found.basis.partition == Halves()
    assert_close(found(x), y, 1e-6)


def test_fewer_parts_than_asked_for_are_reported():
    x = np.random.default_rng(0).random((30, 1))
    found = fit_pounet(x, np.sin(9 * x[:, 0]), n_partitions=10, degree=2, max_steps=0)
    assert found.basis.n_partitions < 10
    assert f"{found.basis.n_partitions} of the 10 partitions asked for" in " ".join(found.notes)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"n_partitions": 40, "degree": 2}, "40 times 6 polynomials of 2 inputs are 240 coeff"),
        ({"degree": 30}, "496 coefficients for 64 distinct rows"),
        ({"n_partitions": 0}, "n_partitions=0"),
        ({"degree": -1}, "degree=-1"),
        ({"degree": 1.5}, "degree=1.5"),
        ({"degree": None}, "degree=None"),
        ({"degree": [1, 2]}, r"degree=\[1, 2\]"),
        ({"degree": math.nan}, "degree=nan"),
        ({"n_partitions": math.inf}, "n_partitions=inf"),
        ({"n_partitions": True}, "n_partitions=True"),
        ({"partition": PolynomialPartition(3), "n_partitions": 2}, "two numbers differ"),
        ({"partition": "rbff"}, "partition='rbff'"),
        ({"start": "luck"}, "start='luck'"),
        ({"start": "segments"}, "of one input; these data have 2"),
        ({"index_set": "all"}, "index_set='all'"),
    ],
)
def test_bad_settings_are_named(settings, message):
    x = points()
    with pytest.raises(ValueError, match=message):
        fit_pounet(x, x[:, 0], **settings)


def test_another_number_of_inputs_is_named(model):
    with pytest.raises(ValueError, match=r"expected an \(N, 1\) array"):
        model(np.zeros((3, 2)))


@eqx.filter_jit
def compiled(method, *arguments):
    """Call a method of a basis as one program: one by one, its operations take longer."""
    return method(*arguments)


def tie_of(basis, parameters, x):
    return np.asarray(compiled(basis.ties, jnp.asarray(x), parameters))


def test_a_tie_is_the_jump_at_the_border_whatever_the_sharpness():
    parameters = draw(KINKS, np.array([[0.0, 1.0]]))
    weights = np.array([[0.0, 0.0], [-2.0, 5.0], [-5.5, 10.0]])
    c = np.random.default_rng(0).normal(size=(9, 1))
    for factor in (1.0, 1e9):
        sharp = parameters._replace(partition=jnp.asarray(factor * weights))
        border = 2.0 / 5.0 / np.sqrt(3.0)
        pieces = np.asarray(compiled(KINKS.pieces, jnp.array([border]), sharp, jnp.asarray(c)))
        at = tie_of(KINKS, sharp, [border]) @ c
        assert_close(np.abs(at), np.abs(pieces[0] - pieces[1]), 1e-6)
        off = tie_of(KINKS, sharp, [border - 0.15]) @ c
        assert_close(np.abs(off), 0.75 * np.abs(pieces[0] - pieces[1]), 1e-6)
        assert not tie_of(KINKS, sharp, [border - 0.31]).any()


def test_one_polynomial_has_no_ties():
    parameters, x = draw(KINKS), jnp.asarray(points())
    one = np.random.default_rng(0).normal(size=(6, 1))
    local = jax.jit(jax.vmap(lambda p: KINKS._local(p, parameters)[0]))(x)
    target = np.asarray(local @ one)
    design = np.asarray(compiled(rows.evaluate, Identity(), KINKS, parameters, x))
    c = np.linalg.lstsq(design, target)[0]
    ties = compiled(rows.TieTerm(Points(x, np.ones(len(x))), 1).design, KINKS, parameters)
    assert np.abs(ties).max() > 0.1
    assert np.abs(ties @ c).max() < 1e-10


def test_ties_pull_a_hard_border_to_where_the_polynomials_meet():
    """Without ties nothing in the data moves a border between two points."""
    basis = PartitionBasis(2, 1, partition="affine", continuity=100.0, reach=0.2)
    x = np.linspace(0, 1, 64)[:, None]
    y = np.abs(x - 0.4142)
    off = jnp.array([[0.0, 0.0], [-0.5, np.sqrt(1 / 3)]]) * 1e6
    start = compiled(basis.recentred, off, jnp.asarray(x))
    term = rows.Term(Points(x, np.ones(64)), y)
    for tied, moves in ((rows.tied(term, basis), True), ([term], False)):
        run = train(LSGN(), Objective(tied, 0.0, basis), start, key=key(), budget=Budget(40))
        weight = np.asarray(run.parameters.partition)
        border = -(weight[1, 0] - weight[0, 0]) / (weight[1, 1] - weight[0, 1]) / np.sqrt(3)
        assert (abs(border - 0.4142) < 1e-9) == moves


def test_what_is_drawn_is_the_model(model):
    x = np.linspace(*model.box[0], 50)[:, None]
    phi = shares(model, x)
    assert_close(phi.sum(axis=1), np.ones(50), 1e-14)
    for q in range(2):
        assert_close((phi * pieces(model, x, q)).sum(axis=1), model(x)[:, q], 1e-12)
    assert_close(breaks(model), np.array([0.37, 0.71]), 1e-9)
    above, below = plots.partitions(model).axes
    assert len(above.lines) == 3
    drawn, whole = below.lines[-1].get_xydata().T
    np.testing.assert_allclose(whole, model(drawn[:, None])[:, 0])


def test_a_map_shows_every_part_and_others_are_refused():
    basis = PartitionBasis(3, 1, partition="affine")
    figure = plots.partitions(fitted(basis))
    numbers = {text.get_text() for text in figure.axes[0].texts}
    assert numbers == {"1", "2", "3"}
    with pytest.raises(ValueError, match="expected a partition of unity network"):
        plots.partitions(fitted(FUNCTIONS["plain tanh"]))


def test_the_report_tells_the_breakpoints(model, tmp_path):
    model.report(tmp_path / "page.html")
    page = (tmp_path / "page.html").read_text("utf-8")
    assert "Breakpoints: 0.37, 0.71." in page
    assert "owns of the box" in page


@pytest.fixture
def watched(model):
    """The model with two snapshots."""
    start = Snapshot(0, model.initial_parameters, np.ones_like(model.coefficients))
    return dataclasses.replace(model, snapshots=(start, start._replace(step=4)))


def test_snapshots_are_of_the_best_run_and_before_its_end():
    x = np.random.default_rng(0).random((150, 1))
    y = bent(x)[:, 0] + 0.3 * (x[:, 0] > 0.5)
    found = fit_pounet(x, y, n_partitions=2, degree=1, partition="rbf", max_steps=6)
    steps = [snapshot.step for snapshot in found.snapshots]
    assert steps == sorted(set(steps))
    assert steps[0] == 0
    assert max(steps) < 6
    first = found.at(found.snapshots[0])
    assert_same_bits(first.parameters.partition.centre, found.initial_parameters.partition.centre)
    assert np.mean((first(x) - y) ** 2) > np.mean((found(x) - y) ** 2)


def test_snapshots_are_saved_with_the_model(watched, tmp_path):
    watched.save(tmp_path / "m.adabasis")
    again = load(tmp_path / "m.adabasis")
    assert [snapshot.step for snapshot in again.snapshots] == [0, 4]
    for old, new in zip(watched.snapshots, again.snapshots, strict=True):
        assert_same_bits(watched.at(old)([[0.5]]), again.at(new)([[0.5]]))


def test_the_report_has_a_slider_that_needs_no_script(watched, model, tmp_path):
    watched.report(tmp_path / "page.html")
    page = (tmp_path / "page.html").read_text("utf-8")
    buttons = re.findall(r'<input type="radio" name="partitions" aria-label="(.*?)"', page)
    assert buttons == ["After 0 steps.", "After 4 steps.", "The model."]
    film = page[page.index('<fieldset class="film">') : page.index("</fieldset>")]
    assert film.count("<figure>") == 3
    assert film.count(" checked>") == 1
    assert "nth-of-type(3):checked" in page
    assert "nth-of-type(4):checked" not in page
    assert "<script" not in film
    dataclasses.replace(model, snapshots=()).report(tmp_path / "without.html")
    assert "fieldset" not in (tmp_path / "without.html").read_text("utf-8")


@pytest.mark.slow
@pytest.mark.parametrize("start", ["segments", "merging", "insertion"])
@pytest.mark.parametrize("count", [8, 32])
def test_waves_are_recovered(start, count):
    def wave(x):
        t = count * x[:, 0]
        return (2 * np.abs(t - np.floor(t + 0.5)) - 1) ** 2

    rng = np.random.default_rng(count)
    x, unseen = rng.random((1024, 1)), rng.random((5000, 1))
    found = fit_pounet(x, wave(x), n_partitions=count, degree=2, start=start)
    assert_close(found(unseen), wave(unseen), 1e-9)
