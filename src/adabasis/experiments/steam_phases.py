"""Where a POUnet finds the jump of enthalpy between water and steam: over the saturation curve.

The table is that of the demonstration, random states of both phases with nothing that tells them
apart. The curve that the learned border is held against is the saturation line of the industrial
formulation from which the table was computed [1]_; the fit knows nothing of it.

References
----------
.. [1] IAPWS R7-97, "Revised release on the IAPWS industrial formulation 1997 for the thermodynamic
   properties of water and steam", eq. 31.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure

from ..plots.partitions import COLOURS, shares
from ..plots.style import FAINT, INK, RED, styled
from ..pou.api import fit_pounet
from ..tables import steam_table
from .curves import shades
from .registry import Experiment, Record, register

INPUTS, TARGET = ("temperature_C", "log10_pressure_bar"), "enthalpy_kJ_per_kg"
HELD_OUT = 0.2
SIDE, ISOBARS, ALONG = 161, 120, 4001
"""Points along a side of the map, isobars that the border is sought on, points along each."""
TEMPERATURES, PRESSURES = (20.0, 590.0), (-1.0, np.log10(200.0))
KELVIN = 273.15
NEAR, WIDE = 0.05, 15.0
"""Difference of log10 of pressures that count as one, and K drawn on either side of the curve."""


@dataclasses.dataclass(frozen=True)
class Config:
    """How many random splits into rows to fit and rows held out."""

    splits: int


def saturation(log10_pressure: np.ndarray) -> np.ndarray:
    """Return the temperature (°C) at which water boils at log10 of a pressure in bar."""
    n = (
        1167.0521452767, -724213.16703206, -17.073846940092, 12020.82470247, -3232555.0322333,
        14.91510861353, -4823.2657361591, 405113.40542057, -0.23855557567849, 650.17534844798,
    )  # fmt: skip
    root = (10.0 ** np.asarray(log10_pressure) / 10) ** 0.25  # of the pressure in MPa
    e = root**2 + n[2] * root + n[5]
    f = n[0] * root**2 + n[3] * root + n[6]
    g = n[1] * root**2 + n[4] * root + n[7]
    d = 2 * g / (-f - np.sqrt(f**2 - 4 * e * g))
    return (n[9] + d - np.sqrt((n[9] + d) ** 2 - 4 * (n[8] + n[9] * d))) / 2 - KELVIN


def steepest(predict: Callable[[np.ndarray], np.ndarray], log10_pressure: np.ndarray) -> np.ndarray:
    """Return the temperature at which each isobar's prediction rises most, (len(log10_pressure),).

    That is between two of ``ALONG`` points, 0.14 K apart, of the whole range of temperatures.
    """
    t = np.linspace(*TEMPERATURES, ALONG)
    grid = np.stack(np.broadcast_arrays(t, log10_pressure[:, None]), axis=-1).reshape(-1, 2)
    rises = np.diff(predict(grid).reshape(len(log10_pressure), ALONG), axis=1)
    at = np.argmax(rises, axis=1)
    return 0.5 * (t[at] + t[at + 1])


def run(config: Config) -> Record:
    """Fit every split, and seek the border along isobars."""
    table = np.genfromtxt(steam_table(), delimiter=",", names=True)
    x, y = np.stack([table[name] for name in INPUTS], axis=1), table[TARGET]
    isobars = np.linspace(*PRESSURES, ISOBARS)
    splits, owner = [], np.zeros((SIDE, SIDE), dtype=int)
    for seed in range(config.splits):
        order = np.random.default_rng(seed).permutation(len(x))
        out, kept = np.split(order, [round(HELD_OUT * len(x))])
        model = fit_pounet(x[kept], y[kept], random_state=seed)
        if seed == 0:
            sides = np.linspace(*TEMPERATURES, SIDE), np.linspace(*PRESSURES, SIDE)
            grid = np.stack(np.meshgrid(*sides), axis=-1).reshape(-1, 2)
            owner = shares(model, grid).argmax(axis=1).reshape(SIDE, SIDE)
        residual = model(x[out]) - y[out]
        splits.append(
            {
                "error": float(np.sqrt(np.mean(residual**2)) / y[out].std()),
                "off": (steepest(model, isobars) - saturation(isobars)).tolist(),
                "strip": _strip(x[kept], isobars).tolist(),
                "model": repr(model.basis),
            }
        )
    record = {"isobars": isobars.tolist(), "owner": owner.tolist(), "splits": splits}
    return record | {"states": x[::4].tolist(), "verdict": list(_lines(splits))}


def _strip(x: np.ndarray, isobars: np.ndarray) -> np.ndarray:
    """Return how far below and above saturation the next fitted state is, (2, isobars), in K.

    Of the states within ``NEAR`` of an isobar, and at most ``WIDE``.
    """
    apart = x[:, 0] - saturation(x[:, 1])
    near = np.abs(x[:, 1] - isobars[:, None]) < NEAR
    below = np.where(near & (apart < 0), apart, -WIDE).max(axis=1)
    above = np.where(near & (apart > 0), apart, WIDE).min(axis=1)
    return np.clip([below, above], -WIDE, WIDE)


def _lines(splits: list[Record]) -> Iterator[str]:
    for seed, split in enumerate(splits):
        off = np.abs(split["off"])
        yield (
            f"split {seed}: held-out error {split['error']:.1e} of the deviation; border off the "
            f"saturation curve by {np.median(off):.2f} K (median), {np.quantile(off, 0.95):.2f} K "
            f"(95 %), {off.max():.2f} K (most)"
        )
    if len(splits) > 1:
        errors = [split["error"] for split in splits]
        yield f"median error of {len(errors)} splits: {np.median(errors):.1e}"


@styled
def plot(record: Record) -> Figure:
    """Draw the parts of the first split with the curve, and every split's border less the curve."""
    figure = Figure(figsize=(8.4, 3.6), layout="constrained")
    left, right = figure.subplots(1, 2, sharey=True)
    _map(left, record)
    isobars = np.array(record["isobars"])
    first = record["splits"][0]
    right.fill_betweenx(isobars, *np.array(first["strip"]), color=FAINT, linewidth=0,
                        label="no fitted state, split 0")  # fmt: skip
    right.axvline(0.0, color=INK, linewidth=0.8)
    count = len(record["splits"])
    for seed, (split, colour) in enumerate(zip(record["splits"], shades(count), strict=True)):
        right.plot(split["off"], isobars, ".", markersize=3, color=colour, label=f"split {seed}")
    right.set(xlim=(-WIDE, WIDE), xlabel="border less saturation, K", title="off the curve")
    right.legend(loc="lower right", fontsize=7, markerscale=2)
    return figure


