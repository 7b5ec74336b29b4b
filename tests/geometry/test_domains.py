"""Laws of domains: volumes, normals, Gauss's theorem, distances, points; each of a registry."""

import dataclasses
import pickle

import numpy as np
import pytest

from adabasis.geometry import Box, Disk, Piece, moments

from .registry import CUBE, DOMAINS, SQUARE

MADE = {}


@pytest.fixture(params=list(DOMAINS))
def known(request):
    if request.param not in MADE:
        MADE[request.param] = DOMAINS[request.param][0]()
    return MADE[request.param], *DOMAINS[request.param][1:]


def whole(domain):
    surfaces = [s for piece in domain.boundaries.values() for s in piece.surfaces]
    return Piece("whole", domain, tuple(surfaces))


def test_volume_and_boundary_are_known(known):
    domain, volume, boundary, error = known
    assert domain.volume == pytest.approx(volume, rel=error)
    assert domain.quadrature(2000).weight.sum() == pytest.approx(volume, rel=5 * error)
    assert whole(domain).measure == pytest.approx(boundary, rel=error)
    assert whole(domain).quadrature(2000).weight.sum() == pytest.approx(boundary, rel=10 * error)


def test_gauss_theorem(known):
    """∮ n·F = ∫ ∇·F, which wrong signs, lengths or places of normals break."""
    domain, _, _, error = known
    d = domain.n_inputs
    slope, size = np.linspace(0.3, 1.0, d), np.arange(1.0, d + 1)
    inside, edge = domain.quadrature(4000), whole(domain).quadrature(4000)
    divergence = np.cos(inside.x @ slope) * (slope @ size) + d
    flux = np.sin(edge.x @ slope)[:, None] * size + edge.x
    volume = np.sum(divergence * inside.weight)
    surface = np.sum(np.sum(flux * edge.normal, axis=1) * edge.weight)
    assert surface == pytest.approx(volume, rel=5 * error)


def test_normals_point_out_and_points_lie_where_they_should(known):
    domain, *_ = known
    inside, edge = domain.interior(400, 3), whole(domain).points(400, 5)
    assert abs(len(inside) - 400) <= 40
    assert domain.contains(inside.x).all()
    np.testing.assert_allclose(np.linalg.norm(edge.normal, axis=1), 1.0, rtol=1e-12)
    step = 1e-5 * domain.size
    off = np.abs(domain.distance(edge.x))
    assert off.max() <= 1e-8 * domain.size
    assert (domain.distance(edge.x - step * edge.normal) < 0).mean() > 0.99
    assert (domain.distance(edge.x + step * edge.normal) > 0).mean() > 0.99
    lower, upper = domain.bounds.T
    assert ((inside.x >= lower) & (inside.x <= upper)).all()
    other = domain.interior(400, 4)
    if domain.n_points is None:
        assert not np.isin(other.x[:, 0], inside.x[:, 0]).any()


def test_distances_change_by_at_most_the_step(known):
    domain, *_ = known
    if "implicit" in {name.rstrip("1") for name in domain.boundaries}:
        pytest.skip("first order only, away from the boundary")
    rng = np.random.default_rng(0)
    lower, upper = domain.bounds.T
    x = rng.uniform(lower - 0.1, upper + 0.1, (500, len(lower)))
    step = 1e-4 * rng.normal(size=x.shape)
    change = np.abs(domain.distance(x + step) - domain.distance(x))
    far = np.abs(domain.distance(x)) > 0.2 if domain.n_points else True
    assert (change <= np.linalg.norm(step, axis=1) * (1 + 1e-6) + 1e-12)[far].all()


def test_domains_travel(known):
    domain, *_ = known
    list(domain.boundaries)  # and with it what it has computed
    again = pickle.loads(pickle.dumps(domain))
    assert again == domain
    assert hash(again) == hash(domain)
    assert list(again.boundaries) == list(domain.boundaries)
    assert domain != SQUARE


def test_set_operations_obey_their_laws():
    a, b = SQUARE, Disk((0.8, 0.1), 0.7)
    x = np.random.default_rng(0).uniform(-2, 2, (2000, 2))
    inside = {name: d.contains(x) for name, d in [("a", a), ("b", b)]}
    assert ((a | b).contains(x) == (inside["a"] | inside["b"])).all()
    assert ((a & b).contains(x) == (inside["a"] & inside["b"])).all()
    assert ((a - b).contains(x) == (inside["a"] & ~inside["b"])).all()
    assert ((a - b).distance(x) == (a - (a & b)).distance(x)).mean() > 0.4
    assert ((a - b) | (a & b)).volume == pytest.approx(a.volume, rel=2e-3)
    assert (a | b).volume == pytest.approx(a.volume + b.volume - (a & b).volume, rel=2e-3)
    # De Morgan, within a larger square.
    all_ = Box(x=(-2, 2), y=(-2, 2))
    left, right = all_ - (a | b), (all_ - a) & (all_ - b)
    np.testing.assert_array_equal(left.contains(x), right.contains(x))


