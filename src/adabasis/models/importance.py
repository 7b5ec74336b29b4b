"""Which inputs a model's values hang on: by permutation, by derivatives, by shares of variance."""

from __future__ import annotations

import dataclasses
import math
import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np
from scipy.stats import qmc

from .._runtime.arguments import told_arguments
from .._runtime.arrays import check_finite, floats, in_order
from .._runtime.errors import listed
from .._runtime.registry import provided
from ..evidence.label_sets import checked_coverage
from ..evidence.paired import Units
from ..evidence.sobol import (
    ROUND_OFF,
    Function,
    Indices,
    Marginals,
    estimated,
    strongest_dependence,
)
from ..evidence.split import checked_groups
from ..evidence.support import MUCH, share_of_gaps
from .classifier import Classifier
from .closed_sobol import closed_form
from .columns import Column, columns_of, names_of
from .fitted import Fitted
from .permutation import permuted
from .predictions import checked_weight, share_fitted_to

#: Evaluations of the function for indices; of derivatives, points and steps in sides of the box.
#: Differences of such steps are exact to eight digits.
EVALUATIONS, POINTS, STEP = 2**17, 2000, 1e-4
#: Squared correlation from which two columns are strongly dependent: half of what one says, the
#: other says too.
DEPENDENT = 0.5
#: Rows that dependence is looked at on.
LOOKED_AT = 1000
KNOWN_ROWS = (
    "Some of these rows are among those that the model was fitted to: permutation tells what it "
    "makes of the columns, not what they are worth on new rows."
)
Range = tuple[float, float]
NOTHING: Range = (math.nan, math.nan)


@dataclasses.dataclass(frozen=True)
class Influence:
    """What one column does to the values of a model. NaN stands for what was not asked for.

    Attributes
    ----------
    name : str
    inputs : tuple of int
        Which of the D inputs it is: a column of categories may be several.
    total, total_range
        Total Sobol index: share of the variance that would be left, were all others known.
    first, first_range
        First-order index: share of the variance that is gone where it alone is known.
    gradient, gradient_range
        Mean square of the derivative times the variance of the column, over the variance of the
        values (DGSM): the total index of a linear function. 12/π² times it is an upper bound of the
        total index of a column that is even in a range. NaN of categories.
    permutation, permutation_range
        What the error of rows grows by where the column is permuted: of numbers mean squares over
        the variance of y, of classes cross-entropies over that of their frequencies.
    """

    name: str
    inputs: tuple[int, ...]
    total: float
    total_range: Range
    first: float
    first_range: Range
    gradient: float = math.nan
    gradient_range: Range = NOTHING
    permutation: float = math.nan
    permutation_range: Range = NOTHING


@dataclasses.dataclass(frozen=True)
class Importance:
    """What each column does to the values of a model, in the order of the table.

    Attributes
    ----------
    columns : tuple of Influence
    over : str
        What inputs the indices and derivatives are averaged over, in words.
    how : str
        How indices were found, in words.
    coverage : float
        Of the ranges: of integration for indices, over rows or points for the others. That the
        function may be another is not in them.
    n_rows : int
        Rows with known answers; 0 without.
    notes : tuple of str
        What weakens it.
    """

    columns: tuple[Influence, ...]
    over: str
    how: str
    coverage: float
    n_rows: int = 0
    notes: tuple[str, ...] = ()

    @property
    def ranked(self) -> tuple[Influence, ...]:
        """The columns, the one of the largest total index first."""
        return tuple(sorted(self.columns, key=lambda one: -one.total))

    def __str__(self) -> str:
        """Return a table, the most important column first, and what to know of it."""
        heads = ["column", "total index", "first-order", "derivatives", "permutation"]
        rows = [heads]
        for one in self.ranked:
            cells = [one.name]
            for kind in ("total", "first", "gradient", "permutation"):
                cells.append(_cell(getattr(one, kind), getattr(one, f"{kind}_range")))
            rows.append(cells)
        kept = [k for k in range(5) if k == 0 or any(row[k] != "–" for row in rows[1:])]
        width = [max(len(row[k]) for row in rows) for k in range(5)]
        lines = ["  ".join(row[k].ljust(width[k]) for k in kept).rstrip() for row in rows]
        return "\n".join([*lines, f"Over {self.over}. Indices: {self.how}.", *self.notes])

    def plot(self) -> Any:
        """Draw bars with ranges; see :func:`adabasis.plots.importance`."""
        return provided("plot importance")(self)

    def to_json(self) -> dict[str, Any]:
        """Return the fields as JSON holds them: NaN becomes ``None``."""

        def plain(value: Any) -> Any:
            if isinstance(value, dict):
                return {name: plain(one) for name, one in value.items()}
            if isinstance(value, tuple | list):
                return [plain(one) for one in value]
            return None if isinstance(value, float) and not math.isfinite(value) else value

        return plain(dataclasses.asdict(self))