def _map(ax: Axes, record: Record) -> None:
    owner, isobars = np.array(record["owner"]), np.array(record["isobars"])
    count = int(owner.max()) + 1
    sides = np.linspace(*TEMPERATURES, SIDE), np.linspace(*PRESSURES, SIDE)
    palette = ListedColormap([COLOURS[k % len(COLOURS)] for k in range(count)])
    ax.pcolormesh(*sides, owner, cmap=palette, alpha=0.35, vmin=-0.5, vmax=count - 0.5,
                  shading="nearest", rasterized=True)  # fmt: skip
    ax.plot(*np.transpose(record["states"]), ".", color=INK, markersize=1, alpha=0.4)
    border = np.array(record["splits"][0]["off"]) + saturation(isobars)
    ax.plot(border, isobars, ".", color=RED, markersize=4, label="learned: the steepest rise")
    ax.plot(saturation(isobars), isobars, color=INK, linewidth=1.2, label="saturation")
    ax.set(xlabel="temperature, °C", ylabel="log10 of the pressure in bar", title="parts")
    ax.set(xlim=TEMPERATURES, ylim=PRESSURES)
    ax.grid(False)
    ax.legend(loc="lower right")


register(
    Experiment(
        "steam-phases",
        "The jump between water and steam: the learned border over the saturation curve",
        Config(1),
        Config(6),
        run,
        plot,
    )
)
