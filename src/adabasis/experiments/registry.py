"""Experiments by name: a frozen configuration in, a record out, a figure from the record."""

from __future__ import annotations

import dataclasses
import json
import shutil
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from ..models.files import write_atomic
from .kept import keeping

Record = dict[str, Any]


@dataclasses.dataclass(frozen=True)
class Experiment:
    """One figure of the slides.

    Attributes
    ----------
    name, title : str
    quick, full : frozen dataclasses
        Configurations: one that shows the effect in about a minute (waves take longer),
        and the published one.
    run : callable
        From a configuration to a record that JSON can hold.
    plot : callable
        From a record to a figure; computes nothing.
    """

    name: str
    title: str
    quick: Any
    full: Any
    run: Callable[[Any], Record]
    plot: Callable[[Record], Figure]

    def reproduce(
        self, folder: Path, *, full: bool, told: Callable[[], object] = lambda: None
    ) -> list[Path]:
        """Run, and write ``NAME/quick.json``, ``.svg`` and ``.png`` (or ``full``).

        Parts that are done are kept in :meth:`parts` until then; ``told`` is called after each.
        """
        config = self.full if full else self.quick
        began, parts = time.process_time(), self.parts(folder, full=full)
        with keeping(parts, told) as counted:
            found = self.run(config)
        record = {
            "experiment": self.name,
            "config": dataclasses.asdict(config),
            **found,
            "cpu_seconds": time.process_time() - began,
            "parts_of_earlier_runs": counted.found,
        }
        place = folder / self.name
        place.mkdir(parents=True, exist_ok=True)
        stem = place / ("full" if full else "quick")
        data = stem.with_suffix(".json")
        write_atomic(data, json.dumps(record, indent=1).encode())
        figure = self.plot(record)
        pictures = [stem.with_suffix(".svg"), stem.with_suffix(".png")]
        for path in pictures:
            figure.savefig(path)
        shutil.rmtree(parts, ignore_errors=True)
        return [data, *pictures]

    def parts(self, folder: Path, *, full: bool) -> Path:
        """Return the folder of what a run that was stopped has finished."""
        return folder / self.name / f"{'full' if full else 'quick'}-parts-{version('adabasis')}"


EXPERIMENTS: dict[str, Experiment] = {}


def register(experiment: Experiment) -> Experiment:
    """Add an experiment to :data:`EXPERIMENTS`."""
    EXPERIMENTS[experiment.name] = experiment
    return experiment
