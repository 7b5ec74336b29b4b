"""The shapes every signature speaks of.

N points, D inputs, P basis functions, Q outputs. Arrays are float64 inside the public functions;
where a caller works with JAX directly, the dtype of the arguments is kept.
"""

from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np
from jaxtyping import Array, Float, Int, Key

#: A JAX array, or a NumPy array that becomes one where it is used.
AnyArray: TypeAlias = Array | np.ndarray

Scalar: TypeAlias = Float[Array, ""]
PointX: TypeAlias = Float[Array, "D"]
PointsX: TypeAlias = Float[Array, "N D"]
BoxBounds: TypeAlias = Float[Array, "D 2"]
Values: TypeAlias = Float[Array, "N Q"]
Weights: TypeAlias = Float[Array, "N"]
Functions: TypeAlias = Float[Array, "P"]
DesignMatrix: TypeAlias = Float[Array, "N P"]
Coefficients: TypeAlias = Float[Array, "P Q"]
Integer: TypeAlias = Int[Array, ""]
RandomKey: TypeAlias = Key[Array, ""]
#: A key of JAX's, or NumPy's, from which NumPy draws.
AnyKey: TypeAlias = RandomKey | np.random.SeedSequence

#: A pytree of arrays: the hidden parameters ξ of a basis.
Parameters: TypeAlias = Any

#: A function of one point, x: (D,) to an array; callers map it over points.
OnePointFunction: TypeAlias = Callable[[PointX], Array]
