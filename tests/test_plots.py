"""Figures show the numbers they are about, and leave the user's matplotlib alone."""

import dataclasses
import warnings

import jax
import matplotlib
import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib.figure import Figure

from adabasis import plots
from adabasis.basis import FrozenFeatures, NeuralBasis
from adabasis.models.record import Tried
from adabasis.plots import style
from adabasis.regression.api import fit
from adabasis.train import History

from .laws import assert_close, assert_same_bits
from .registry import FUNCTIONS, fitted, points
from .test_report import changed, recorded, small

BASIS = FUNCTIONS["plain tanh"]


@pytest.fixture
def model():
    return fitted(BASIS)


@pytest.fixture
def data(model):
    x = points(model.box)
    return x, model(x) + 1e-4


def curves(ax):
    return [line.get_xydata() for line in ax.lines]


def every_figure(model, data):
    x, y = data
    yield plots.fitted(model)
    yield plots.fitted(model, data=data, output=1)
    yield plots.error_map(model, x, y)
    yield plots.parity(y[:, 0], model(x)[:, 0])
    yield plots.residuals(y[:, 0], model(x)[:, 0])
    yield plots.history(model)
    yield plots.histories({"one": [model.history.loss]})
    yield plots.basis_functions(model)
    yield plots.singular_values(model)
    yield plots.candidates(model)


def test_figures_belong_to_no_window_and_change_no_setting(model, data):
    before = dict(matplotlib.rcParams)
    with matplotlib.rc_context({"axes.facecolor": "red", "font.size": 30}):
        for figure in every_figure(model, data):
            assert isinstance(figure, Figure)
            assert figure.axes[0].get_facecolor() == (1, 1, 1, 1)
            assert figure.axes[0].xaxis.get_ticklabels()[0].get_fontsize() < 12
        assert matplotlib.rcParams["axes.facecolor"] == "red"
    assert plt.get_fignums() == []
    assert dict(matplotlib.rcParams) == before


def test_a_model_draws_itself_into_an_axes_of_the_users(model):
    figure, ax = plt.subplots()
    assert model.plot(ax) is figure
    assert ax.get_xlabel() == "x1"
    plt.close(figure)


def test_a_curve_goes_through_the_models_values(tmp_path):
    one = small(1)
    x = np.linspace(0, 1, 5)[:, None]
    figure = plots.fitted(one, data=(x, one(x)))
    shown, curve = curves(figure.axes[0])
    assert_close(shown, np.c_[x, one(x)], 1e-14)
    assert_same_bits(curve[[0, -1], 0], one.box[0])
    assert_close(curve[:, 1], one(curve[:, :1]), 1e-14)


def test_a_surface_ends_at_the_hull_of_the_data(model):
    """A corner without data, where the model may be anything, takes no colours."""
    low, width = model.box[:, 0], np.ptp(model.box, axis=1)
    x = np.random.default_rng(0).uniform(0, 1, (300, 2))
    x = low + width * x[x.sum(axis=1) < 1]
    filled = plots.fitted(model, data=(x, model(x))).axes[0].collections[0]
    hull = filled.get_clip_path().get_fully_transformed_path()
    to_screen = filled.axes.transData.transform
    assert hull.contains_points(to_screen(low + width * [[0.3, 0.3], [0.1, 0.7]])).all()
    assert not hull.contains_points(to_screen(low + width * [[0.9, 0.9], [0.6, 0.6]])).any()
    corners = np.stack(np.meshgrid(*np.linspace(low, low + width, 41).T), -1).reshape(-1, 2)
    inside = hull.contains_points(to_screen(corners))
    seen = model(corners[inside])[:, 0]
    assert filled.norm.vmin <= seen.min() + 0.1 * np.ptp(seen)
    assert filled.norm.vmax <= seen.max() + 0.1 * np.ptp(seen)


@pytest.mark.parametrize("x", [np.zeros((5, 2)), np.linspace([-500, 100], [500, 2100], 9)])
def test_data_on_a_line_have_no_hull(model, x):
    drawn = plots.fitted(model, data=(x, model(x))).axes[0].collections[0]
    assert drawn.get_clip_path() is None  # the whole box is drawn


def test_without_data_wild_values_do_not_take_all_colours(model):
    """Five standard deviations of the data are all there is to see."""
    wild = changed(model, coefficients=model.coefficients * 1e6)
    filled = plots.fitted(wild).axes[0].collections[0]
    shift, scale = wild.output_map.shift[0], wild.output_map.scale[0]
    assert np.abs(wild(points(wild.box))[:, 0] - shift).max() > 1e3 * scale
    assert filled.norm.vmin >= shift - 6 * scale
    assert filled.norm.vmax <= shift + 6 * scale


