"""A page that evaluates the model in the browser: a slider for each input, and no network."""

from __future__ import annotations

import json
from collections.abc import Mapping
from html import escape
from typing import Any

import numpy as np

from ..models.classifier import Classifier
from ..models.fitted import Fitted
from ..tables.encoding import Column
from ..tables.prepare import Preparation
from . import files, javascript
from .trace import NotExportable, program_of

#: Characters of a model's source, at most: a page of more takes long to open on a phone.
MOST = 1_000_000
#: Steps of a slider.
STEPS = 200
#: Classes or outputs that are shown, at most.
MOST_SHOWN = 30

STYLE = """
.live { display: flex; flex-wrap: wrap; gap: 1rem 2.5rem; align-items: flex-start; }
.live form { flex: 1 1 20rem; max-width: 34rem; }
.live .input {
  display: grid; grid-template-columns: 12rem 1fr 8rem; gap: .75rem; align-items: center;
  margin: .4rem 0;
}
.live label { overflow-wrap: anywhere; }
.live input, .live select { width: 100%; min-height: 1.6rem; font: inherit; min-width: 0; }
.live input[type=range] { accent-color: var(--blue, #0072b2); }
.live select, .live input[type=datetime-local] { grid-column: 2 / 4; }
.live table { margin: 0; }
.live td { font-variant-numeric: tabular-nums; white-space: nowrap; }
@media (max-width: 30rem) {
  .live .input { grid-template-columns: 1fr 6.5rem; }
  .live label { grid-column: 1 / 3; }
  .live select, .live input[type=datetime-local] { grid-column: 1 / 3; }
}
@media print { .live { display: none; } }
""".strip()

_SCRIPT = """
const show = (v) => Number.isFinite(v) ? String(+v.toPrecision(6)) : String(v);
const inputs = [...root.querySelectorAll("[data-column]")];
// A slider moves in steps: what is typed beside it counts.
const field = (input) => root.querySelector(`[data-beside="${input.dataset.column}"]`);
const numbers = () => {
    const x = [];
    for (const input of inputs) {
        if (input.tagName === "SELECT") x.push(...JSON.parse(input.value));
        else if (input.type === "datetime-local") x.push(...times(input));
        else x.push(Number(field(input).value));
    }
    return x;
};
const times = (input) => {
    const day = 86400000, at = new Date(input.value + "Z").getTime();
    const found = [(at - Number(input.dataset.start) / 1000) / day];
    for (const period of input.dataset.periods.split(" ").filter(Boolean)) {
        const year = new Date(at).getUTCFullYear();
        const first = Date.UTC(year), last = Date.UTC(year + 1);
        const turn = (a, n) => ((a % n) + n) % n / n;
        const phase = period === "year" ? (at - first) / (last - first)
            : period === "week" ? turn(at - 4 * day, 7 * day) : turn(at, day);
        found.push(Math.cos(2 * Math.PI * phase), Math.sin(2 * Math.PI * phase));
    }
    return found;
};
const update = () => {
    const found = model(numbers());
    const values = found.probabilities || found.values;
    root.querySelectorAll("[data-output]").forEach((cell, q) => {
        cell.textContent = show(values[q]);
        cell.dataset.value = values[q];
    });
};
for (const input of inputs) {
    const beside = field(input);
    input.addEventListener("input", () => {
        if (beside) beside.value = input.value;
        update();
    });
    if (beside) beside.addEventListener("input", () => {
        if (beside.value === "" || !Number.isFinite(Number(beside.value))) return;
        input.value = beside.value;
        update();
    });
}
root.querySelector("form").addEventListener("submit", (event) => event.preventDefault());
update();
root.hidden = false;
""".strip()


def fragment(model: Fitted) -> str:
    """Return the part of a page: sliders, values, and the script that computes these.

    Raises
    ------
    NotExportable
        For models of more than :data:`MOST` characters, and those that no program holds.
    """
    return _fragment(model, javascript.source(program_of(model), "model", files.about(model)))


