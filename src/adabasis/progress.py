"""Progress of a run on the terminal: a line that redraws in place, or plain lines without one."""

from __future__ import annotations

import math
from typing import Any

from .train import Progress


class ProgressLine:
    """A callback that shows step, loss and held-out error; use as a context manager."""

    def __init__(self, max_steps: int | None, console: Any = None) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, TextColumn, TimeElapsedColumn
        from rich.progress import Progress as Bars

        self.console = console or Console(stderr=True)
        self.live = self.console.is_terminal
        self.bars = Bars(
            TextColumn("{task.description}"),
            BarColumn(bar_width=20),
            TextColumn("{task.fields[now]}"),
            TimeElapsedColumn(),
            console=self.console,
            transient=True,
            disable=not self.live,
        )
        self.max_steps = max_steps
        self.next_line = 1
        self.task: Any = None

    def __enter__(self) -> ProgressLine:
        self.bars.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.bars.stop()

    def say(self, text: str) -> None:
        """Print one line above the bar."""
        self.console.print(text, highlight=False)

    def __call__(self, progress: Progress) -> None:
        """Show one check."""
        now = f"rms {math.sqrt(max(progress.loss, 0.0)):.2e}"
        if progress.validation is not None:
            now += f"  held out {progress.validation:.2e}"
        if not self.live:
            if progress.step >= self.next_line:
                self.say(f"step {progress.step}  {now}  {progress.seconds:.1f} s")
                self.next_line = max(2 * self.next_line, progress.step + 1)
            return
        if self.task is None:
            self.task = self.bars.add_task("training", total=self.max_steps, now="")
        self.bars.update(self.task, completed=progress.step, now=now)
