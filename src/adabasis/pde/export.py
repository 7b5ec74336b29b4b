"""A solution on a grid, in the formats of ParaView and its like."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..geometry import tensor_grid
from ..models.storage import replacing

if TYPE_CHECKING:
    from .solution import Solution

CELLS = {1: "line", 2: "quad", 3: "hexahedron"}


def grid(bounds: np.ndarray, per_side: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the points (per_side^D, D) of a grid on a box and its cells' corners."""
    d = len(bounds)
    x = tensor_grid(*(np.linspace(lower, upper, per_side) for lower, upper in bounds))
    number = np.arange(per_side**d).reshape((per_side,) * d)
    low, high = slice(None, -1), slice(1, None)
    square = [(low, low), (high, low), (high, high), (low, high)]
    corners: list[tuple[slice, ...]] = [(low,), (high,)]
    if d == 2:
        corners = list(square)
    elif d == 3:
        corners = [(*ab, c) for c in (low, high) for ab in square]
    return x, np.stack([number[c].ravel() for c in corners], axis=1)


def write_grid(solution: Solution, path: str | os.PathLike[str], per_side: int) -> None:
    """Write u and its residual at the points of a grid; see :meth:`Solution.to_vtk`."""
    d = solution.n_inputs
    if d not in CELLS or per_side < 2:
        raise ValueError(
            f"to_vtk(per_side={per_side}): expected at least 2 points a side and at most three "
            f"coordinates; this solution has {d}."
        )
    try:
        import meshio
    except ImportError as error:
        raise ImportError(
            "to_vtk needs meshio: install it with `pip install adabasis[vtk]` or `pip install "
            "meshio`."
        ) from error
    if not set(Path(path).suffixes) & set(meshio.extension_to_filetypes):
        known = ", ".join(sorted(meshio.extension_to_filetypes))
        raise ValueError(f"to_vtk({str(path)!r}): its suffix names no format; use one of {known}.")
    x, cells = grid(solution.box, per_side)
    points = np.pad(x, ((0, 0), (0, 3 - d)))
    data: dict[str, Any] = {"u": solution(x), "residual": solution.residual(x)}
    mesh = meshio.Mesh(points, [(CELLS[d], cells)], point_data=data)
    with replacing(path) as temporary:
        mesh.write(temporary)
