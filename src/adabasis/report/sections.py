"""What a report says: sections, registered by the kind of result they are about."""

from __future__ import annotations

import dataclasses
import math
import platform
from collections.abc import Callable, Iterator, Mapping, Sequence
from importlib.metadata import version
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from .. import plots
from .._runtime.errors import significant
from ..basis import Ensemble, PartitionBasis
from ..evidence.verdict import Verdict
from ..models.classifier import Classifier, index_of, indicators
from ..models.fitted import Fitted
from ..plots.dependence import MOST_CURVES
from ..plots.style import columns_of
from ..train import History
from .origin import ASSUMED
from .words import in_words

MOST_OUTPUTS = 4
"""Outputs that are drawn; the page of a model with a hundred of them would be no use."""
WORST = 5
PACKAGES = ("adabasis", "jax", "numpy", "scipy")


@dataclasses.dataclass(frozen=True)
class Evidence:
    """Rows with known answers, and what the model says there.

    Attributes
    ----------
    x : array, shape (n, D)
    y : array, shape (n, Q)
        Of classes: 1 at the row's own, zeros for a label that the model does not know.
    predicted : array, shape (n, Q)
        Of classes: their probabilities.
    label : str
        Which rows these are, in words: ``"the 300 rows held out"``.
    rows : array, shape (n,), optional
        Their numbers in the table, the first being 1; by default they are counted.
    """

    x: np.ndarray
    y: np.ndarray
    predicted: np.ndarray
    label: str
    rows: np.ndarray | None = None

    @classmethod
    def of(
        cls, model: Fitted, x: Any, y: Any, label: str | None = None, rows: Any = None
    ) -> Evidence | None:
        """Return a model's evidence on some rows, ``None`` where there are no rows.

        Raises
        ------
        ValueError
            If only one of ``x`` and ``y`` is given or their shapes do not fit the model.
        """
        if x is None and y is None:
            return None
        if x is None or y is None:
            raise ValueError("report(X, y): expected both or neither, got one of them.")
        x = np.asarray(x, dtype=float)
        if not len(x):
            return None
        if isinstance(model, Classifier):
            truth = indicators(index_of(y, model.classes), len(model.classes))
            return cls(x, truth, model.probabilities(x), label or f"{len(x):,} rows given", rows)
        values = np.asarray(y, dtype=float)
        predicted = model.outputs(x)
        columns = values[:, None] if values.ndim == 1 else values
        if columns.shape != predicted.shape:
            raise ValueError(
                f"report(X, y): expected y of shape {predicted.shape}, got {values.shape}."
            )
        return cls(x, columns, predicted, label or f"{len(x):,} rows given", rows)

    def row(self, i: int) -> str:
        """Return the number of a row in its table."""
        return f"{i + 1 if self.rows is None else int(self.rows[i]):,}"


@dataclasses.dataclass(frozen=True)
class Subject:
    """All that a page is about."""

    model: Any
    evidence: Evidence | None = None
    verdict: Verdict | None = None
    provenance: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    joint: History | None = None


@dataclasses.dataclass(frozen=True)
class Text:
    """A paragraph; one that is ``loud`` is the message of its section."""

    text: str
    loud: bool = False


@dataclasses.dataclass(frozen=True)
class Table:
    """Rows of cells, the first of each being its name; ``folded`` tables open on a click."""

    caption: str
    head: Sequence[str]
    rows: Sequence[Sequence[str]]
    folded: bool = False


@dataclasses.dataclass(frozen=True)
class Picture:
    """A figure; ``alt`` says in words what is seen. A ``wide`` one takes the page's width."""

    figure: Figure
    caption: str
    alt: str
    wide: bool = False


@dataclasses.dataclass(frozen=True)
class Film:
    """Pictures of which one is seen at a time, the last at first; a slider chooses.

    ``name`` tells its buttons from those of other films of the page.
    """

    name: str
    caption: str
    frames: Sequence[Picture]


Block = Text | Table | Picture | Film
Section = Callable[[Subject], Iterator[Block]]
_SECTIONS: list[tuple[type, str, Section]] = []


def section(kind: type, title: str, before: str = "") -> Callable[[Section], Section]:
    """Register a section of the pages about results of some kind, before another or last.

    The function yields blocks; a section without any is left out.
    """

    def register(write: Section) -> Section:
        titles = [other for _, other, _ in _SECTIONS]
        at = titles.index(before) if before else len(titles)
        _SECTIONS.insert(at, (kind, title, write))
        return write

    return register


def sections(subject: Subject) -> list[tuple[str, list[Block]]]:
    """Return the titles and blocks of the sections that have something to say."""
    # One of the same title, registered later for a more special kind of result, takes its place.
    chosen = {t: write for k, t, write in _SECTIONS if isinstance(subject.model, k)}
    found = [(title, list(write(subject))) for title, write in chosen.items()]
    return [(title, blocks) for title, blocks in found if blocks]


def number(value: float | None, digits: int = 3) -> str:
    """Return a number in few digits, a dash where there is none."""
    return "–" if value is None or not math.isfinite(value) else significant(value, digits)


