"""What the rows of a fit say of its errors: the noise, the posterior, errors of rows not seen."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np

from .._runtime.timing import charged_to
from ..evidence.errors import Unseen
from ..evidence.intervals import Scores
from ..evidence.noise import CLEARLY, CONSTANT, Variation, level, variation
from ..lstsq.losses import NORMAL
from ..models.error_model import KEPT_SCORES, ErrorModel
from ..models.fitted import Fitted
from ..models.uncertainty import in_model_units
from ..selection.prepared import Prepared, some_rows
from ..selection.search import Candidate
from .left_out import folds_left_out, rows_left_out
from .posterior import MOST_LEVERAGE, Data, Functions, Posterior
from .unseen import Seen, errors_of, given_rows, left_out, mean_square, of_mean

#: Errors of rows not seen are enlarged by no more than this factor where worse evidence says so.
MOST_ENLARGED = 3.0
#: Intervals of this coverage are what one asks for.
USUAL_COVERAGE = 0.9
#: Parameters count for at most this share of the rows.
MOST_SHARE = 0.9


@charged_to("solves")
def known_errors(
    task: Any, chosen: Candidate, best: Candidate, c: np.ndarray, worst: Unseen | None
) -> ErrorModel:
    """Return what a search knows of the errors of its best candidate.

    Parameters
    ----------
    task : RegressionTask
    chosen, best : Candidate
        As it was trained, and with the ridge of its last solve.
    c : array, shape (P, Q)
    worst : Unseen or None
        What is claimed.
    """
    unseen, penalty = best.unseen, None
    if best.run is not None:
        unseen = best.apart or task.unseen(best, best.run.coefficients)
        penalty = 0.0 if chosen.ridge.relative else chosen.ridge.value
    of_sample = task.known_functions(best)
    functions = Functions(best.basis, best.parameters, best.ridge, c, of_sample)
    about = {"penalty": penalty, "worst": worst, "others": task.others, "error": best.error}
    found = learnt(task.data, functions, unseen, **about)
    if task.asked.loss != "squared" or task.joint:
        return dataclasses.replace(found, left_out=None)
    return (
        found
        if best.run is None
        else dataclasses.replace(found, left_out=folds_left_out(task.data, best))
    )


def learnt(
    prepared: Prepared,
    functions: Functions,
    unseen: Unseen | None,
    *,
    penalty: float | None,
    worst: Unseen | None,
    others: Sequence[tuple[float, np.ndarray]],
    error: float,
) -> ErrorModel:
    """Return what a search knows of the errors of the functions that it has found.

    Parameters
    ----------
    prepared : Prepared
    functions : Functions
        The best ones.
    unseen : Unseen or None
        Their errors on rows not seen; they are enlarged where worse evidence is claimed.
    penalty : float or None
        λ that all weights were trained with, in the sum over rows; ``None`` of functions as drawn.
    worst : Unseen or None
        What is claimed.
    others : sequence of pairs of float and array, shape (M, Q)
        Leave-one-out errors of other functions, and their values beside the rows.
    error : float
        Relative, of the best functions, where ``unseen`` is not known.
    """
    data, trained = Data.prepared(prepared), penalty is not None
    posterior = Posterior(functions, data)
    seen = errors_of(data, functions, posterior, unseen, trained, given_rows(prepared))
    square = np.full(data.each.shape[1], np.nan)
    if seen is not None and unseen is not None:
        enlarged = 1.0
        if trained:
            enlarged = of_mean(functions, seen)
        elif worst is not None and 0 < unseen.error < np.inf:
            enlarged = float(np.clip(worst.error / unseen.error, 1.0, MOST_ENLARGED))
        seen = dataclasses.replace(seen, residuals=seen.residuals * enlarged)
        square = mean_square(seen.residuals, seen.weight)
    effective = posterior.linear
    if penalty is not None:
        n_seen = 1 if seen is None else len(seen.residuals)
        effective = _of_weights(data, posterior, penalty, square, n_seen)
    error = error if unseen is None else unseen.error
    choice = _choice(prepared, functions, error, others)
    if seen is None and trained:
        # Each row's own part in the functions is that of all weights, on average.
        n = len(posterior.some)
        more = (1 - posterior.linear / n) / (1 - min(effective / n, MOST_SHARE))
        seen = left_out(data, functions, posterior, max(more, 1.0), "trained")
        square = mean_square(seen.residuals, seen.weight)
    found = _assembled(data, functions, posterior, seen, effective, square, choice)
    if not trained:
        found = dataclasses.replace(found, left_out=rows_left_out(data, functions, posterior))
    if not (trained and data.grouped and found.scores.enough_for < USUAL_COVERAGE):
        return found
    # The groups of some folds are few: those of all rows say more, if less directly.
    seen = left_out(data, functions, posterior, found.optimism, "refit")
    again = _assembled(data, functions, posterior, seen, effective, square, choice)
    return dataclasses.replace(again, optimism=found.optimism)


def _of_weights(
    data: Data, posterior: Posterior, penalty: float, square: np.ndarray, n_seen: int
) -> float:
    """Return the effective number of parameters of trained functions.

    That of all weights, as their derivatives tell, where errors do not contradict: of a smoother
    with p parameters and N rows, squared errors of rows that are seen are σ² (1 − p/N), and of n
    rows that are not σ² (1 + p/N), but for chance √(2/n). (Training may end before the ridge holds
    the weights.) p is no less than the last layer has.
    """
    n, found = len(posterior.some), posterior.weights(penalty)
    weight = data.places.weight[posterior.some]
    inner = mean_square(posterior.errors, weight)
    inner = inner + np.average(data.places.scatter[posterior.some], axis=0, weights=weight)
    total = float(np.sum(square + inner))
    if np.isfinite(total) and total > 0:
        middle, off = float(np.sum(square - inner)) / total * n, n / np.sqrt(2 * n_seen)
        found = middle if np.isnan(found) else min(max(found, middle - off), middle + off)
    return max(posterior.linear, min(float(np.nan_to_num(found)), MOST_SHARE * n))


def _choice(
    prepared: Prepared,
    best: Functions,
    error: float,
    others: Sequence[tuple[float, np.ndarray]],
) -> np.ndarray:
    """Return the mean square by which other functions differ that do about as well, (Q,).

    Beside the rows, each weighted by how much likelier its errors make it: Bayesian model averaging
    with a normal likelihood of the left-out errors.
    """
    own = best.at(prepared.beside) @ best.coefficients
    known = [(e, v) for e, v in others if len(v) == len(own) and 0 < e < np.inf]
    if not known or not 0 < error < np.inf:
        return np.zeros(own.shape[1])
    logs = np.log([error, *(each for each, _ in known)])
    places = prepared.places
    n = len(np.unique(places.group)) if prepared.grouped else float(places.count.sum())
    weight = np.exp(-n * (logs - logs.min()))
    off = np.stack([np.mean((values - own) ** 2, axis=0) for _, values in known])
    return (weight[1:] / weight.sum()) @ off


def _assembled(
    data: Data,
    functions: Functions,
    posterior: Posterior,
    seen: Seen | None,
    effective: float,
    error: np.ndarray,
    choice: np.ndarray | float = 0.0,
    *,
    least: np.ndarray | float = 1.0,
    robust: bool = False,
) -> ErrorModel:
    places, some, c = data.places, posterior.some, functions.coefficients
    n_outputs = c.shape[1]
    n_sample = float(places.count[some].sum())
    of_sample = effective * n_sample / data.n_rows
    noise, kind = level(places[some], posterior.errors, of_sample, most=error)
    if robust:
        noise, kind = _robust(data, posterior), "residuals, outliers left aside"
    unknown = ~np.isfinite(noise)
    # Of as many parameters as rows half of what rows not seen err by; of one row nothing is known.
    noise = np.where(unknown, np.nan_to_num(0.5 * error, nan=np.inf), noise)
    noise = np.full_like(noise, np.inf) if data.n_rows <= 1 else noise
    # Parameters below the last layer widen what its posterior says.
    more = max(effective / posterior.linear, 1.0) if posterior.linear > 0 else 1.0
    box = np.stack([places.z.min(axis=0), places.z.max(axis=0)], axis=1)
    found = ErrorModel(
        roots=(posterior.roots * np.sqrt(more)).astype(np.float32),
        noise=noise,
        noise_kind=kind,
        inflation=np.ones(n_outputs),
        variations=(CONSTANT,) * n_outputs,
        scores=Scores(np.zeros((0, n_outputs)), np.zeros(0), "jackknife"),
        span=np.ptp(data.each, axis=0),
        box=box,
        effective=effective,
        linear=posterior.linear,
        n_rows=round(data.n_rows),
        error=error,
        optimism=np.ones(n_outputs),
    )
    inner = mean_square(posterior.left_out, places.weight[some])
    inner = inner + np.average(places.scatter[some], axis=0, weights=places.weight[some])
    if seen is None:
        return found
    with np.errstate(all="ignore"):
        optimism = np.sqrt(np.nan_to_num(error / inner, nan=1.0, posinf=1.0))
    found = dataclasses.replace(found, optimism=np.clip(optimism, 1.0, MOST_ENLARGED))
    phi = functions.at(seen.z)
    raw, mean = _raw(found, phi, c, seen)
    by_chance = np.sqrt(2 / len(np.unique(seen.group)))
    with np.errstate(all="ignore"):
        # Noise and function together err no more than rows not seen say, but for chance.
        most = np.minimum((1 + CLEARLY * by_chance) * error / (noise + mean), 1.0)
    noise = np.where(
        (most < 1.0) & np.isfinite(noise), most * np.nan_to_num(noise, posinf=0.0), noise
    )
    found = dataclasses.replace(found, noise=noise)
    raw, mean = _raw(found, phi, c, seen)
    surely = error * max(1 - by_chance, 0.0) - noise
    with np.errstate(all="ignore"):
        inflation = np.maximum(least, np.maximum(mean + choice, surely) / mean)
    inflation = np.where(np.isfinite(inflation), inflation, least)
    found = dataclasses.replace(found, inflation=inflation)
    return scored(found, seen, inflation * raw, data)


def _raw(
    found: ErrorModel, phi: np.ndarray, c: np.ndarray, seen: Seen
) -> tuple[np.ndarray, np.ndarray]:
    """Return the variance of the function at rows as if they were new, and its mean."""
    raw = found.raw(phi, c)
    if seen.leverages is not None:
        raw = raw / (1 - np.minimum(seen.leverages, MOST_LEVERAGE))[:, None]
    return raw, np.average(raw, axis=0, weights=seen.weight)


def scored(
    found: ErrorModel,
    seen: Seen,
    function: np.ndarray,
    data: Data,
) -> ErrorModel:
    """Return an error model with the noise's variation and the scores that errors call for."""
    variations: list[Variation] = []
    expected = np.empty_like(seen.residuals)
    for q in range(seen.residuals.shape[1]):
        about = seen.z, seen.values[:, q]
        one = variation(
            *about,
            seen.residuals[:, q] ** 2,
            function[:, q],
            float(found.noise[q]),
            seen.weight,
            seen.group,
            data.seed,
        )
        one = one.scaled(1 / float(np.average(one(*about), weights=seen.weight)))
        variations.append(one)
        expected[:, q] = function[:, q] + found.noise[q] * one(*about)
    values = ratio(seen.residuals, np.sqrt(expected))
    group = seen.group if data.grouped else None
    scores = thinned(Scores.of(values, seen.kind, seen.weight, group), data.seed)
    return dataclasses.replace(found, variations=tuple(variations), scores=scores)


