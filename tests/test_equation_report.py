"""Pictures of solutions: what is estimated, where, and over time; words for functions."""

import dataclasses
import re

import numpy as np
import pytest

import adabasis as ab
from adabasis.basis import (
    AdditiveSplines,
    Ensemble,
    FrozenFeatures,
    GaussianKernels,
    NeuralBasis,
    PartitionBasis,
    Polynomial,
)
from adabasis.pde.error_field import error_field, residual_sizes
from adabasis.plots.style import as_text
from adabasis.report import sections
from adabasis.report.fields import FRAMES, Views
from adabasis.report.words import in_words

from .test_report import Page, titles


def heat_problem():
    x, t = ab.pde.coordinates("x", "t")
    u, d = ab.pde.unknowns("u"), ab.operators.Partial
    return ab.pde.Problem(
        domain=ab.Box(x=(0, 1), t=(0, 1)),
        equations=[d(t)(u) == 0.1 * d(x, 2)(u)],
        conditions=[ab.pde.Initial(np.sin(np.pi * x), at=(t, 0.0)), ab.pde.Dirichlet(0.0, on=x)],
        exact=lambda p: np.sin(np.pi * p[:, 0]) * np.exp(-0.1 * np.pi**2 * p[:, 1]),
    )


@pytest.fixture(scope="module")
def heat():
    return ab.solve(heat_problem())


@pytest.fixture(scope="module")
def poisson():
    """A solution of few functions in the unit of 1,000 u, whose error can be seen."""
    x, y = ab.pde.coordinates("x", "y")
    exact = 1000.0 * np.sin(2 * x) * np.cos(3 * y)
    problem = ab.pde.LinearProblem(
        ab.Box(x=(0, 2), y=(0, 1)), ab.operators.Laplacian(), -13.0 * exact,
        [ab.pde.Dirichlet(exact)], exact=exact,
    )  # fmt: skip
    return ab.solve(problem, FrozenFeatures(40), method="frozen")


def title_of(figure):
    return [ax.get_title("left") for ax in figure.axes if ax.get_title("left")]


@pytest.fixture(params=["heat", "poisson"])
def solution(request):
    return request.getfixturevalue(request.param)


def test_the_map_of_the_error_has_the_size_that_the_certificate_claims(solution):
    x = solution._anywhere()
    error, u = error_field(solution)(x)[:, 0], solution(x)
    relative = np.sqrt(np.mean(error**2) / np.mean(u**2))
    assert relative == pytest.approx(solution.certificate.error_estimate, rel=0.5)


def test_the_map_of_the_error_is_large_where_the_error_is(poisson):
    x = poisson._anywhere()
    true = np.abs(poisson(x) - poisson.problem.exact_values(x))
    claimed = error_field(poisson)(x)[:, 0]
    order = np.argsort(claimed)
    half = len(x) // 2
    assert np.mean(true[order[half:]] ** 2) > 2 * np.mean(true[order[:half]] ** 2)
    assert np.corrcoef(np.log(claimed), np.log(true))[0, 1] > 0.3


@pytest.mark.slow
def test_residuals_on_cells_are_those_of_the_solution(heat):
    x = np.random.default_rng(0).uniform(size=(5, 2))
    np.testing.assert_allclose(
        residual_sizes(heat, x), np.abs(heat.residual(x)), rtol=0.1, atol=1e-12
    )


@pytest.mark.slow
def test_of_regions_each_equation_counts_where_it_holds():
    (x,) = ab.pde.coordinates("x")
    u, d = ab.pde.unknowns("u"), ab.operators.Partial
    k = ab.pde.piecewise(left=1.0, right=100.0)
    problem = ab.pde.Problem(
        regions={"left": ab.Box(x=(0, 1)), "right": ab.Box(x=(1, 2))},
        equations=[-d(x)(k * d(x)(u)) == 1.0],
        conditions=[
            ab.pde.Dirichlet(0.0),
            ab.pde.Interface(of=u, between=("left", "right"), flux=k),
        ],
    )
    solution = ab.solve(problem, FrozenFeatures(30), method="frozen")
    places = np.linspace(0.01, 1.99, 50)[:, None]
    assert residual_sizes(solution, places).max() < 1e-3
    assert error_field(solution)(places).max() < 1e-3
    assert Views(solution, 0).titles == ["u", "|residual|", "estimated error"]


