"""Maps that are not affine: inputs in logarithms or on a circle, transformed targets.

The functions of a model are smooth in what these maps make of its columns. Derivatives in the
user's units follow by the chain rule, which JAX applies to the composition.
"""

from __future__ import annotations

import dataclasses
import math
import numbers
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from .._runtime.errors import listed
from .points import AffineMap, bounding_box, unit_box

#: Residuals that stand for all in the mean over them: one for each 64th of their number.
SMEARED = 64
#: What can be asked of an input.
INPUT_TRANSFORMS = ("auto", "log", None)


def _numpy(x: Any) -> Any:
    """Return the namespace that an array belongs to: JAX's, or NumPy."""
    return jnp if isinstance(x, jax.Array) else np


@dataclasses.dataclass(frozen=True)
class Coordinates:
    """What becomes of each column of the inputs before the affine map.

    Parameters
    ----------
    kinds : tuple of str, length D
        "plain"; "log": log x, below ``about`` its tangent, so that there is a value for zeros;
        "periodic": the point (cos 2πx/p, sin 2πx/p) of the circle, p being ``about``.
    about : tuple of float, length D

    Examples
    --------
    >>> Coordinates(("log",), (1.0,))(np.array([[0.0], [1.0]])).tolist()
    [[-1.0], [0.0]]
    """

    kinds: tuple[str, ...]
    about: tuple[float, ...]

    @classmethod
    def plain(cls, size: int) -> Coordinates:
        """Return those that are the columns themselves."""
        return cls(("plain",) * size, (0.0,) * size)

    @classmethod
    def with_periods(cls, size: int, periodic: Iterable[tuple[int, float]]) -> Coordinates | None:
        """Return those of columns some of which are periodic; ``None`` where none is."""
        about = dict(periodic)
        return cls.plain(size).replaced("periodic", about) if about else None

    @property
    def are_plain(self) -> bool:
        """Whether all are the columns themselves."""
        return set(self.kinds) <= {"plain"}

    @property
    def periodic(self) -> np.ndarray:
        """Which inputs are periodic, (D,) bools."""
        return np.array([kind == "periodic" for kind in self.kinds])

    @property
    def circles(self) -> np.ndarray:
        """The numbers of each cosine, the sine being the next, among the coordinates."""
        size = np.where(self.periodic, 2, 1)
        return (np.cumsum(size) - size)[self.periodic]

    def replaced(self, kind: str, about: dict[int, float]) -> Coordinates:
        """Return coordinates with some columns of another kind."""
        pairs = list(zip(self.kinds, self.about, strict=True))
        pairs = [(kind, about[j]) if j in about else pair for j, pair in enumerate(pairs)]
        return Coordinates(*(tuple(column) for column in zip(*pairs, strict=True)))

    def __call__(self, x: Any) -> Any:
        """Map points (…, D) to coordinates (…, M): a periodic column makes two."""
        xp = _numpy(x)
        columns = []
        for j, (kind, about) in enumerate(zip(self.kinds, self.about, strict=True)):
            column = x[..., j]
            if kind == "periodic":
                columns += [xp.cos(2 * np.pi / about * column), xp.sin(2 * np.pi / about * column)]
            elif kind == "log":
                above = column >= about
                inside = xp.log(xp.where(above, column, about))
                columns.append(xp.where(above, inside, np.log(about) + (column - about) / about))
            else:
                columns.append(column)
        return xp.stack(columns, axis=-1)

    def wrapped(self, x: np.ndarray) -> np.ndarray:
        """Return points (N, D) with periodic columns within one period from their least value.

        What a turn in floating point leaves by way of round-off is taken away: entries a period
        apart become the same.
        """
        x = x.copy() if self.periodic.any() else x
        for j in np.flatnonzero(self.periodic):
            column, period = x[:, j], self.about[j]
            low, size = column.min(), 8 * np.finfo(float).eps * np.abs(column).max()
            turned = column - period * np.floor((column - low) / period)
            turned[turned >= low + period - size] = low
            if (turned != column).any():
                entries, at = np.unique(turned, return_inverse=True)
                first = np.concatenate([[True], np.diff(entries) > size])
                turned = entries[first][np.cumsum(first) - 1][at.ravel()]
            x[:, j] = turned
        return x


