"""How good a model is: its error on rows nobody saw, beside three plain models on the same rows."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Protocol

import numpy as np

from .._runtime.errors import counted, significant
from ..train import StopReason
from .errors import Unseen, unseen_share

FEW_HELD_OUT = 30
#: Rows from which models are compared: of two, each leaves one to fit.
FEWEST_COMPARED = 5
#: Lower end of the range of a ratio of errors from which it is clear, and ratio of errors from
#: which no one says that the other does as well.
SURELY_MORE, MUCH_MORE = 2.0, 1.5
OURS = "this model"
#: Standard errors by which mean losses, or counts of rows, must differ to count.
CLEAR, SURE = 2.0, 3.0
#: No ratio of accuracies is claimed beyond this: what a few rows missed may be larger.
MOST_TIMES = 99
#: Stands for an infinite loss, of a row of which nothing is known, where losses are compared.
MOST_LOSS = 1e100
#: Least ratio that is given as a number: 1.1 is that in two digits.
CLEARLY_MORE = 1.1
#: Two estimates of an error that differ by no more than this do not contradict each other.
BY_CHANCE = 1.5
#: Effective number of rows, (Σ d²)²/Σ d⁴ of their distances d from the mean, and its share of all,
#: below which a spread is that of a few. Of normal values it is n/3; ten tables of 150 rows over
#: eight decades have 1 to 9. Errors there were a thousand times those of all rows seen.
FEWEST_OF_SPREAD, LEAST_OF_SPREAD = 9.0, 0.1
#: Errors have a place where this share of them, squared, is at this share of the rows.
MOST_OF_IT, FEW_OF_ALL = 0.8, 0.1

NOTHING_HERE = (
    "The search found nothing in these columns. Rougher functions (--model network or pounet), "
    "other columns or more rows may help."
)


@dataclasses.dataclass(frozen=True)
class Score:
    """One model's error on the held-out rows.

    Attributes
    ----------
    name : str
    relative : float
        Root mean square error over the standard deviation of the targets; of several targets,
        the root mean square over them. NaN where every target is constant.
    rmse : tuple of float
        In the units of each target.
    behind : float
        Standard errors by which its mean squared error exceeds that of this model, or, if that
        says more, by which the rows where it does worse outnumber those where it does better.
    range : (float, float)
        Of ``relative``, from rows drawn anew: see :class:`adabasis.evidence.errors.Unseen`.
    times : float
        Its error over this model's, at least: the lower end of a range likewise.
    claim : float
        The error, of classes the cross-entropy, with a margin for what so few rows can tell.
    """

    name: str
    relative: float
    rmse: tuple[float, ...]
    behind: float = 0.0
    range: tuple[float, float] = (math.nan, math.nan)
    times: float = math.nan
    claim: float = math.nan


@dataclasses.dataclass(frozen=True)
class Verdict:
    """What the held-out rows say, in numbers and in words.

    Attributes
    ----------
    rows_fitted, rows_held_out : int
    scores : tuple of Score
        This model first.
    sentence : str
    advice : tuple of str
        What to try next.
    of_classes : bool
        Whether labels were predicted: see :func:`adabasis.evidence.classes.judge_classes`.
    kind : str
        How rows were kept from the fit, in words.
    """

    rows_fitted: int
    rows_held_out: int
    scores: tuple[Score, ...]
    sentence: str
    advice: tuple[str, ...]
    of_classes: bool = False
    kind: str = "held out"

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> Verdict:
        """Return what :meth:`to_json` described."""

        def known(value: Any) -> Any:
            if isinstance(value, list | tuple):
                return tuple(map(known, value))
            return math.nan if value is None else value

        scores = [{name: known(value) for name, value in s.items()} for s in document["scores"]]
        found = {"scores": tuple(Score(**s) for s in scores), "advice": tuple(document["advice"])}
        return cls(**{**document, **found})

    def blaming_outliers(self) -> Verdict:
        """Return the verdict without blame of the columns: a few values are what is wrong."""
        advice = tuple(one for one in self.advice if one != NOTHING_HERE)
        return dataclasses.replace(self, advice=advice)

    def to_json(self) -> dict[str, Any]:
        """Return the verdict as plain lists and mappings, without NaN."""

        def plain(value: Any) -> Any:
            if isinstance(value, list | tuple):
                return [plain(one) for one in value]
            if isinstance(value, dict):
                return {name: plain(one) for name, one in value.items()}
            return None if isinstance(value, float) and not math.isfinite(value) else value

        return plain(dataclasses.asdict(self))


class Model(Protocol):
    """What is asked of a fitted model; one of classes has ``classes`` and ``probabilities`` too."""

    @property
    def record(self) -> Any:
        """What was asked for: method, loss and quantile of ``record.asked`` are read."""

    @property
    def stop_reason(self) -> StopReason:
        """What ended training."""

    @property
    def validation_error(self) -> float:
        """What its own search claims, NaN where that is nothing."""

    @property
    def validation_kind(self) -> str:
        """What that rests on."""

    def __call__(self, X: Any, /) -> np.ndarray:
        """Return the values at N points."""


@dataclasses.dataclass(frozen=True, eq=False)
class Judged:
    """The rows that models are compared on, and how this model came about.

    Attributes
    ----------
    x : array, shape (n, D)
    weight, group : arrays, shape (n,)
        Rows of one group are drawn together where ranges are found.
    n_fitted : int
        Rows that were fitted.
    kind : str
        How the rows were kept from the fit, in words.
    method : str
    stop_reason : StopReason or None
    own : float
        Relative error by the evidence of the model's own search, on other rows; NaN without.
    own_kind : str
    n_rows : int
        How many rows there are where each of ``x`` stands for several; 0: as many as in ``x``.
    left_out : bool
        Whether they are rows of the fit, left out in turn.
    few : int
        Rows that have half of the targets' spread where it is that of a few, see
        :func:`few_of_spread`; else 0.
    """

    x: np.ndarray
    weight: np.ndarray
    group: np.ndarray
    n_fitted: int
    kind: str = "held out"
    method: str = ""
    stop_reason: StopReason | None = None
    own: float = math.nan
    own_kind: str = ""
    n_rows: int = 0
    left_out: bool = False
    few: int = 0


@dataclasses.dataclass(frozen=True, eq=False)
class Predictions:
    """What a model predicts for the rows, judged.

    Attributes
    ----------
    losses : array, shape (n,)
        Squared errors over the squared spread, the mean over targets; of classes cross-entropies.
    rmse : tuple of float
    relative : float, optional
        By default the root of the mean loss.
    """

    losses: np.ndarray
    rmse: tuple[float, ...]
    relative: float | None = None


class Comparison:
    """A model beside others that saw the same rows, all of them scored on rows they did not see.

    Targets that are constant on those rows have no spread and do not count.

    Parameters
    ----------
    judged : Judged
    predictions : mapping of str to Predictions
        This model first.
    """

    of_classes, rooted = False, True
    simplest, linear, measure = "constant", "linear model", "errors"
    #: Losses below the first are alike: no one needs the better of errors below 1e-12 of the
    #: spread. So are scores with a ratio below the second, however sure it is that they differ.
    least, alike, sure = 1e-12**2, 1.02, SURE
    #: Advice by what ended training, where the linear peer does as well, and where boosting leads.
    cut_short: Mapping[StopReason, str] = {
        StopReason.MAX_SECONDS: "Give it more time: the fit was cut short.",
        StopReason.MAX_STEPS: "Training used up its steps and might go on: in Python, fit takes "
        "max_steps.",
    }
    as_simple = "A linear model does as well and is simpler."
    for_trees = (
        "Trees suit targets that jump or depend on thresholds: try scikit-learn's "
        "HistGradientBoosting or LightGBM."
    )

    def __init__(self, judged: Judged, predictions: Mapping[str, Predictions]) -> None:
        self.judged, self.predictions = judged, predictions
        self.n = judged.n_rows or len(judged.x)

    def verdict(self) -> Verdict:
        """Score all, and say what that means."""
        judged, scores = self.judged, []
        mine = np.clip(self.predictions[OURS].losses, self.least, MOST_LOSS)
        for name, found in self.predictions.items():
            weight, losses = judged.weight, np.clip(found.losses, self.least, MOST_LOSS)
            behind = _standard_errors((losses - mine) * (weight / weight.mean()), self.sure)
            seen = Unseen(np.arange(len(judged.x)), found.losses, weight, judged.group, judged.kind,
                          root=self.rooted and not self.of_classes)  # fmt: skip
            relative = seen.error if found.relative is None else found.relative
            times = dataclasses.replace(seen, losses=losses).least_ratio(mine)
            scores.append(Score(name, relative, found.rmse, behind, seen.range, times, seen.claim))
        said = self._sentence(scores), tuple(self._advice(scores))
        return Verdict(judged.n_fitted, self.n, tuple(scores), *said, self.of_classes, judged.kind)

    def _lag(self, score: Score, ours: Score) -> int:
        # 1 for a model that is clearly behind this one, −1 for one ahead, 0 for alike.
        smaller, larger = sorted((score.relative, ours.relative))
        if larger <= self.alike * smaller:
            return 0
        if abs(score.behind) < CLEAR:  # of few rows, squares differ too much to tell; ranges do not
            return 1 if score.times >= SURELY_MORE else 0
        return 1 if score.behind > 0 else -1

    @property
    def _constant(self) -> bool:
        # Whether a constant is right on all rows: there is nothing to learn.
        found = self.predictions.get(self.simplest)
        return found is not None and not self.of_classes and not found.losses.any()

    def _learned_nothing(self, scores: Sequence[Score]) -> bool:
        # A constant does as well, and nothing else does better than both.
        lags = {score.name: self._lag(score, scores[0]) for score in scores[1:]}
        ahead = min(scores[1:], key=lambda score: score.claim).name
        simplest = {score.name: score.relative for score in scores}.get(self.simplest, math.inf)
        alike = simplest <= MUCH_MORE * scores[0].relative
        as_good = lags.get(self.simplest, 1) <= 0 and alike
        return as_good and (ahead == self.simplest or lags[ahead] >= 0)

    def _linear_suffices(self, score: Score, ours: Score) -> bool:
        much = MUCH_MORE * max(ours.relative, math.sqrt(self.least))
        return self._lag(score, ours) <= 0 and score.relative <= much

    def _sentence(self, scores: Sequence[Score]) -> str:
        ours, *others = scores
        if math.isnan(ours.relative) or self._constant:
            return "The target does not vary on these rows: there is nothing to compare."
        if math.isinf(ours.relative):
            return (
                "Nothing is known of the error: some rows alone determine a function, and without "
                "them nothing does. Use a ridge, fewer functions or more rows."
            )
        seen = f"relative error {ranged(ours)} on {self._rows()}"
        if not others or self.n < FEWEST_COMPARED:
            return f"{seen[0].upper()}{seen[1:]}."
        if self._learned_nothing(scores):
            return f"No better than a constant: {seen}."
        best = min(others, key=lambda score: score.relative)
        lag = self._lag(best, ours)
        if lag == 0:
            return f"No clear difference from the best of the others ({best.name}): {seen}."
        if lag < 0 and f"{best.relative:.2g}" == f"{ours.relative:.2g}":
            return f"As good as the best of the others ({best.name}): {seen}."
        if lag < 0:
            return (
                f"Better here: {best.name} (error {best.relative:.2g} against "
                f"{ours.relative:.2g}): use that."
            )
        least, own = best.times, self.judged.own
        if own > BY_CHANCE * ours.relative:  # the claim is the worst of the evidence
            least = min(least, best.relative / own)
            seen += f"; {own:.2g} by its own evidence ({self.judged.own_kind})"
        if not least >= CLEARLY_MORE or self._by_few_rows:
            how = "Better on these rows" if least < 1 or self._by_few_rows else "Somewhat better"
            return f"{how} than the best of the others ({best.name}): {seen}."
        times = f"At least {least:.2g}" if least < MOST_TIMES else f"Over {MOST_TIMES}"
        return f"{times} times the accuracy of the best of the others ({best.name}): {seen}."

    @property
    def _by_few_rows(self) -> str:
        # What is said where the spread, which errors are relative to, is that of a few rows.
        few = self.judged.few
        if not few:
            return ""
        who = "one row has" if few == 1 else f"{few} rows have"
        return (
            f"{who[0].upper()}{who[1:]} half of the target's spread, to which errors are relative: "
            "rows beyond these may err far more. A target over decades is learned better by its "
            "logarithm (target_transform='log')."
        )

    def _rows(self) -> str:
        kind = self.judged.kind
        how = kind if kind.startswith("held out") else f"not seen ({kind})"
        return f"{self.n:,} rows {how}"

    def _advice(self, scores: Sequence[Score]) -> Iterator[str]:
        ours, others = scores[0], {score.name: score for score in scores[1:]}
        if not others or not math.isfinite(ours.relative) or self._constant:
            return
        judged = self.judged
        if self.n < FEW_HELD_OUT:
            yield f"{self.n} rows are few to judge by: these {self.measure} are rough."
        yield unseen_share(self.n)
        if self._by_few_rows:
            yield self._by_few_rows
        if judged.stop_reason is not None and judged.stop_reason in self.cut_short:
            yield self.cut_short[judged.stop_reason]
        if self._learned_nothing(scores):
            yield NOTHING_HERE
            return
        where = "" if self._by_few_rows else self._where()
        if self.linear in others and self._linear_suffices(others[self.linear], ours):
            yield self.as_simple
        elif self._lag(others.get("gradient boosting", ours), ours) < 0:
            yield self.for_trees
        elif where:
            yield where
        if self.of_classes:
            return
        n_inputs = judged.x.shape[1]
        rows = judged.n_fitted + (0 if judged.left_out else self.n)
        if ours.relative > 0.05 and rows < 100 * n_inputs:
            inputs = counted(n_inputs, "input")
            yield f"More rows would help: {rows:,} different ones are few for {inputs}."
        if judged.method == "frozen" and ours.relative > 1e-3:
            yield "Let the functions adapt: --model network or auto."

    def _where(self) -> str:
        # Where most of the error is, if that is beside one value of one input.
        losses, x = self.predictions[OURS].losses * self.judged.weight, self.judged.x
        if self.of_classes or not losses.sum() > 0 or self.n < FEW_HELD_OUT:
            return ""
        order = np.argsort(losses)[::-1]
        few = order[: 1 + int(np.searchsorted(np.cumsum(losses[order]), MOST_OF_IT * losses.sum()))]
        if len(few) > FEW_OF_ALL * self.n or len(few) < 2:
            return ""
        reach = np.ptp(x, axis=0)
        near = np.ptp(x[few], axis=0) / np.where(reach > 0, reach, np.inf)
        at = int(np.argmin(np.where(reach > 0, near, np.inf)))
        if near[at] > FEW_OF_ALL:
            return ""
        value = significant(float(np.median(x[few, at])), 3)
        return (
            f"Most of the error sits at {len(few)} of {self.n:,} rows, beside input {at + 1} ≈ "
            f"{value}: try --model pounet."
        )


class LossComparison(Comparison):
    """Models beside others by a loss of residuals' sizes: errors are means of it, and not roots."""

    rooted = False


