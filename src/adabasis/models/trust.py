"""How far a model can be trusted: what is known of its errors, on one page."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import numpy as np

from .._runtime.errors import counted, significant
from ..evidence.errors import unseen_share
from ..evidence.support import even_points, share_of_gaps
from ..train import StopReason
from .error_model import member_variance

#: Of the error that is noise, the share from which better functions would hardly help.
MOSTLY_NOISE = 0.8
#: Relative error below which residuals alone do not tell noise: rows without any leave residuals of
#: 1e-4 and less, which are what the functions miss.
NO_NOISE_TOLD = 1e-3
#: Effective parameters over rows from which more rows would help most.
FEW_ROWS = 0.3
#: Ratio of singular values from which coefficients are said to hang by rounding.
ILL_CONDITIONED = 1e10


@dataclasses.dataclass(frozen=True)
class Trust:
    """What is known of a model's errors; NaN and ``None`` where nothing is.

    Attributes
    ----------
    error, error_range, error_kind
        Relative error on rows not seen, its range, and how it was measured.
    leave_one_out : float
        Relative, of the candidate taken, where its rows were left out in turn.
    noise : tuple of float
        Standard deviation of the noise of each target, in the user's units.
    noise_share : float
        Of the error, the share that is noise.
    noise_kind : str
        How the noise is known, and whether it changes with the inputs.
    intervals : str
        Where intervals come from, and what they guarantee.
    far_share : float
        Share of the box of the inputs that lies far from all rows.
    n_rows, functions, rank : int
    parameters : float
        Effective number, of ξ and coefficients together.
    condition : float
        Largest over least singular value of the functions on the rows (columns of unit norm).
    spread : float
        Standard deviation of the members of a mean at the rows, relative to the values'.
    restarts : (float, float)
        Least and largest error of trained candidates of one kind.
    tried : int
        How many candidates there were.
    next_step : str
        One thing to do.
    """

    error: float
    error_range: tuple[float, float]
    error_kind: str
    leave_one_out: float
    noise: tuple[float, ...]
    noise_share: float
    noise_kind: str
    intervals: str
    far_share: float
    n_rows: int | None
    functions: int
    rank: int
    parameters: float
    condition: float
    spread: float
    restarts: tuple[float, float]
    tried: int
    next_step: str

    def to_json(self) -> dict[str, Any]:
        """Return the fields, without NaN."""

        def plain(value: Any) -> Any:
            if isinstance(value, tuple):
                return [plain(one) for one in value]
            return None if isinstance(value, float) and not math.isfinite(value) else value

        return {k: plain(v) for k, v in dataclasses.asdict(self).items()}

    def rows(self) -> list[tuple[str, str]]:
        """Return what is known in pairs of a name and words."""
        found: list[tuple[str, str]] = []
        if math.isfinite(self.error):
            low, high = self.error_range
            between = f" ({low:.2g} to {high:.2g})" if math.isfinite(low) else ""
            found.append(("Relative error", f"{self.error:.2g}{between}: {self.error_kind}"))
        if math.isfinite(self.leave_one_out):
            found.append(("Leave-one-out", f"{self.leave_one_out:.2g}"))
        if self.noise and math.isfinite(self.noise_share):
            sizes = ", ".join(significant(one, 2) for one in self.noise)
            share = f"{100 * self.noise_share:.0f} % of the error"
            found.append(("Noise", f"{sizes}, {share} ({self.noise_kind})"))
        if self.intervals:
            found.append(("90 % intervals", self.intervals))
        if math.isfinite(self.far_share):
            share = f"{100 * self.far_share:.0f} %"
            found.append(("Support", f"{share} of the box of the inputs lies far from all rows"))
        rank = f"{self.rank:,} of {self.functions:,} functions are independent"
        if math.isfinite(self.parameters) and self.n_rows:
            rank += f"; {self.parameters:.0f} effective parameters on {self.n_rows:,} rows"
        found.append(("Rank", rank))
        if math.isfinite(self.condition):
            found.append(("Conditioning", f"{self.condition:.1e}"))
        if math.isfinite(self.spread):
            found.append(("Spread of members", f"{self.spread:.2g} of the spread of the values"))
        low, high = self.restarts
        if math.isfinite(low):
            found.append(("Similar networks", f"errors from {low:.2g} to {high:.2g}"))
        found.append(("Tried", counted(self.tried, "candidate")))
        found.append(("Next", self.next_step))
        return found


def trust(model: Any) -> Trust:
    """Return what is known of a fitted model's errors."""
    known, record = model.error_model, model.record
    best = record.tried[0] if record.tried else None
    loo = math.nan if best is None or best.loo_error is None else best.loo_error
    singular = np.asarray(model.singular_values, float)[: model.rank]
    condition = (
        float(singular[0] / singular[-1]) if len(singular) and singular[-1] > 0 else math.nan
    )
    noise: tuple[float, ...] = ()
    share = parameters = spread = math.nan
    kind = intervals = ""
    if known is not None:
        share, kind = noise_share(model), known.noise_kind
        noise = tuple(np.atleast_1d(_typical_noise(model)).tolist())
        if any(one.form != "constant" for one in known.variations):
            kind += ", not the same everywhere"
        parameters = known.effective
        if len(known.scores):
            intervals = known.scores.told(0.9)
        spread = _spread(model)
    return Trust(
        model.validation_error,
        model.validation_range,
        model.validation_kind,
        loo,
        noise,
        share,
        kind,
        intervals,
        _far_share(model),
        record.n_rows,
        len(model.coefficients),
        model.rank,
        parameters,
        condition,
        spread,
        _alike(record.tried),
        len(record.tried),
        _next_step(model, share, parameters, condition),
    )