def periodic_columns(
    call: str, X: Any, periodic: Any, names: Sequence[str] | None = None
) -> tuple[tuple[int, float], ...]:
    """Return the periodic columns of X as pairs of their number and their period.

    Parameters
    ----------
    call : str
        The public function, for messages.
    X : array-like or data frame, shape (N, D)
    periodic : mapping of int or str to float, or None
        A name needs a data frame.
    names : sequence of str, optional
        By default those of the data frame.

    Raises
    ------
    ValueError
        For columns that do not exist, or periods that are not positive.
    """
    if periodic is None:
        return ()
    if not isinstance(periodic, Mapping):
        raise ValueError(
            f"{call}(periodic={periodic!r}): expected a mapping from columns to periods, such as "
            "{0: 360.0}."
        )
    for column, period in periodic.items():
        real = isinstance(period, numbers.Real) and not isinstance(period, bool)
        if not (real and 0 < period < math.inf):
            raise ValueError(
                f"{call}(periodic={{{column!r}: {period!r}}}): expected a positive period in the "
                "units of the column: 360 for degrees, 24 for hours, 365.25 for days of a year."
            )
    found = _by_number(f"{call}(periodic=", X, periodic, names)
    return tuple((at, float(period)) for at, period in found)


def input_transforms(
    call: str, X: Any, asked: Any, names: Sequence[str] | None = None
) -> str | tuple[tuple[int, str | None], ...] | None:
    """Return which columns of X are taken in logarithms: a mapping as pairs, else as asked.

    Parameters
    ----------
    call : str
        The public function, for messages.
    X : array-like or data frame, shape (N, D)
    asked : "auto", "log", None, or a mapping of int or str to one of these
    names : sequence of str, optional
        By default those of the data frame.

    Raises
    ------
    ValueError
        For columns or transforms that do not exist.
    """
    if isinstance(asked, tuple):  # the pairs themselves
        asked = dict(asked)
    for one in asked.values() if isinstance(asked, Mapping) else [asked]:
        if one not in INPUT_TRANSFORMS:
            raise ValueError(
                f"{call}(input_transform={asked!r}): expected 'auto', 'log', None, or a mapping "
                "from columns to these, such as {0: 'log'}."
            )
    if not isinstance(asked, Mapping):
        return asked
    return _by_number(f"{call}(input_transform=", X, asked, names)


def _by_number(
    asked: str, X: Any, columns: Mapping[Any, Any], names: Sequence[str] | None
) -> tuple[tuple[int, Any], ...]:
    """Return what is said of columns of X, by name or number, as pairs in their order."""
    if names is None:
        names = getattr(X, "column_names", None)
        names = getattr(X, "columns", names)
    known = [] if names is None else list(names)
    n_inputs = len(known) or (np.shape(X)[1] if np.ndim(X) == 2 else 0)
    found: dict[int, Any] = {}
    for column, said in columns.items():
        one = f"{asked}{{{column!r}: {said!r}}})"
        if column in known:
            at = known.index(column)
        elif isinstance(column, numbers.Integral) and 0 <= int(column) < n_inputs:
            at = int(column)
        else:
            have = f"are named {listed(known)}" if known else f"have no names: 0 to {n_inputs - 1}"
            raise ValueError(f"{one}: there is no such column; those of X {have}.")
        if at in found:
            raise ValueError(f"{one}: column {at} is named twice.")
        found[at] = said
    return tuple(sorted(found.items()))


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True, eq=False)
class InputMap(AffineMap):
    """Coordinates of the columns, then an affine map of those.

    Parameters
    ----------
    shift, scale : arrays, shape (M,)
    coordinates : Coordinates
    """

    coordinates: Coordinates = dataclasses.field(metadata={"static": True})

    @classmethod
    def onto_unit(cls, coordinates: Coordinates, x: np.ndarray) -> InputMap:
        """Map the rows' coordinates onto the unit box; a circle is mapped as a whole."""
        affine = AffineMap.onto_unit_box(bounding_box(coordinates(x)))
        shift, scale = affine.shift.copy(), affine.scale.copy()
        for i in coordinates.circles:
            shift[i : i + 2], scale[i : i + 2] = -1.0, 2.0
        return cls(shift, scale, coordinates)

    @classmethod
    def unscaled(cls, coordinates: Coordinates) -> InputMap:
        """Return the coordinates as they are."""
        size = len(coordinates.kinds) + len(coordinates.circles)
        return cls(np.zeros(size), np.ones(size), coordinates)

    def box(self, x: np.ndarray) -> np.ndarray:
        """Return the box of rows in the model's units: all of a circle that was mapped so."""
        box = bounding_box(self(x))
        for i in self.coordinates.circles:
            whole = unit_box(2) if self.scale[i] == 2.0 else np.tile([-1.0, 1.0], (2, 1))
            box[i : i + 2] = whole
        return box

    def nearest(self, z: np.ndarray) -> np.ndarray:
        """Return points (N, M) where inputs can be: each pair of a circle is moved onto it."""
        z = z.copy()
        for i in self.coordinates.circles:
            circle = slice(i, i + 2)
            about = z[:, circle] * self.scale[circle] + self.shift[circle]
            angle = np.arctan2(about[:, 1], about[:, 0])
            on = np.stack([np.cos(angle), np.sin(angle)], axis=1)
            z[:, circle] = (on - self.shift[circle]) / self.scale[circle]
        return z

    def __call__(self, x: Any) -> Any:
        """Map user units to the model's."""
        return super().__call__(self.coordinates(x))

    def inverse(self, z: Any) -> Any:
        """Refuse: a point beside a circle is that of no input."""
        raise NotImplementedError("InputMap.inverse: not every point has an original.")