def test_a_file_knows_no_map_of_the_error(heat, tmp_path):
    heat.save(tmp_path / "u.adabasis")
    read = ab.load(tmp_path / "u.adabasis")
    assert error_field(read) is None
    assert residual_sizes(read, np.zeros((1, 2))) is None
    views = Views(read, 0)
    assert title_of(views.picture()) == views.titles == ["u"]
    read.report(tmp_path / "u.html")
    text = Page((tmp_path / "u.html").read_text("utf-8")).text
    assert "estimated error is" not in text
    assert "Bound of the error" not in text  # on cells it is the estimate


def test_maps_stand_side_by_side_and_lengths_are_equal(heat, poisson):
    for solution, aspect in ((heat, "auto"), (poisson, 1.0)):
        figure = Views(solution, 0).picture()
        assert title_of(figure) == ["u", "|residual|", "estimated error"]
        assert {ax.get_aspect() for ax in figure.axes if ax.get_title("left")} == {aspect}


def test_moments_share_their_scales(heat):
    frames = list(Views(heat, 0).film())
    assert [moment for moment, _ in frames] == [f"t = {t:.4g}" for t in np.linspace(0, 1, FRAMES)]
    limits = {tuple(ax.get_ylim() for ax in figure.axes) for _, figure in frames}
    assert len(limits) == 1
    middle = frames[4][1].axes[0].lines[-1]
    np.testing.assert_allclose(
        middle.get_ydata(), np.sin(np.pi * middle.get_xdata()) * np.exp(-0.05 * np.pi**2), atol=1e-8
    )


def test_the_page_has_a_slider_over_time_and_speaks_of_no_rows(heat, tmp_path, monkeypatch):
    monkeypatch.setattr("adabasis.report.fields.FRAMES", 3)
    heat.report(tmp_path / "heat.html")
    page = Page((tmp_path / "heat.html").read_text("utf-8"))
    assert titles(page)[:3] == ["Verdict", "The solution", "Try it"]
    buttons = [a for a in page.all("input") if a.get("type") == "radio"]
    assert len(buttons) == 3
    assert buttons[1]["aria-label"] == "t = 0.5."
    assert not re.search(r"\brows\b|\bdata\b", page.text)
    assert "polynomials of degree" in page.text


def test_the_page_of_a_space_has_no_slider(poisson, tmp_path):
    poisson.report(tmp_path / "poisson.html")
    page = Page((tmp_path / "poisson.html").read_text("utf-8"))
    assert [a for a in page.all("input") if a.get("type") == "radio"] == []
    assert "40 random tanh features" in page.text


@pytest.mark.parametrize(
    ("basis", "words"),
    [
        (Polynomial(0), "a constant"),
        (Polynomial(1), "a line: the inputs and a constant"),
        (Polynomial(5), "polynomial of total degree 5"),
        (Polynomial(2, highest=1), "products of up to 2 inputs"),
        (AdditiveSplines(7), "sum of cubic splines of single inputs, 7 knots each"),
        (GaussianKernels(99, anova=True),
         "Gaussians at 99 rows for sets of inputs (ANOVA kernels), and a line"),
        (Ensemble(NeuralBasis(8, 1), 3),
         "mean of 3 models, each: network of one hidden layer of 8 tanh functions"),
        (PartitionBasis(6, 4, partition="grid"), "polynomials of degree 4 on 6 cells"),
    ],
)  # fmt: skip
def test_functions_have_the_names_of_textbooks(basis, words):
    assert in_words(basis) == words


@pytest.mark.parametrize(
    ("label", "text"),
    [
        (r"$\mathdefault{10^{-3}}$", "10⁻³"),
        (r"$\mathdefault{6\times10^{-12}}$", "6×10⁻¹²"),
        (r"$\mathdefault{2\times10^{0}}$", "2"),
        (r"$\mathdefault{10^{0}}$", "1"),
        ("", ""),
        ("0.1 $a$", "0.1 $a$"),
    ],
)
def test_labels_of_logarithmic_axes_are_text(label, text):
    assert as_text(label) == text


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("auto", "auto"),
        (((0, "auto"), (1, "auto")), "auto"),
        (((0, "auto"), (2, "log")), {0: "auto", 2: "log"}),
        ((3, 4), (3, 4)),
    ],
)
def test_one_choice_for_every_column_is_shown_once(value, shown):
    assert sections._alike(value) == shown


def test_a_table_without_rows_is_left_out(heat, tmp_path):
    bare = dataclasses.replace(heat.certificate, regions={})
    for solution, there in ((heat, True), (dataclasses.replace(heat, certificate=bare), False)):
        solution.report(tmp_path / "page.html")
        assert ("region by region" in (tmp_path / "page.html").read_text("utf-8")) == there
