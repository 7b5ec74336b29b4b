"""From sections to one HTML file that needs no network, and a script for sliders alone."""

from __future__ import annotations

import io
import itertools
import os
import re
from collections.abc import Mapping
from typing import Any

import jinja2
import matplotlib
from markupsafe import Markup, escape
from matplotlib.figure import Figure

from ..evidence.verdict import Verdict
from ..models.classifier import Classifier
from ..models.files import write_atomic
from ..plots.style import BLUE, FAINT, GREEN, INK, ORANGE, RED, STYLE, WIDTH, names_of
from ..train import History
from .sections import Block, Evidence, Film, Picture, Subject, Table, named, sections

COLOURS = {INK: "ink", FAINT: "faint", BLUE: "blue", ORANGE: "orange", GREEN: "green", RED: "red"}
_UNWANTED = re.compile(
    r"^.*?(?=<svg)|<metadata>.*?</metadata>|<style.*?</style>|<!--.*?-->| font-family: [^;]*;"
    r"|(?<=\n) +",
    re.DOTALL,
)
_COORDINATES = re.compile(r' (?:d|x|y)="[^"]*"')
_DIGITS = re.compile(r"(\.\d\d)\d+")


def write(
    path: str | os.PathLike[str],
    model: Any,
    *,
    evidence: Evidence | None = None,
    joint: History | None = None,
    verdict: Verdict | None = None,
    provenance: Mapping[str, Any] | None = None,
) -> None:
    """Write a page about a model, atomically.

    Parameters
    ----------
    path : path
        Of the HTML file.
    model : Fitted
    evidence : Evidence, optional
        Rows with known answers, best ones the model was not fitted to.
    joint : History, optional
        Of joint descent (GD) where a classifier's last layer was solved: drawn beside its own.
    verdict : Verdict, optional
        How the model compares with others.
    provenance : mapping, optional
        What a reader needs to make the model again, in words: data, digest, seed, command.
    """
    subject = Subject(model, evidence, verdict, provenance or {}, joint)
    write_atomic(path, render(subject).encode())


def of_model(path: str | os.PathLike[str], model: Any, X: Any = None, y: Any = None) -> None:
    """Write a page about a model and rows with known answers; see :meth:`Fitted.report`."""
    write(path, model, evidence=Evidence.of(model, X, y))


def render(subject: Subject) -> str:
    """Return the page."""
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("adabasis.report", "."),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    pictures = itertools.count(1)
    found = [
        (title, [(kind, list(group)) for kind, group in itertools.groupby(blocks, kind_of)])
        for title, blocks in sections(subject)
    ]
    return environment.get_template("page.html").render(
        heading=_heading(subject.model),
        sections=found,
        longest=max((len(b.frames) for b in _films(found)), default=0),
        is_single=_is_single,
        svg=lambda picture: svg(picture.figure, picture.alt, f"p{next(pictures)}"),
    )


def _heading(model: Any) -> str:
    """Return what the page is about."""
    if isinstance(model, Classifier):
        what = (model.record.output_names or ("a class",))[0]
        return f"Model of {what}: {named([str(label) for label in model.classes], 8)}"
    outputs = named(names_of(model)[1], 8)
    solved = getattr(model, "solved_from", "") == "an equation"
    return f"Solution {outputs} of an equation" if solved else f"Model of {outputs}"


def _films(found: list[tuple[str, list[tuple[str, list[Block]]]]]) -> list[Film]:
    blocks = (block for _, groups in found for _, group in groups for block in group)
    return [block for block in blocks if isinstance(block, Film)]


def _is_single(groups: list[tuple[str, list[Block]]]) -> bool:
    """Say whether a section is one picture and at most lines of text or a folded table."""
    blocks = [block for _, group in groups for block in group]
    pictures = sum(isinstance(block, Picture) for block in blocks)
    wide = any(isinstance(b, Film) or (isinstance(b, Picture) and b.wide) for b in blocks)
    return pictures == 1 and not wide and all(not isinstance(b, Table) or b.folded for b in blocks)


def kind_of(block: Block) -> str:
    """Return what a block is called in the template."""
    return type(block).__name__


def svg(figure: Figure, alt: str, prefix: str) -> Markup:
    """Return a figure as an SVG element: colours by name, ids of its own, no background.

    The page sets the colours, for light and for dark.
    """
    file = io.StringIO()
    with matplotlib.rc_context(STYLE):
        figure.savefig(file, format="svg", transparent=True, metadata={"Date": None})
    text = _UNWANTED.sub("", file.getvalue())
    text = _COORDINATES.sub(lambda found: _DIGITS.sub(r"\1", found[0]), text)
    for colour, name in COLOURS.items():
        text = text.replace(colour, f"var(--{name})")
    used = set(re.findall(r'(?:href="#|url\(#)([^")]+)', text))
    text = re.sub(
        r' id="([^"]+)"',
        lambda found: f' id="{prefix}-{found[1]}"' if found[1] in used else "",
        text,
    )
    text = re.sub(r'(href="#|url\(#)', rf"\g<1>{prefix}-", text)
    box = re.search(r'viewBox="[^"]*"', text)
    assert box is not None
    width = float(box[0].split()[2])
    wide = f"max-width: {width / (72 * WIDTH) * 30:.1f}rem"  # a usual figure fills 30rem
    head = f'<svg role="img" aria-labelledby="{prefix}-title" style="{wide}" {box[0]}>'
    title = f'<title id="{prefix}-title">{escape(alt)}</title>'
    return Markup(head + title + text[text.index(">") + 1 :].strip())