def _cell(value: float, ends: Range) -> str:
    if math.isnan(value):
        return "–"
    if math.isnan(ends[0]) or ends[1] - ends[0] < 5e-4:
        return f"{value:.3f}"
    return f"{value:.3f} ({ends[0]:.3f} to {ends[1]:.3f})"


@told_arguments
def importance(
    model: Any,
    X: Any = None,
    y: Any = None,
    *,
    sample_weight: Any = None,
    groups: Any = None,
    over: str = "box",
    output: int | None = None,
    coverage: float = 0.9,
    n_repeats: int = 5,
    n_evaluations: int = EVALUATIONS,
    random_state: int = 0,
) -> Importance:
    r"""Say which inputs a model's values hang on, in three ways, each with a range.

    *Sobol indices* are shares of Var f(x), the columns of x being independent: the total index of
    column j is E(Var[f | all others])/Var f, in closed form for polynomials over the box (products
    of Legendre polynomials are orthogonal) and for sums of splines, else by quasi-Monte Carlo.
    *Derivatives*: E(∂f/∂x_j)² Var(x_j)/Var f. *Permutation*, where y is given: what the error grows
    by where the entries of one column are dealt out anew; with independent columns and a good model
    that is twice the total index.

    Columns of a table are taken as they were before they became inputs: those of one column of
    categories together. Of several outputs, and of the probabilities of classes, variances are
    summed, each output over its own.

    Parameters
    ----------
    model : Fitted, Classifier or estimator of this package
        What is asked.
    X : array-like or data frame, shape (N, D), optional
        Rows, best ones that the model was not fitted to.
    y : array-like, shape (N,) or (N, Q), optional
        Their values or labels.
    sample_weight, groups : array-likes, shape (N,), optional
        For permutation: how much each row counts; rows that are drawn together.
    over : {"box", "data"}
        ``"box"``: columns even over the training range, categories equally often. ``"data"``: as
        they are distributed in X, each column by itself.
    output : int, optional
        One of several outputs (or classes) alone.
    coverage : float
        Of the ranges.
    n_repeats : int
        Permutations of each column.
    n_evaluations : int
        Of the function, about, for indices by quasi-Monte Carlo.
    random_state : int
        Seed of permutations and of quasi-Monte Carlo.

    Returns
    -------
    Importance

    Raises
    ------
    ValueError
        For y without X, ``over="data"`` without X, shapes that do not fit, a coverage or an output
        that is none.

    Warns
    -----
    UserWarning
        Where columns are strongly dependent: shares of variance suppose that they are not, and look
        at the function where there are no data.

    References
    ----------
    .. [1] Sobol', Math. Comput. Simul. 55 (2001), 271–280. Sudret, Reliab. Eng. Syst. Saf. 93
       (2008), 964–979 (closed form). Kucherenko, Sobol', Math. Comput. Simul. 79 (2009), 3009–3017
       (derivatives). Fisher, Rudin, Dominici, J. Mach. Learn. Res. 20 (2019), 177 (permutation).

    Examples
    --------
    >>> import numpy as np, adabasis as ab
    >>> X = np.random.default_rng(0).uniform(-1, 1, (300, 2))
    >>> model = ab.fit(X, X[:, 0] + X[:, 0] * X[:, 1], ab.basis.Polynomial(2))
    >>> found = importance(model)
    >>> [round(one.total, 2) for one in found.columns]
    [1.0, 0.25]
    """
    call = "importance(model, X, y"
    for name, number in (("n_repeats", n_repeats), ("n_evaluations", n_evaluations)):
        if isinstance(number, bool) or number != int(number) or number < 1:
            raise ValueError(
                f"importance({name}={number!r}): expected a whole number of at least 1."
            )
    fitted, x, weight, coverage = _checked(model, X, y, over, sample_weight, coverage)
    function, outputs = _function(fitted, output)
    columns = columns_of(fitted)
    if x is None:
        places, weight = None, None
    else:
        places = x[weight > 0]
    marginals = _marginals(fitted, columns, places if over == "data" else None)
    found: Indices | None = None
    if over == "box" and output is None:
        found = closed_form(fitted, marginals, unit_of(fitted))
    if found is None:
        found = estimated(function, marginals, n_evaluations, coverage, random_state)
    rows = places if over == "data" else None
    gradients = _gradients(function, fitted, marginals, columns, found.variance, rows, coverage)
    grown = [(math.nan, NOTHING)] * len(columns)
    if y is not None:
        labels = checked_groups("importance", groups, len(weight))
        grown = permuted(
            fitted, columns, x, y, weight, labels, outputs, (n_repeats, random_state, coverage)
        )
    influences = tuple(
        Influence(
            column.name,
            column.inputs,
            *_at(found.total, j),
            *_at(found.first, j),
            *gradients[j],
            *grown[j],
        )
        for j, column in enumerate(columns)
    )
    notes = list(_doubts(fitted, columns, places, found.variance))
    for note in notes:
        if note.startswith("Columns"):
            warnings.warn(f"{call}): {note}", stacklevel=3)
    if y is not None and share_fitted_to(fitted, x, weight > 0) > 0:
        notes.append(KNOWN_ROWS)
    where = {
        "box": "the box of the training rows, evenly, each column by itself",
        "data": "the rows given, each column by itself",
    }[over]
    n_rows = 0 if y is None else int(np.count_nonzero(weight))
    return Importance(influences, where, found.how, coverage, n_rows, tuple(notes))