@dataclasses.dataclass(frozen=True)
class Transform:
    """A strictly increasing function of one target.

    Yeo and Johnson (Biometrika 87, 2000), of u = y / unit: ((1 + u)^λ − 1) / λ for u ≥ 0 and
    −((1 − u)^(2 − λ) − 1) / (2 − λ) below. It takes zeros and both signs. Powers λ from 0 to 2
    have an inverse on the whole line; the others have not.

    Parameters
    ----------
    kind : {"none", "log", "yeo-johnson"}
    unit : float
        Where Yeo and Johnson's function turns from a line into a power; of a logarithm the sign of
        the values, 1 or −1: −log(−y) is one, too.
    power : float
        λ.

    Examples
    --------
    >>> one = Transform("yeo-johnson", 2.0, 0.0)
    >>> bool(abs(one.inverse(one(np.array([5.0])))[0] - 5.0) < 1e-14)
    True
    """

    kind: str = "none"
    unit: float = 1.0
    power: float = 1.0

    def __call__(self, y: Any) -> Any:
        """Map values."""
        if self.kind == "none":
            return y
        if self.kind == "log":
            return self.unit * _numpy(y).log(self.unit * y)
        xp, u = _numpy(y), y / self.unit
        return self._both(u, lambda a, m: xp.log1p(a) if m == 0 else xp.expm1(m * xp.log1p(a)) / m)

    def inverse(self, t: Any) -> Any:
        """Map back."""
        if self.kind == "none":
            return t
        xp = _numpy(t)
        if self.kind == "log":
            return self.unit * xp.exp(self.unit * t)
        return self.unit * self._both(
            t, lambda a, m: xp.expm1(a) if m == 0 else xp.expm1(xp.log1p(m * a) / m)
        )

    def _both(self, u: Any, half: Any) -> Any:
        # What is no value of a half must not reach it: JAX would differentiate it, too.
        xp = _numpy(u)
        above, below = xp.where(u >= 0, u, 0.0), xp.where(u >= 0, 0.0, -u)
        return xp.where(u >= 0, half(above, self.power), -half(below, 2.0 - self.power))

    def log_slope(self, y: np.ndarray) -> np.ndarray:
        """Return the logarithm of the derivative."""
        if self.kind == "none":
            return np.zeros_like(y)
        if self.kind == "log":
            return -np.log(np.abs(y))
        u = y / self.unit
        exponent = np.where(u >= 0, self.power - 1.0, 1.0 - self.power)
        return exponent * np.log1p(np.abs(u)) - np.log(self.unit)


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True, eq=False)
class TargetMap(AffineMap):
    """A transform of each target, then an affine map; the inverse is a mean over residuals.

    The model is fitted to t = (g(y) − shift) / scale. The mean of y is not g⁻¹ of the mean of t;
    with residuals r_k of rows left out it is the mean of g⁻¹(shift + scale (t + r_k)) (Duan, J. Am.
    Stat. Assoc. 78, 1983: smearing).

    Parameters
    ----------
    shift, scale : arrays, shape (Q,)
    residuals : array, shape (K, Q)
    transforms : tuple of Transform, length Q
    """

    residuals: np.ndarray
    transforms: tuple[Transform, ...] = dataclasses.field(metadata={"static": True})

    def __call__(self, y: Any) -> Any:
        """Map user units, (…, Q), to the model's."""
        return super().__call__(self.transformed(y))

    def transformed(self, y: Any) -> Any:
        """Return g(y), (…, Q)."""
        pairs = enumerate(self.transforms)
        return _numpy(y).stack([one(y[..., q]) for q, one in pairs], axis=-1)

    def inverse(self, z: Any) -> Any:
        """Map the model's units, (…, Q), to the user's."""
        xp, out = _numpy(z), []
        for q, one in enumerate(self.transforms):
            at = z[..., q]
            if one.kind != "none":  # the mean of the residuals of a plain target is left alone
                at = at[..., None] + xp.asarray(self.residuals)[:, q]
            value = one.inverse(self.shift[q] + self.scale[q] * at)
            out.append(value if one.kind == "none" else value.mean(axis=-1))
        return xp.stack(out, axis=-1)

    def check(self, call: str, y: np.ndarray) -> None:
        """Refuse values (N, Q) that a transform does not take.

        Raises
        ------
        ValueError
        """
        for q, one in enumerate(self.transforms):
            bad = np.flatnonzero(np.sign(one.unit) * y[:, q] <= 0)
            if one.kind == "log" and len(bad):
                sign = "positive" if one.unit > 0 else "negative"
                raise ValueError(
                    f"{call}: the logarithm of target {q + 1} is asked for, and {len(bad)} of "
                    f"{len(y)} values are not {sign}, the first {y[bad[0], q]:g} in row {bad[0]}. "
                    "Use 'yeo-johnson', which takes any number, or leave those rows out."
                )

    def smeared(self, residuals: np.ndarray, weight: np.ndarray) -> TargetMap:
        """Return the map with the mean over these residuals (n, Q) of the model's units.

        Of a logarithm the correction is a factor: one residual stands for all.
        """
        known = np.isfinite(residuals).all(axis=1) & (weight > 0)
        if not known.any():
            return self
        residuals, weight = residuals[known], weight[known]
        found = np.zeros((SMEARED, len(self.transforms)))
        for q, one in enumerate(self.transforms):
            r = residuals[:, q]
            if one.kind == "log":
                scale = one.unit * self.scale[q]
                found[:, q] = np.log(np.average(np.exp(scale * r), weights=weight)) / scale
            elif one.kind != "none":
                order = np.argsort(r)
                below = np.cumsum(weight[order]) - weight[order] / 2
                share = (np.arange(SMEARED) + 0.5) / SMEARED
                found[:, q] = np.interp(share, below / weight.sum(), r[order])
        return dataclasses.replace(self, residuals=found if found.any() else found[:1])


