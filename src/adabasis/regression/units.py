"""Errors in the user's units where targets are transformed."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import numpy as np

from ..evidence.errors import Unseen, spread
from ..geometry.maps import TargetMap
from ..selection.prepared import Prepared, some_rows

#: Rows whose residuals the mean over them is taken from, where none were left out.
SMEARED_FROM = 2000


def in_units(seen: Unseen, data: Prepared, to_units: TargetMap) -> Unseen:
    """Return the losses of rows in the user's units.

    Where residuals are not known with their signs, both signs are taken and the mean of both.
    """
    rows, given, inner = seen.rows, data.as_given, data.places
    if (rows >= 0).all():
        y, t = given.t[rows], inner.t[rows]
        scatter, scatter_t = given.scatter[rows], inner.scatter[rows]
        unit, unit_t = given.spread, inner.spread
    else:
        own = data.given_y[-1 - rows]
        y, t, scatter, scatter_t = data.units(own), to_units(own), np.zeros(()), np.zeros(())
        unit, unit_t = spread(y), spread(t)

    def losses(residuals: np.ndarray) -> np.ndarray:
        with np.errstate(all="ignore"):
            error = data.units(to_units.inverse(t - residuals)) - y
        return np.nan_to_num(np.mean(error**2 + scatter, axis=1) / unit**2, nan=np.inf)

    if seen.residuals is None:
        size = np.sqrt(seen.losses)[:, None] * unit_t * np.ones(t.shape[1])
        return dataclasses.replace(seen, losses=0.5 * (losses(size) + losses(-size)))
    # The evidence may claim less than these residuals say: by so much, in both units.
    own = np.mean(seen.residuals**2 + scatter_t, axis=1) / unit_t**2
    known = np.isfinite(own) & np.isfinite(seen.losses)
    of_these, claimed = (float(seen.weight[known] @ each[known]) for each in (own, seen.losses))
    more = max(claimed / of_these, 1.0) if of_these > 0 else 1.0
    found = np.where(known, more * losses(np.where(known[:, None], seen.residuals, 0.0)), np.inf)
    return dataclasses.replace(seen, losses=found)


def smeared(
    seen: Unseen | None, data: Prepared, fitted: Callable[[np.ndarray], np.ndarray]
) -> TargetMap:
    """Return the map of the targets with the mean over residuals of single rows.

    Parameters
    ----------
    seen : Unseen or None
        Of rows left out, whose residuals are taken where they are known.
    data : Prepared
    fitted : callable
        The model in its units, for residuals of the rows that it was fitted to otherwise.
    """
    map_, values = data.output_map, np.full_like(data.t, np.nan)
    assert isinstance(map_, TargetMap)
    if seen is not None and seen.residuals is not None and (seen.rows >= 0).all():
        values[seen.rows] = data.t[seen.rows] - seen.residuals
    else:
        some = some_rows(data.all_rows, SMEARED_FROM, data.seed)
        values[some] = fitted(data.z[some])
    return map_.smeared(map_(data.each) - values[data.at], data.row_weight)
