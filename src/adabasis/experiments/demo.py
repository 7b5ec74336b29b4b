"""The guided tour: a table from engineering, and the comparison that the method is about."""

from __future__ import annotations

import contextlib
import shlex
import textwrap
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.compute as pc
from matplotlib.figure import Figure

from .. import plots, report
from ..basis import NeuralBasis
from ..evidence.judge import judge
from ..models.files import replacing
from ..models.fitted import Fitted
from ..regression.api import fit
from ..report.origin import with_origin
from ..report.words import in_words
from ..tables import learn, open_table, steam_table
from ..train import GD, LSGD, AbstractTrainer, Callback, Progress, StopReason

INPUTS = ("temperature_C", "log10_pressure_bar")
TARGET = "enthalpy_kJ_per_kg"
HELD_OUT = 5
"""One row in so many is held out."""
FITTED = 800
"""Rows that are fitted: with all others the fit takes 1.4 times as long, for a tenth less error."""
PEERS = ("gradient boosting", "nearest neighbours", "linear model")
RATE = 2**-6
MODEL = "steam.adabasis"
STEPS, SEEDS = 400, 3
DEPTH = 4
"""Half of the published 8: compiling takes most of the time, and grows with the depth."""
DPI = 160
RUNS: dict[str, tuple[str, AbstractTrainer]] = {
    "He + GD": ("he", GD(RATE)),
    "Box + LSGD": ("box", LSGD(RATE)),
}


def run(folder: Path, console: Any) -> None:
    """Fit the steam table and a sine, draw both, and say where everything is.

    Parameters
    ----------
    folder : Path
        Made if need be; files of the same names in it are replaced, each at once or not at all.
    console : rich.console.Console

    Raises
    ------
    KeyboardInterrupt
        On Ctrl-C; what was written until then stays, and is whole.
    """
    folder.mkdir(parents=True, exist_ok=True)
    tour = _Tour(folder, console)
    tour.steam()
    tour.sine()
    tour.end()


