"""What a report says of a classifier."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from .. import plots
from ..models.classifier import Classifier
from ..plots.classes import COLOURS, MOST_CLASSES
from ..plots.style import columns_of
from .joint import RATE
from .sections import (
    WORST,
    Block,
    Evidence,
    Picture,
    Subject,
    Table,
    Text,
    named,
    number,
    place,
    section,
)
from .words import in_words


@section(Classifier, "Verdict")
def _verdict(subject: Subject) -> Iterator[Block]:
    model, verdict = subject.model, subject.verdict
    if verdict is not None:
        yield Text(verdict.sentence, loud=True)
        yield Table(
            f"On {verdict.rows_held_out:,} rows held out; every model was fitted to the other "
            f"{verdict.rows_fitted:,}. Cross-entropy: what the true label's probability misses of "
            "certainty, in nats.",
            ("model", "wrong labels", "cross-entropy"),
            [(s.name, percent(s.relative), *map(number, s.rmse)) for s in verdict.scores],
        )
        for advice in verdict.advice:
            yield Text(advice)
    elif subject.evidence is not None:
        wrong = _wrong(subject.evidence).mean()
        yield Text(f"{percent(wrong)} of {subject.evidence.label} get a wrong label.", loud=True)
    elif model.verdict:
        yield Text(model.verdict, loud=True)
    else:
        yield Text("No rows were held out: how good the model is elsewhere is not known.", True)
    if model.reliability:
        said = str(model.reliability)
        yield Text(f"{said[0].upper()}{said[1:]}.")
    for note in model.notes:
        yield Text(note)
    yield _facts(model)


def _facts(model: Classifier) -> Table:
    what = (model.record.output_names or ("the class",))[0]
    rows = [
        ("Predicts", f"{what}: {named([str(label) for label in model.classes])}"),
        ("from", named([column.name for column in columns_of(model)])),
        ("Rows fitted", f"{model.record.n_rows:,}" if model.record.n_rows else "–"),
        ("Functions", f"{len(model.coefficients):,}, {model.rank:,} of them independent"),
        ("Basis", in_words(model.basis)),
        ("Ridge", number(model.record.ridge.value)),
        ("Temperature", number(model.temperature)),
        ("Stopped because", str(model.stop_reason)),
        *([("Time", str(model.timings))] if model.timings else []),
    ]
    return Table("The model", (), rows)


def percent(share: float) -> str:
    """Return a share in per cent, as exact as it is small."""
    return f"{number(100 * share, 2 if share < 0.1 else 3)} %"


def _wrong(evidence: Evidence) -> np.ndarray:
    """Say which rows get a wrong label; a label the model does not know is always missed."""
    known = evidence.y.sum(axis=1) > 0
    return ~known | (evidence.y.argmax(axis=1) != evidence.predicted.argmax(axis=1))


@section(Classifier, "The fitted function")
def _regions(subject: Subject) -> Iterator[Block]:
    model, evidence = subject.model, subject.evidence
    if model.n_inputs != 2 or len(model.classes) > len(COLOURS):
        return
    data = None
    caption = "The likeliest class, paler where it is less sure"
    if evidence is not None:
        known = evidence.y.sum(axis=1) > 0
        data = (evidence.x[known], evidence.y[known].argmax(axis=1))
        caption += f"; points: {evidence.label}"
    yield Picture(
        plots.regions(model, data=data), f"{caption}.", "Regions of the classes over both inputs."
    )


@section(Classifier, "Measured and predicted")
def _evidence(subject: Subject) -> Iterator[Block]:
    evidence, model = subject.evidence, subject.model
    if evidence is None:
        return
    known = evidence.y.sum(axis=1) > 0
    if not known.all():
        yield Text(f"{np.sum(~known):,} rows have labels the model was not fitted to.")
    index, p = evidence.y[known].argmax(axis=1), evidence.predicted[known]
    if not len(index):
        return
    if len(model.classes) <= MOST_CLASSES:
        yield Picture(
            plots.confusion(index, p.argmax(axis=1), [str(label) for label in model.classes]),
            f"Rows by true and predicted label, on {evidence.label}.",
            f"Confusion matrix of {len(model.classes)} classes on {len(index):,} rows.",
        )
    yield Picture(
        plots.calibration(index, p),
        "How often the label is right against how sure the model is: points on the line mean what "
        "they say. Bars: one standard error.",
        "Share of right labels against the probability of the label, with the number of rows.",
    )
    yield _worst(subject, evidence)


def _worst(subject: Subject, evidence: Evidence) -> Table:
    model = subject.model
    given = np.sum(evidence.y * evidence.predicted, axis=1)
    rows = []
    for i in np.argsort(given)[:WORST]:
        true = str(model.classes[evidence.y[i].argmax()]) if evidence.y[i].any() else "not known"
        predicted = str(model.classes[evidence.predicted[i].argmax()])
        where = place(model, evidence.x[i])
        rows.append((evidence.row(i), where, true, predicted, number(float(given[i]))))
    head = ("row", "where", "true", "predicted", "probability of the true label")
    return Table(f"The least likely labels, of {evidence.label}", head, rows)


@section(Classifier, "Error while training")
def _history(subject: Subject) -> Iterator[Block]:
    model = subject.model
    if len(model.history) < 2:
        yield Text(
            "The functions of this model were not trained: they stayed as drawn, and Newton's "
            "method gave their coefficients."
        )
        return
    caption = f"{len(model.history) - 1:,} gradients. Stopped because: {model.stop_reason}."
    if subject.joint is not None:
        caption += (
            " Joint descent (GD) moves coefficients and functions together, by Adam's steps at "
            f"rate {RATE:g}: from the same functions, on the same rows, for as many gradients and "
            "as long at most."
        )
    yield Picture(
        plots.cross_entropies(model, subject.joint),
        caption,
        "Cross-entropy against the number of gradients.",
    )
