"""Names of boundary pieces, and what is said of shapes that are none."""

import importlib.util

import numpy as np
import pytest

from adabasis.geometry import (
    Ball,
    Box,
    Disk,
    ImplicitDomain,
    Mesh,
    PointCloud,
    Polygon,
    coordinates,
)

from .registry import SQUARE, polygon

TRIANGLES = ([(0, 0), (1, 0), (1, 1), (0, 1)], [(0, 1, 2), (0, 2, 3)])


def test_shapes_are_named_by_kind_and_number_or_by_their_name():
    plate = SQUARE - Disk((-0.5, 0), 0.2) - Disk((0.5, 0), 0.1).named("bolt") - Disk((0, 0.5), 0.1)
    assert list(plate.boundaries)[4:] == ["disk1", "bolt", "disk2"]
    assert plate.boundaries["disk2"].measure == pytest.approx(0.2 * np.pi)
    assert plate.boundaries["x=-1"].measure == pytest.approx(2.0)


def test_a_piece_that_vanished_raises_with_the_list():
    plate = SQUARE - Disk((0, 0), 0.2).named("small")
    gone = plate - Disk((0, 0), 0.5).named("large")
    with pytest.raises(KeyError, match=r"nothing is left of this piece; it has .*'large'"):
        gone.boundaries["small"]
    with pytest.raises(KeyError, match="there is no such piece"):
        gone.boundaries["hole"]


def test_a_named_box_is_one_piece_and_its_sides_are_found():
    core = Box(x=(-0.5, 0.5), y=(-0.5, 0.5)).named("core")
    frame = SQUARE - core
    assert frame.boundaries["core"].measure == pytest.approx(4.0)
    assert frame.boundaries["x=0.5"].measure == pytest.approx(1.0)
    assert (frame.boundaries["x=0.5"].points(8).normal == [-1, 0]).all()


def test_a_name_for_a_combination_names_what_has_none():
    blobs = (Disk((0, 0), 0.2) | Disk((0.2, 0), 0.2).named("left")).named("blob")
    assert list((SQUARE - blobs).boundaries)[4:] == ["blob", "left"]


def test_a_difference_has_the_coordinates_of_its_left_operand():
    box = Box(r=(-1, 1), z=(-1, 1)) - Disk((0, 0), 0.3)
    assert box.names == ("r", "z")
    assert (Disk((0, 0), 0.5) & Box(r=(-1, 1), z=(-1, 1))).names == ("r", "z")


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: SQUARE - Ball((0, 0, 0), 1), "same coordinates.*x, y and x, y, z"),
        (lambda: SQUARE - Box(y=(0, 1), x=(0, 1)), "in the same order"),
        (lambda: SQUARE * Box(t=(0, 1)) - Disk((0, 0), 0.1) * Box(s=(0, 1)), "x, y, t and x, y, s"),
        (lambda: SQUARE * Box(y=(0, 1)), "both have a coordinate 'y'"),
        (lambda: SQUARE - Disk((0, 0), 0.1) * Box(t=(0, 1)), "Multiply by what is missing"),
        (lambda: SQUARE & Disk((5, 5), 1), "nothing is left"),
        (lambda: SQUARE - Disk((0, 0), 3), "nothing is left"),
        (
            lambda: SQUARE - Disk((0, 0), 0.1).named("a") - Disk((0.5, 0), 0.1).named("a"),
            "both are named 'a'",
        ),
        (lambda: SQUARE.named(""), "expected a name"),
        (lambda: Disk((0, 0, 0), 1), "centre of two"),
        (lambda: Disk((0, np.nan), 1), "finite"),
        (lambda: Disk((0, 0), -1), "positive radius"),
        (lambda: Ball((0,), 1), "at least two"),
        (lambda: Disk((0, 0), 1, names=("x", "x")), "2 different names"),
        (lambda: ImplicitDomain(coordinates("x")[0] ** 2 + 1, x=(-1, 1)), "nowhere negative"),
        (lambda: ImplicitDomain(lambda x: x, x=(-1, 1)), "on a side of the box"),
        (lambda: ImplicitDomain(coordinates("q")[0], x=(-1, 1)), "no coordinate 'q'"),
        (lambda: ImplicitDomain(lambda x: x), "expected bounds"),
        (lambda: polygon([(0, 0), (1, 1), (1, 0), (0, 1)]), "Self-intersection"),
        (lambda: polygon([(0, 0), (1, 0)]), "at least three corners"),
        (lambda: polygon([(0, 0), (1, 0), (2, 0)]), "no polygon"),
        (lambda: polygon([(0, 0), (1, 0), (0, 1)], sides=("a",)), "3 names"),
        (
            lambda: polygon([(0, 0), (1, 0), (0, 1)], [[(2, 2), (3, 2), (2, 3)]]),
            "holes must lie inside",
        ),
        (lambda: Mesh("nowhere.msh"), "no such file"),
        (lambda: Mesh(TRIANGLES[0], [(0, 1, 2), (0, 3, 2)]), "inverted, the first is cell"),
        (lambda: Mesh([(0, 0), (1, 0), (2, 0)], [(0, 1, 2)]), "flat"),
        (lambda: Mesh(TRIANGLES[0], [(0, 1, 7)]), "corners that exist"),
        (lambda: Mesh(*TRIANGLES, boundary={"a": [(0, 2)]}), "no side of the boundary"),
        (lambda: Mesh(*TRIANGLES, boundary={"a": [(0, 1)], "b": [(1, 0)]}), "two names"),
        (lambda: PointCloud(np.zeros((3, 2))), "at least 6 points"),
        (lambda: PointCloud(np.full((9, 2), np.inf)), "finite"),
    ],
)
def test_what_is_no_shape_is_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_wrong_normals_are_refused():
    inside = Disk((0, 0), 1.0).interior(400)
    angle = 2 * np.pi * np.arange(100) / 100
    out = np.stack([np.cos(angle), np.sin(angle)], axis=1)
    PointCloud(inside.x, boundary={"rim": (out, out)})
    with pytest.raises(ValueError, match=r"of 100 normals point at .* turn them round"):
        PointCloud(inside.x, boundary={"rim": (out, -out)})
    with pytest.raises(ValueError, match="length 0"):
        PointCloud(inside.x, boundary={"rim": (out, 0 * out)})
    with pytest.raises(ValueError, match="one normal for each"):
        PointCloud(inside.x, boundary={"rim": (out, out[:5])})


