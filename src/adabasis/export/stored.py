"""A model as JAX exports it: StableHLO with any number of rows, for later versions and devices."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from .._runtime.compute import double_precision
from ..models.classifier import Classifier, logits
from ..models.fitted import Fitted
from .trace import function_of

#: Devices that a file is for, whatever made it.
PLATFORMS = ("cpu", "cuda", "rocm", "tpu")


def serialized(model: Fitted) -> bytes:
    """Return the function of rows (b, D), of any number b, as ``jax.export`` writes it."""
    one = function_of(model)

    def of_rows(x: Any) -> dict[str, Any]:
        values = jax.vmap(one)(x)
        if not isinstance(model, Classifier):
            return {"values": values}
        scores = values
        if len(logits(np.zeros((1, values.shape[1])))[0]) != values.shape[1]:
            scores = jnp.concatenate([jnp.zeros_like(values), values], axis=1)
        return {"scores": values, "probabilities": jax.nn.softmax(scores, axis=1)}

    with double_precision():
        (rows,) = jax.export.symbolic_shape("b")
        shape = jax.ShapeDtypeStruct((rows, model.n_inputs), float)
        exported = jax.export.export(jax.jit(of_rows), platforms=PLATFORMS)(shape)
        return bytes(exported.serialize())


def called(data: bytes) -> Callable[[np.ndarray], dict[str, np.ndarray]]:
    """Return the function of rows that a file holds."""

    def function(x: np.ndarray) -> dict[str, np.ndarray]:
        with double_precision():
            found = jax.export.deserialize(bytearray(data)).call(jnp.asarray(x))
            return {name: np.asarray(values) for name, values in found.items()}

    return function
