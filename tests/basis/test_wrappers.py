"""Bases around other bases hand on every member; what they change is listed here, with a reason."""

import inspect

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from adabasis import rows
from adabasis.basis import (
    AbstractBasis,
    AbstractWrapper,
    EnrichedBasis,
    Ensemble,
    FrozenFeatures,
    MappedBasis,
    NeuralBasis,
    PartitionBasis,
    PlacedGaussians,
    WarpedBasis,
)
from adabasis.geometry import AffineMap, unit_box
from adabasis.operators import Identity

from ..laws import assert_close, assert_same_bits
from ..registry import REGISTRY, WIDTH, draw, evaluate, key, points

UNITS = AffineMap(np.array([-500.0, 100.0]), np.array([1e3, 2e3]))
USERS_BOX = np.array([[-500.0, 500.0], [100.0, 2100.0]])


def turned(inner):
    """Functions of (x + y, y), scaled to the unit box: coordinates in the span of 1, x, y."""
    coordinate_basis = FrozenFeatures(1, scale=1.0)
    c = np.array([[0.0, 0.0], [0.0, 0.0], [1.0, 0.0], [1.0, 1.0]])
    box = np.array([[0.0, 2.0], [0.0, 1.0]])
    return WarpedBasis(inner, coordinate_basis, draw(coordinate_basis), c, box)


#: Each wrapper, its box of x, and its map of a point to the inner basis's.
WRAPPERS = {
    "mapped": (lambda inner: MappedBasis(inner, UNITS), USERS_BOX, UNITS),
    "warped": (turned, unit_box(2), lambda x: jnp.stack([(x[0] + x[1]) / 2, x[1]])),
    "an ensemble of one": (lambda inner: Ensemble(inner, 1), unit_box(2), lambda x: x),
}
#: Members of a wrapper that are not those of the inner basis, and why.
OWN = {
    "config": "it constructs the wrapper",
    "from_config": "it constructs the wrapper",
    "replace": "it changes the wrapper's arguments",
    "sloped": "it follows from slope",
}
CHANGED = {
    MappedBasis: {},
    EnrichedBasis: dict.fromkeys(
        ("__call__", "values", "size", "linearizable", "members", "config"),
        "there are other functions before those of the inner basis",
    ),
    PlacedGaussians: dict.fromkeys(
        (
            "draws_in_numpy",
            "trainable",
            "init",
            "__call__",
            "values",
            "size",
            "linearizable",
            "members",
            "ties",
            "placed",
            "sloped",
            "narrower",
            "widened",
        ),
        "there are Gaussians before the functions of the inner basis",
    ),
    WarpedBasis: {"smoothness": "that of the coordinates counts, too"},
    Ensemble: dict.fromkeys(
        (
            "draws_in_numpy",
            "init",
            "__call__",
            "values",
            "size",
            "n_affine",
            "linearizable",
            "placed",
            "members",
            "ties",
            "widened",
        ),
        "there are several draws of the inner basis, stacked",
    ),
}
BETWEEN = {"to_inner", "inner_values", "box_to_inner", "with_inner"}

each_wrapper = pytest.mark.parametrize("kind", WRAPPERS)
each_basis = pytest.mark.parametrize("name", REGISTRY)


def protocol(cls):
    """Return the public members that a class itself adds to an Equinox module."""
    known = set(dir(eqx.Module)) - {"__call__"}
    return {n for n in dir(cls) if n not in known and (n == "__call__" or n[0] != "_")}


def handed_on(wrapper):
    return {name for name in protocol(AbstractBasis) if name in vars(wrapper)}


def test_every_member_is_handed_on_or_changed_on_purpose():
    assert handed_on(AbstractWrapper) == protocol(AbstractBasis) - set(OWN)
    assert protocol(AbstractWrapper) - protocol(AbstractBasis) <= BETWEEN | {"inner"}
    for kind, changed in CHANGED.items():
        fields = set(inspect.signature(kind).parameters) | {"inner"}
        own = set(vars(kind)) & protocol(AbstractBasis) - fields
        assert own - {"from_config"} == set(changed), kind


def test_a_member_that_is_not_handed_on_breaks_the_law(monkeypatch):
    monkeypatch.setattr(AbstractBasis, "novelty", lambda self: 1, raising=False)
    with pytest.raises(AssertionError):
        test_every_member_is_handed_on_or_changed_on_purpose()


def test_every_wrapper_is_listed():
    known = {kind for kind in AbstractWrapper.__subclasses__() if kind.__module__ != __name__}
    assert known == set(CHANGED)


