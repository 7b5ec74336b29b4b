"""Experiments by name: a frozen configuration in, a record out, a figure from the record."""

from __future__ import annotations

import dataclasses
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from ..storage import write_atomic

Record = dict[str, Any]


@dataclasses.dataclass(frozen=True)
class Experiment:
    """One figure of the slides.

    Attributes
    ----------
    name, title : str
    quick, full : frozen dataclasses
        Configurations: one that shows the effect in about a minute, and the published one.
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

    def reproduce(self, folder: Path, *, full: bool) -> list[Path]:
        """Run, and write ``NAME/quick.json``, ``.svg`` and ``.png`` (or ``full``)."""
        config = self.full if full else self.quick
        began = time.process_time()
        record = {
            "experiment": self.name,
            "config": dataclasses.asdict(config),
            **self.run(config),
            "cpu_seconds": time.process_time() - began,
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
        return [data, *pictures]


EXPERIMENTS: dict[str, Experiment] = {}


def register(experiment: Experiment) -> Experiment:
    """Add an experiment to :data:`EXPERIMENTS`."""
    EXPERIMENTS[experiment.name] = experiment
    return experiment