def few_of_spread(square: np.ndarray) -> int:
    """Return how many rows have half of a sum of squares (N,) that is that of few, else 0."""
    total = square.sum()
    if not 0 < total < math.inf:
        return 0
    share = np.sort(square / total)[::-1]
    if 1 / np.sum(share**2) >= min(FEWEST_OF_SPREAD, LEAST_OF_SPREAD * len(square)):
        return 0
    return 1 + int(np.searchsorted(np.cumsum(share), 0.5))


def ranged(score: Score) -> str:
    """Return an error and its range in words."""
    low, high = score.range
    between = f" ({low:.2g} to {high:.2g})" if f"{low:.2g}" != f"{high:.2g}" else ""
    return f"{score.relative:.2g}{between}"


def _standard_errors(difference: np.ndarray, sure: float = SURE) -> float:
    """Return how clearly differences are not about zero: by their mean, or by their signs.

    A few large errors make the mean uncertain even where one model is ahead on nearly every row.
    Signs count only where they are very clear and say the same as the mean.
    """
    root = math.sqrt(len(difference))
    spread = difference.std()
    by_mean = float(difference.mean() / spread) * root if spread > 0 else 0.0
    by_signs = float(np.sign(difference).mean()) * root
    if by_mean * by_signs > 0 and abs(by_signs) >= sure:
        return max(by_mean, by_signs, key=abs)
    return by_mean
