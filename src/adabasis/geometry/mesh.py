"""Meshes of triangles or tetrahedra, by meshio."""

from __future__ import annotations

import dataclasses
import functools
import importlib.util
import os
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from .domains import AbstractDomain
from .pieces import Named
from .points import Points
from .shapes import coordinate_names
from .simplices import Facets, Simplices, oriented

#: Cells whose corners are not those of triangles and tetrahedra, divided into these.
PARTS: dict[str, tuple[int, list[tuple[int, ...]]]] = {
    "triangle": (2, [(0, 1, 2)]),
    "quad": (2, [(0, 1, 2), (0, 2, 3)]),
    "tetra": (3, [(0, 1, 2, 3)]),
}
FACETS = {2: "line", 3: "triangle"}
#: Cells smaller than this share of the mean are flat.
FLAT = 1e-10


@dataclasses.dataclass(frozen=True, init=False, eq=False, repr=False)
class Mesh(AbstractDomain):
    """A mesh of triangles in the plane or of tetrahedra in space.

    Parameters
    ----------
    points : path, or array-like of shape (N, D)
        A file that meshio reads (Gmsh, VTK, XDMF, …): its physical groups and cell sets of sides
        name the pieces of the boundary. Or the corners.
    cells : array-like of int, shape (K, D + 1)
        The corners of each cell, of arrays.
    boundary : mapping of str to array-like of int, shape (F, D)
        Sides by the name of the piece; what is in none is one piece more.
    names : sequence of str, optional
        The coordinates; by default x, y, z.

    Raises
    ------
    ImportError
        If a file is given and meshio is not installed.
    ValueError
        For a file that cannot be read or holds no such cells, inverted or flat cells, sides of
        more than two cells, or sides given that are none.

    Examples
    --------
    >>> square = Mesh([(0, 0), (1, 0), (1, 1), (0, 1)], [(0, 1, 2), (0, 2, 3)])
    >>> square.volume
    1.0
    """

    points: np.ndarray
    cells: np.ndarray
    groups: tuple[tuple[str, np.ndarray], ...]
    kind = "mesh"

    def __init__(
        self,
        points: Any,
        cells: Any = None,
        *,
        boundary: Mapping[str, Any] | None = None,
        names: Sequence[str] | None = None,
    ) -> None:
        call, given = "Mesh(points, cells)", dict(boundary or {})
        if isinstance(points, str | os.PathLike):
            call = f"Mesh({os.fspath(points)!r})"
            points, cells, found = _read(call, points)
            given = {**found, **given}
        x, corners = np.asarray(points, dtype=float), np.asarray(cells, dtype=int)
        d = x.shape[1] if x.ndim == 2 else 0
        if d not in FACETS or corners.ndim != 2 or corners.shape[1] != d + 1 or not len(corners):
            raise ValueError(
                f"{call}: expected corners (N, 2) and triangles (K, 3), or (N, 3) and tetrahedra "
                f"(K, 4), got {x.shape} and {corners.shape}."
            )
        if not np.isfinite(x).all() or corners.min() < 0 or corners.max() >= len(x):
            raise ValueError(f"{call}: expected finite corners, and cells of corners that exist.")
        sizes = oriented(x[corners])
        flat = np.flatnonzero(np.abs(sizes) <= FLAT * np.abs(sizes).mean())
        if len(flat):
            raise ValueError(f"{call}: {len(flat)} cells are flat, the first is cell {flat[0]}.")
        wrong = np.flatnonzero((sizes > 0) != (np.sum(sizes > 0) * 2 > len(sizes)))
        if len(wrong):
            raise ValueError(
                f"{call}: {len(wrong)} of {len(sizes)} cells are inverted, the first is cell "
                f"{wrong[0]} with corners {corners[wrong[0]].tolist()}. The corners of all cells "
                "must run in one sense."
            )
        if sizes[0] < 0:
            corners = corners[:, [1, 0, *range(2, d + 1)]]
        self._set(
            coordinate_names(call, names, d), None, x, corners,
            _grouped(call, _sides(call, corners), given, d), names is not None,
        )  # fmt: skip

    def _set(self, *values: Any) -> None:
        fields = ("names", "label", "points", "cells", "groups", "named_coordinates")
        for field, value in zip(fields, values, strict=True):
            object.__setattr__(self, field, value)

    @property
    def unit_size(self) -> int:
        """How many numbers of the unit cube make a point: D."""
        return int(self.points.shape[1])

    @property
    def bounds(self) -> np.ndarray:
        """Of the corners of cells, (D, 2)."""
        x = self.points[np.unique(self.cells)]
        return np.stack([x.min(axis=0), x.max(axis=0)], axis=1)

    @functools.cached_property
    def simplices(self) -> Simplices:
        """The cells."""
        return Simplices(self.points[self.cells])

    @functools.cached_property
    def _edge(self) -> Simplices:
        return Simplices(self.points[np.concatenate([sides for _, sides in self.groups])])

    @property
    def volume(self) -> float:
        """The sum of all cells."""
        return float(self.simplices.sizes.sum())

    def from_unit(self, u: np.ndarray) -> Points:
        """Choose a cell, and a point of it."""
        x, _ = self.simplices.chosen(u)
        return Points(x, np.full(len(u), self.volume))

    def quadrature(self, n: int) -> Points:
        """Return Gauss's rule on each cell."""
        x, weight, _ = self.simplices.rule(n)
        return Points(x, weight)

    def distance(self, x: np.ndarray) -> np.ndarray:
        """Return the signed distance, exact."""
        away = self._edge.nearest(x)
        return np.asarray(np.where(self._edge.winding(x) > 0.5, -away, away))

    def surfaces(self) -> Iterator[Named]:
        """Yield the named sides, then the others."""
        for name, sides in self.groups:
            yield name or self.label, self.kind, Facets(Simplices(self.points[sides]))

    def renamed(self, names: Sequence[str]) -> Mesh:
        """Return it with other names of the coordinates."""
        made = object.__new__(Mesh)
        made._set(tuple(names), self.label, self.points, self.cells, self.groups, True)
        return made

    def named(self, label: str) -> Mesh:
        """Return it with a name for what of its boundary has none."""
        self._checked_label(label)
        made = object.__new__(Mesh)
        arrays = self.points, self.cells, self.groups, self.named_coordinates
        made._set(self.names, label, *arrays)
        return made

    def _identity(self) -> Any:
        groups = tuple((name, sides.tobytes()) for name, sides in self.groups)
        return self.names, self.points.tobytes(), self.cells.tobytes(), groups

    def __repr__(self) -> str:
        what = "triangles" if self.points.shape[1] == 2 else "tetrahedra"
        return self._shown(f"Mesh({len(self.cells):,} {what})")


