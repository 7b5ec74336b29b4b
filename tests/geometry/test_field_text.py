"""Expressions are written as people write them."""

import numpy as np
import pytest

from adabasis import operators as op
from adabasis import pde
from adabasis.geometry.field_text import number

x, y = pde.coordinates("x", "y")
pi = np.pi

WRITTEN = [
    (2 * pi**2 * np.sin(pi * x) * np.sin(pi * y), "2π² sin(π x) sin(π y)"),
    (1 + x * np.sin(y), "1 + x sin(y)"),
    ((1 + x) * (y - 2), "(1 + x) (y - 2)"),
    (x - (y - 1), "x - (y - 1)"),
    (x - y - 1, "x - y - 1"),
    (x / (y * 2), "x / (y · 2)"),
    (-x * y, "-x y"),
    (x * -y, "x (-y)"),
    (-(x + y), "-(x + y)"),
    (x**2 - 3 * x**0.5, "x^2 - 3 x^0.5"),
    ((-x) ** 2, "(-x)^2"),
    (2.0 ** (x + 1), "2^(x + 1)"),
    (1 + 2 * (x > 0.5), "1 + 2 (x > 0.5)"),
    (0.5 * pi * x, "(π/2) x"),
    (x + -1.5, "x - 1.5"),
    (np.exp(-((x - 0.3) ** 2) / 0.01), "exp(-(x - 0.3)^2 / 0.01)"),
    (np.hypot(x, y), "hypot(x, y)"),
]


@pytest.mark.parametrize(("field", "text"), WRITTEN)
def test_fields_are_written_as_people_write_them(field, text):
    assert repr(field) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (pi, "π"), (-pi, "-π"), (-2 * pi, "-2π"), (pi / 4, "π/4"), (3 * pi / 2, "3π/2"),
        (8 * pi**4, "8π⁴"), (3.14, "3.14"), (3.1416, "3.1416"), (1e-5, "1e-05"), (0.0, "0"),
        (7.0, "7"), (float("inf"), "inf"), (2 + 1j, "2+1j"), (22 / 7, "3.14286"),
    ],
)  # fmt: skip
def test_numbers_are_multiples_of_pi_where_they_are(value, text):
    assert number(value) == text


def test_operators_take_their_coefficients_in_brackets_where_needed():
    assert repr((1 + x) * op.Partial("x")) == "(1 + x) u_x"
    assert repr(-pi / 2 * y * op.Partial("x")) == "(-π/2) y u_x"
    assert repr(2 * pi**2 * op.Identity()) == "2π² u"
