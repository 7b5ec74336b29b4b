"""Functions of the coordinates as expressions: ``x``, ``1 + x * np.sin(t)``, or a user's function.

A :class:`Field` is a value, not a closure: two equal expressions are one for the compiler. The
same field is evaluated on NumPy columns (data, sources) and on traced scalars (coefficients of
operators).
"""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Callable, Sequence
from typing import Any

import jax.numpy as jnp
import numpy as np
from numpy.lib.mixins import NDArrayOperatorsMixin

from .field_text import text_of


@dataclasses.dataclass(frozen=True)
class Field(NDArrayOperatorsMixin):
    """An expression in the coordinates of a domain.

    Python's operators are those of NumPy: ``x + y`` is ``np.add(x, y)``.

    Attributes
    ----------
    kind : str
        ``"coordinate"`` (arguments: name), ``"normal"`` (arguments: name), ``"constant"``,
        ``"function"`` (a user's), or the name of a NumPy function of the arguments.
    arguments : tuple
    """

    kind: str
    arguments: tuple[Any, ...]

    def evaluate(self, columns: dict[str, Any], numpy: Any) -> Any:
        """Return the value for named coordinates; ``numpy`` is NumPy or ``jax.numpy``."""
        if self.kind == "coordinate":
            name = self.arguments[0]
            if name not in columns:
                known = ", ".join(n for n in columns if not n.startswith(NORMAL))
                raise ValueError(f"there is no coordinate {name!r}; the domain has {known}.")
            return columns[name]
        if self.kind == "constant":
            return self.arguments[0]
        if self.kind == "normal":
            return _normal_in(columns, self.arguments[0])
        if self.kind == "piecewise":
            raise ValueError(
                f"{self!r} is another one in every region: state them, "
                'Problem(regions={"core": …, "shell": …}).'
            )
        if self.kind == "function":
            return _called(self.arguments[0], columns, numpy)
        return getattr(numpy, self.kind)(*(a.evaluate(columns, numpy) for a in self.arguments))

    __ne__ = object.__ne__  # that of equality, and no expression

    def __bool__(self) -> bool:
        """Refuse: ``np.where`` and ``if`` would take one branch for all points."""
        raise TypeError(
            f"{self!r} is an expression and neither true nor false. Write a function of the "
            "coordinates with jax.numpy.where, or multiply: 1 + 2 * (x > 0.5)."
        )

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **options: Any) -> Any:
        """Let NumPy's functions build expressions: ``np.sin(x)``."""
        if method != "__call__" or options:
            return NotImplemented
        return _combined(ufunc.__name__, *inputs)

    def __repr__(self) -> str:
        return text_of(self)


def coordinates(*names: str) -> tuple[Field, ...]:
    """Return named coordinates, to be used in operators, coefficients and conditions.

    Parameters
    ----------
    *names : str
        As in the domain: ``x, t = coordinates("x", "t")`` for ``Box(x=(0, 1), t=(0, 1))``.

    Raises
    ------
    ValueError
        For a name that is no identifier, or one given twice.

    Examples
    --------
    >>> x, t = coordinates("x", "t")
    >>> 1 + x * np.sin(t)
    1 + x sin(t)
    """
    if not names or len(set(names)) < len(names) or not all(n.isidentifier() for n in names):
        raise ValueError(
            f"coordinates{names!r}: expected different names such as coordinates('x', 't')."
        )
    return tuple(Field("coordinate", (name,)) for name in names)


def normal(*names: str) -> tuple[Field, ...]:
    """Return the components of the outward unit normal, for conditions on boundaries.

    Parameters
    ----------
    *names : str
        Coordinates of the domain.

    Raises
    ------
    ValueError
        For a name that is no identifier, or one given twice.

    Examples
    --------
    >>> normal("x", "y")
    (n_x, n_y)
    """
    return tuple(Field("normal", one.arguments) for one in coordinates(*names))


def has_normal(field: Field) -> bool:
    """Whether a normal is part of a field."""
    inner = [a for a in field.arguments if isinstance(a, Field)]
    return field.kind == "normal" or any(map(has_normal, inner))


def on_plane(field: Field, names: Sequence[str], components: Sequence[float]) -> Field:
    """Return a field with the components of a normal that is the same everywhere in their place."""
    if not has_normal(field):
        return field
    if field.kind == "normal":
        return Field("constant", (float(components[list(names).index(field.arguments[0])]),))
    inner = [on_plane(a, names, components) if isinstance(a, Field) else a
             for a in field.arguments]  # fmt: skip
    return dataclasses.replace(field, arguments=tuple(inner))


#: What a component of the normal is called among the columns of points.
NORMAL = "normal along "


def _normal_in(columns: dict[str, Any], name: str) -> Any:
    if NORMAL + name not in columns:
        raise ValueError(
            f"pde.normal({name!r}): there is no normal here. Normals are those of boundaries: use "
            "them in conditions."
        )
    return columns[NORMAL + name]


def as_field(value: Any) -> Field:
    """Return a number, a function or a field as a field.

    A function names the coordinates it takes (``lambda x, t: ...``); one with a single parameter
    of another name takes all of them, as an array whose last axis they are.

    Raises
    ------
    TypeError
        For anything else.
    """
    if isinstance(value, Field):
        return value
    if callable(value) and not hasattr(value, "facing"):  # operators are no functions of x
        return Field("function", (value,))
    if isinstance(value, np.ndarray) and value.ndim == 0:
        value = value.item()
    if isinstance(value, complex | np.complexfloating):
        return Field("constant", (complex(value),))
    if isinstance(value, bool) or not isinstance(value, int | float | np.number):
        raise TypeError(
            f"expected a number, a function of the coordinates or an expression in them, got "
            f"{type(value).__name__}."
        )
    return Field("constant", (float(value),))