def ratio(residuals: np.ndarray, deviation: np.ndarray) -> np.ndarray:
    """Return residuals over deviations: 0 where both are none."""
    with np.errstate(all="ignore"):
        return np.where(residuals == 0, 0.0, residuals / deviation)


def thinned(scores: Scores, seed: int) -> Scores:
    """Return a random choice of very many scores."""
    if len(scores) <= KEPT_SCORES or scores.n_groups:
        return scores
    some = some_rows(np.arange(len(scores)), KEPT_SCORES, seed)
    return dataclasses.replace(scores, values=scores.values[some], mass=scores.mass[some])


def _robust(data: Data, posterior: Posterior) -> np.ndarray:
    """Return the noise that the middle of the residuals shows, (Q,)."""
    left = posterior.left_out
    middle = np.median(left, axis=0)
    return (NORMAL * np.median(np.abs(left - middle), axis=0)) ** 2


def relearnt(model: Fitted, x: np.ndarray, y: np.ndarray, weight: np.ndarray) -> ErrorModel | None:
    """Return what is known of errors where coefficients were solved again for other rows.

    The functions stay as they were chosen, with other rows perhaps: errors of rows left out of the
    last solve are enlarged as errors of rows not seen were then.
    """
    before = model.error_model
    if before is None:
        return None
    seed = model.record.asked.random_state
    data = Data.of(model.input_map(x), model.output_map(y), weight, seed)
    functions = Functions(model.basis, model.parameters, model.record.ridge, model.coefficients)
    posterior = Posterior(functions, data)
    some = posterior.some
    effective = posterior.linear * before.effective / max(before.linear, 1e-300)
    effective = max(min(effective, MOST_SHARE * len(some)), posterior.linear)
    kind = "jackknife" if before.scores.kind == "jackknife" else "refit"
    seen = left_out(data, functions, posterior, before.optimism, kind)
    plain = model.record.asked.loss == "squared"
    error = mean_square(seen.residuals, seen.weight) if plain else _robust(data, posterior)
    found = _assembled(
        data, functions, posterior, seen, effective, error, least=before.inflation, robust=not plain
    )
    left = rows_left_out(data, functions, posterior) if plain else None
    return dataclasses.replace(found, optimism=before.optimism, left_out=left)