def test_points_of_a_cloud_are_seen_or_kept():
    cloud = PointCloud(Disk((0, 0), 1.0).interior(300).x)
    seen, kept = cloud.interior(900, unseen=False), cloud.interior(900, unseen=True)
    assert len(seen) == 2 * len(kept) == 200
    assert not (seen.x[:, None] == kept.x).all(axis=2).any()
    assert cloud.volume == pytest.approx(np.pi, rel=0.25)  # points near the rim have room outside


def test_names_of_sides_of_polygons_stay_with_them():
    """In either sense of the corners."""
    corners, sides = [(0, 0), (3, 0), (3, 1), (0, 2)], ("floor", "right", "roof", "left")
    one = polygon(corners, sides=sides)
    other = polygon([corners[i] for i in (1, 0, 3, 2)], sides=("floor", "left", "roof", "right"))
    for shape in (one, other):
        pieces = shape.boundaries
        assert {name: round(p.measure, 6) for name, p in pieces.items()} == {
            "floor": 3.0, "right": 1.0, "roof": round(10**0.5, 6), "left": 2.0,
        }  # fmt: skip
        assert (pieces["floor"].points(4).normal == [0, -1]).all()


def test_corners_of_polygons_have_their_angles():
    shape = polygon([(-1, -1), (1, -1), (1, 0), (0, 0), (0, 1), (-1, 1)])
    angles = {corner: inside for corner, inside, _ in shape.angles()}
    assert angles[(0.0, 0.0)] == pytest.approx(1.5 * np.pi)
    assert sum(angles.values()) == pytest.approx(4 * np.pi)


def test_meshes_are_read_with_the_names_of_their_sides(tmp_path):
    meshio = pytest.importorskip("meshio")
    x = np.array([(0, 0, 0), (1, 0, 0), (1, 1, 0), (0, 1, 0)], float)
    cells = [("triangle", np.array([(0, 1, 2), (0, 2, 3)])), ("line", np.array([(0, 1), (1, 2)]))]
    tags = [np.array([9, 9], np.int32), np.array([1, 2], np.int32)]
    mesh = meshio.Mesh(
        x, cells, cell_data={"gmsh:physical": tags, "gmsh:geometrical": tags},
        field_data={"inlet": np.array([1, 1]), "wall": np.array([2, 1])},
    )  # fmt: skip
    mesh.write(tmp_path / "square.msh", file_format="gmsh22", binary=False)
    read = Mesh(tmp_path / "square.msh")
    assert {n: p.measure for n, p in read.boundaries.items()} == {
        "inlet": 1.0, "wall": 1.0, "mesh1": 2.0,
    }  # fmt: skip
    assert (read.boundaries["wall"].points(3).normal == [1, 0]).all()
    (tmp_path / "none.msh").write_text("no mesh")
    with pytest.raises(ValueError, match="meshio cannot read it"):
        Mesh(tmp_path / "none.msh")


@pytest.mark.parametrize(
    ("module", "call", "command"),
    [
        ("shapely", lambda: Polygon([(0, 0), (1, 0), (0, 1)]), r"adabasis\[geometry\]"),
        ("meshio", lambda: Mesh("a.vtu"), r"adabasis\[vtk\]"),
    ],
)
def test_what_is_not_installed_is_named_with_its_command(monkeypatch, module, call, command):
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda n: None if n == module else find(n))
    with pytest.raises(ImportError, match=command):
        call()
