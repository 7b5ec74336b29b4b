"""Models without a row or without a fold, of a search: what jackknife+ and CV+ ask."""

from __future__ import annotations

import numpy as np

from ..evidence.left_out import LeftOutModels
from ..models.error_model import KEPT_SCORES, MOST_EXACT
from ..selection.prepared import Prepared, some_rows
from ..selection.search import Candidate
from ..selection.task import design
from .posterior import Data, Functions, Posterior


def rows_left_out(data: Data, functions: Functions, posterior: Posterior) -> LeftOutModels | None:
    """Return the models without a row each, in closed form; ``None`` of too many functions."""
    size = posterior.roots.shape[1]
    if len(posterior.roots) > 1 or size > MOST_EXACT or data.grouped or data.n_rows <= 1:
        return None
    rows = some_rows(np.arange(len(data.at)), KEPT_SCORES, data.seed)
    z, weight = data.places.z[data.at[rows]], data.weight[rows]
    phi = functions.at(z)
    weight = data.n_rows * weight / float(data.places.weight.sum())
    residuals = data.each[rows] - phi @ functions.coefficients
    return LeftOutModels.of_rows(phi, z, residuals, weight, posterior.roots[0])


def folds_left_out(prepared: Prepared, best: Candidate) -> LeftOutModels | None:
    """Return the members of a mean, each without a fold; ``None`` where there is no such mean."""
    if len(best.members) < 2 or not prepared.out:
        return None
    data = Data.prepared(prepared)
    member, coefficients = np.full(len(data.places), -1), []
    for k, one in enumerate(best.members):
        run, fold = one.run, one.fold
        if run is None or fold is None:
            return None
        member[prepared.out[fold % len(prepared.out)]] = k
        coefficients.append(np.asarray(run.coefficients, float))
    rows = np.flatnonzero(member[data.at] >= 0)
    rows = rows if prepared.grouped else some_rows(rows, KEPT_SCORES, data.seed)
    at, errors = data.at[rows], np.empty((len(rows), data.each.shape[1]))
    for k, one in enumerate(best.members):
        mine = member[at] == k
        said = design(one.basis.canonical(), one.parameters, data.places.z[at[mine]])
        errors[mine] = data.each[rows[mine]] - said @ coefficients[k]
    group = data.places.group[at] if prepared.grouped else None
    return LeftOutModels.of_members(
        errors, data.weight[rows], group, member[at], np.stack(coefficients)
    )
