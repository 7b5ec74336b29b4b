"""Predictions of many rows against NumPy doing the same products and the same tanh in chunks."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable, Iterator

import numpy as np
import threadpoolctl

import adabasis as ab

from ..measure import timed
from ..records import Bar, Measurement
from ..registry import Settings, case

WIDTH, INPUTS, ROWS, FEW_ROWS = 128, 10, 10**6, 10**5
#: Rows at once of the yardstick: what fits in a processor's cache.
CHUNK = 2048
REFERENCE, DOUBLE, SINGLE = "NumPy in chunks", "adabasis", "adabasis, float32"
GROUP = "width 128"


def model() -> ab.Fitted:
    """Return a one-layer network, fitted to a smooth function."""
    x = np.random.default_rng(0).uniform(-1, 1, (2000, INPUTS))
    return ab.fit(x, np.sin(x.sum(axis=1)), ab.NeuralBasis(WIDTH, 1), method="frozen", ridge=1e-6)


def by_numpy(model: ab.Fitted, x: np.ndarray) -> np.ndarray:
    """Return the model's values by its formula."""
    weight, bias = model.parameters.first
    into, out, c = model.input_map, np.empty(len(x)), model.coefficients[:, 0]
    for start in range(0, len(x), CHUNK):
        z = (x[start : start + CHUNK] - into.shift) / into.scale
        out[start : start + CHUNK] = np.tanh(z @ weight.T + bias) @ c[:-1] + c[-1]
    return out * model.output_map.scale + model.output_map.shift


@case(
    "prediction",
    "a million rows of 10 inputs through one layer of width 128, and the memory that takes",
    error="largest difference from NumPy in chunks, relative to the largest value",
    repeats=3,
    reference=REFERENCE,
    bars=(Bar(GROUP, DOUBLE, "cpu_ratio", 1.3),),
)
def run(settings: Settings) -> Iterator[Measurement]:
    """Time each way in turn; memory is that beyond the rows and the values."""
    network = model()
    x = np.random.default_rng(1).uniform(-1, 1, (FEW_ROWS if settings.quick else ROWS, INPUTS))
    ways: dict[str, Callable[[], np.ndarray]] = {
        REFERENCE: lambda: by_numpy(network, x),
        DOUBLE: lambda: network.predict(x),
        SINGLE: lambda: network.predict(x, dtype="float32"),
    }
    exact = by_numpy(network, x)
    memory = {name: _beyond(way) for name, way in ways.items()}
    for repeat in range(settings.repeats):
        for name, way in ways.items():
            settings.doing(f"{name}, repeat {repeat}")
            with threadpoolctl.threadpool_limits(1, user_api="blas"), timed() as timing:
                values = way()
            error = float(np.abs(values - exact).max() / np.abs(exact).max())
            used = f"{memory[name] / 1e6:.0f} MB"
            yield Measurement(
                GROUP,
                GROUP,
                name,
                repeat,
                error,
                timing.seconds,
                0.0,
                timing.cpu_seconds,
                None,
                used,
            )


def _beyond(way: Callable[[], np.ndarray]) -> int:
    """Return the bytes in use at once beyond those before and those of the result."""
    tracemalloc.start()
    try:
        values = way()
        return tracemalloc.get_traced_memory()[1] - values.nbytes
    finally:
        tracemalloc.stop()
