"""Rows without automatic differentiation are those with it."""

import jax
import numpy as np
import pytest

import adabasis as ab
from adabasis import operators as op
from adabasis import pde
from adabasis._runtime.compute import numerics
from adabasis.basis import FrozenFeatures, MappedBasis
from adabasis.basis.enriched import EnrichedBasis, Poles
from adabasis.geometry import AffineMap
from adabasis.pde.collocation import fresh_rows
from adabasis.pde.enlarged import Beside
from adabasis.rows import design
from adabasis.rows.closed_form import DERIVATIVES, rows_in_closed_form

pytestmark = pytest.mark.plain_scope
x, y = pde.coordinates("x", "y")
d = op.Partial
u, v, p = pde.unknowns("u", "v", "p")
BOX = ab.Box(x=(-1, 2), y=(0, 0.5))
DISK = ab.Disk((0.0, 0.0), 1.0)


def one(operator, *conditions, domain=BOX):
    return pde.LinearProblem(domain, operator, 0.0, list(conditions) or [pde.Dirichlet(0.0)])


PROBLEMS = {
    "coefficients": lambda: one(-(d(x) @ ((1 + x**2) * d(x))) + np.sin(y) * d(y, 2) + 3.0 * d(x)),
    "high order": lambda: one(
        op.Biharmonic() - d(y, 3), pde.Dirichlet(0.0), pde.Condition(op.Laplacian(), 0.0)
    ),
    "normals": lambda: one(-op.Laplacian(), pde.Robin(0.0, alpha=2.0), domain=DISK),
    "several unknowns": lambda: pde.Problem(
        DISK,
        [
            -op.Laplacian()(u) + d(x)(p) == 0.0,
            -op.Laplacian()(v) + d(y)(p) == 0.0,
            d(x)(u) + d(y)(v) == 0.0,
        ],
        [pde.Dirichlet(0.0, of=(u, v)), pde.MeanValue(0.0, of=p)],
    ),
}


@pytest.mark.parametrize("activation", DERIVATIVES)
@pytest.mark.parametrize("name", PROBLEMS)
def test_rows_are_those_of_automatic_differentiation(name, activation):
    problem = PROBLEMS[name]()
    bounds = problem.domain.bounds
    with numerics():
        rows = fresh_rows(problem, 1.0, (1.0, 2.0, 0.5) if problem.n_blocks > 1 else None)
        terms, to = rows.scaled(), AffineMap.onto_unit_box(bounds)
        inner = FrozenFeatures(12, activation=activation)
        parameters = inner.init(jax.random.key(0), np.tile([0.0, 1.0], (2, 1)))
        poles = Poles(((3.0, 3.0),), (0.5,), 3)
        enriched = EnrichedBasis(inner, [poles], bounds[:, 0], np.ptp(bounds, axis=1))
        beside = Beside(inner, to), (parameters, (np.ones((2, 2)), np.array([[1.0, 2], [3, 4]])))
        for basis, xi in ((MappedBasis(enriched, to), parameters), beside):
            expected = np.asarray(jax.jit(lambda xi, b=basis: design(terms, b, xi))(xi))
            found = rows_in_closed_form(terms, basis, xi)
            np.testing.assert_allclose(found, expected, atol=1e-10 * np.abs(expected).max())


def test_functions_without_known_derivatives_are_compiled():
    problem = one(-op.Laplacian())
    with numerics():
        terms = fresh_rows(problem, 1.0).scaled()
        basis = FrozenFeatures(5, activation="sine")
        xi = basis.init(jax.random.key(0), BOX.bounds)
        assert rows_in_closed_form(terms, basis, xi) is None
        known = FrozenFeatures(5)
        assert rows_in_closed_form(terms, known, xi) is not None
        seen = []
        jax.make_jaxpr(lambda xi: seen.append(rows_in_closed_form(terms, known, xi)))(xi)
        assert seen == [None]