def _at(found: tuple[np.ndarray, np.ndarray, np.ndarray], j: int) -> tuple[float, Range]:
    value, low, high = (float(one[j]) for one in found)
    return value, (low, high)


def _checked(
    model: Any, X: Any, y: Any, over: str, sample_weight: Any, coverage: Any
) -> tuple[Fitted, Any, Any, float]:
    """Return the fitted function, rows (N, D), weights (N,) and the coverage."""
    fitted = getattr(model, "fitted_", model)
    if not isinstance(fitted, Fitted):
        raise TypeError(
            f"importance(model): expected a fitted model of this package, got {model!r}. For other "
            "estimators there is sklearn.inspection.permutation_importance."
        )
    if over not in ("box", "data"):
        raise ValueError(f"importance(over={over!r}): expected 'box' or 'data'.")
    coverage = checked_coverage("importance(model", coverage)
    if X is None:
        if y is not None or over == "data":
            raise ValueError(
                f"importance(model, {'y=y' if over == 'box' else repr(over)}): rows X are needed, "
                "too."
            )
        return fitted, None, None, coverage
    x = floats("importance", "X", in_order("importance", X, fitted.record.input_names))
    if x.ndim != 2 or x.shape[1] != fitted.n_inputs or not len(x):
        raise ValueError(
            f"importance(model, X): expected an (N, {fitted.n_inputs}) array, got shape {x.shape}."
        )
    check_finite("importance", "X", x, X)
    if y is not None and len(y) != len(x):
        raise ValueError(f"importance(model, X, y): {len(x)} rows and {len(y)} values.")
    return fitted, x, checked_weight(sample_weight, len(x)), coverage


def _function(model: Fitted, output: int | None) -> tuple[Function, slice]:
    """Return the values whose variance is looked at, in units of each, and which they are."""
    n_outputs = len(model.classes) if isinstance(model, Classifier) else model.n_outputs
    if output is not None and not 0 <= output < n_outputs:
        raise ValueError(
            f"importance(output={output!r}): expected a whole number from 0 to {n_outputs - 1}."
        )
    which = slice(None) if output is None else slice(output, output + 1)
    unit = 1.0 if isinstance(model, Classifier) else unit_of(model)[which]

    def function(x: np.ndarray) -> np.ndarray:
        if isinstance(model, Classifier):
            return model.probabilities(x)[:, which]
        return model(x).reshape(len(x), -1)[:, which] / unit

    return function, which


