"""A new activation, partition, initialiser or basis is one piece of code: the laws then hold."""

import importlib.util
import sys

import numpy as np
import pytest

import adabasis
from adabasis.basis import ACTIVATIONS, BASES, INITIALIZERS, PARTITIONS, NeuralBasis, PartitionBasis
from adabasis.basis.layers import INITIALIZER_KINDS

from .. import test_storage
from ..export import test_formats
from ..registry import DEPTH, FUNCTIONS, REGISTRY, STARTS, WIDTH, fitted
from . import test_bases, test_box, test_partitions, test_wrappers

NEW = '''
import dataclasses
import equinox as eqx
import jax
import jax.numpy as jnp
from adabasis.basis import ACTIVATIONS, INITIALIZERS, PARTITIONS, Activation
from adabasis.basis import AbstractBasis, AbstractInitializer, in_model_files
from adabasis.basis.layers import INITIALIZER_KINDS, Affine, sides
from adabasis.basis.pou.partition import AbstractSoftmax

ACTIVATIONS["arctan"] = Activation(jnp.arctan, lambda lo, hi: (jnp.arctan(lo), jnp.arctan(hi)))


@dataclasses.dataclass(frozen=True)
class Tiny(AbstractInitializer):
    size: float = 0.1

    def __call__(self, key, box, net):
        layers, inputs = [], len(box)
        for k in jax.random.split(key, net.depth):
            weight = self.size * jax.random.normal(k, (net.width, inputs), box.dtype)
            layers.append(Affine(weight, jnp.zeros(net.width, box.dtype)))
            inputs = net.width
        return layers


INITIALIZERS["tiny"] = Tiny()
INITIALIZER_KINDS["Tiny"] = Tiny


@in_model_files
class Stripes(AbstractSoftmax):
    """Intervals of one combination of the inputs."""

    n_partitions: int = eqx.field(static=True, converter=int)
    smoothness = float("inf")

    def init(self, key, box):
        weight = 1.0 / (sides(box) * len(box))
        jitter = jax.random.uniform(key, (self.n_partitions,), box.dtype) / 8
        ends = jnp.arange(self.n_partitions, dtype=box.dtype) + jitter
        return (weight, weight @ box[:, 0]), ends, jnp.ones((), box.dtype)

    def logits(self, x, parameters):
        (weight, first), ends, factor = parameters
        place = self.n_partitions * (weight @ x - first)
        return -8 * factor * (place - ends - 0.5) ** 2

    def sharpened(self, parameters, factor):
        return *parameters[:2], factor * parameters[2]


PARTITIONS["stripes"] = Stripes


@in_model_files
class Waves(AbstractBasis):
    """cos k (w·x + b), k < width."""

    width: int = eqx.field(static=True)
    smoothness = float("inf")

    def init(self, key, box):
        weight = jax.random.normal(key, (1, len(box)), box.dtype) / sides(box)
        return Affine(weight, jnp.zeros(1, box.dtype))

    def __call__(self, x, parameters):
        return jnp.cos(jnp.arange(self.width, dtype=x.dtype) * parameters(x))
'''
TABLES = (ACTIVATIONS, BASES, INITIALIZERS, INITIALIZER_KINDS, PARTITIONS, FUNCTIONS, STARTS)


@pytest.fixture(scope="module", autouse=True)
def new(tmp_path_factory):
    """Import the new classes from a file of their own, and forget them afterwards."""
    kept = [(table, dict(table)) for table in (*TABLES, REGISTRY)]
    path = tmp_path_factory.mktemp("new") / "new_kinds.py"
    path.write_text(NEW)
    spec = importlib.util.spec_from_file_location("new_kinds", path)
    module = sys.modules["new_kinds"] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    bases = {
        "new activation": NeuralBasis(WIDTH, DEPTH, activation="arctan"),
        "new initialiser": NeuralBasis(WIDTH, DEPTH, init="tiny"),
        "new initialiser object": NeuralBasis(WIDTH, DEPTH, init=module.Tiny(0.2)),
        "new partition": module.Stripes(3),
        "pou of a new partition": PartitionBasis(3, 1, partition="stripes"),
        "new basis": module.Waves(WIDTH),
    }
    FUNCTIONS.update(bases)
    REGISTRY.update(bases)
    yield
    for table, entries in kept:
        table.clear()
        table.update(entries)
    del sys.modules["new_kinds"]


NAMES = (
    "new activation",
    "new initialiser",
    "new initialiser object",
    "new partition",
    "pou of a new partition",
    "new basis",
)
each_new = pytest.mark.parametrize("name", NAMES)


@each_new
@pytest.mark.parametrize(
    "law",
    [
        test_bases.test_jit_vmap_and_eager_agree,
        test_bases.test_a_draw_is_finite_repeatable_and_depends_on_the_key,
        test_bases.test_a_recipe_is_hashable_and_equal_to_its_copy,
        test_bases.test_the_function_to_linearise_has_the_values_of_the_basis,
        test_wrappers.test_a_canonical_basis_has_the_same_values_and_draws_all_but_the_slope,
    ],
    ids=lambda law: law.__name__,
)
def test_the_laws_of_bases_hold(law, name):
    law(name)


@each_new
@pytest.mark.parametrize("kind", test_wrappers.WRAPPERS)
def test_wrappers_hand_on_new_bases(kind, name):
    test_wrappers.test_a_wrapper_is_the_inner_basis_at_the_image_of_the_point(kind, name)


@each_new
def test_every_format_of_exports_holds_them(name, tmp_path):
    test_formats.test_every_format_has_the_models_values(name, tmp_path)


@each_new
def test_model_files_hold_them(name, tmp_path):
    test_storage.test_what_is_read_is_what_was_written(name, tmp_path)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_laws_of_partitions_hold(dtype):
    test_partitions.test_a_partition_sums_to_one_and_is_not_negative_anywhere("stripes", dtype)
    test_partitions.test_every_part_owns_points_from_the_start("stripes")
    test_partitions.test_sharper_partitions_keep_their_borders("stripes")


def test_the_laws_of_activations_hold():
    test_box.test_the_image_of_an_interval_is_exact("arctan")
    test_box.test_a_layers_image_holds_every_value_and_is_attained("arctan")


def test_fits_take_them():
    x = np.linspace(0.0, 1.0, 60)[:, None]
    for name in ("new activation", "new initialiser", "new basis"):
        model = adabasis.fit(x, np.sin(3 * x[:, 0]), REGISTRY[name], max_steps=3)
        assert model.validation_error < 0.5


def test_a_class_that_is_not_registered_is_refused_at_save(tmp_path):
    basis = REGISTRY["new basis"]
    del BASES["Waves"]
    try:
        with pytest.raises(ValueError, match=r"no registered kind.*in_model_files"):
            fitted(basis).save(tmp_path / "model.ab")
    finally:
        BASES["Waves"] = type(basis)


def test_pounets_take_a_new_partition():
    x = np.linspace(0.0, 1.0, 60)[:, None]
    model = adabasis.fit_pounet(
        x, np.abs(x[:, 0] - 0.5), n_partitions=2, degree=1, partition="stripes", max_steps=2
    )
    assert model.basis.partition == "stripes"
    assert model.validation_error < 0.5