def noise_share(model: Any) -> float:
    """Return the share of the error of rows not seen that is noise, all targets together.

    NaN where that is not known: of errors so small that what functions miss looks the same, too.
    """
    known = model.error_model
    if known is None or (
        model.validation_error < NO_NOISE_TOLD and not known.noise_kind.startswith("replicates")
    ):
        return math.nan
    if not np.isfinite(known.error).all() or not known.error.sum() > 0:
        return math.nan
    return min(1.0, math.sqrt(float(known.noise.sum() / known.error.sum())))


def noise_in_words(model: Any, error: float) -> str:
    """Say how much of an error is noise; nothing where that is not known."""
    share = noise_share(model)
    if not (math.isfinite(share) and math.isfinite(error)) or model.record.asked.loss != "squared":
        return ""
    return f"About {significant(share * error, 2)} of {significant(error, 2)} is noise."


def _typical_noise(model: Any) -> np.ndarray:
    """Return the standard deviation of the noise in the user's units: the median over places."""
    return np.median(model.uncertainty(_places(model)).noise, axis=0)


def _places(model: Any) -> np.ndarray:
    """Return points of the box in the user's units: where values are asked for."""
    return even_points(np.asarray(model.box))


def _far_share(model: Any) -> float:
    if model.places is None:
        return math.nan
    places = np.asarray(model.places, dtype=float)
    return share_of_gaps(places, model.input_map(_places(model)))


def _spread(model: Any) -> float:
    n_members = len(model.error_model.roots)
    if n_members == 1:
        return math.nan
    phi = model.basis.values(np.asarray(model.places, float), model.parameters)
    variance = member_variance(phi, model.coefficients, n_members).mean()
    values = (phi @ model.coefficients).var(axis=0).mean()
    return math.sqrt(float(variance / values)) if values > 0 else math.nan


def _alike(tried: Any) -> tuple[float, float]:
    """Return the range of the errors of trained candidates of the best one's kind."""
    if not tried:
        return math.nan, math.nan
    kind = tried[0].what.rpartition(": ")[2].partition(", trained")[0]
    errors = [
        one.validation_error
        for one in tried
        if one.what.startswith(kind) and "restart" in one.what and one.validation_error is not None
    ]
    return (min(errors), max(errors)) if len(errors) > 1 else (math.nan, math.nan)


def _next_step(model: Any, share: float, parameters: float, condition: float) -> str:
    """Return one thing to do, the most telling one."""
    verdict, n_rows = model.record.verdict, model.record.n_rows
    if model.stop_reason is StopReason.INTERRUPTED:
        return "Fit again: this was interrupted."
    if model.stop_reason is StopReason.MAX_SECONDS:
        return "Give it more time: the fit was cut short."
    if not math.isfinite(model.validation_error):
        return "Hold rows out (holdout=0.2), or give more rows: nothing is known of the error."
    advice = [] if verdict is None else list(verdict["advice"])
    general = {unseen_share(n) for n in _counts(verdict)}
    telling = [one for one in advice if one not in general and "rows are few" not in one]
    if telling:
        return str(telling[0])
    if model.error_model is not None and n_rows and parameters > FEW_ROWS * n_rows:
        return f"More rows would help: {n_rows:,} are few for what the model adjusts."
    if share >= MOSTLY_NOISE:
        return (
            "The error is mostly noise. Better measurements would help, or inputs that explain the "
            "noise; larger models would not."
        )
    if condition > ILL_CONDITIONED:
        return "Predict within the range of the rows only: functions nearly depend on each other."
    return "No weakness was found. Look at the largest errors, and at 'support' where you predict."


def _counts(verdict: Any) -> list[int]:
    if verdict is None:
        return []
    return [verdict["rows_held_out"], verdict["rows_fitted"]]
