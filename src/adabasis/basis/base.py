"""What a basis is: a recipe for P functions of one point with parameters ξ; and one around it."""

from __future__ import annotations

import abc
import dataclasses
import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Self, TypeAlias, TypeVar

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from .._runtime.backend import in_numpy, namespace
from .._runtime.notation import (
    AnyArray,
    AnyKey,
    BoxBounds,
    Functions,
    Parameters,
    PointsX,
    PointX,
    RandomKey,
)
from ..geometry.points import AffineMap, unit_box
from .activations import activation_named, in_jax
from .layers import AbstractInitializer, initializer_config, initializer_from

OnePointBasis: TypeAlias = Callable[[PointX, Parameters], Functions]

#: Entries of Φ at once in NumPy: few enough for a processor's cache, and enough of them that calls
#: cost little. A million rows through 128 units take 1.1 times the seconds of their products.
CACHED_NUMBERS = 2**18

#: Methods of one point in JAX, and those of N points that say the same in NumPy.
IN_NUMPY = {"__call__": "values", "to_inner": "inner_values", "logits": "logit_values"}


def mapped_in_jax(name: str) -> Any:
    """Return a method that maps another, of one point, over N points: where NumPy has none."""

    def values(self: AbstractBasis, x: np.ndarray, *parameters: Any) -> np.ndarray:
        """Evaluate at N points, in JAX."""
        return in_jax(getattr(self, name), x, *parameters)

    return values


