"""What a basis is: a recipe for P functions of one point with parameters ξ."""

from __future__ import annotations

import abc
import inspect
from collections.abc import Callable
from typing import Any, Self, TypeAlias

import equinox as eqx
import jax

from .._runtime.notation import BoxBounds, Functions, Parameters, PointsX, PointX, RandomKey

OnePointBasis: TypeAlias = Callable[[PointX, Parameters], Functions]


class AbstractBasis(eqx.Module):
    """Functions Φ(x; ξ) ∈ R^P of one point x ∈ R^D with hidden parameters ξ.

    A basis holds hyperparameters only, all of them static, so it is hashable and may be closed
    over by compiled code. Its parameters are a pytree made by :meth:`init` and passed to every
    call. It sees one point; ``adabasis.rows`` maps it over many.
    """

    @abc.abstractmethod
    def init(self, key: RandomKey, box: BoxBounds) -> Parameters:
        """Draw parameters ξ for data inside ``box``, a (D, 2) array of lower and upper bounds."""

    @abc.abstractmethod
    def __call__(self, x: PointX, parameters: Parameters) -> Functions:
        """Evaluate all P functions at one point x: (D,) → (P,)."""

    @property
    @abc.abstractmethod
    def smoothness(self) -> float:
        """Order of the highest derivative that is continuous; ``inf`` for analytic functions."""

    def linearizable(self, parameters: Parameters, x: PointsX) -> OnePointBasis:
        """Return (x, ξ) ↦ Φ with the derivative in ξ that a Gauss–Newton step wants.

        That is the basis itself, except where it has kinks: there the data see a kink only
        through the points x (N, D) on either side, and a derivative averaged over the distance
        between them tells more than the one of this side.
        """
        del parameters, x
        return self

    def placed(self, parameters: Parameters, x: PointsX) -> Parameters:
        """Adjust drawn parameters to the points (N, D) they are to be used at: here, not at all."""
        del x
        return parameters

    def parts(self, parameters: Parameters) -> list[tuple[AbstractBasis, Parameters]]:
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

    def config(self) -> dict[str, Any]:
        """Return the arguments that construct this basis."""
        names = inspect.signature(type(self).__init__).parameters
        field = {"init": "initializer"}
        return {name: getattr(self, field.get(name, name)) for name in names if name != "self"}

    def replace(self, **changes: Any) -> Self:
        """Return the same kind of basis with some arguments changed."""
        return type(self)(**(self.config() | changes))

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(f'{k}={v!r}' for k, v in self.config().items())})"
