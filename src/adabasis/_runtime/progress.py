"""Progress: a line that redraws in place, on terminals and in notebooks, or a line a stage."""

from __future__ import annotations

import dataclasses
import math
import time
from collections.abc import Callable
from typing import Any

from .notation import Parameters

#: Seconds between the first two plain lines, and within a stage, which has a line of its own; each
#: pause is half as long again as the last.
FIRST_PAUSE, PAUSE_IN_STAGE = 2.0, 30.0
#: Seconds between changes of a notebook's line: each is a message to the browser.
REDRAWN = 0.25
#: Share of the error before that a stage which lowered it leaves, at most.
CLEARLY = 0.99


@dataclasses.dataclass(frozen=True)
class Stage:
    """A stage of a search: what is tried, what it may gain, and what it costs.

    Attributes
    ----------
    number, most : int
        Stage ``number`` of at most ``most``: what gains nothing is left out.
    what : str
    seconds : float
        That it takes, about; NaN where nothing is known of it.
    error, least : float
        The relative error of the best so far, NaN at first; and the least that any model may have,
        where replicates tell that.
    before : float
        The relative error of the best when the stage before began; NaN where there was none.
    """

    number: int
    most: int
    what: str
    seconds: float = math.nan
    error: float = math.nan
    least: float = 0.0
    before: float = math.nan

    def __str__(self) -> str:
        """Say it in a line."""
        said = f"stage {self.number} of at most {self.most}: {self.what}"
        if self.seconds >= 1:
            said += f", about {self.seconds:,.0f} s"
        if not math.isfinite(self.error):
            return said
        said += f"; relative error so far {self.error:.2g}"
        if math.isfinite(self.before):
            gained = self.error < CLEARLY * self.before
            by = f"lowered from {self.before:.2g}" if gained else "not lowered"
            said += f", {by} by the stage before"
        if self.least:
            said += f", at best {self.least:.2g} (replicates differ by that)"
        return said


@dataclasses.dataclass(frozen=True)
class Progress:
    """What callbacks see: a callback that returns true stops the run."""

    step: int
    loss: float
    validation: float | None
    best: float
    seconds: float
    parameters: Parameters
    coefficients: Any
    stage: Stage | None = None


Callback = Callable[[Progress], Any]


class ProgressLine:
    """A callback that shows the run, its steps and errors; use as a context manager.

    Parameters
    ----------
    max_steps : int or None
        Of each run, for a bar; without them there is only a sign of life.
    console : rich Console, optional
        By default standard error.
    what : str
        What is going on until the first step.
    """

    def __init__(self, max_steps: int | None, console: Any = None, what: str = "preparing") -> None:
        from rich import progress
        from rich.console import Console

        self.console = console or Console(stderr=True)
        self.in_notebook = self.console.is_jupyter
        self.live = self.console.is_terminal and not self.in_notebook
        self.bars = progress.Progress(
            progress.SpinnerColumn("line"),
            progress.TextColumn("{task.description}", markup=False),
            *([progress.BarColumn(bar_width=12)] if max_steps else []),
            progress.TextColumn("{task.fields[now]}", markup=False),
            progress.TimeElapsedColumn(),
            console=self.console,
            transient=True,
            disable=not self.live,
        )
        self.task = self.bars.add_task(what, total=max_steps, now="")
        self.run, self.step, self.unsaid = 0, -1, ""
        self.stage: Stage | None = None
        self.began = self.since = time.monotonic()
        self.pause, self.next_line = FIRST_PAUSE, self.began + FIRST_PAUSE
        self.stages: list[Stage] = []
        self.shown: Any = None
        self.redrawn = -math.inf

    def __enter__(self) -> ProgressLine:
        self.bars.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.bars.stop()
        if self.stages:
            count = f"{len(self.stages)} stage{'s' * (len(self.stages) > 1)}"
            self._say(f"{count} in {time.monotonic() - self.began:.0f} s")
        elif self.run:
            self._say(self.unsaid)

    def show(self, what: str, now: str = "", completed: int | None = None) -> None:
        """Say what is going on; of plain lines, only as many as a person wants to read."""
        if self.live:
            self.bars.update(self.task, description=what, now=now, completed=completed)
            return
        seconds = time.monotonic() - self.began
        self.unsaid = "  ".join(filter(None, [what, now, f"{seconds:.0f} s"]))
        if self.in_notebook:
            self._redraw(self.unsaid)
        elif time.monotonic() >= self.next_line:
            self._say(self.unsaid)
            self.next_line = time.monotonic() + self.pause
            self.pause *= 1.5

    def begins(self, stage: Stage) -> None:
        """Announce a stage: a line of its own, and the only one unless it takes long."""
        if not self.stages:  # what was said before there were any
            self._say(self.unsaid)
        self.stages.append(stage)
        self._say(str(stage))
        self.stage, self.run, self.step = stage, 0, -1
        self.pause, self.since = PAUSE_IN_STAGE, time.monotonic()
        self.next_line = self.since + PAUSE_IN_STAGE
        if self.live:
            self.show(f"stage {stage.number} of at most {stage.most}")

    def __call__(self, progress: Progress) -> None:
        """Show one check."""
        if progress.step <= self.step or not self.run:
            self.run += 1
            if self.stage is None:  # the last check of the run before, and the first of this one
                self._say(self.unsaid)
                self.next_line = min(self.next_line, time.monotonic())
        self.step = progress.step
        now = f"rms {math.sqrt(max(progress.loss, 0.0)):.2e}"
        if progress.validation is not None:
            now += f"  held out {progress.validation:.2e}"
        what = f"training run {self.run}, step {progress.step}"
        if self.stage is not None:
            what = f"stage {self.stage.number}, {what}"
            left = self.stage.seconds - (time.monotonic() - self.since)
            now += f"  about {left:,.0f} s left" if left >= 1 else ""
        self.show(what, now, progress.step)

    def _redraw(self, text: str, at_once: bool = False) -> None:
        """Show the stages and a line below them in a notebook, in the place of what it shows."""
        from IPython.display import display

        now = time.monotonic()
        if not at_once and now < self.redrawn + REDRAWN:
            return
        self.redrawn = now
        lines = [str(stage) for stage in self.stages]
        lines += [text] if text not in lines else []
        data = {"text/plain": "\n".join(lines)}
        if self.shown is None:
            self.shown = display(data, raw=True, display_id=True)
        else:
            self.shown.update(data, raw=True)

    def _say(self, text: str) -> None:
        if text and self.in_notebook:
            self._redraw(text, at_once=True)
        elif text:
            self.console.print(text, highlight=False, markup=False, soft_wrap=True)
        self.unsaid = ""
