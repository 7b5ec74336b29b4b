"""The sine on a cross: POUnets of Gaussians over N_part and degree, MLPs, and a fixed grid."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ..basis import AbstractBasis, NeuralBasis, PartitionBasis
from ..plots.style import BLUE, INK, ORANGE, RED, styled
from ..train import LSGD, LSGN, AbstractTrainer
from . import pounets
from .curves import shades
from .registry import Experiment, Record, register

SQUARE = np.array([[-1.0, 1.0], [-1.0, 1.0]])
PER_AXIS = 501
BAR = 1e-8
"""Relative error that the largest POUnet is to reach; rates are fitted down to here."""
STYLES = {
    "tanh, 1 layer, LSGN": (RED, "v"),
    "tanh, 2 layers, LSGN": (BLUE, "^"),
    "ReLU, 2 layers, LSGD": (ORANGE, "s"),
}


def cross(along: np.ndarray) -> pounets.Data:
    """Return points on both axes, (2N, 2), and sin 2πx of the coordinate that is not zero."""
    zero = np.zeros_like(along)
    points = [np.stack([along, zero], axis=1), np.stack([zero, along], axis=1)]
    return np.concatenate(points), np.tile(np.sin(2 * np.pi * along), 2)[:, None]


SEEN = cross(np.linspace(-1, 1, PER_AXIS))
UNSEEN = cross(np.random.default_rng(0).uniform(-1, 1, PER_AXIS))


@dataclasses.dataclass(frozen=True)
class Net:
    """A kind of MLP, and how it is trained."""

    activation: str
    depth: int
    method: str

    @property
    def name(self) -> str:
        """What the figure calls it."""
        layers = "1 layer" if self.depth == 1 else f"{self.depth} layers"
        kind = {"relu": "ReLU"}.get(self.activation, self.activation)
        return f"{kind}, {layers}, {self.method}"

    def basis(self, most: int) -> NeuralBasis:
        """Return the widest network of at most that many numbers to choose."""
        width = max(w for w in range(1, most) if self.count(w) <= most)
        return NeuralBasis(width, self.depth, activation=self.activation)

    def count(self, width: int) -> int:
        """Return the weights, biases and coefficients of a network of two inputs."""
        return 3 * width + (self.depth - 1) * width * (width + 1) + width + 1


@dataclasses.dataclass(frozen=True)
class Config:
    """Partitions, degrees, draws and steps; what LSGD and MLPs are run for beside.

    Rates and steps of LSGD are not published. MLPs have at most as many numbers to choose as the
    POUnet of the highest degree with as many partitions as ``net_partitions`` says.
    """

    partitions: tuple[int, ...]
    degrees: tuple[int, ...]
    draws: int
    lsgd_partitions: tuple[int, ...]
    lsgd_steps: int
    sides: tuple[int, ...]
    net_partitions: tuple[int, ...]
    nets: tuple[Net, ...]
    newton_steps: int = 80
    rate: float = 1e-2
    net_rate: float = 5e-3

    def trainer(self, method: str, rate: float) -> tuple[AbstractTrainer, int]:
        """Return a trainer and its steps."""
        return (LSGN(), self.newton_steps) if method == "LSGN" else (LSGD(rate), self.lsgd_steps)


def run(config: Config) -> Record:
    """Train all, solve on the grids, and fit rates."""
    top = max(config.degrees)
    found = [_pounet(config, "LSGN", n, m) for m in config.degrees for n in config.partitions]
    found += [_pounet(config, "LSGD", n, top) for n in config.lsgd_partitions]
    grids = [_grid(side, m) for m in config.degrees for side in config.sides]
    nets = [_net(config, net, n) for net in config.nets for n in config.net_partitions]
    record = {"pounets": found, "grids": grids, "nets": nets}
    return record | {"verdict": [*_lines(config, record)]}


def _pounet(config: Config, method: str, n: int, degree: int) -> Record:
    basis = pounets.gaussians(n, degree)
    count = 3 * n + basis.size(2)
    cell = {"degree": degree, "partitions": n, "method": method, "parameters": count}
    if n == 1:  # φ = 1: there is nothing to train
        return cell | {"errors": [_solved_error(basis)]}
    return cell | _trained(config, basis, method, config.rate)


def _net(config: Config, net: Net, n: int) -> Record:
    most = 3 * n + pounets.gaussians(n, max(config.degrees)).size(2)
    basis = net.basis(most)
    cell = {"name": net.name, "width": basis.width, "parameters": net.count(basis.width)}
    return cell | _trained(config, basis, net.method, config.net_rate)


def _trained(config: Config, basis: AbstractBasis, method: str, rate: float) -> Record:
    """Return errors on unseen points, that of the run of least training loss first."""
    starts = [pounets.drawn(basis, seed, SQUARE, SEEN[0]) for seed in range(config.draws)]
    runs = pounets.trained(basis, *config.trainer(method, rate), starts, SEEN)
    level = np.sqrt(np.mean(UNSEEN[1] ** 2))
    return {
        "errors": [
            pounets.rms(basis, run.parameters, run.coefficients, UNSEEN) / level for run in runs
        ]
    }


def _grid(side: int, degree: int) -> Record:
    """Solve on side × side equal squares; odd sides, so that no border lies on an axis."""
    basis = PartitionBasis(side**2, degree, partition="grid")
    return {"degree": degree, "side": side, "error": _solved_error(basis)}


def _solved_error(basis: PartitionBasis) -> float:
    parameters = pounets.drawn(basis, 0, SQUARE, SEEN[0])
    c = pounets.solved(basis, parameters, SEEN)
    return pounets.rms(basis, parameters, c, UNSEEN) / float(np.sqrt(np.mean(UNSEEN[1] ** 2)))


def exponential_rate(numbers: np.ndarray, errors: np.ndarray) -> tuple[float, float]:
    """Return b of a fit of 10^(a − b n) in numbers n, and its largest misfit in decades.

    Fitted down to the first error below 1e-8, where rounding takes over, of at least two numbers.
    """
    until = max(2, 1 + next((i for i, e in enumerate(errors) if e <= BAR), len(errors)))
    n, logs = numbers[:until], np.log10(errors[:until])
    slope, level = np.polyfit(n, logs, 1)
    return -float(slope), float(np.max(np.abs(level + slope * n - logs)))


def algebraic_rate(sides: np.ndarray, errors: np.ndarray) -> float:
    """Return q of a fit of errors by (2/side)^q, over the three finest grids."""
    return -float(np.polyfit(np.log(sides[-3:]), np.log(errors[-3:]), 1)[0])


def _errors(cells: Iterable[Record], degree: int, method: str = "LSGN") -> np.ndarray:
    return np.array(
        [c["errors"][0] for c in cells if (c["degree"], c["method"]) == (degree, method)]
    )


def _over_degrees(record: Record, partitions: int) -> np.ndarray:
    """Return the errors by LSGN with so many partitions, in the order of the degrees."""
    cells = [c for c in record["pounets"] if c["method"] == "LSGN"]
    return np.array([c["errors"][0] for c in cells if c["partitions"] == partitions])


def _grid_errors(record: Record, degree: int) -> np.ndarray:
    return np.array([grid["error"] for grid in record["grids"] if grid["degree"] == degree])


def _lines(config: Config, record: Record) -> Iterator[str]:
    """Yield what falls how fast, and whether the bar is met."""
    yield "Relative ℓ² errors on unseen points, LSGN, least training loss of all draws"
    yield "  N_part " + "".join(f"{n:>9d}" for n in config.partitions)
    for degree in config.degrees:
        errors = _errors(record["pounets"], degree)
        rate, misfit = exponential_rate(np.array(config.partitions)[1:], errors[1:])
        yield f"  m = {degree}  {_cells(errors)}"
        yield f"         {_falling(errors)}; 10^(−{rate:.2f} N_part) fits to {misfit:.1f} decades"
    compared = len(config.degrees) > 1
    for n in config.partitions if compared else ():
        rate, misfit = exponential_rate(np.array(config.degrees), _over_degrees(record, n))
        yield f"  N_part = {n} over degrees: 10^(−{rate:.2f} m) fits to {misfit:.1f} decades"
    top = max(config.degrees)
    least = _errors(record["pounets"], top)[-1]
    met = "is met" if least <= BAR else "is missed"
    yield f"m = {top}, N_part = {max(config.partitions)}: {least:.1e}; the bar of {BAR:.0e} {met}"
    yield from _comparisons(config, record, top)
    for degree in config.degrees:
        rate = algebraic_rate(np.array(config.sides), _grid_errors(record, degree))
        verdict = "agrees" if abs(rate - degree - 1) <= 0.15 else "differs"
        yield f"grid, m = {degree}: error ~ h^{rate:.2f}, expected {degree + 1}: {verdict}"
    for i, side in enumerate(config.sides if compared else ()):
        errors = np.array([_grid_errors(record, degree)[i] for degree in config.degrees])
        rate, misfit = exponential_rate(np.array(config.degrees), errors)
        yield (
            f"grid, {side} × {side} over degrees: 10^(−{rate:.2f} m) fits to {misfit:.1f} decades"
        )


def _comparisons(config: Config, record: Record, top: int) -> Iterator[str]:
    for n, error in zip(config.lsgd_partitions, _errors(record["pounets"], top, "LSGD"),
                        strict=True):  # fmt: skip
        yield f"m = {top}, N_part = {n}, LSGD, {config.lsgd_steps} steps: {error:.1e}"
    for net in record["nets"]:
        yield f"{net['name']}, {net['parameters']} parameters: {net['errors'][0]:.1e}"
    pounet = min(record["pounets"], key=lambda cell: cell["errors"][0])
    net = min(record["nets"], key=lambda cell: cell["errors"][0])
    lower = "a POUnet" if pounet["errors"][0] < net["errors"][0] else f"the MLP {net['name']}"
    yield f"The least error of all has {lower}"


def _cells(errors: np.ndarray) -> str:
    return "".join(f"{error:9.1e}" for error in errors)


def _falling(errors: np.ndarray) -> str:
    """Say whether errors fall from each N_part to the next."""
    return "falls" if np.all(np.diff(errors) < 0) else "does not fall everywhere"


@styled
def plot(record: Record) -> Figure:
    """Draw errors against partitions, against numbers to choose, and on the grids."""
    figure = Figure(figsize=(10.5, 3.7), layout="constrained")
    axes = figure.subplots(1, 3)
    _draw_partitions(axes[0], record)
    _draw_parameters(axes[1], record)
    _draw_grids(axes[2], record)
    for ax in axes:
        ax.set_yscale("log")
    axes[0].set_ylabel("relative $\\ell^2$ error, unseen points")
    return figure


def _draw_partitions(ax: Axes, record: Record) -> None:
    degrees, partitions = record["config"]["degrees"], record["config"]["partitions"]
    for degree, colour in zip(degrees, shades(len(degrees)), strict=True):
        errors = _errors(record["pounets"], degree)
        ax.plot(partitions, errors, "o-", color=colour, markersize=4, label=f"m = {degree}")
        for cell in record["pounets"]:
            if (cell["degree"], cell["method"]) == (degree, "LSGN"):
                others = cell["errors"][1:]
                ax.plot([cell["partitions"]] * len(others), others, ".", color=colour, alpha=0.5)
    top, tried = max(degrees), record["config"]["lsgd_partitions"]
    ax.plot(tried, _errors(record["pounets"], top, "LSGD"), "x", color=INK, markersize=7,
            label=f"m = {top}, LSGD")  # fmt: skip
    ax.set_xscale("log", base=2)
    ax.set_xticks(partitions, [str(n) for n in partitions])
    ax.set(xlabel="partitions $N_{\\mathrm{part}}$", title="(a) POUnets of Gaussians")
    ax.legend()


def _draw_parameters(ax: Axes, record: Record) -> None:
    degrees = record["config"]["degrees"]
    for degree, colour in zip(degrees, shades(len(degrees)), strict=True):
        cells = [c for c in record["pounets"] if (c["degree"], c["method"]) == (degree, "LSGN")]
        ax.plot([c["parameters"] for c in cells], _errors(cells, degree), "o-", color=colour,
                markersize=4)  # fmt: skip
    for name in dict.fromkeys(net["name"] for net in record["nets"]):
        cells = [net for net in record["nets"] if net["name"] == name]
        colour, mark = STYLES.get(name, (INK, "d"))
        ax.plot([c["parameters"] for c in cells], [c["errors"][0] for c in cells], mark + "--",
                color=colour, markersize=5, label=name)  # fmt: skip
    ax.set_xscale("log")
    ax.set(xlabel="parameters, coefficients included", title="(b) MLPs beside")
    ax.legend()


def _draw_grids(ax: Axes, record: Record) -> None:
    degrees, sides = record["config"]["degrees"], record["config"]["sides"]
    for degree, colour in zip(degrees, shades(len(degrees)), strict=True):
        errors = _grid_errors(record, degree)
        rate = algebraic_rate(np.array(sides), errors)
        ax.plot(sides, errors, "o-", color=colour, markersize=4, label=f"m = {degree}: {rate:.2f}")
    ax.set_xscale("log")
    ax.set_xticks(sides, [str(side) for side in sides])
    ax.minorticks_off()
    ax.set(xlabel="grid cells along an axis", title="(c) fixed grid")
    ax.legend(title="fitted order in h")


register(
    Experiment(
        "cross-sine",
        "The sine on a cross: POUnets over partitions and degree, MLPs beside",
        Config(
            (1, 2, 4, 8, 16), (1, 4), 2, (8,), 50, (5, 9, 15), (4, 16),
            (Net("tanh", 1, "LSGN"), Net("relu", 2, "LSGD")), newton_steps=50,
        ),
        Config(
            (1, 2, 4, 8, 16), (0, 1, 2, 3, 4), 5, (2, 4, 8, 16), 2000, (3, 5, 7, 11, 15),
            (1, 2, 4, 8, 16),
            (Net("tanh", 1, "LSGN"), Net("tanh", 2, "LSGN"), Net("relu", 2, "LSGD")),
        ),
        run,
        plot,
    )
)  # fmt: skip
