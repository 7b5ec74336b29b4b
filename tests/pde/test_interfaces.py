"""Coefficients that jump: regions with functions of their own, joined by values and fluxes."""

import numpy as np
import pytest

import adabasis as ab
from adabasis.geometry import Box, Disk
from adabasis.pde import Condition, Dirichlet, Interface, Problem, piecewise

x, y = ab.pde.coordinates("x", "y")
u = ab.pde.unknowns("u")
d = ab.operators.Partial
LOW, HIGH = Box(y=(0, 1)), Box(y=(1, 2))


def rod(regions=None, between=("low", "high"), interfaces=True):
    k = piecewise(low=1.38, high=400.0)
    conditions = [Dirichlet(293.15, on=(y, 0.0)), Condition(k * d("y"), 200.0, on=(y, 2.0))]
    joined = [Interface(of=u, between=between, flux=k)] if interfaces else []
    return Problem(
        regions=regions or {"low": LOW, "high": HIGH},
        equations=[d("y")(k * d("y")(u)) == 0.0],
        conditions=[*conditions, *joined],
    )


def test_a_rod_of_two_materials(tmp_path):
    solution = ab.solve(rod(), ab.FrozenFeatures(24, scale=1.0))
    np.testing.assert_allclose(solution([[1.0], [2.0]]), [438.0775362, 438.5775362], rtol=1e-9)
    assert solution.certificate.solved
    assert "Flux between low and high" in solution.certificate.terms
    solution.save(tmp_path / "rod.adabasis")
    loaded = ab.load(tmp_path / "rod.adabasis")
    for one in (solution, loaded, loaded["u"]):  # files know which function holds where
        np.testing.assert_allclose(one([[0.5], [1.5]]), solution([[0.5], [1.5]]), rtol=1e-14)
    assert loaded.output_names == loaded.unknowns == ("u",)
    assert loaded["u in low"]([[1.5]]) > 500 > loaded([[1.5]])
    solution.report(tmp_path / "rod.html")


@pytest.mark.parametrize("k", [(1000.0, 1.0), (1.0, 0.001)])
def test_a_disk_that_conducts_better(k):
    """Each side by itself: the norm of the whole would hide the inside."""
    core = Disk((0, 0), 0.5)
    shell = Box(x=(-1, 1), y=(-1, 1)) - core
    b = 0.25 * (k[1] - k[0]) / (k[1] + k[0])
    outside = x + b * x / (x**2 + y**2)
    flux = piecewise(core=k[0], shell=k[1])
    problem = Problem(
        regions={"core": core, "shell": shell},
        equations=[d(x)(flux * d(x)(u)) + d(y)(flux * d(y)(u)) == 0.0],
        conditions=[Dirichlet(outside), Interface(of=u, between=("core", "shell"), flux=flux)],
        exact=piecewise(core=(1 + 4 * b) * x, shell=outside),
    )
    solution = ab.solve(problem, ab.FrozenFeatures(60, scale=1.0))
    for region in problem.regions.values():
        at = region.interior(500, 9).x
        exact = problem.exact_values(at)
        assert np.linalg.norm(solution(at) - exact) < 1e-8 * np.linalg.norm(exact)
    angle = np.linspace(0, 2 * np.pi, 50)
    normal = np.stack([np.cos(angle), np.sin(angle)], axis=1)
    fluxes = [
        one
        * np.sum(solution[f"u in {name}"].gradient(0.5 * normal).reshape(-1, 2) * normal, axis=1)
        for name, one in zip(("core", "shell"), k, strict=True)
    ]
    np.testing.assert_allclose(fluxes[0], fluxes[1], atol=1e-7 * np.abs(fluxes[0]).max())


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: rod({"low": LOW, "high": Box(y=(0.8, 2))}), "'low' and 'high' overlap near y"),
        (lambda: rod({"low": LOW, "high": Box(y=(1.5, 2))}), "do not touch"),
        (lambda: rod(between=("low", "middle")), "two of the regions 'low', 'high'"),
        (lambda: rod(interfaces=False), "touch, and no Interface"),
        (lambda: piecewise(core=1.0), "a value for every region"),
        (lambda: rod({"low": LOW, "top": HIGH}, ("low", "top")), "no value for the region 'top'"),
        (
            lambda: Problem(
                Box(y=(0, 3)), [d("y", 2)(u) == 0.0], [Interface(of=u, between=("a", "b"))],
                regions={"a": LOW, "b": HIGH},
            ),
            "no region holds the domain's points near y",
        ),
        (
            lambda: Problem(
                Box(y=(0, 1.5)), [d("y", 2)(u) == 0.0], [Interface(of=u, between=("a", "b"))],
                regions={"a": LOW, "b": HIGH},
            ),
            "'b' reaches beyond the domain, near y",
        ),
        (
            lambda: Problem(Box(y=(0, 2)), [piecewise(a=1.0, b=2.0) * u == 0.0]),
            "another one in every region",
        ),
    ],
)  # fmt: skip
def test_regions_that_are_none_are_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_a_coefficient_that_jumps_is_refused_with_this_advice():
    k = 1.0 + 2.0 * (y > 1)
    with pytest.raises(ValueError, match="Interface"):
        Problem(Box(y=(0, 2)), [d("y")(k * d("y")(u)) == 0.0], [Dirichlet(0.0)])


def test_a_mean_is_that_of_all_regions():
    (s,) = ab.pde.coordinates("s")
    regions = {"left": ab.Box(s=(0, 1)), "right": ab.Box(s=(1, 4))}
    w = ab.pde.unknowns("w")
    rod = ab.pde.Problem(
        regions=regions,
        equations=[d(s, 2)(w) == 1.0],
        conditions=[
            ab.pde.Neumann(0.0, on=(s, 0.0)),
            ab.pde.Neumann(4.0, on=(s, 4.0)),
            ab.pde.Interface(of=w, between=("left", "right"), flux=1.0),
            ab.pde.MeanValue(2.0, of=w),
        ],
    )
    mean = rod.constraints[-1]
    assert mean.label.startswith("Mean value")
    point = np.array([2.0])
    assert mean.operator(lambda p: np.array([1.0, 0.0]))(point) == pytest.approx(0.25, abs=0.01)
    assert mean.operator(lambda p: np.array([1.0, 1.0]))(point) == pytest.approx(1.0)