def test_a_product_of_boxes_is_a_box_and_a_side_of_a_product_is_found():
    assert Box(x=(0, 1)) * Box(t=(0, 2)) == Box(x=(0, 1), t=(0, 2))
    plate = (SQUARE - Disk((0, 0), 0.5).named("hole")) * Box(t=(0, 3))
    assert list(plate.boundaries) == ["x=-1", "x=1", "y=-1", "y=1", "hole", "t=0", "t=3"]
    edge = plate.boundaries["hole"].points(200)
    assert np.allclose(np.hypot(edge.x[:, 0], edge.x[:, 1]), 0.5)
    assert np.allclose(edge.normal[:, 2], 0)
    assert (np.sum(edge.normal[:, :2] * edge.x[:, :2], axis=1) < 0).all()
    # Well spread in both: no gap of a tenth in time, none of a tenth of a turn.
    for spread in (edge.x[:, 2] / 3, np.arctan2(edge.x[:, 1], edge.x[:, 0]) / (2 * np.pi)):
        assert np.diff(np.sort(spread)).max() < 0.05


def test_touching_boxes_have_one_boundary_where_they_touch():
    """The plane between them is none, and a shared side is counted once."""
    both = Box(x=(0, 1), y=(0, 1)) | Box(x=(1, 3), y=(0, 1))
    assert set(both.boundaries) == {"x=0", "x=3", "y=0", "y=1"}
    assert both.boundaries["y=0"].measure == pytest.approx(3.0, rel=1e-6)
    beside = SQUARE - Box(x=(1, 2), y=(-1, 1))
    assert beside.boundaries["x=1"].measure == pytest.approx(2.0, rel=1e-6)
    cube = CUBE - Box(x=(0, 1), y=(0, 1), z=(0, 1))
    assert cube.boundaries["x=1"].measure == pytest.approx(3.0, rel=1e-2)
    assert cube.boundaries["x=0"].measure == pytest.approx(1.0, rel=1e-2)


PLANE = {
    "hole": (Box(x=(0, 1), y=(0, 1)) - Disk((0.5, 0.5), 0.2), 1 - 0.04 * np.pi),
    "bite": (Box(x=(0, 1), y=(0, 1)) - Disk((1, 0), 0.5), 1 - np.pi / 16),
    "lens": (Disk((0, 0), 1.0) & Disk((1, 0), 1.0), 2 * np.pi / 3 - 3**0.5 / 2),
}


@pytest.mark.parametrize("name", PLANE)
def test_integrals_over_plane_shapes_are_those_that_boundaries_tell(name, monkeypatch):
    """∫ Δf = ∮ ∂f/∂n; evenly spread points alone are right to three digits."""
    domain, area = PLANE[name]

    def off():
        inside, edge = domain.quadrature(2000), whole(domain).quadrature(2000)
        s, t = edge.x.T
        across, along = np.cos(s) * np.exp(-t) + 3 * s**2, -np.sin(s) * np.exp(-t)
        flux = across * edge.normal[:, 0] + along * edge.normal[:, 1]
        wrong = np.sum(6 * inside.x[:, 0] * inside.weight) - np.sum(flux * edge.weight)
        return abs(wrong), inside.weight.sum()

    wrong, found = off()
    assert wrong <= 2e-6  # ends of arcs are known to 1e-8
    assert found == pytest.approx(area, rel=1e-7)
    monkeypatch.setattr(moments, "CLOSED", 0.0)
    wrong, found = off()
    assert max(wrong, abs(found - area)) > 1e-5


def test_points_of_no_closed_curve_keep_their_weights():
    domain = PLANE["hole"][0]
    inside, edge = domain.interior(500), whole(domain).quadrature(400)
    half = dataclasses.replace(edge, weight=np.where(edge.x[:, 0] > 0.5, edge.weight, 0.0))
    assert moments.fitted(inside, half, domain.bounds) is inside
    few = domain.interior(4)
    assert moments.fitted(few, edge, domain.bounds).weight.shape == few.weight.shape