@section(Fitted, "Verdict")
def _verdict(subject: Subject) -> Iterator[Block]:
    model, verdict = subject.model, subject.verdict
    if verdict is not None:
        yield Text(verdict.sentence, loud=True)
        if verdict.scores:
            yield _scores(subject, verdict)
        for advice in verdict.advice:
            yield Text(advice)
    elif model.verdict:
        yield Text(model.verdict, loud=True)
    else:
        yield Text("No rows were held out: how good the model is elsewhere is not known.", True)
    if model.record.tolerance:
        yield Text(str(model.record.tolerance))
    for note in model.notes:
        yield Text(note)
    outputs = plots.names_of(model)[1]
    inputs = [
        c.name + (f" ({len(c.categories)} categories)" if len(c.inputs) > 1 else "")
        for c in columns_of(model)
    ]
    yield Table(
        "The model",
        (),
        [
            ("Predicts", named(outputs)),
            ("from", named(inputs)),
            ("Rows fitted", f"{model.record.n_rows:,}" if model.record.n_rows else "–"),
            ("Functions", f"{len(model.coefficients):,}, {model.rank:,} of them independent"),
            ("Basis", in_words(model.basis)),
            ("Stopped because", str(model.stop_reason)),
            *([("Time", str(model.timings))] if model.timings else []),
        ],
    )


def named(names: Sequence[str], most: int = 30) -> str:
    """Return names with commas, at most so many."""
    more = len(names) - most
    return ", ".join(names[:most]) + (f" and {more} more" if more > 0 else "")


def _scores(subject: Subject, verdict: Verdict) -> Table:
    _, outputs = plots.names_of(subject.model)
    shown = outputs[:MOST_OUTPUTS]
    return Table(
        f"Error on {verdict.rows_held_out:,} rows held out; every model was fitted to the other "
        f"{verdict.rows_fitted:,}. RMSE: root mean square error. Relative: RMSE over the standard "
        "deviation.",
        ("model", "relative error", *(f"RMSE of {name}" for name in shown)),
        [
            (score.name, number(score.relative), *map(number, score.rmse[: len(shown)]))
            for score in verdict.scores
        ],
    )


@section(Fitted, "How far to trust it")
def _trust(subject: Subject) -> Iterator[Block]:
    model = subject.model
    if model.error_model is None:
        return
    found = model.trust
    yield Text(found.next_step, loud=True)
    rows = [row for row in found.rows() if row[0] != "Next"]
    yield Table("What is known of its errors", (), rows)


@section(Fitted, "The fitted function")
def _function(subject: Subject) -> Iterator[Block]:
    model, evidence = subject.model, subject.evidence
    _, outputs = plots.names_of(model)
    data = None if evidence is None else (evidence.x, evidence.y)
    for q, name in enumerate(outputs[:MOST_OUTPUTS]):
        if model.n_inputs > 2:
            caption = (
                f"Mean prediction of {name} as one column runs over its range and the others stay "
                "where they are (partial dependence)"
            )
            few = len(columns_of(model)) <= MOST_CURVES
            caption += "." if few else f": the {MOST_CURVES} columns that matter most."
            if model.error_model is not None:
                caption += " Shaded: about 90 % of where the mean may be."
        else:
            where = "domain" if model.solved_from == "an equation" else "range of the data"
            caption = f"{name} over the {where}."
            if model.n_inputs == 1 and model.error_model is not None:
                caption += " Shaded: 90 % of new values, and, darker, 90 % bands of the mean."
        figure = plots.fitted(model, data=data, output=q)
        yield Picture(figure, caption, f"The fitted function: {caption}")
        if model.n_inputs == 2 and evidence is not None and len(evidence.x):
            yield Picture(
                plots.error_map(
                    model, evidence.x, evidence.y, predicted=evidence.predicted, output=q
                ),
                f"{name}: where the errors are, on {evidence.label}.",
                f"Absolute error of {name} at the rows, over both inputs.",
            )
    if len(outputs) > MOST_OUTPUTS:
        yield Text(f"The first {MOST_OUTPUTS} of {len(outputs)} outputs are shown.")


@section(Fitted, "Measured and predicted")
def _evidence(subject: Subject) -> Iterator[Block]:
    evidence, model = subject.evidence, subject.model
    if evidence is None or not len(evidence.x):
        return
    _, outputs = plots.names_of(model)
    yield Text(f"On {evidence.label}.")
    for q, name in enumerate(outputs[:MOST_OUTPUTS]):
        y, predicted = evidence.y[:, q], evidence.predicted[:, q]
        rms = number(float(np.sqrt(np.mean((predicted - y) ** 2))))
        yield Picture(
            plots.parity(y, predicted, name),
            f"{name}: predictions of a perfect model lie on the line.",
            f"Predicted against measured {name} on {len(y):,} rows; root mean square error {rms}.",
        )
        yield Picture(
            plots.residuals(y, predicted, name),
            f"{name}: errors against predictions, and how they are distributed.",
            f"Errors of {name} against its predictions, with a histogram; largest "
            f"{number(float(np.abs(predicted - y).max()))}.",
        )
    yield _worst(subject, evidence)