@each_wrapper
@each_basis
def test_a_wrapper_is_the_inner_basis_at_the_image_of_the_point(kind, name):
    wrap, box, to_inner = WRAPPERS[kind]
    inner = REGISTRY[name]
    basis, drawn, box = wrap(inner), draw(inner, seed=3), jnp.asarray(box)
    stacked = isinstance(basis, Ensemble)
    parameters = jax.tree.map(lambda leaf: leaf[None], drawn) if stacked else drawn
    there, image = to_inner(jnp.array([0.3, 0.7])), None
    x = jnp.array([0.3, 0.7])
    if kind == "mapped":
        x = UNITS.inverse(x)
        there = UNITS(x)
    assert_close(basis(x, parameters), inner(there, drawn), 1e-14)
    for member in ("trainable", "tie_weight", "slope", "needs_points"):
        assert getattr(basis, member) == getattr(inner, member), member
    assert basis.smoothness == inner.smoothness
    assert basis.size(2) == inner.size(2)
    assert basis.canonical() == wrap(inner.canonical()) or kind == "warped"
    assert type(basis.canonical()) is type(basis)
    assert len(basis.with_slopes((1.0, 2.0))) == len(inner.with_slopes((1.0, 2.0)))
    narrower = inner.narrower(WIDTH // 2)
    assert (basis.narrower(WIDTH // 2) is None) == (narrower is None)
    if not stacked:
        image = basis.box_to_inner(box)
        np.testing.assert_allclose(image, unit_box(2), atol=1e-15)
        assert_same_bits(basis.init(key(), box), inner.init(key(), image))
        (member, same) = basis.members(parameters)[0]
        assert len(basis.members(parameters)) == len(inner.members(drawn))
        assert type(member) is type(basis)
        assert_same_bits(jax.tree.leaves(same), jax.tree.leaves(inner.members(drawn)[0][1]))
    if basis.tie_weight:
        assert_close(basis.ties(x, parameters), inner.ties(there, drawn), 1e-14)


@each_wrapper
@pytest.mark.parametrize("name", ["classifying net", "pou of bumps", "plain relu", "grid"])
def test_parameters_are_placed_and_kinks_averaged_at_the_images(kind, name):
    wrap, box, to_inner = WRAPPERS[kind]
    inner = REGISTRY[name]
    basis, x = wrap(inner), jnp.asarray(points(np.asarray(box), 40))
    drawn = draw(inner)
    stack = (lambda tree: jax.tree.map(lambda leaf: leaf[None], tree)) if "one" in kind else None
    parameters, images = stack(drawn) if stack else drawn, jax.vmap(to_inner)(x)
    expected = inner.placed(drawn, images)
    for got, leaf in zip(
        jax.tree.leaves(basis.placed(parameters, x)),
        jax.tree.leaves(stack(expected) if stack else expected),
        strict=True,
    ):
        np.testing.assert_allclose(got, leaf, rtol=1e-10, atol=1e-12)
    smooth, inside = basis.linearizable(parameters, x), inner.linearizable(drawn, images)
    if stack:  # members are trained apart, and averaged there
        assert smooth is basis
        return
    assert (smooth is basis) == (inside is inner)
    got = jax.jacrev(lambda p: smooth(x[3], p).sum())(parameters)
    expected = jax.jacrev(lambda p: inside(images[3], p).sum())(drawn)
    for a, b in zip(jax.tree.leaves(got), jax.tree.leaves(expected), strict=True):
        np.testing.assert_allclose(np.reshape(a, b.shape), b, rtol=1e-9, atol=1e-11)


def test_ties_in_the_users_units_are_those_of_the_basis():
    inner = PartitionBasis(2, 1, partition="affine", continuity=10.0, reach=0.3)
    basis, parameters = MappedBasis(inner, UNITS), draw(inner)
    assert basis.tie_weight == 10.0
    x = points(USERS_BOX)
    (_, ties) = rows.tied(rows.Term(_points(x), np.zeros((len(x), 1))), basis)
    got = ties.design(basis, parameters)
    expected = jax.vmap(lambda z: inner.ties(z, parameters))(jnp.asarray(UNITS(x)))
    assert np.any(np.asarray(expected) != 0)
    assert_close(got, expected, 1e-13)


def _points(x):
    from adabasis.geometry import Points

    return Points(x, np.ones(len(x)))


def test_widening_a_mapped_network_is_widening_the_network():
    wide = MappedBasis(NeuralBasis(WIDTH, 2), UNITS)
    narrow = wide.narrower(WIDTH // 2)
    assert narrow == MappedBasis(NeuralBasis(WIDTH // 2, 2), UNITS)
    few, x = narrow.init(key(), jnp.asarray(USERS_BOX)), points(USERS_BOX)
    many = wide.widened(few, key(1), jnp.asarray(USERS_BOX))
    expected = evaluate(Identity(), narrow, few, x)[:, : WIDTH // 2]
    assert_close(evaluate(Identity(), wide, many, x)[:, : WIDTH // 2], expected, 1e-13)


@each_basis
def test_a_canonical_basis_has_the_same_values_and_draws_all_but_the_slope(name):
    basis = REGISTRY[name]
    canonical, x = basis.canonical(), jnp.array([0.3, 0.7])
    parameters = draw(basis)
    assert_same_bits(canonical(x, parameters), basis(x, parameters))
    sloped = basis.sloped(draw(canonical))
    for got, leaf in zip(jax.tree.leaves(sloped), jax.tree.leaves(parameters), strict=True):
        np.testing.assert_allclose(got, leaf, rtol=1e-15)


def test_open_slopes_are_those_asked_for_unless_they_scale_columns_only():
    tried = (0.5, 2.0)
    assert [b.scale for b in FrozenFeatures(8).with_slopes(tried)] == [0.5, 2.0]
    relu = FrozenFeatures(8, activation="relu")
    assert [b.scale for b in relu.with_slopes(tried)] == [1.0]
    fixed = FrozenFeatures(8, scale=3.0)
    assert fixed.with_slopes(tried) == [fixed]