class _Tour:
    """What the parts of the demo share: where to write, where to say it, what was written."""

    def __init__(self, folder: Path, console: Any) -> None:
        self.folder, self.console = folder, console
        self.written: dict[str, str] = {}

    def say(self, text: str = "") -> None:
        """Print as it is."""
        self.console.print(text, highlight=False, markup=False, soft_wrap=True)

    def steam(self) -> None:
        """Fit enthalpy over temperature and pressure by default, beside three other models."""
        source = open_table(steam_table())
        table = source.read()
        table = table.filter(pc.equal(table.column("superheated"), 1))
        data = learn(table.select([*INPUTS, TARGET]), [TARGET])
        x, y = data.x, data.y[:, 0]
        order = np.random.default_rng(0).permutation(len(y))
        out, others = np.split(order, [len(y) // HELD_OUT])
        kept = others[:FITTED]
        self.say(f"1. Superheated steam: {TARGET}")
        self.say(f"   from {' and '.join(INPUTS)}")
        self.say(f"   {len(kept):,} of {len(others):,} rows to fit, {len(out):,} others held out")
        self.say('   adabasis.fit(X, y, effort="fast"); the default searches longer')
        began = time.perf_counter()
        with self._watching("fitting", None) as watch:
            model = _whole(fit(x[kept], y[kept], effort="fast", callbacks=[watch]))
        self.say(f"   fitted in {time.perf_counter() - began:.0f} s:")
        self.say(f"   {in_words(model.basis)}")
        verdict = judge(model, x, data.y, None, (kept, out), PEERS)
        self.say("   relative error on the held-out rows (root mean square over the spread):")
        for score in verdict.scores:
            self.say(f"     {score.name:20s} {score.relative:8.2g}")
        for line in textwrap.wrap(verdict.sentence, 77):
            self.say(f"   {line}")
        self.say("   The largest errors are those of a few states at the edge of the table,")
        self.say("   which have few neighbours: steam-error.png shows them.")
        provenance = {
            "command": "adabasis demo",
            "table": f"{source.path.name}, its {len(y):,} superheated states",
            "table SHA-256": source.sha256(),
            "held out": "a fifth: the first of numpy.random.default_rng(0).permutation(n)",
            "fitted": f"the next {len(kept)} of it",
        }
        model = with_origin(model, data.preparation, verdict, provenance)
        model.save(self._file(MODEL, "the model of steam: adabasis.load reads it"))
        evidence = report.Evidence.of(model, x[out], y[out], f"the {len(out):,} rows held out")
        path = self._file("steam.html", "the report on it: open it in a browser")
        report.write(path, model, evidence=evidence, verdict=verdict, provenance=provenance)
        self._draw("steam-surface.png", "the fitted surface", plots.fitted(model, data=(x, y)))
        errors = plots.error_map(model, x[out], y[out])
        self._draw("steam-error.png", "its error on the held-out rows", errors)

    def sine(self) -> None:
        """Compare usual training with Box initialisation and least squares on sin 2πx."""
        self.say()
        self.say(f"2. sin 2πx by a residual ReLU network of width 32, depth {DEPTH}; {SEEDS} seeds")
        runs: dict[str, list[Fitted]] = {}
        with self._watching("training", STEPS * SEEDS * len(RUNS)) as watch:
            for name, (init, trainer) in RUNS.items():
                runs[name] = [
                    _whole(_fit_sine(init, trainer, seed, watch)) for seed in range(SEEDS)
                ]
        self.say(f"   mean log10 of the mean squared error, before and after {STEPS:,} steps:")
        losses = {name: [model.history.loss for model in models] for name, models in runs.items()}
        for name, loss in losses.items():
            before, after = np.log10([[each[0], each[-1]] for each in loss]).mean(axis=0)
            self.say(f"     {name:20s} {before:6.1f} {after:6.1f}")
        self.say("   Box with one least-squares solve is ahead before the first step.")
        self._draw("sine-error.png", "errors of all runs", plots.histories(losses))
        for name, models in runs.items():
            file = f"sine-functions-{RUNS[name][0]}.png"
            figure = plots.basis_functions(models[0])
            self._draw(file, f"basis functions of {name}, as drawn and as trained", figure)

    def end(self) -> None:
        """Say where everything is, and how to go on."""
        self.say()
        self.say(f"Written to {self.folder}:")
        wide = max(map(len, self.written))
        for name, what in self.written.items():
            self.say(f"  {name:{wide}}  {what}")
        self.say()
        self.say(f"About this model: adabasis show {shlex.quote(str(self.folder / MODEL))}")
        self.say("With a table of your own:")
        self.say("  adabasis fit TABLE.csv --target COLUMN")
        self.say("  adabasis predict TABLE.adabasis NEW.csv")

    def _file(self, name: str, what: str) -> Path:
        self.written[name] = what
        return self.folder / name

    def _draw(self, name: str, what: str, figure: Figure) -> None:
        with replacing(self._file(name, what)) as temporary:
            figure.savefig(temporary, format="png", dpi=DPI)

    @contextlib.contextmanager
    def _watching(self, what: str, steps: int | None) -> Iterator[Callback]:
        """Show a bar on a terminal, nothing elsewhere; ``steps`` are those of all runs."""
        from rich.progress import BarColumn, TextColumn, TimeElapsedColumn
        from rich.progress import Progress as Bars

        columns = (
            TextColumn("   {task.description}"),
            BarColumn(bar_width=30),
            TimeElapsedColumn(),
        )
        quiet = not self.console.is_terminal
        with Bars(*columns, console=self.console, transient=True, disable=quiet) as bars:
            task = bars.add_task(what, total=steps)
            done = before = 0

            def watch(progress: Progress) -> None:
                nonlocal done, before
                done += progress.step - before if progress.step >= before else progress.step
                before = progress.step
                bars.update(task, completed=done if steps else None)

            yield watch


def _whole(model: Fitted) -> Fitted:
    """Pass a model on unless Ctrl-C cut its fit short: a demo does not go on with half of it."""
    if model.stop_reason is StopReason.INTERRUPTED:
        raise KeyboardInterrupt
    return model


def _fit_sine(init: str, trainer: AbstractTrainer, seed: int, watch: Callback) -> Fitted:
    x = np.linspace(0, 1, 256)
    basis = NeuralBasis(32, DEPTH, activation="relu", residual=True, init=init, constant=False)
    return fit(
        x[:, None],
        np.sin(2 * np.pi * x),
        basis,
        method=trainer,
        max_steps=STEPS,
        standardize=False,  # as published: the network sees x and sin 2πx themselves
        random_state=seed,
        callbacks=[watch],
    )