class AbstractBasis(eqx.Module):
    """Functions Φ(x; ξ) ∈ R^P of one point x ∈ R^D with hidden parameters ξ.

    A basis holds hyperparameters only, all of them static, so it is hashable and may be closed
    over by compiled code. Its parameters are a pytree made by :meth:`init` and passed to every
    call. It sees one point; ``adabasis.rows`` maps it over many.

    A member added here is one that :class:`AbstractWrapper` has to hand on; a law of the tests
    says so.
    """

    def __init_subclass__(cls, **keywords: Any) -> None:
        """Forget what a parent does in NumPy where a class has a method of its own in JAX."""
        super().__init_subclass__(**keywords)
        for name, of_rows in IN_NUMPY.items():
            if name in vars(cls) and of_rows not in vars(cls):
                setattr(cls, of_rows, mapped_in_jax(name))
        if "init" in vars(cls) and "draws_in_numpy" not in vars(cls):
            cls.draws_in_numpy = False  # type: ignore[assignment, method-assign]

    @abc.abstractmethod
    def init(self, key: RandomKey, box: BoxBounds) -> Parameters:
        """Draw parameters ξ for data inside ``box``, a (D, 2) array of lower and upper bounds."""

    @property
    def draws_in_numpy(self) -> bool:
        """Whether :meth:`init` and :meth:`placed` take NumPy's seed sequences and arrays, too.

        Parameters are NumPy's arrays then, and nothing is compiled to draw them.
        """
        return False

    @abc.abstractmethod
    def __call__(self, x: PointX, parameters: Parameters) -> Functions:
        """Evaluate all P functions at one point x: (D,) → (P,)."""

    def values(self, x: np.ndarray, parameters: Parameters) -> np.ndarray:
        """Evaluate all P functions at N points in double precision: (N, D) → (N, P).

        Predictions are made of these. A basis that says how in NumPy, with parameters that are
        NumPy's arrays, predicts without JAX; here :meth:`__call__` is compiled and mapped.
        """
        return in_jax(self.__call__, x, parameters)

    def sums(self, x: np.ndarray, parameters: Parameters, c: np.ndarray) -> np.ndarray:
        """Return Φ c at N points for coefficients (P, Q), in NumPy: (N, Q).

        A basis whose functions vanish at most points leaves those out.
        """
        at_once = max(64, CACHED_NUMBERS // max(len(c), 1))
        if len(x) <= at_once:
            return self.values(x, parameters) @ c
        chunks = np.split(x, range(at_once, len(x), at_once))
        return np.concatenate([self.values(chunk, parameters) @ c for chunk in chunks])

    def sum_at(self, x: PointX, parameters: Parameters, c: AnyArray) -> Array:
        """Return Φ c at one point, (Q,)."""
        return self(x, parameters) @ c

    @property
    @abc.abstractmethod
    def smoothness(self) -> float:
        """Order of the highest derivative that is continuous; ``inf`` for analytic functions."""

    @property
    def trainable(self) -> bool:
        """Whether descent may move ξ; a frozen basis answers no."""
        return True

    def size(self, n_inputs: int) -> int:
        """Return P, the number of functions, for D = ``n_inputs``."""
        box = jax.ShapeDtypeStruct((n_inputs, 2), float)
        key = jax.eval_shape(lambda: jax.random.key(0))
        point = jax.ShapeDtypeStruct((n_inputs,), float)
        functions = jax.eval_shape(lambda k, b, x: self(x, self.init(k, b)), key, box, point)
        return functions.shape[0]

    def n_affine(self, n_inputs: int) -> int:
        """Return how many of the last functions are 1 and x, which a chosen ridge leaves alone."""
        return 0

    def linearizable(self, parameters: Parameters, x: PointsX) -> OnePointBasis:
        """Return (x, ξ) ↦ Φ with the derivative in ξ that a Gauss–Newton step wants.

        That is the basis itself, except where it has kinks: there the data see a kink only
        through the points x (N, D) on either side, and a derivative averaged over the distance
        between them tells more than the one of this side.
        """
        return self

    def placed(self, parameters: Parameters, x: PointsX) -> Parameters:
        """Adjust drawn parameters to the points (N, D) they are to be used at: here, not at all."""
        return parameters

    @property
    def needs_points(self) -> bool:
        """Whether :meth:`placed` does anything."""
        return type(self).placed is not AbstractBasis.placed

    def after(self, parameters: Parameters, points: AffineMap) -> Parameters:
        """Return parameters ξ′ with Φ(x; ξ′) = Φ(m(x); ξ) for a map m of points, if there are such.

        Descent goes faster where inputs have mean 0 and variance 1; with these ξ′ it may go there.
        """
        raise NotImplementedError(f"{type(self).__name__} has no parameters for mapped points.")

    @property
    def takes_maps(self) -> bool:
        """Whether there are parameters for mapped points: see :meth:`after`."""
        return type(self).after is not AbstractBasis.after

    def members(self, parameters: Parameters) -> list[tuple[AbstractBasis, Parameters]]:
        """Return the bases whose coefficients are solved apart: here, this one."""
        return [(self, parameters)]

    @property
    def tie_weight(self) -> float:
        """Weight of the mean square of :meth:`ties` in the loss: here nothing is tied."""
        return 0.0

    def ties(self, x: PointX, parameters: Parameters) -> Functions:
        """Return the row (P,) of a product with c that ought to vanish near x."""
        raise NotImplementedError(f"{type(self).__name__} ties no coefficients.")

    @property
    def slope(self) -> float:
        """The factor between the parameters that :meth:`canonical` draws and those drawn here."""
        return 1.0

    def canonical(self) -> AbstractBasis:
        """Return a basis of the same values that compiles once for all slopes."""
        return self

    def sloped(self, drawn: Parameters) -> Parameters:
        """Return the parameters that this basis draws where :meth:`canonical` draws these."""
        return drawn if self.slope == 1 else jax.tree.map(lambda leaf: self.slope * leaf, drawn)

    def with_slopes(self, tried: Sequence[float]) -> list[AbstractBasis]:
        """Return this basis with each slope that is worth a try, where its own is left open."""
        return [self]

    def narrower(self, least: int) -> AbstractBasis | None:
        """Return a basis half as wide and at least ``least``, which :meth:`widened` goes on from.

        ``None`` where there is none.
        """
        return None

    def widened(self, narrower: Parameters, key: AnyKey, box: BoxBounds) -> Parameters:
        """Return parameters with the functions of a narrower basis among their functions."""
        raise NotImplementedError(f"{type(self).__name__} has no narrower kind.")

    def config(self) -> dict[str, Any]:
        """Return the arguments that construct this basis."""
        names = inspect.signature(type(self).__init__).parameters
        field = {"init": "initializer"}
        return {name: getattr(self, field.get(name, name)) for name in names if name != "self"}

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Self:
        """Construct a basis from what :meth:`config` returned, now or in an older version."""
        return cls(**config)

    def replace(self, **changes: Any) -> Self:
        """Return the same kind of basis with some arguments changed."""
        return type(self)(**(self.config() | changes))

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(f'{k}={v!r}' for k, v in self.config().items())})"