def unit_of(model: Fitted) -> np.ndarray:
    """Return the standard deviation of each output over the box, (Q,); 1 where that is none."""
    u = qmc.Sobol(model.n_inputs, scramble=True, rng=np.random.default_rng(0)).random_base2(10)
    values = model(model.box[:, 0] + u * np.ptp(model.box, axis=1)).reshape(len(u), -1)
    spread = values.std(axis=0)
    varies = spread**2 > ROUND_OFF * np.max(values**2, axis=0)
    return np.where(varies, spread, np.maximum(np.abs(values).max(axis=0), 1e-300))


def _marginals(model: Fitted, columns: list[Column], rows: np.ndarray | None) -> Marginals:
    levels: list[np.ndarray] = []
    for column in columns:
        at = list(column.inputs)
        if rows is not None:
            part = rows[:, at]
            levels.append(part[np.lexsort(part.T)])
        elif column.categories:
            levels.append(np.asarray(column.settings, dtype=float))
        elif len(at) > 1:
            raise ValueError(f"importance: nothing is known of the entries of '{column.name}'.")
        else:
            levels.append(model.box[at[0]])
    return Marginals(model.n_inputs, [column.inputs for column in columns], levels)


def _gradients(
    function: Function,
    model: Fitted,
    marginals: Marginals,
    columns: list[Column],
    variance: float,
    rows: np.ndarray | None,
    coverage: float,
) -> list[tuple[float, Range]]:
    """Return mean squares of central differences, times the variance of each column."""
    rng = np.random.default_rng(0)
    if rows is None:
        x = marginals(rng.uniform(size=(POINTS, len(columns))))
    else:
        x = rows[rng.permutation(len(rows))[:POINTS]]
    units = Units(np.ones(len(x)), np.arange(len(x)))
    found: list[tuple[float, Range]] = []
    for column, levels in zip(columns, marginals.levels, strict=True):
        at = column.inputs[0]
        side = float(np.ptp(model.box[at]))
        if column.categories or not side > 0 or not variance > 0 or len(x) < 2:
            found.append((math.nan if column.categories else 0.0, NOTHING))
            continue
        step = np.zeros(x.shape[1])
        step[at] = STEP * side
        slope = (function(x + step) - function(x - step)) / (2 * STEP * side)
        spread = side**2 / 12 if levels.ndim == 1 else float(levels[:, 0].var())
        squares = np.sum(slope**2, axis=1) * spread / variance
        mean = units.mean(squares)
        reach = units.quantile(1 - coverage) * math.sqrt(units.covariance(squares, squares))
        found.append((mean, (max(0.0, mean - reach), mean + reach)))
    return found


def _doubts(
    model: Fitted, columns: list[Column], rows: np.ndarray | None, variance: float
) -> Iterator[str]:
    """Say what weakens the indices."""
    if not variance > 0:
        yield "The function is constant here: no column does anything."
        return
    names = [names_of(model)[0][i] for column in columns for i in column.inputs[:1]]
    if rows is None:
        z = None if model.places is None else np.asarray(model.places, dtype=float)
        if z is None or z.shape[1] != model.n_inputs:
            return
    else:
        some = np.random.default_rng(0).permutation(len(rows))[:LOOKED_AT]
        low, side = model.box[:, 0], np.ptp(model.box, axis=1)
        z = (rows[some] - low) / np.where(side > 0, side, 1.0)
    if len(z) < 2 or len(columns) < 2:
        return
    square, i, j = strongest_dependence(z, [column.inputs for column in columns])
    if square >= DEPENDENT:
        yield (
            f"Columns {listed([names[i], names[j]])} are strongly dependent (correlation "
            f"{math.sqrt(square):.2f}): indices suppose independent ones, and share between them "
            "what only both together say. Where no data lie the function is a guess."
        )
        return
    rng, shuffled = np.random.default_rng(0), z.copy()
    for column in columns:
        at = list(column.inputs)
        shuffled[:, at] = z[rng.permutation(len(z))][:, at]
    gaps = share_of_gaps(z, shuffled)
    if gaps > MUCH:
        yield (
            f"Columns are dependent: {100 * gaps:.0f} % of their combinations lie far from all "
            "rows, where the function is a guess. Indices suppose independent columns."
        )
