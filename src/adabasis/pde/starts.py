"""What Newton steps start from, where an equation is not linear."""

from __future__ import annotations

import dataclasses
from typing import Any

import jax.numpy as jnp
import numpy as np

from .. import lstsq
from ..rows import images_of
from .enlarged import evaluated
from .system import CollocationSystem, reduced

#: Cut-off of the least function that meets the conditions, and of the fit of others to a function.
MET, FITTED = 1e-6, 1e-12


def conditions_of(system: CollocationSystem) -> list[Any]:
    """Return the weighted terms of conditions that are linear."""
    return [term for term in system.rows.weighted()[system.rows.n_equations :] if term.linear]


def meeting_conditions(system: CollocationSystem) -> np.ndarray | None:
    """Return the coefficients of about the least function that meets the conditions alone.

    Steps from 0 begin without the products of unknowns, and may end far from what is sought.
    """
    terms = conditions_of(system)
    if not terms:
        return None
    reduction = reduced(system.basis, system.parameters, terms)
    rotated: Any = np.asarray(reduction.factor)
    known = dataclasses.replace(reduction, factor=rotated)
    return np.asarray(lstsq.solve(known, rcond=MET).coefficients)


def constants(system: CollocationSystem, x: np.ndarray) -> np.ndarray | None:
    """Return the coefficients of the constants that meet the conditions best, fitted at points.

    √u, log u and 1/u have no slope at 0, and none where a function that only meets the conditions
    is negative.
    """
    blocks, rows, data = system.n_blocks, [], []
    for term in conditions_of(system):
        points = term.points
        root = np.asarray(term.root_weights)

        def image(b: int, one: Any = term.operator, at: Any = points) -> np.ndarray:
            value = jnp.eye(blocks)[b] if blocks > 1 else jnp.ones(())
            return np.asarray(images_of(one, lambda y: value + 0.0 * jnp.sum(y), at))

        rows.append(root[:, None] * np.stack([image(b) for b in range(blocks)], axis=1))
        data.append(root * np.asarray(term.targets)[:, 0])
    if not rows:
        return None
    level, *_ = np.linalg.lstsq(np.concatenate(rows), np.concatenate(data), rcond=MET)
    return fitted(system, np.broadcast_to(level, (len(x), blocks)), x) if level.any() else None


def fitted(system: CollocationSystem, values: np.ndarray, x: np.ndarray) -> np.ndarray:
    """Return coefficients (B·P, 1) of functions with such values (N, B) at points (N, D)."""
    phi = np.asarray(evaluated(system.basis, system.parameters, jnp.asarray(x)))
    start, *_ = np.linalg.lstsq(phi, values.reshape(len(phi), -1), rcond=FITTED)
    return start.T.reshape(-1, 1)