class AbstractActivated(AbstractBasis):
    """A basis whose functions are as smooth as its activation.

    Raises
    ------
    ValueError
        For an unknown activation.
    """

    activation: eqx.AbstractVar[str | Callable[[Array], Array]]

    def __check_init__(self) -> None:
        activation_named(self.activation)

    @property
    def smoothness(self) -> float:
        """Order of the highest continuous derivative, that of the activation."""
        return activation_named(self.activation).smoothness


def _of_inner(name: str) -> Any:
    return property(lambda self: getattr(self.inner, name), doc=f"The {name} of the inner basis.")


class AbstractWrapper(AbstractBasis):
    """The functions of another basis, as functions of other points.

    Every member is that of the inner basis, points and boxes being mapped on the way; a subclass
    says only what it changes.
    """

    inner: eqx.AbstractVar[AbstractBasis]
    smoothness = _of_inner("smoothness")
    draws_in_numpy = _of_inner("draws_in_numpy")
    trainable = _of_inner("trainable")
    needs_points = _of_inner("needs_points")
    tie_weight = _of_inner("tie_weight")
    slope = _of_inner("slope")

    def to_inner(self, x: PointX) -> Array:
        """Return the point at which the inner basis is evaluated."""
        return x

    def inner_values(self, x: np.ndarray) -> np.ndarray:
        """Return the points at which the inner basis is evaluated for N points, in NumPy."""
        return x

    def box_to_inner(self, box: BoxBounds) -> BoxBounds:
        """Return a box of the inner basis's inputs that holds the image of ``box``."""
        return box

    def with_inner(self, inner: AbstractBasis) -> Self:
        """Return the same wrapper around another basis."""
        return dataclasses.replace(self, inner=inner)

    def init(self, key: Any, box: BoxBounds) -> Parameters:
        """Draw the inner parameters, for the image of the box."""
        inside: Any = self.box_to_inner(box)
        inside = np.asarray(inside) if in_numpy(key) else inside
        return self.inner.init(key, inside)

    def __call__(self, x: PointX, parameters: Parameters) -> Functions:
        """Evaluate the inner functions at the image of the point."""
        return self.inner(self.to_inner(x), parameters)

    def values(self, x: np.ndarray, parameters: Parameters) -> np.ndarray:
        """Evaluate the inner functions at the images of N points, in NumPy."""
        return self.inner.values(self.inner_values(x), parameters)

    def sums(self, x: np.ndarray, parameters: Parameters, c: np.ndarray) -> np.ndarray:
        """Return the sums of the inner functions at the images of N points, in NumPy."""
        if type(self).values is not AbstractWrapper.values:  # the functions are not the inner ones
            return super().sums(x, parameters, c)
        return self.inner.sums(self.inner_values(x), parameters, c)

    def sum_at(self, x: PointX, parameters: Parameters, c: AnyArray) -> Array:
        """Return the sum of the inner functions at the image of the point."""
        if type(self).__call__ is not AbstractWrapper.__call__:
            return super().sum_at(x, parameters, c)
        return self.inner.sum_at(self.to_inner(x), parameters, c)

    def size(self, n_inputs: int) -> int:
        """Return that of the inner basis, for its number of inputs."""
        return self.inner.size(self._n_inner(n_inputs))

    def n_affine(self, n_inputs: int) -> int:
        """Return that of the inner basis."""
        return self.inner.n_affine(self._n_inner(n_inputs))

    def _n_inner(self, n_inputs: int) -> int:
        return len(self.box_to_inner(jnp.asarray(unit_box(n_inputs))))

    def linearizable(self, parameters: Parameters, x: PointsX) -> OnePointBasis:
        """Return that of the inner basis, or this one if that is the inner basis itself."""
        smooth = self.inner.linearizable(parameters, jax.vmap(self.to_inner)(x))
        if smooth is self.inner:
            return self
        return lambda point, parameters: smooth(self.to_inner(point), parameters)

    def placed(self, parameters: Parameters, x: PointsX) -> Parameters:
        """Adjust the inner parameters to the images of the points."""
        inside: Any = x
        inside = self.inner_values(inside) if namespace(x) is np else jax.vmap(self.to_inner)(x)
        return self.inner.placed(parameters, inside)

    def after(self, parameters: Parameters, points: AffineMap) -> Parameters:
        """Refuse: what the wrapper makes of points is not known here."""
        raise NotImplementedError(f"{type(self).__name__} has no parameters for mapped points.")

    @property
    def takes_maps(self) -> bool:
        """No."""
        return False

    def members(self, parameters: Parameters) -> list[tuple[AbstractBasis, Parameters]]:
        """Return the inner members, each as functions of the same points as this basis."""
        return [(self.with_inner(one), xi) for one, xi in self.inner.members(parameters)]

    def ties(self, x: PointX, parameters: Parameters) -> Functions:
        """Return the row that the inner basis ties near the image of x."""
        return self.inner.ties(self.to_inner(x), parameters)

    def canonical(self) -> AbstractBasis:
        """Return the same wrapper around the inner basis's."""
        return self.with_inner(self.inner.canonical())

    def with_slopes(self, tried: Sequence[float]) -> list[AbstractBasis]:
        """Return the same wrapper around each of the inner basis's."""
        return [self.with_inner(inner) for inner in self.inner.with_slopes(tried)]

    def narrower(self, least: int) -> AbstractBasis | None:
        """Return the same wrapper around the inner basis's."""
        inner = self.inner.narrower(least)
        return None if inner is None else self.with_inner(inner)

    def widened(self, narrower: Parameters, key: AnyKey, box: BoxBounds) -> Parameters:
        """Widen the inner basis."""
        inside: Any = self.box_to_inner(box)
        inside = np.asarray(inside) if in_numpy(key) else inside
        return self.inner.widened(narrower, key, inside)


