"""Error against CPU seconds: budgets of ours, sizes of others, and what lies on the lower left."""

from __future__ import annotations

import dataclasses
import itertools
import math
from collections.abc import Iterator, Sequence

from ..data import table_split
from ..fitting import Method, compare
from ..methods.alone import alone
from ..methods.peers import peers
from ..records import Measurement, Row
from ..registry import Settings, case
from .growth import BOOSTING, CAT, KIN40K, LIGHT, MLP, OURS

TABLES = (KIN40K, "airfoil", "concrete", "energy", "yacht")
#: Wall-clock seconds of ours, epochs of the network, trees of boosting.
BUDGETS, EPOCHS, TREES = (1, 2, 4, 8, 16, 32, 64), (5, 20, 60, 200, 1000), (30, 100, 300, 1000)
SEPARATOR = ": "

Point = tuple[float, float]


def on_the_hull(points: Sequence[Point]) -> list[Point]:
    """Return the corners of the convex hull that see the lower left, from left to right.

    Both coordinates are taken in logarithms; points that are not finite are left out.
    """
    finite = sorted({p for p in points if all(0 < c < math.inf for c in p)})
    corners: list[Point] = []
    for point in finite:
        if corners and point[1] >= corners[-1][1]:
            continue  # slower and no better
        while len(corners) > 1 and _turns_right(corners[-2], corners[-1], point):
            corners.pop()
        corners.append(point)
    return corners


def _turns_right(a: Point, b: Point, c: Point) -> bool:
    (ax, ay), (bx, by), (cx, cy) = [(math.log(x), math.log(y)) for x, y in (a, b, c)]
    return (bx - ax) * (cy - ay) - (by - ay) * (cx - ax) <= 0


def family(method: str) -> str:
    """Return whose curve a method is a point of."""
    return method.split(SEPARATOR)[0]


def curves(rows: Sequence[Row], group: str) -> dict[str, list[Point]]:
    """Return the points (CPU seconds, error) of a table by family."""
    found: dict[str, list[Point]] = {}
    for row in rows:
        if row.group == group and "failed" not in row.status:
            found.setdefault(family(row.method), []).append((row.cpu_seconds, row.median_error))
    return found


@dataclasses.dataclass(frozen=True)
class OnHull:
    """A promise: a method has a corner of the lower left hull, but for so many tables."""

    groups: tuple[str, ...]
    method: str
    limit: float

    group = "tables"
    label = "number of them without a corner of the lower left hull"

    def judge(self, rows: Sequence[Row]) -> tuple[float, bool] | None:
        """Return the number of tables without, and whether it keeps the promise."""
        without = 0
        for group in self.groups:
            found = curves(rows, group)
            if self.method not in found or len(found) == 1:
                return None
            corners = on_the_hull([p for points in found.values() for p in points])
            without += not set(corners) & set(found[self.method])
        return float(without), without <= self.limit


@case(
    "growth-curves",
    "error against CPU seconds on five tables: budgets of ours, sizes of others",
    error="test RMSE / standard deviation of the training y",
    repeats=1,
    reference=OURS,
    bars=(OnHull(TABLES, OURS, 1.0),),
)
def run(settings: Settings) -> Iterator[Measurement]:
    """Fit the first three splits of each table; reduced, one split of concrete and fewer points.

    ``python -m benchmarks.growth_figure`` draws what this has stored.
    """
    tables = ("concrete",) if settings.quick else TABLES
    methods: list[Method] = []
    for budget in BUDGETS[::3] if settings.quick else BUDGETS:
        name = f"{OURS}{SEPARATOR}{budget} s"
        methods.append(alone(name, "adabasis", options={"max_seconds": float(budget)}))
    methods.append(alone(OURS, "adabasis"))
    for what, fit, sizes in ((MLP, "mlp", EPOCHS), (BOOSTING, "boosting", TREES)):
        for size in sizes[-1:] if settings.quick else sizes:
            name = f"{what}{SEPARATOR}{size}"
            methods.append(alone(name, fit, options={"max_iter": size}))
    methods += peers(settings, CAT, LIGHT)
    for name, split in itertools.product(tables, range(1 if settings.quick else 3)):
        yield from compare([table_split(name, split)], methods, settings)
