"""Every suffix that meshio offers keeps the values, or is refused before anything is written."""

import importlib.util
import os
import re

import meshio
import numpy as np
import pytest

from adabasis.models.files import replacing
from adabasis.pde import meshes

BOX = np.array([[0.0, 1.0], [2.0, 5.0], [-1.0, 1.0]])
OFFERED = sorted({*meshio.extension_to_filetypes, ".VTU", ".txt", ""})


@pytest.mark.parametrize("n_inputs", [1, 2, 3])
@pytest.mark.parametrize("suffix", OFFERED)
def test_what_is_written_is_read_again_or_nothing_is_written(suffix, n_inputs, tmp_path, capfd):
    bounds, path = BOX[:n_inputs], tmp_path / f"u.of.mine{suffix}"
    x, cells = meshes.grid(bounds, 4)
    rng = np.random.default_rng(0)
    values = {"u": np.pi + 1e-3 * rng.random(len(x)), "residual": 1e-9 * rng.random(len(x))}
    kept = suffix.lower() in meshes.FORMATS and (suffix, n_inputs) != (".ply", 3)
    needed = meshes.FORMATS[suffix.lower()][1] if kept else ""
    if not kept or (needed and importlib.util.find_spec(needed) is None):
        with pytest.raises(ImportError if kept else ValueError, match=re.escape(str(path))):
            meshes.format_of("to_vtk", path, n_inputs)
        return
    name = meshes.format_of("to_vtk", path, n_inputs)
    meshes.write_grid(path, name, bounds, values)
    assert os.listdir(tmp_path) == [path.name]
    assert b".u.of.mine." not in path.read_bytes()  # the temporary name
    assert not any(capfd.readouterr())
    read = meshio.read(path, "gmsh" if suffix == ".msh" else name)
    for key, expected in values.items():
        np.testing.assert_allclose(np.ravel(read.point_data[key]), expected, rtol=1e-14)
    np.testing.assert_allclose(read.points[:, :n_inputs], x, rtol=1e-14)
    (block,) = read.cells
    np.testing.assert_array_equal(block.data, cells)


@pytest.mark.parametrize(
    ("unknowns", "coordinates", "expected"),
    [
        ("u v p", "x y", {"uv": "u v"}),
        ("u v w", "x y z", {"uvw": "u v w"}),
        ("u v", "x y z", {}),
        ("u v", "x", {}),
        ("E_x E_y B", "x y", {"E": "E_x E_y"}),
        ("Ey Ex", "x y", {"E": "Ex Ey"}),
        ("d1 d2 d3 q1", "a b c", {"d": "d1 d2 d3"}),
        ("q_r q_s", "r s", {"q": "q_r q_s"}),
        ("q q_x q_y", "x y", {}),  # one of that name is there
        ("x y", "x y", {}),
    ],
)
def test_components_of_vectors_are_known_by_their_names(unknowns, coordinates, expected):
    found = meshes.vectors(unknowns.split(), coordinates.split())
    assert found == {name: each.split() for name, each in expected.items()}


@pytest.mark.parametrize("suffix", [s for s, (_, needed) in meshes.FORMATS.items() if not needed])
def test_vectors_are_kept_or_left_out(suffix, tmp_path):
    path, (x, _) = tmp_path / f"u{suffix}", meshes.grid(BOX[:2], 4)
    values, name = {"u": x[:, 0] + np.pi, "v": x[:, 1]}, meshes.FORMATS[suffix][0]
    meshes.write_grid(path, name, BOX[:2], values, together={"uv": ["u", "v"]})
    read = meshio.read(path, name).point_data
    np.testing.assert_allclose(np.ravel(read["u"]), values["u"], rtol=1e-14)
    assert ("uv" in read) == (name in meshes.VECTORS)
    if "uv" in read:
        expected = np.stack([*values.values(), np.zeros(len(x))], axis=1)
        np.testing.assert_allclose(read["uv"], expected, rtol=1e-14)


def test_the_usual_formats_need_meshio_alone():
    assert not any(meshes.FORMATS[suffix][1] for suffix in (".vtu", ".vtk", ".msh", ".dat"))


def test_a_write_that_fails_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "u.vtu"
    path.write_text("old")

    def broken(self, path, **_):
        path.write_text("half")
        raise OSError("disk full")

    monkeypatch.setattr(meshio.Mesh, "write", broken)
    with pytest.raises(OSError, match="disk full"):
        meshes.write_grid(path, "vtu", BOX[:1], {"u": np.zeros(3)})
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["u.vtu"]


def test_a_folder_that_is_not_there_is_named_as_it_was_given(tmp_path):
    path = tmp_path / "nowhere" / "u.vtu"
    with pytest.raises(FileNotFoundError) as caught, replacing(path):
        pass
    assert caught.value.filename == str(path)