def test_dependence_on_one_input_is_the_mean_over_the_others():
    """Of a sum of functions of one input each, it is that function up to a constant."""
    rng = np.random.default_rng(0)
    x = rng.uniform(0, 1, (400, 3))
    three = fit(x, np.sin(3 * x[:, 0]) + 2 * x[:, 1] ** 2, FrozenFeatures(64), method="frozen")
    figure = plots.fitted(three, data=(x, None))
    expected = {"x1": lambda t: np.sin(3 * t), "x2": lambda t: 2 * t**2, "x3": np.zeros_like}
    drawn = {ax.get_xlabel(): curves(ax)[0].T for ax in figure.axes if ax.lines}
    assert list(drawn) == ["x2", "x1", "x3"]  # the largest change first
    for name, (at, mean) in drawn.items():
        exact = expected[name](at)
        assert np.abs(mean - mean.mean() - exact + exact.mean()).max() < 1e-2


TABLE = {
    "inputs": [
        {"name": "length", "kind": "number", "categories": []},
        {"name": "kind", "kind": "text", "categories": ["cold", "hot", "mild"]},
        {"name": "on", "kind": "bool", "categories": []},
    ]
}


def test_a_column_of_categories_is_one_variable():
    """Its dependence is drawn where one of its inputs is 1 and the others are 0."""
    rng = np.random.default_rng(0)
    kind, on = rng.integers(0, 3, 400), rng.integers(0, 2, 400)
    x = np.column_stack([rng.uniform(0, 1, 400), np.eye(3)[kind], on])
    y = x[:, 0] + np.array([3.0, 0.0, 1.0])[kind] - 2 * on
    model = fit(x, y, FrozenFeatures(64), method="frozen")
    names = ["length", "kind = cold", "kind = hot", "kind = mild", "on"]
    model = recorded(model, preparation=TABLE, input_names=names)
    drawn = {ax.get_xlabel(): ax for ax in plots.fitted(model, data=(x, None)).axes if ax.lines}
    assert list(drawn) == ["kind", "on", "length"]
    assert [label.get_text() for label in drawn["kind"].get_xticklabels()] == [
        "cold",
        "hot",
        "mild",
    ]
    assert np.ptp(drawn["on"].lines[0].get_ydata()) == pytest.approx(2, abs=0.05)
    low = drawn["kind"].lines[0].get_ydata() - drawn["kind"].lines[0].get_ydata()[1]
    assert low == pytest.approx([3, 0, 1], abs=0.05)


def test_more_than_two_inputs_fill_no_single_axes():
    three = small(3)
    with pytest.raises(ValueError, match="cannot hold 3 inputs"):
        three.plot(Figure().add_subplot())
    with pytest.raises(ValueError, match="this model has 3"):
        plots.basis_functions(three)
    assert len(plots.fitted(small(12)).axes) == 8


def test_an_error_map_shows_the_errors_of_the_predictions_given(model, data):
    x, y = data
    for predicted, error in ((None, np.full(len(x), 1e-4)), (y - 3.0, np.full(len(x), 3.0))):
        figure = plots.error_map(model, x, y, predicted=predicted, output=1)
        dots = figure.axes[0].collections[0]
        assert_close(np.sort(dots.get_array()), error, 1e-6)
        assert_close(np.sort(dots.get_offsets(), axis=0), np.sort(x, axis=0), 1e-14)


def test_parity_and_residuals_show_every_row():
    y = np.arange(20.0)
    predicted = y + np.sin(y)
    line, dots = curves(plots.parity(y, predicted).axes[0])
    assert_close(line[:, 0], line[:, 1], 0)
    assert_close(dots, np.c_[y, predicted], 0)
    left, right = plots.residuals(y, predicted).axes
    assert_close(curves(left)[1], np.c_[predicted, np.sin(y)], 1e-14)
    assert sum(bar.get_width() for bar in right.patches) == 20


def test_many_rows_are_drawn_as_a_sample_and_as_a_picture():
    y = np.random.default_rng(0).normal(size=10_000)
    dots = plots.parity(y, y).axes[0].lines[1]
    assert len(dots.get_xdata()) == style.MOST_POINTS
    assert dots.get_rasterized()
    assert set(dots.get_xdata()) <= set(y)


