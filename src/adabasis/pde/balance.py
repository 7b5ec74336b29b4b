"""Units of several unknowns to begin with, from the sizes of operators and data alone.

With sizes a_kb of the operators, units s_b and factors r_k of the constraints make all r_k a_kb s_b
near 1: least squares of their logarithms. The largest r_k f_k of the data is what all unknowns that
hang together are multiplied by, as for one unknown. So a change of the unit of an unknown, of an
equation or of all data changes the units, and nothing else.
"""

from __future__ import annotations

import numpy as np
from scipy.sparse.csgraph import connected_components

from ..geometry.points import Gauss
from .constraints import Constraint
from .problem import Problem

#: What is not determined stays near 1: a small weight of the logarithms themselves.
FAINT = 1e-6


def balanced(problem: Problem) -> tuple[float, ...]:
    """Return a unit for each of the real functions that are sought."""
    blocks, constraints = problem.n_blocks, problem.constraints
    total = blocks + len(constraints)
    rows, right, together = [], [], np.eye(total, dtype=bool)
    for k, one in enumerate(constraints):
        for b in range(blocks):
            unit = tuple(float(b == other) for other in range(blocks))
            size = one.size_in(unit) if one.operator.linear else 1.0
            if size > 0:
                rows.append(_row(total, b, blocks + k))
                right.append(-np.log(size))
                together[b, blocks + k] = together[blocks + k, b] = True
    rows += [FAINT * row for row in np.eye(total)]
    right += [0.0] * total
    logs, *_ = np.linalg.lstsq(np.array(rows), np.array(right), rcond=None)
    factors, units = np.exp(logs[blocks:]), np.exp(logs[:blocks])
    sizes = np.array([r * _rms(problem, one) for r, one in zip(factors, constraints, strict=True)])
    _, component = connected_components(together)
    for number in range(component.max() + 1):
        largest = sizes[component[blocks:] == number].max(initial=0.0)
        units[component[:blocks] == number] *= largest or 1.0
    return tuple(map(float, units))


def _rms(problem: Problem, constraint: Constraint) -> float:
    """Return the root mean square of a constraint's data."""
    points = constraint.points(problem.domain, Gauss(9), 81, 9, 0)
    values = constraint.values(problem.domain, points)
    return float(np.sqrt(np.mean(values**2))) if len(points) else 0.0


def _row(total: int, *ones: int) -> np.ndarray:
    row = np.zeros(total)
    row[list(ones)] = 1.0
    return row
