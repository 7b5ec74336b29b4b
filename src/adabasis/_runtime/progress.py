"""Progress on the terminal: a line that redraws in place, or plain lines without one."""

from __future__ import annotations

import dataclasses
import math
import time
from collections.abc import Callable
from typing import Any

from .notation import Parameters


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


Callback = Callable[[Progress], Any]


#: Seconds between the first two plain lines; each pause is half as long again as the last.
FIRST_PAUSE = 2.0


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
        self.live = self.console.is_terminal
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
        self.began = time.monotonic()
        self.pause, self.next_line = FIRST_PAUSE, self.began + FIRST_PAUSE

    def __enter__(self) -> ProgressLine:
        self.bars.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.bars.stop()
        if self.run:
            self._say(self.unsaid)

    def show(self, what: str, now: str = "", completed: int | None = None) -> None:
        """Say what is going on; of plain lines, only as many as a person wants to read."""
        if self.live:
            self.bars.update(self.task, description=what, now=now, completed=completed)
            return
        seconds = time.monotonic() - self.began
        self.unsaid = "  ".join(filter(None, [what, now, f"{seconds:.0f} s"]))
        if time.monotonic() >= self.next_line:
            self._say(self.unsaid)
            self.next_line = time.monotonic() + self.pause
            self.pause *= 1.5

    def __call__(self, progress: Progress) -> None:
        """Show one check."""
        if progress.step <= self.step or not self.run:
            if self.run:
                self._say(self.unsaid)  # the last check of the run before
            self.run += 1
            self.next_line = min(self.next_line, time.monotonic())
        self.step = progress.step
        now = f"rms {math.sqrt(max(progress.loss, 0.0)):.2e}"
        if progress.validation is not None:
            now += f"  held out {progress.validation:.2e}"
        self.show(f"training run {self.run}, step {progress.step}", now, progress.step)

    def _say(self, text: str) -> None:
        if text:
            self.console.print(text, highlight=False, markup=False, soft_wrap=True)
        self.unsaid = ""