def _fragment(model: Fitted, source: str) -> str:
    if len(source) > MOST:
        raise NotExportable(
            f"the page would hold {len(source) / 1e6:.1f} MB of numbers, at most "
            f"{MOST / 1e6:.0f} MB open quickly. Export to '.js' or '.py'."
        )
    _, outputs = files.names_of(model)
    of_classes = isinstance(model, Classifier)
    names = (
        [str(label) for label in model.classes.tolist()]
        if isinstance(model, Classifier)
        else outputs
    )
    head = ("class", "probability") if of_classes else ("output", "value")
    rows = "\n".join(
        f'<tr><th scope="row">{escape(name)}</th><td data-output="{q}"></td></tr>'
        for q, name in enumerate(names[:MOST_SHOWN])
    )
    # What ends a script would end it inside of a string, too.
    script = f"{source}\n{_SCRIPT}".replace("</", "<\\/")
    return f"""<div class="live" id="live" hidden>
<form aria-label="Inputs of the model">
{_inputs(model)}
</form>
<table>
<thead><tr><th scope="col">{head[0]}</th><th scope="col">{head[1]}</th></tr></thead>
<tbody aria-live="polite">
{rows}
</tbody>
</table>
</div>
<script>
{{
const root = document.getElementById("live");
{script}
}}
</script>
<noscript><p>The sliders need JavaScript, which is switched off here.</p></noscript>"""


def _inputs(model: Fitted) -> str:
    """Return what is set: a slider for each number, a list of levels for each category."""
    names, found, at = files.names_of(model)[0], [], 0
    if model.record.preparation is None:
        columns: list[Column | None] = [None] * model.n_inputs
    else:
        columns = list(Preparation.from_json(model.record.preparation).columns_)
    for column in columns:
        width = 1 if column is None else len(column.features)
        box = model.box[at : at + width]
        if column is not None and column.categories:
            found.append(_levels(at, column.name, _rows(column)))
        elif column is not None and column.kind == "bool":
            found.append(_levels(at, column.name, [("false", [0.0]), ("true", [1.0])]))
        elif column is not None and column.kind == "date" and not column.clock.zone:  # type: ignore[union-attr]
            found.append(_date(at, column, box[0]))
        else:
            found += [_slider(at + i, names[at + i], *box[i]) for i in range(width)]
        at += width
    return "\n".join(found)


def _rows(column: Column) -> list[tuple[str, list[float]]]:
    n = len(column.categories)
    if column.statistics:
        rows = [list(row) for row in column.statistics[:n]]
    elif column.kind == "ordered":
        rows = [[float(i)] for i in range(n)]
    else:
        rows = np.eye(n).tolist()
    return list(zip(column.categories, rows, strict=True))


def _slider(number: int, name: str, low: float, high: float) -> str:
    side = high - low
    step = f"{side / STEPS:.17g}" if side > 0 else "any"
    middle = f"{min(max((low + high) / 2, low), high):.6g}"
    bounds = f'min="{low:.17g}" max="{high:.17g}"'
    said = escape(name, quote=True)
    return (
        f'<div class="input"><label for="live-{number}">{said}</label>'
        f'<input type="range" id="live-{number}" data-column="{number}" {bounds} step="{step}" '
        f'value="{middle}">'
        f'<input type="number" data-beside="{number}" aria-label="{said}, as a number" {bounds} '
        f'step="any" value="{middle}"></div>'
    )


def _levels(number: int, name: str, rows: list[tuple[str, list[float]]]) -> str:
    options = "".join(
        f'<option value="{escape(json.dumps(row), quote=True)}">{escape(level)}</option>'
        for level, row in rows
    )
    return (
        f'<div class="input"><label for="live-{number}">{escape(name)}</label>'
        f'<select id="live-{number}" data-column="{number}">{options}</select></div>'
    )


def _date(number: int, column: Column, days: np.ndarray) -> str:
    clock = column.clock
    assert clock is not None
    first, middle, last = (
        np.datetime_as_string(np.datetime64(int(clock.start + 86_400_000_000 * d), "us"), unit="m")
        for d in (days[0], days.mean(), days[1])
    )
    return (
        f'<div class="input"><label for="live-{number}">{escape(column.name)}</label>'
        f'<input type="datetime-local" id="live-{number}" data-column="{number}" '
        f'data-start="{clock.start}" data-periods="{" ".join(clock.periods)}" min="{first}" '
        f'max="{last}" value="{middle}"></div>'
    )


def in_html(model: Fitted, options: Mapping[str, Any]) -> files.Written:
    """Return a page of its own."""
    script = files.in_javascript(model, {"name": "model"})
    said = escape(files.about(model))
    text = f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>{escape(options["name"])}</title>
<link rel="icon" href="data:,">
<style>
body {{ margin: 0 auto; padding: 1rem; max-width: 66rem; font: 1rem/1.5 system-ui, sans-serif; }}
th, td {{ text-align: left; padding: .25rem 1rem .25rem 0; }}
{STYLE}
</style>
</head>
<body>
<main>
<h1>{escape(options["name"])}</h1>
<p>{said}</p>
{_fragment(model, script.data.decode())}
</main>
</body>
</html>
"""
    return files.Written(text.encode(), script.called, script.by, files.lacking(model))