def calibrated(
    model: Fitted,
    before: Fitted,
    x: np.ndarray,
    y: np.ndarray,
    weight: np.ndarray | None = None,
    groups: np.ndarray | None = None,
) -> Fitted:
    """Return a model whose intervals come from rows that it had not seen before its last solve.

    Parameters
    ----------
    model : Fitted
    before : Fitted
        The same without the rows.
    x, y : arrays, shapes (n, D) and (n, Q)
        The rows that were held out, in the user's units.
    weight : array, shape (n,), optional
    groups : array of int, shape (n,), optional
    """
    known, own = before.error_model, model.error_model
    if known is None or own is None or not len(x):
        return model
    weight = np.ones(len(x)) if weight is None else weight
    share = weight / max(float(weight.mean()), 1e-300)  # a row of weight 2 has twice the leverage
    t, function, _, noise = in_model_units(before, x)
    mapped = before.output_map(y.reshape(len(x), -1))
    residuals = mapped - t
    with np.errstate(all="ignore"):
        # The last solve, which knows these rows, may err more, each left out of it in turn: of
        # clean data it errs evenly what a few rows at the edges had erred alone.
        leverages = share * own.leverages(model.functions(x))
        leverages = np.minimum(leverages, MOST_LEVERAGE)
        again = (mapped - in_model_units(model, x)[0]) / (1 - leverages)[:, None]
        widest = np.where(np.abs(again) > np.abs(residuals), again, residuals)
        values = ratio(widest, np.sqrt(function + noise))
    scores = thinned(Scores.of(values, "split", weight, groups), 0)
    # The deviations that the scores are over: those of the last solve would be others.
    about: dict[str, Any] = {
        "scores": scores,
        "error": mean_square(residuals, weight),
        "n_rows": own.n_rows,
        "left_out": None,  # of another solve
    }
    found = dataclasses.replace(known, **about)
    return dataclasses.replace(model, error_model=found)
