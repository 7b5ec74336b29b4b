"""What the rows of a fit say of its errors: the noise, the posterior, errors of rows not seen."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np

from ..evidence.errors import Unseen
from ..evidence.intervals import Scores
from ..evidence.noise import CLEARLY, CONSTANT, Variation, level, variation
from ..lstsq.losses import NORMAL
from ..models.error_model import KEPT_SCORES, ErrorModel
from ..models.fitted import Fitted
from ..models.uncertainty import in_model_units
from ..selection.prepared import Prepared, some_rows
from .posterior import MOST_LEVERAGE, MOST_ROWS, Data, Functions, Posterior

#: The error of a mean is at least this share of that of its members, squared.
LEAST_SHARE = 0.25
#: Errors of rows not seen are enlarged by no more than this factor where worse evidence says so.
MOST_ENLARGED = 3.0
#: Parameters count for at most this share of the rows.
MOST_SHARE = 0.9


@dataclasses.dataclass(frozen=True, eq=False)
class Seen:
    """Errors of rows that coefficients, or functions too, were found without.

    Attributes
    ----------
    z, values, residuals : arrays, shapes (n, D), (n, Q), (n, Q)
        The points; what the model says there; single rows' values less predictions for them.
    weight, group : arrays, shape (n,)
    kind : str
        See :data:`adabasis.evidence.intervals.KINDS`.
    leverages : array, shape (n,), optional
        Of rows that the posterior knows, which are left out of it here.
    apart : array, shape (n, Q), optional
        What was predicted for these rows, less the values.
    """

    z: np.ndarray
    values: np.ndarray
    residuals: np.ndarray
    weight: np.ndarray
    group: np.ndarray
    kind: str
    leverages: np.ndarray | None = None
    apart: np.ndarray | None = None


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
    seen = _seen(data, functions, posterior, unseen, trained, _given(prepared))
    square = np.full(data.each.shape[1], np.nan)
    if seen is not None and unseen is not None:
        enlarged = 1.0
        if trained:
            enlarged = _of_mean(functions, seen)
        elif worst is not None and 0 < unseen.error < np.inf:
            enlarged = float(np.clip(worst.error / unseen.error, 1.0, MOST_ENLARGED))
        seen = dataclasses.replace(seen, residuals=seen.residuals * enlarged)
        square = _mean_square(seen.residuals, seen.weight)
    effective = posterior.linear
    if penalty is not None:
        n_seen = 1 if seen is None else len(seen.residuals)
        effective = _of_weights(data, posterior, penalty, square, n_seen)
    error = error if unseen is None else unseen.error
    choice = _choice(prepared, functions, error, others)
    return _assembled(data, functions, posterior, seen, effective, square, choice)


def _given(prepared: Prepared) -> tuple[np.ndarray, np.ndarray] | None:
    """Return the rows that were given for validation, mapped."""
    if not prepared.folds or prepared.out:
        return None
    term = prepared.fold(0)[1]
    assert term is not None
    shown = np.asarray(term.points.weight) > 0
    return np.asarray(term.points.x)[shown], np.asarray(term.data)[shown]


def _of_mean(functions: Functions, seen: Seen) -> float:
    """Return the error of a mean over that of its members.

    A member's squared error is that of the mean of very many and its own distance from it, which
    shows on the rows that it did not see. (On rows that it saw, members differ by less.)
    """
    n_members = len(functions.members)
    if n_members == 1 or seen.apart is None:
        return 1.0
    own = float(_mean_square(seen.apart, seen.weight).mean())
    error = float(_mean_square(seen.residuals, seen.weight).mean())
    off = (1 - 1 / n_members) * own / error if error > 0 else 0.0
    return float(np.sqrt(max(1 - off, LEAST_SHARE)))


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
    inner = _mean_square(posterior.errors, weight)
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
    noise = np.where(unknown, np.nan_to_num(0.5 * error), noise)
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
    inner = _mean_square(posterior.left_out, places.weight[some])
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
    noise = np.where(np.isfinite(most), most, 1.0) * noise
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


def _seen(
    data: Data,
    functions: Functions,
    posterior: Posterior,
    unseen: Unseen | None,
    trained: bool,
    given: tuple[np.ndarray, np.ndarray] | None,
) -> Seen | None:
    """Return the errors of single rows that were not seen."""
    places, c = data.places, functions.coefficients
    if unseen is None or unseen.residuals is None or not len(unseen.rows):
        return None
    residuals = unseen.residuals
    if (unseen.rows < 0).all():
        if given is None:
            return None
        z, t = (part[-1 - unseen.rows] for part in given)
        return Seen(z, t - residuals, residuals, unseen.weight, unseen.group, "validation")
    if (unseen.rows < 0).any():
        return None
    numbers, known = unseen.rows, np.isfinite(residuals).all(axis=1)
    numbers, residuals = numbers[known], residuals[known]
    if not len(numbers):
        return None
    leverages, gain = None, np.ones(len(numbers))
    if not trained:
        leverages = np.zeros(len(places))
        leverages[posterior.some] = posterior.leverages
        leverages = leverages[numbers]
        if places.within:
            gain = 1 / (1 - np.minimum(leverages / places.count[numbers], MOST_LEVERAGE))
    rows, errors = data.rows_of(numbers, residuals, gain)
    position = np.zeros(len(places), int)
    position[numbers] = np.arange(len(numbers))
    k = position[data.at[rows]]
    at = numbers[k]
    if len(rows) > MOST_ROWS:
        few = some_rows(np.arange(len(rows)), MOST_ROWS, data.seed)
        rows, errors, k, at = rows[few], errors[few], k[few], at[few]
    values = functions.at(places.z[at]) @ c
    return Seen(
        places.z[at],
        values,
        errors,
        data.weight[rows],
        places.group[at],
        "folds" if trained else "jackknife",
        None if leverages is None else leverages[k],
        data.each[rows] - errors - values,
    )


def _mean_square(errors: np.ndarray, weight: np.ndarray) -> np.ndarray:
    return np.average(errors**2, axis=0, weights=weight)


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
    residuals = posterior.left_out * before.optimism
    blank = np.ones(len(some))
    unseen = Unseen(some, blank, blank, some, "", residuals=residuals)
    seen = _seen(data, functions, posterior, unseen, False, None)
    assert seen is not None
    kind = "jackknife" if before.scores.kind == "jackknife" else "refit"
    seen = dataclasses.replace(seen, kind=kind)
    error = _mean_square(seen.residuals, seen.weight)
    plain = model.record.asked.loss == "squared"
    found = _assembled(
        data, functions, posterior, seen, effective, error, least=before.inflation, robust=not plain
    )
    return dataclasses.replace(found, optimism=before.optimism)


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
    t, function, _, noise = in_model_units(before, x)
    residuals = before.output_map(y.reshape(len(x), -1)) - t
    with np.errstate(all="ignore"):
        values = ratio(residuals, np.sqrt(function + noise))
    weight = np.ones(len(x)) if weight is None else weight
    scores = thinned(Scores.of(values, "split", weight, groups), 0)
    found = dataclasses.replace(own, scores=scores, error=_mean_square(residuals, weight))
    return dataclasses.replace(model, error_model=found)