def _sides(call: str, cells: np.ndarray) -> dict[tuple[int, ...], np.ndarray]:
    """Return the sides that belong to one cell only, corners in the order of outward normals."""
    d = cells.shape[1] - 1
    # Of a cell that runs in the positive sense; the side opposite to corner i.
    faces = [(1, 2), (2, 0), (0, 1)] if d == 2 else [(1, 2, 3), (0, 3, 2), (0, 1, 3), (0, 2, 1)]
    every = np.concatenate([cells[:, face] for face in faces])
    _, first, count = np.unique(
        np.sort(every, axis=1), axis=0, return_index=True, return_counts=True
    )
    if count.max() > 2:
        side = every[first[np.argmax(count)]].tolist()
        raise ValueError(f"{call}: the side {side} belongs to {count.max()} cells.")
    outer = every[first[count == 1]]
    return {tuple(sorted(side.tolist())): side for side in outer}


def _grouped(
    call: str, sides: dict[tuple[int, ...], np.ndarray], given: Mapping[str, Any], d: int
) -> tuple[tuple[str, np.ndarray], ...]:
    """Return sides by name, those without one last under no name."""
    left, groups = dict(sides), []
    for name, listed in given.items():
        wanted = np.asarray(listed, dtype=int).reshape(-1, d)
        found = []
        for side in wanted.tolist():
            key = tuple(sorted(side))
            if key not in sides:
                raise ValueError(
                    f"{call}: {side} of {name!r} is no side of the boundary: it belongs to two "
                    "cells or to none."
                )
            if key not in left:
                raise ValueError(f"{call}: the side {side} has two names, one of them {name!r}.")
            found.append(left.pop(key))
        if found:
            groups.append((str(name), np.array(found)))
    if left:
        groups.append(("", np.array(list(left.values()))))
    return tuple(groups)


def _read(call: str, path: Any) -> tuple[np.ndarray, np.ndarray, dict[str, np.ndarray]]:
    """Return corners, cells and named sides of a file."""
    if importlib.util.find_spec("meshio") is None:
        raise ImportError(f"{call}: it needs meshio; install it with `pip install adabasis[vtk]`.")
    import meshio

    if not os.path.isfile(path):
        raise ValueError(f"{call}: no such file.")
    try:
        mesh = meshio.read(path)
    except (Exception, SystemExit) as error:  # meshio ends the process where no reader knows it
        raise ValueError(f"{call}: meshio cannot read it: {error}") from error
    kinds = [block.type for block in mesh.cells]
    for d in (3, 2):
        blocks: list[Any] = [b for b in mesh.cells if PARTS.get(b.type, (0, []))[0] == d]
        if blocks:
            break
    else:
        raise ValueError(
            f"{call}: expected triangles, quads or tetrahedra, the file has "
            f"{', '.join(kinds) or 'no cells'}."
        )
    x = np.asarray(mesh.points, dtype=float)
    if d == 2 and x.shape[1] == 3:
        if np.ptp(x[:, 2]) > 1e-12 * np.ptp(x):
            raise ValueError(f"{call}: its triangles do not lie in a plane z = constant.")
        x = x[:, :2]
    cells = [np.asarray(b.data)[:, part] for b in blocks for part in PARTS[b.type][1]]
    return x, np.concatenate(cells), _named_sides(mesh, FACETS[d])


def _named_sides(mesh: Any, kind: str) -> dict[str, np.ndarray]:
    """Return the sides of cell sets and of Gmsh's physical groups."""
    found: dict[str, list[np.ndarray]] = {}
    for name, members in mesh.cell_sets.items():
        for block, rows in zip(mesh.cells, members, strict=True):
            if block.type == kind and rows is not None and len(rows) and ":" not in name:
                found.setdefault(name, []).append(np.asarray(block.data)[np.asarray(rows, int)])
    if not found:
        names = {int(tag): name for name, (tag, _) in mesh.field_data.items()}
        tags = mesh.cell_data.get("gmsh:physical", [])
        for block, tagged in zip(mesh.cells, tags, strict=False):
            for tag in np.unique(tagged) if block.type == kind else ():
                name = names.get(int(tag), f"group{int(tag)}")
                found.setdefault(name, []).append(np.asarray(block.data)[tagged == tag])
    return {name: np.concatenate(parts) for name, parts in found.items()}
