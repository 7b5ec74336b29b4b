"""Problems: conditions on faces, scales, what is refused."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import adabasis as ab
from adabasis import operators as op
from adabasis import pde
from adabasis.geometry.fields import at_point
from adabasis.geometry.points import Cartesian, Gauss, Sobol
from adabasis.operators.expressions import as_expression
from adabasis.pde import catalog
from adabasis.pde.collocation import collocate

x, t, z = pde.coordinates("x", "t", "z")
SQUARE = ab.Box(x=(0, 1), t=(0, 2))
START = pde.Initial(np.sin(x), at=(t, 0.0))


def problem(operator=None, conditions=(START,), domain=SQUARE, **options):
    operator = op.Partial(t) + op.Partial(x) if operator is None else operator
    return pde.LinearProblem(domain, operator, conditions=conditions, **options)


@pytest.mark.parametrize("name", catalog.PROBLEMS)
def test_exact_solutions_of_the_catalogue_solve_their_problem(name):
    made = catalog.problem(name)
    names = made.domain.names

    def exact(p):
        return at_point(made.exact, names, p)[None]

    for term in collocate(made, Sobol(), 64, 16, seed=5):
        image = jax.vmap(term.constraint.operator(exact))(jnp.asarray(term.points.x))[:, 0]
        assert np.abs(np.asarray(image) - term.data).max() <= 1e-10 * term.constraint.size, (
            term.constraint.label
        )


def test_an_unknown_name_is_told_the_catalogue():
    with pytest.raises(KeyError, match="poisson-2d"):
        catalog.problem("nothing")


@pytest.mark.parametrize("sampler", [Sobol(), Gauss(), Gauss(7), Cartesian(9)])
def test_samplers_fill_the_box_and_weigh_it(sampler):
    box = SQUARE.bounds
    for points in (sampler.interior(box, 81), sampler.face(box, 1, 2.0, 9)):
        assert SQUARE.contains(points.x).all()
        assert np.sum(points.weight) == pytest.approx(1.0)
        assert np.asarray(points.weight).min() > 0
    assert np.all(points.x[:, 1] == 2.0)
    if sampler.count(2) is not None:
        assert sampler.count(2) == len(sampler.interior(box, 5))


def test_gauss_points_integrate_polynomials_exactly():
    points = Gauss(4).interior(SQUARE.bounds, 0)
    value = np.sum(points.weight * points.x[:, 0] ** 7 * points.x[:, 1] ** 6)
    assert value == pytest.approx(1 / 8 * 2**6 / 7, rel=1e-13)


def test_conditions_without_a_place_hold_on_all_faces_of_space():
    labels = [c.label for c in problem(conditions=[START, pde.Dirichlet(0.0)]).constraints]
    assert labels == [
        "Equation",
        "Initial value at t = 0",
        "Dirichlet on x = 0",
        "Dirichlet on x = 1",
    ]


def test_normals_point_outwards():
    """∂u/∂n of u = x + 10 t on each face."""
    plane = ab.Box(x=(0, 1), y=(0, 2))
    made = problem(op.Laplacian(), [pde.Neumann(0.0)], plane)
    slopes = [
        jax.vmap(p.constraint.operator(lambda q: q[:1] + 10 * q[1:]))(jnp.asarray(p.points.x))[0, 0]
        for p in collocate(made, Sobol(), 4, 4)[1:]
    ]
    assert slopes == [-1.0, 1.0, -10.0, 10.0]


def test_where_selects_points_of_a_face():
    made = problem(conditions=[START, pde.Dirichlet(0.0, on=(x, 0.0), where=t > 1)])
    points = collocate(made, Sobol(), 9, 64)[-1].points
    assert 0 < len(points) < 64
    assert (points.x[:, 1] > 1).all()


def test_scales_follow_units():
    """Every term in units of u: the size of an operator absorbs those of x, t and coefficients."""
    sizes = []
    for length, time in ((1.0, 1.0), (1e-6, 3e7)):
        box = ab.Box(x=(0, length), t=(0, time))
        operator = op.Partial(t) - (0.3 * length**2 / time) * op.Partial(x, 2)
        made = problem(operator, [START], box)
        sizes.append(collocate(made, Sobol(), 8, 8)[0].constraint.size * time)
    assert sizes[1] == pytest.approx(sizes[0], rel=1e-12)


def test_weights_given_are_the_weights_of_the_loss():
    """J = ε₁ mean |L u − f|² + ε₂ mean |u − g|² (slides eq. 6)."""
    made = problem(conditions=[pde.Dirichlet(1.0, on=(x, 0.0), weight=7.0)], weight=3.0)
    terms = [term.term(1.0) for term in collocate(made, Sobol(), 8, 8)]
    assert [float(jnp.sum(term.root_weights**2)) for term in terms] == pytest.approx([3.0, 7.0])


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: problem(domain=[(0, 1)]), TypeError, "expected a domain"),
        (lambda: problem(operator=3.0), TypeError, "expected an operator"),
        (lambda: problem(conditions=[1.0]), TypeError, "expected conditions"),
        (lambda: ab.Box(x=(1, 0)), ValueError, "the lower one first"),
        (lambda: ab.Box(), ValueError, "expected sides"),
        (lambda: problem(op.Partial("z")), ValueError, "domain has x, t"),
        (lambda: problem(conditions=[pde.Dirichlet(0.0, on=(x, 3.0))]), ValueError, "outside"),
        (lambda: problem(conditions=[pde.Dirichlet(0.0, on=3)]), ValueError, "expected a place"),
        (
            lambda: problem(op.UserOperator(lambda u, p: u(p) ** 2, order=0)),
            ValueError,
            "not linear in u.*linear=False",
        ),
        (
            lambda: problem(op.UserOperator(lambda u, p: u(p) + 1.0, order=0)),
            ValueError,
            "not linear in u",
        ),
        (
            lambda: problem((lambda x: jnp.log(x - 0.5)) * op.Identity()),
            ValueError,
            "not finite at x = .*coefficients",
        ),
        (
            lambda: problem((lambda p: p) * op.Identity()),
            ValueError,
            r"shape \(2,\) at a point: expected one number",
        ),
        (
            lambda: problem((lambda x: float(np.asarray(x))) * op.Identity()),
            TypeError,
            r"Use jax\.numpy",
        ),
        (
            lambda: problem(data=[pde.Observe([[3.0, 0.0]], [1.0])]),
            ValueError,
            "row 0 .* outside",
        ),
        (lambda: problem(data=[pde.Observe([[0.0]], [1.0])]), ValueError, "expected shapes"),
        (lambda: problem().exact_values(np.zeros((1, 2))), ValueError, "no exact solution"),
        (lambda: pde.coordinates("x", "x"), ValueError, "different names"),
        (lambda: problem(conditions=[pde.Dirichlet(0.0, on=[])]), ValueError, "on nothing"),
        (lambda: problem(conditions=[pde.Dirichlet(0.0, on=())]), ValueError, "on nothing"),
        (
            lambda: problem(conditions=[pde.Dirichlet(0.0, on=((x, 0.0), (x, 1.0)))]),
            ValueError,
            "Several places make a list",
        ),
        (
            lambda: problem(conditions=[pde.Dirichlet(0.0, on="x=0")]),
            ValueError,
            r"on=domain\.boundaries\['x=0'\]",
        ),
        (
            lambda: problem(conditions=[pde.Dirichlet(0.0, on=x, where=t > 5.0)]),
            ValueError,
            "Dirichlet on x = 0: `where` is true nowhere",
        ),
        (
            lambda: problem(conditions=[pde.Dirichlet(0.0, weight=-1.0)]),
            ValueError,
            "weight=-1.0: expected a positive number",
        ),
        (lambda: problem(weight=0.0), ValueError, "Equation: weight=0.0"),
        (lambda: problem(conditions=[pde.Dirichlet(None)]), TypeError, "no value is given"),
        (lambda: pde.Initial(0.0, at=0.0), ValueError, r"such as at=\(t, 0.0\)"),
        (lambda: pde.Initial(0.0, at=t), ValueError, r"such as at=\(t, 0.0\)"),
        (lambda: problem(conditions=[pde.Dirichlet(z)]), ValueError, "no coordinate 'z'"),
        (lambda: problem(exact=z), ValueError, "z: there is no coordinate 'z'"),
        (lambda: pde.unknowns(3), ValueError, "different names"),
        (
            lambda: pde.Problem(SQUARE, [op.Laplacian()(pde.unknowns("x")) == 0.0]),
            ValueError,
            "the unknown x is called like a coordinate",
        ),
        (
            lambda: pde.Problem(SQUARE, [as_expression(x) == 0.0]),
            ValueError,
            "which has no unknown",
        ),
        (lambda: Cartesian(1), ValueError, "at least 2"),
    ],
)
def test_bad_problems_are_refused_with_advice(make, error, message):
    with pytest.raises(error, match=message):
        make()