def _worst(subject: Subject, evidence: Evidence) -> Table:
    outputs = plots.names_of(subject.model)[1]
    spread = evidence.y.std(axis=0)
    error = np.abs(evidence.predicted - evidence.y) / np.where(spread > 0, spread, 1.0)
    rows = []
    for i in np.argsort(-error.max(axis=1))[:WORST]:
        q = int(error[i].argmax())
        where = place(subject.model, evidence.x[i])
        values = (evidence.y[i, q], evidence.predicted[i, q])
        which = (outputs[q],) if len(outputs) > 1 else ()
        rows.append((evidence.row(i), where, *which, *(number(float(v), 6) for v in values)))
    which = ("of",) if len(outputs) > 1 else ()
    head = ("row", "where", *which, "measured", "predicted")
    return Table(f"The largest errors, of {evidence.label}", head, rows)


def place(model: Fitted, x: np.ndarray, most: int = 6) -> str:
    """Return the entries of a row, categories by their names."""
    parts = []
    for column in columns_of(model)[:most]:
        here = x[list(column.inputs)]
        if column.categories:
            at = np.flatnonzero((column.settings == here).all(axis=1))
            entry = column.categories[at[0]] if len(at) else "another"
        else:
            entry = number(float(here[0]), 4)
        parts.append(f"{column.name} = {entry}")
    return ", ".join(parts)


@section(Fitted, "Error while training")
def _history(subject: Subject) -> Iterator[Block]:
    model = subject.model
    if len(model.history) < 2:
        yield Text(
            "The parts were found as labels of the rows and fitted piece by piece. No step that "
            "was kept moved their borders afterwards."
            if isinstance(model.basis, PartitionBasis)
            else "The functions of this model were not trained: they stayed as drawn, and one "
            "least-squares solve gave their coefficients."
        )
        return
    first, last = np.sqrt(model.history.loss[[0, -1]])
    caption = f"{len(model.history) - 1:,} steps. Stopped because: {model.stop_reason}."
    if isinstance(model.basis, Ensemble):
        caption = f"Of the first of {model.basis.n_members} members: {caption}"
    if len(model.history.validation):
        caption += (
            " The circle is the iterate with the least error on rows held out, which was kept."
        )
    yield Picture(
        plots.history(model),
        caption,
        f"Root mean square error against steps, from {number(first)} to {number(last)}.",
    )


@section(Fitted, "Basis functions")
def _basis(subject: Subject) -> Iterator[Block]:
    model = subject.model
    if model.n_inputs <= 2 and model.initial_parameters is not None:
        scaled = "each over its largest value" if model.n_inputs == 1 else "each in its own colours"
        yield Picture(
            plots.basis_functions(model),
            f"The functions with the largest share in the model, {scaled}.",
            "Basis functions of the model, as drawn at random and, if trained, afterwards.",
        )


@section(Fitted, "Independence of the functions")
def _singular_values(subject: Subject) -> Iterator[Block]:
    model = subject.model
    if not np.isfinite(model.singular_values).all() or not len(model.singular_values):
        return
    yield Picture(
        plots.singular_values(model),
        "Singular values of the functions on the data, columns scaled to unit norm; what is below "
        "the cut-off is left out of the solution.",
        f"Singular values, falling; {model.rank} of {len(model.singular_values)} above the "
        "cut-off.",
    )
    yield Text(model.status.advice)


@section(Fitted, "What was assumed")
def _assumed(subject: Subject) -> Iterator[Block]:
    notes = subject.provenance.get(ASSUMED, ())
    if notes:
        yield Table("While the table was read", (), [(str(k), n) for k, n in enumerate(notes, 1)])


def _alike(value: Any) -> Any:
    """Return what all pairs of an index and a choice have in common, if they have."""
    if not (isinstance(value, tuple) and value and all(isinstance(one, tuple) for one in value)):
        return value
    choices = {repr(one[1:]): one[-1] for one in value}
    return next(iter(choices.values())) if len(choices) == 1 else dict(value)


@section(Fitted, "How it was made")
def _provenance(subject: Subject) -> Iterator[Block]:
    packages = ", ".join(f"{name} {version(name)}" for name in PACKAGES)
    versions = f"{packages}, Python {platform.python_version()}"
    facts = {"versions": versions, **subject.provenance}
    asked = dataclasses.asdict(subject.model.record.asked)
    call = asked.pop("call")
    of_rows = ("loss", "quantile", "periodic") if call == "solve" else ()  # which equations lack
    given = ", ".join(
        f"{name}={_alike(value)!r}"
        for name, value in asked.items()
        if value is not None and value != () and name not in of_rows
    )
    facts[f"arguments of {call}"] = given
    shown = [(str(key), str(value)) for key, value in facts.items() if key != ASSUMED]
    yield Table("Provenance", (), shown)
