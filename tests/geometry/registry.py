"""Domains of every kind, with what is known of them."""

import math

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

x, y, z = coordinates("x", "y", "z")
SQUARE = Box(x=(-1, 1), y=(-1, 1))
CUBE = Box(x=(-1, 1), y=(-1, 1), z=(-1, 1))


def polygon(*arguments, **options):
    pytest.importorskip("shapely")
    return Polygon(*arguments, **options)


def lens(r, s, d):
    """Return the area that two disks share, and how much of each circle lies in the other."""
    a = math.acos((d * d + r * r - s * s) / (2 * d * r))
    b = math.acos((d * d + s * s - r * r) / (2 * d * s))
    shared = r * r * (a - math.sin(2 * a) / 2) + s * s * (b - math.sin(2 * b) / 2)
    return shared, 2 * a * r, 2 * b * s


def cloud():
    """Return a ring of points with the normals of both circles."""
    points = (SQUARE & Disk((0, 0), 0.9)) - Disk((0, 0), 0.4)
    inside = points.interior(900)
    angle = 2 * np.pi * (np.arange(200) + 0.5) / 200
    out = np.stack([np.cos(angle), np.sin(angle)], axis=1)
    rims = {
        "outer": (0.9 * out, 2.0 * out),
        "inner": (0.4 * out, -out, np.full(200, 0.004 * np.pi)),
    }
    return PointCloud(inside.x, inside.weight, boundary=rims)


SHARED, OUTER, INNER = lens(1.0, 0.6, 1.0)
#: Name, domain, volume, measure of the boundary, relative error of both and of Gauss's theorem.
DOMAINS = {
    "interval": (lambda: Box(x=(-1, 2)), 3.0, 2.0, 1e-12),
    "intervals": (lambda: Box(x=(0, 1)) - Box(x=(0.4, 0.5)), 0.9, 4.0, 1e-3),
    "rectangle": (lambda: Box(x=(-1, 2), y=(0, 1)), 3.0, 8.0, 1e-12),
    "disk": (lambda: Disk((0.3, 0.2), 0.7), 0.49 * math.pi, 1.4 * math.pi, 1e-10),
    "hole": (lambda: SQUARE - Disk((0.3, 0.3), 0.1), 4 - 0.01 * math.pi, 8 + 0.2 * math.pi, 1e-3),
    "bite": (
        lambda: SQUARE - Disk((1, 0.2), 0.5),
        4 - math.pi / 8,
        7 + math.pi / 2,
        1e-3,
    ),
    "union": (
        lambda: Disk((0, 0), 1) | Disk((1, 0), 0.6),
        1.36 * math.pi - SHARED,
        3.2 * math.pi - OUTER - INNER,
        2e-3,
    ),
    "lens": (lambda: Disk((0, 0), 1) & Disk((1, 0), 0.6), SHARED, OUTER + INNER, 1e-3),
    "L of boxes": (lambda: SQUARE - Box(x=(0, 1), y=(0, 1)), 3.0, 8.0, 1e-3),
    "L of a union": (
        lambda: Box(x=(-1, 0), y=(-1, 1)) | Box(x=(-1, 1), y=(-1, 0)),
        3.0,
        8.0,
        1e-3,
    ),
    "polygon": (
        lambda: polygon(
            [(0, 0), (2, 0), (2, 1), (1, 1), (1, 2), (0, 2)],
            [[(0.2, 0.2), (0.4, 0.2), (0.2, 0.5)]],
        ),
        2.97,
        8 + 0.5 + math.hypot(0.2, 0.3),
        1e-10,
    ),
    "ellipse": (
        lambda: ImplicitDomain(x**2 + 4 * y**2 - 1, x=(-1.1, 1.1), y=(-0.6, 0.6)),
        math.pi / 2,
        4.844224110273838,  # 4 E(3/4), E the complete elliptic integral
        1e-3,
    ),
    "ball": (lambda: Ball((0, 0.1, 0.2), 0.8), 4 / 3 * math.pi * 0.512, 2.56 * math.pi, 1e-10),
    "cube minus ball": (
        lambda: CUBE - Ball((0.2, 0, 0), 0.5),
        8 - math.pi / 6,
        24 + math.pi,
        2e-3,
    ),
    "ball of five": (lambda: Ball((0,) * 5, 1.0), 8 / 15 * math.pi**2, 8 / 3 * math.pi**2, 3e-3),
    "ellipsoid": (
        lambda: ImplicitDomain(x**2 + y**2 + 4 * z**2 - 1, **dict.fromkeys("xyz", (-1.1, 1.1))),
        2 / 3 * math.pi,
        # 2π (1 + (1 − e²) artanh(e) / e), e² = 3/4
        2 * math.pi * (1 + 0.25 / 0.75**0.5 * math.atanh(0.75**0.5)),
        5e-3,
    ),
    "cylinder": (
        lambda: (SQUARE - Disk((0.1, 0.1), 0.2)) * Box(t=(0, 2)),
        8 - 0.08 * math.pi,
        2 * (4 - 0.04 * math.pi) + 2 * (8 + 0.4 * math.pi),
        5e-3,
    ),
    "ball times time": (
        lambda: Ball((0, 0, 0), 1.0) * Box(t=(0, 1)),
        4 / 3 * math.pi,
        4 * math.pi + 8 / 3 * math.pi,
        5e-3,
    ),
    "mesh": (lambda: Mesh([(0, 0), (1, 0), (1, 1), (0, 1)], [(0, 2, 1), (0, 3, 2)]), 1, 4, 1e-12),
    "tetrahedron": (
        lambda: Mesh([(0, 0, 0), (1, 0, 0), (0, 1, 0), (0, 0, 1.0)], [(0, 1, 2, 3)]),
        1 / 6,
        1.5 + math.sqrt(3) / 2,
        1e-12,
    ),
    "cloud": (cloud, 0.65 * math.pi, 2.6 * math.pi, 5e-3),
}
