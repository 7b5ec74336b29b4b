"""The part of a report in which the model is evaluated: sliders for its inputs."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

from markupsafe import Markup

from ..export import NotExportable
from ..export.page import STYLE, fragment
from ..models.fitted import Fitted
from .sections import Block, Subject, Text, section

TITLE = "Try it"


@dataclasses.dataclass(frozen=True)
class Live(Text):
    """Elements with a script of their own, after a paragraph that says what they are."""

    markup: str = ""
    style: str = ""


@section(Fitted, TITLE, before="Measured and predicted")
def _live(subject: Subject) -> Iterator[Block]:
    model = subject.model
    if getattr(model, "regions", None):
        return
    try:
        markup = fragment(model)
    except NotExportable:  # large ones, and functions that no script has
        return
    ends = "domain does" if model.solved_from == "an equation" else "training data do"
    yield Live(
        "The page itself computes these values, from the numbers of the model; nothing is sent "
        f"anywhere. The sliders end where the {ends}.",
        markup=Markup(markup),
        style=Markup(STYLE),
    )