def evaluate(field: Field, names: Sequence[str], x: np.ndarray, normals: Any = None) -> np.ndarray:
    """Return a field's values at N points, (N,) in float64.

    ``normals`` (N, D) are those of a boundary.

    Raises
    ------
    ValueError
        If a function returns another shape, complex numbers, or a value that is not finite, naming
        the point.
    """
    columns = dict(zip(names, x.T, strict=True))
    if normals is not None and has_normal(field):
        columns |= {NORMAL + n: one for n, one in zip(names, normals.T, strict=True)}
    with np.errstate(all="ignore"):
        values = np.asarray(field.evaluate(columns, np))
    if np.iscomplexobj(values):
        if np.any(values.imag):
            raise ValueError(
                f"{field!r} is complex, and what it stands for is real. Complex data belong to "
                "complex unknowns: pde.unknowns('u', dtype=complex)."
            )
        values = values.real
    values = np.asarray(values, dtype=float)
    if values.shape == (len(x), 1):
        values = values[:, 0]
    if values.ndim and values.shape != (len(x),):
        raise ValueError(
            f"{field!r} returned shape {values.shape} for {len(x)} points: expected ({len(x)},) or "
            "a single number."
        )
    values = np.broadcast_to(values, (len(x),))
    wrong = np.flatnonzero(~np.isfinite(values))
    if len(wrong):
        place = ", ".join(f"{n} = {v:.4g}" for n, v in zip(names, x[wrong[0]], strict=True))
        raise ValueError(
            f"{field!r} is {values[wrong[0]]} at {place} (and {len(wrong) - 1} other points): it "
            "must be finite on the whole domain."
        )
    return values


def complex_values(field: Field, names: Sequence[str], x: np.ndarray) -> np.ndarray:
    """Return a complex field's values at N points, (N,)."""
    real, imaginary = parts(field)
    values = evaluate(real, names, x)
    return values if imaginary is None else values + 1j * evaluate(imaginary, names, x)


def parts(field: Field) -> tuple[Field, Field | None]:
    """Return the real part and, where it may not be 0, the imaginary part."""
    if not maybe_complex(field):
        return field, None
    if field.kind == "constant":
        value = complex(field.arguments[0])
        imaginary = Field("constant", (value.imag,)) if value.imag else None
        return Field("constant", (value.real,)), imaginary
    return Field("real", (field,)), Field("imag", (field,))


def maybe_complex(field: Field, functions: bool = True) -> bool:
    """Whether a complex constant is part of a field, or a user's function whose values may be."""
    if field.kind == "constant":
        return isinstance(field.arguments[0], complex)
    if field.kind == "function":
        return functions
    if field.kind in ("real", "imag", "absolute"):
        return False
    return any(maybe_complex(a, functions) for a in field.arguments if isinstance(a, Field))


def at_point(field: Field, names: Sequence[str], x: Any, components: Any = None) -> Any:
    """Return a field at one traced point x: (D,), where a normal (D,) may be known."""
    columns = {name: x[i] for i, name in enumerate(names)}
    if components is not None and has_normal(field):
        columns |= {NORMAL + name: components[i] for i, name in enumerate(names)}
    return field.evaluate(columns, jnp)


def known_in(names: Sequence[str], field: Field) -> Field:
    """Return a field of these coordinates.

    Raises
    ------
    ValueError
        If it has another one.
    """
    missing = unknown_names(field, names)
    if missing:
        raise ValueError(
            f"{field!r}: there is no coordinate {', '.join(map(repr, missing))}; the domain has "
            f"{', '.join(names)}."
        )
    return field


def unknown_names(field: Field, names: Sequence[str]) -> list[str]:
    """Return the coordinates of a field that are not among the names."""
    if field.kind in ("coordinate", "normal"):
        return [n for n in field.arguments if n not in names]
    inner = [a for a in field.arguments if isinstance(a, Field)]
    return [n for a in inner for n in unknown_names(a, names)]


def symbolic(field: Field, names: Sequence[str]) -> Field:
    """Replace a user's function by the expression it computes, where it can be had.

    The function is called with coordinates in place of numbers. One that cannot take them (it
    calls ``jax.numpy``, or branches) stays as it is.
    """
    if field.kind != "function":
        return field
    columns = {name: Field("coordinate", (name,)) for name in names}
    try:
        return as_field(_called(field.arguments[0], columns, None))
    except Exception:
        return field


def _combined(kind: str, *arguments: Any) -> Any:
    try:
        fields = tuple(as_field(a) for a in arguments)
    except TypeError:
        return NotImplemented
    if all(f.kind == "constant" for f in fields):
        return as_field(getattr(np, kind)(*(f.arguments[0] for f in fields)))
    return Field(kind, fields)


def _called(function: Callable[..., Any], columns: dict[str, Any], numpy: Any) -> Any:
    wanted = _parameters(function)
    if wanted and all(name in columns for name in wanted):
        return function(*(columns[name] for name in wanted))
    if len(wanted) == 1 and numpy is not None:
        return function(numpy.stack(list(columns.values()), axis=-1))
    raise TypeError(
        f"{getattr(function, '__name__', function)}({', '.join(wanted)}): the parameters of a "
        f"function name the coordinates it takes; here they are {', '.join(columns)}. A single "
        "parameter of another name takes all of them as one array."
    )


def _parameters(function: Callable[..., Any]) -> list[str]:
    try:
        found = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):  # NumPy's own functions have none
        return ["x"]
    positional = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    return [p.name for p in found if p.kind in positional and p.default is inspect.Parameter.empty]
