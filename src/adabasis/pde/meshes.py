"""Values on the grid of a box, in files that other programs read."""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Mapping, Sequence
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

#: Formats, in meshio's words, that keep points' vectors as they are beside numbers.
VECTORS = ("vtu", "vtk", "gmsh", "xdmf", "med")
#: Names of a vector's components after its own, besides those of the coordinates.
COMPONENTS = ("xyz", "123")


def vectors(unknowns: Sequence[str], coordinates: Sequence[str]) -> dict[str, list[str]]:
    """Return which unknowns are the components of a vector, by its name.

    In two or three coordinates of space these are u, v (and w), and names that end with the
    coordinates' names, with x, y, z or with 1, 2, 3: ``E_x, E_y`` of E, ``d1, d2, d3`` of d.

    Examples
    --------
    >>> vectors(["u", "v", "p"], ["x", "y"])
    {'uv': ['u', 'v']}
    >>> vectors(["E_x", "E_y", "B"], ["x", "y"])
    {'E': ['E_x', 'E_y']}
    """
    d, found = len(coordinates), {}
    if d not in (2, 3):
        return {}
    if set("uvw"[:d]) <= set(unknowns):
        found["uvw"[:d]] = list("uvw"[:d])
    for ends in (list(coordinates), *(list(letters[:d]) for letters in COMPONENTS)):
        for first in (name for name in unknowns if name.endswith(ends[0])):
            before = first.removesuffix(ends[0])
            names, stem = [before + end for end in ends], before.rstrip("_")
            if stem and stem not in unknowns and set(names) <= set(unknowns):
                found.setdefault(stem, names)
    return found


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
    together: Mapping[str, Sequence[str]] | None = None,
) -> None:
    """Write values at the points of :func:`grid` in a format of :func:`format_of`, atomically.

    Points that are not ``inside`` are left out, and with them their cells. Values that are
    ``together`` are written as vectors of three components, too, where the format keeps these.
    """
    import meshio

    d, n_points = len(bounds), len(next(iter(values.values())))
    x, cells = grid(bounds, round(n_points ** (1 / d)))
    values = dict(values)
    for vector, names in (together or {}).items() if name in VECTORS else ():
        columns = np.stack([values[one] for one in names], axis=1)
        values[vector] = np.pad(columns, ((0, 0), (0, 3 - len(names))))
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


def write_solution(path: str | os.PathLike[str], solution: Any, per_side: int) -> None:
    """Write a solution and its residual on a grid; see :meth:`adabasis.pde.Solution.to_vtk`.

    Raises
    ------
    ImportError, ValueError
    """
    d = solution.n_inputs
    if d not in CELLS or per_side < 2:
        raise ValueError(
            f"to_vtk(per_side={per_side}): expected at least 2 points a side and at most three "
            f"coordinates; this solution has {d}."
        )
    name = format_of("to_vtk", path, d)
    x, _ = grid(solution.box, per_side)
    residual = solution.residual(x)
    residual = np.linalg.norm(residual, axis=1) if residual.ndim > 1 else residual
    arrays = dict(zip(solution.output_names, solution.outputs(x).T, strict=True))
    space = [one for one in solution.domain.names if one not in solution.problem.times]
    together = vectors(list(arrays), space)
    inside = solution.domain.contains(x)
    write_grid(path, name, solution.box, arrays | {"residual": residual}, inside, together)