#: Kinds of basis that a model file can name; every law is run over all of them.
BASES: dict[str, type[AbstractBasis]] = {}

Kind = TypeVar("Kind", bound=type[AbstractBasis])


def in_model_files(kind: Kind) -> Kind:
    """Let model files name this class of basis, whose arguments are plain values or bases."""
    BASES[kind.__name__] = kind
    return kind


def description(basis: AbstractBasis) -> dict[str, Any]:
    """Describe a basis as model files do: its kind and the arguments that construct it.

    Raises
    ------
    ValueError
        For a class that is not in :data:`BASES`, or an argument that no file can hold.
    """
    if BASES.get(type(basis).__name__) is not type(basis):
        raise ValueError(
            f"Fitted.save: {basis!r} is of no registered kind, so no file can hold it. Decorate "
            "its class by adabasis.basis.in_model_files. Coordinates learned for one problem are "
            "arrays, which no recipe holds: solve again where the solution is needed."
        )
    config = basis.config()
    for name, value in config.items():
        if isinstance(value, AbstractInitializer):
            config[name] = initializer_config(value)
        elif isinstance(value, AbstractBasis):
            config[name] = description(value)
        elif callable(value):
            raise ValueError(
                f"Fitted.save: {name}={value!r} has no registered name, so no file can hold it. "
                "Use a named activation, or register yours in adabasis.basis.ACTIVATIONS."
            )
    return {"kind": type(basis).__name__, "config": config}


def from_description(described: Any) -> Any:
    """Return the basis or initialiser that a mapping describes, or the value itself."""
    if not isinstance(described, Mapping):
        return described
    if described["kind"] not in BASES:
        return initializer_from(described)
    config = {name: from_description(value) for name, value in described["config"].items()}
    return BASES[described["kind"]].from_config(config)


def require_positive(basis: AbstractBasis, *names: str) -> None:
    """Refuse a basis whose named counts and factors are not all positive.

    Raises
    ------
    ValueError
    """
    for name in names:
        value = getattr(basis, name)
        if not value > 0:
            least = "at least 1" if isinstance(value, int) else "positive"
            raise ValueError(f"{type(basis).__name__}({name}={value!r}): must be {least}.")