def test_histories_show_every_run_and_their_geometric_mean():
    runs = [np.array([1.0, 1e-2, 1e-4]), np.array([1.0, 1e-4])]
    *thin, mean = curves(plots.histories({"a": runs}).axes[0])
    assert [line[:, 1].tolist() for line in thin] == [run.tolist() for run in runs]
    assert_close(mean[:, 1], [1.0, 1e-3], 1e-14)


def test_history_is_of_root_mean_squares(model):
    trained, held_out, kept = curves(plots.history(model).axes[0])
    assert_close(trained[:, 1], np.sqrt(model.history.loss), 1e-14)
    assert_close(held_out[:, 0], model.history.validation_step, 0)
    assert_close(held_out[:, 1], model.history.validation, 0)
    assert kept[:, 1].tolist() == [model.history.validation.min()]


def test_errors_of_zero_are_drawn_on_logarithmic_scales(model, data, tmp_path):
    empty = np.zeros(0)
    zero = History(*np.zeros((4, 3)), empty, empty)
    exact = changed(
        model,
        history=zero,
        singular_values=np.zeros(8),
        record=dataclasses.replace(model.record, tried=(Tried("a", 0.0),)),
    )
    x, _ = data
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for i, figure in enumerate(every_figure(exact, (x, exact(x)))):
            figure.savefig(tmp_path / f"{i}.svg")


def test_candidates_are_in_their_order(model):
    tried = (Tried("a", 0.1), Tried("b"), Tried("c", None, 0.3))
    ax = plots.candidates(recorded(model, tried=tried)).axes[0]
    # The one that was taken has a ring.
    assert [c.tolist() for c in curves(ax)] == [[[1, 0.1]], [[1, 0.1]], [[3, 0.3]]]


def test_singular_values_stand_by_the_cut_off_of_the_solve(model):
    ax = plots.singular_values(changed(model, singular_values=np.array([4.0, 2.0, 0.0]))).axes[0]
    values, cut_off = curves(ax)
    assert_close(values[:2, 1], [1.0, 0.5], 1e-14)
    assert values[2, 1] > 0
    assert set(cut_off[:, 1]) == {1e-13}


@pytest.mark.parametrize("n_inputs", [1, 2])
def test_basis_functions_are_drawn_before_and_after_training(n_inputs):
    still = small(n_inputs)
    moved = changed(still, parameters=jax.tree.map(lambda leaf: 2 * leaf, still.parameters))
    stages = {1: 1, 2: 8}[n_inputs]
    assert len(plots.basis_functions(still).axes) == stages
    assert len(plots.basis_functions(moved).axes) == 2 * stages


def test_basis_functions_are_scaled_to_their_largest_value():
    one = small(1)
    x, shown = None, []
    for curve in curves(plots.basis_functions(one).axes[0]):
        x, phi = curve.T
        shown.append(phi)
    phi = one.functions(x[:, None], initial=True)
    assert_close(np.stack(shown, axis=1), phi / np.abs(phi).max(axis=0), 1e-13)


def test_the_functions_drawn_are_those_with_the_largest_share():
    one = small(1)
    c = np.zeros_like(one.coefficients)
    c[[2, 5]] = 1.0
    chosen = curves(plots.basis_functions(changed(one, coefficients=c), most=2).axes[0])
    phi = one.functions(chosen[0][:, :1])[:, [2, 5]]
    assert_close(np.stack([line[:, 1] for line in chosen], 1), phi / np.abs(phi).max(axis=0), 1e-13)


@pytest.mark.parametrize("name", ["$", "a $x_1$ b", r"$\frac$", "two\nlines\tand tabs", "x" * 200])
def test_any_name_can_be_drawn_as_it_is(model, data, tmp_path, name):
    named = recorded(model, input_names=[name] * 2, output_names=[name] * 2)
    x, y = data
    figures = [plots.fitted(named), plots.error_map(named, x, y), plots.parity(y, y, name)]
    for i, figure in enumerate(figures):
        figure.savefig(tmp_path / f"{i}.png")
        label = figure.axes[0].get_xlabel()
        assert "\n" not in label
        assert len(label) < 60
        assert label.count("$") == label.count(r"\$")  # no mathematics


def test_a_model_without_names_numbers_them(model):
    assert plots.names_of(model) == (["x1", "x2"], ["y1", "y2"])
    assert plots.names_of(small(1)) == (["x"], ["y"])
    assert plots.names_of(recorded(model, input_names=["a", "b"]))[0] == ["a", "b"]
    assert isinstance(BASIS, NeuralBasis)
