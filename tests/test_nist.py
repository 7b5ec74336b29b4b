"""NIST's certified linear regressions: with the polynomial told, and by default."""

from decimal import Decimal
from fractions import Fraction

import numpy as np
import pytest

import adabasis as ab

from .nist import SETS

pytestmark = pytest.mark.plain_scope
EQUAL = 1e-6
"""Errors below this share of the spread of y count as equal."""
WITH_INTERCEPT = [name for name, certified in SETS.items() if certified.intercept]
SLOWLY = [
    pytest.param(name, marks=pytest.mark.slow) if name == "Filip" else name
    for name in WITH_INTERCEPT
]


def relative(certified, errors):
    return float(np.sqrt(np.mean(np.square(errors))) / certified.y.std())


def half_a_digit(printed):
    return Fraction(10) ** Decimal(printed).as_tuple().exponent / 2


@pytest.mark.parametrize("name", SETS)
def test_certificates_follow_from_the_rows_in_rational_numbers(name):
    certified = SETS[name]
    for exact, printed in zip(certified.exact, certified.parameters.split(), strict=True):
        assert abs(exact - Fraction(printed)) <= half_a_digit(printed)
    deviation, half = Fraction(certified.deviation), half_a_digit(certified.deviation)
    assert max(deviation - half, 0) ** 2 <= certified.variance <= (deviation + half) ** 2


def places(certified):
    """Return the rows' places and, of one input, those halfway between them."""
    x = certified.X
    if x.shape[1] > 1:
        return x
    known = np.unique(x)
    return np.concatenate([x, (known[1:, None] + known[:-1, None]) / 2])


@pytest.mark.parametrize("name", WITH_INTERCEPT)
def test_the_polynomial_that_is_told_is_fitted_as_certified(name):
    certified = SETS[name]
    basis = ab.basis.Polynomial(certified.degree)
    model = ab.fit(certified.X, certified.y, basis, ridge=0.0)
    x = places(certified)
    bound = 1e-3 * certified.s or 1e-8 * certified.y.std()
    assert np.abs(model(x) - certified(x)).max() <= bound


@pytest.mark.parametrize("name", SLOWLY)
def test_a_default_fit_leaves_out_rows_with_no_more_error_than_the_certified_model(name):
    certified = SETS[name]
    model = ab.fit(certified.X, certified.y)
    chosen, error = model.record.tried[0], relative(certified, certified.left_out)
    # A mean of trained networks claims the worst of what is known, with a margin.
    left_out = model.validation_error if chosen.loo_error is None else chosen.loo_error
    assert max(left_out, EQUAL) <= 1.1 * max(error, EQUAL)


@pytest.mark.slow
@pytest.mark.parametrize("name", WITH_INTERCEPT)
def test_default_fits_without_each_row_err_no_more_than_the_certified_model(name):
    certified = SETS[name]
    n, errors = len(certified.y), []
    rows = np.arange(0, n, -(-n // 40))  # of many, some
    for row in rows:
        kept = np.arange(n) != row
        model = ab.fit(certified.X[kept], certified.y[kept])
        errors.append(model(certified.X[[row]])[0] - certified.y[row])
    error = max(relative(certified, errors), EQUAL)
    assert error <= 1.1 * max(relative(certified, certified.left_out[rows]), EQUAL)
