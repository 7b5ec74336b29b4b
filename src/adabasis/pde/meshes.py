"""Values on the grid of a box, in files that other programs read."""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ..geometry import tensor_grid
from ..models.files import replacing

#: Kinds of cells by number of coordinates, in meshio's words.
CELLS = {1: "line", 2: "quad", 3: "hexahedron"}
#: Formats of meshio 5.3.5 from which it reads the values, the points and the cells that it wrote:
#: its name of each by suffix, and the module that it needs besides. Numbers of XDMF stay in the one
#: file. The other suffixes lose the values without a word (.msh as ANSYS, .inp, .obj, .stl, .bdf,
#: .mesh, .off, …) or the cells (.h5m), cannot be read again (.cgns, .ugrid, .node), or are said to
#: change (.hmf).
FORMATS = {
    ".vtu": ("vtu", ""),
    ".vtk": ("vtk", ""),
    ".msh": ("gmsh", ""),
    ".dat": ("tecplot", ""),
    ".tec": ("tecplot", ""),
    ".avs": ("avsucd", ""),
    ".ply": ("ply", ""),
    ".xdmf": ("xdmf", "h5py"),
    ".xmf": ("xdmf", "h5py"),
    ".med": ("med", "h5py"),
    ".e": ("exodus", "netCDF4"),
    ".ex2": ("exodus", "netCDF4"),
    ".exo": ("exodus", "netCDF4"),
}


def format_of(call: str, path: str | os.PathLike[str], n_inputs: int) -> str:
    """Return meshio's name of the format that a path's suffix stands for.

    Raises
    ------
    ImportError
        If meshio, or what it needs for this format, is not installed.
    ValueError
        For a suffix of no format, or of one that does not keep values, points and cells.
    """
    suffix = Path(path).suffix.lower()
    kept = {s: kind for s, kind in FORMATS.items() if s != ".ply" or n_inputs < 3}
    if suffix not in kept:
        raise ValueError(
            f"{call}({os.fspath(path)!r}): {suffix or 'no suffix'} is no format that keeps the "
            f"values on a grid of {n_inputs} coordinates; use one of {', '.join(kept)}."
        )
    name, needed = kept[suffix]
    for module in filter(None, ("meshio", needed)):
        if importlib.util.find_spec(module) is None:
            package = "adabasis[vtk]" if module == "meshio" else module
            raise ImportError(
                f"{call}({os.fspath(path)!r}): {suffix} files need {module}; install it with "
                f"`pip install {package}`."
            )
    return name


def write_grid(
    path: str | os.PathLike[str],
    name: str,
    bounds: np.ndarray,
    values: Mapping[str, Any],
    inside: np.ndarray | None = None,
) -> None:
    """Write values at the points of :func:`grid` in a format of :func:`format_of`, atomically.

    Points that are not ``inside`` are left out, and with them their cells.
    """
    import meshio

    d, n_points = len(bounds), len(next(iter(values.values())))
    x, cells = grid(bounds, round(n_points ** (1 / d)))
    values = dict(values)
    if inside is not None:
        cells = cells[inside[cells].all(axis=1)]
        used, cells = np.unique(cells, return_inverse=True)
        cells = cells.reshape(-1, 2**d)
        x, values = x[used], {name: np.asarray(column)[used] for name, column in values.items()}
    # Integers of 32 bits are what all formats hold.
    blocks = [(CELLS[d], cells.astype(np.int32))]
    mesh = meshio.Mesh(np.pad(x, ((0, 0), (0, 3 - d))), blocks, point_data=values)
    options = {"data_format": "XML"} if name == "xdmf" else {}
    with replacing(path) as temporary:
        mesh.write(temporary, file_format=name, **options)


def grid(bounds: np.ndarray, per_side: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the points (per_side^D, D) of a grid on a box and its cells' corners."""
    d = len(bounds)
    x = tensor_grid(*(np.linspace(lower, upper, per_side) for lower, upper in bounds))
    number = np.arange(per_side**d).reshape((per_side,) * d)
    low, high = slice(None, -1), slice(1, None)
    square = [(low, low), (high, low), (high, high), (low, high)]
    cube = [(*ab, c) for c in (low, high) for ab in square]
    corners: Any = {1: [low, high], 2: square, 3: cube}[d]
    return x, np.stack([number[corner].ravel() for corner in corners], axis=1)