def arrays(map_: AffineMap) -> dict[str, np.ndarray]:
    """Return the arrays of a map by their names, for a file."""
    fields = (f.name for f in dataclasses.fields(map_) if not f.metadata.get("static"))
    return {name: getattr(map_, name) for name in fields}


def document(input_map: AffineMap, output_map: AffineMap) -> dict[str, Any]:
    """Return what a file says of a model's maps besides their arrays: nothing of affine ones."""
    found: dict[str, Any] = {}
    if isinstance(input_map, InputMap):
        found["coordinates"] = dataclasses.asdict(input_map.coordinates)
    if isinstance(output_map, TargetMap):
        found["transforms"] = [dataclasses.asdict(one) for one in output_map.transforms]
    return found


def restored(
    about: Mapping[str, Any], tensors: Mapping[str, np.ndarray]
) -> tuple[AffineMap, AffineMap]:
    """Return the maps of inputs and outputs that a file describes."""
    input_map, output_map = (
        AffineMap(tensors[f"{name}.shift"], tensors[f"{name}.scale"])
        for name in ("input_map", "output_map")
    )
    if "coordinates" in about:
        columns = {name: tuple(column) for name, column in about["coordinates"].items()}
        input_map = InputMap(input_map.shift, input_map.scale, Coordinates(**columns))
    if "transforms" in about:
        transforms = tuple(Transform(**one) for one in about["transforms"])
        residuals = tensors["output_map.residuals"]
        output_map = TargetMap(output_map.shift, output_map.scale, residuals, transforms)
    return input_map, output_map
