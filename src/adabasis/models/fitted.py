"""The result of a fit: a function with derivatives, a record of how it was made, a file."""

from __future__ import annotations

import dataclasses
import math
import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Self

import jax
import numpy as np

from .._runtime.arrays import floats, in_order
from .._runtime.notation import Parameters
from .._runtime.registry import provided
from ..basis import AbstractBasis
from ..basis.base import description, from_description
from ..evidence.support import by_distance, by_leverage
from ..geometry import maps
from ..geometry.boxes import AffineMap
from ..lstsq import Status
from ..operators import AbstractOperator, Identity, Partial
from ..train import History, Snapshot, StopReason
from .evaluation import Parts, by_rows, in_jax, in_single_precision, probe_points
from .files import ModelFileError, flat_output, read_model, upgraded, write_model
from .record import Asked, Record
from .timings import Timings

if TYPE_CHECKING:
    from matplotlib.figure import Figure

PROBE_TOLERANCE = 1e-9
#: Of a sum of large terms that cancel, relative to their size: a hundred times what was seen.
CANCELLED = 1e-14
#: Of a function that was put together by hand.
NO_RECORD = Record(Asked("Fitted"))


@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class Fitted:
    """A fitted function u(X) = output map of Φ(input map of X; ξ) c.

    Call it on an (N, D) array in the user's units; float64 NumPy in and out.

    Attributes
    ----------
    basis : AbstractBasis
    parameters : pytree
        ξ, for inputs that went through ``input_map``.
    coefficients : array, shape (P, Q)
        c, in the model's units (outputs before ``output_map``).
    input_map, output_map : AffineMap
        From the user's units to the model's; an :class:`adabasis.geometry.maps.InputMap` where
        inputs are in logarithms or periodic, a ``TargetMap`` where targets are transformed.
    box : array, shape (D, 2)
        Bounds of the training inputs, in the user's units: outside them u extrapolates.
    rank : int
        Independent functions on the training data.
    singular_values : array, shape (P,)
        Of the column-scaled rows, descending.
    status : Status
        Of the final least-squares solve; ``status.advice`` explains it.
    stop_reason : StopReason
    history : History
    validation_error : float
        Relative root mean square error on rows the coefficients never saw (error over the
        spread of the outputs), with a margin for what so few rows can tell: it is less with a
        chance of 95 %, were errors normal. The worst of what is known; NaN where nothing was held
        out, infinite where some rows alone determine a function, so that nothing is known without
        them. Under a robust loss it is that of the rows that are no outliers, relative to their
        spread; under ``"absolute"`` and ``"quantile"`` also, where that is worse, their mean loss
        over that of the best constant: ``validation_kind`` says which.
    validation_range : (float, float)
        Between which it lies with a chance of 90 % (5 and 95 % quantiles where groups of the rows
        seen are drawn anew); NaN where nothing was held out.
    validation_kind : str
        How ``validation_error`` was measured.
    initial_parameters : pytree
        ξ before training.
    record : Record
        What was asked and tried, with what ridge the coefficients were solved.
    notes : tuple of str
        What the user should know: failures, doubts, advice.
    flat_output : bool
        Whether y was one-dimensional, or the only target of a table.
    places : array, shape (M, D), optional
        Up to 512 of the training inputs, in the model's units and single precision, by which
        :meth:`support` knows where the data lie. Files hold them.
    snapshots : tuple of Snapshot
        ξ and c while training, where they were kept (:func:`adabasis.fit_pounet` does).
    """

    # What the coefficients are solved from: "numbers", "classes" or "an equation".
    solved_from: ClassVar[str] = "numbers"

    basis: AbstractBasis
    parameters: Parameters
    coefficients: np.ndarray
    input_map: AffineMap
    output_map: AffineMap
    box: np.ndarray
    rank: int
    singular_values: np.ndarray
    status: Status
    stop_reason: StopReason
    history: History
    validation_error: float = math.nan
    validation_range: tuple[float, float] = (math.nan, math.nan)
    validation_kind: str = "none"
    initial_parameters: Parameters = None
    record: Record = NO_RECORD
    notes: tuple[str, ...] = ()
    flat_output: bool = False
    places: np.ndarray | None = None
    snapshots: tuple[Snapshot, ...] = ()

    def __post_init__(self) -> None:
        """Hold arrays of NumPy alone, which need no JAX."""
        for name in ("parameters", "initial_parameters"):
            object.__setattr__(self, name, jax.tree.map(np.asarray, getattr(self, name)))

    @property
    def n_inputs(self) -> int:
        """D."""
        return len(self.box)

    @property
    def candidates(self) -> tuple[dict[str, Any], ...]:
        """What was tried and with what error, best first, as rows of a table."""
        return tuple(tried.row for tried in self.record.tried)

    @property
    def verdict(self) -> str:
        """What rows that the model never saw say of it, in words; empty where nothing is known."""
        found = self.record.verdict
        return "" if found is None else " ".join([found["sentence"], *found["advice"]])

    @property
    def timings(self) -> Timings | None:
        """Where the seconds of the call went; ``None`` of models made otherwise or long ago."""
        return self.record.timings

    @property
    def n_outputs(self) -> int:
        """Q."""
        return self.coefficients.shape[1]

    def __repr__(self) -> str:
        """Name the functions, the inputs and outputs, and the error; not the arrays."""
        return (
            f"<{type(self).__name__}: {type(self.basis).__name__}, {self.n_inputs} inputs, "
            f"{self.n_outputs} outputs, {len(self.coefficients)} functions of rank {self.rank}, "
            f"validation error {self.validation_error:.2g}>"
        )

    def __call__(self, X: Any) -> np.ndarray:
        """Evaluate at N points, in NumPy, a few at a time.

        Processes forked from this one may do so, too. A basis or an activation of a user's that
        says nothing in NumPy is evaluated in JAX, which they must not (nor take derivatives).

        Parameters
        ----------
        X : array-like, shape (N, D)

        Returns
        -------
        array, shape (N, Q), or (N,) if the model was fitted to a one-dimensional y

        Raises
        ------
        ValueError
            If X does not have D columns.
        """
        return self._apply(Identity(), X, "Fitted(X)")

    def predict(self, X: Any, *, dtype: str = "float64") -> np.ndarray:
        """Evaluate at N points, as calling the model does; of a classifier, name the classes.

        ``dtype="float32"`` computes in single precision: about twice as fast, to some six digits,
        with a warning where large coefficients cancel so that fewer than three are left.
        """
        call = f"{type(self).__name__}.predict(X)"
        if dtype not in ("float64", "float32"):
            raise ValueError(f"{call[:-1]}, dtype={dtype!r}): expected 'float64' or 'float32'.")
        if dtype == "float64":
            return self._apply(Identity(), X, call)
        out = in_single_precision(self.basis, self._parts(), self._inputs(X, call))
        return out[:, 0] if self.flat_output else out

    def apply(self, operator: AbstractOperator, X: Any) -> np.ndarray:
        """Evaluate L[u] at N points for a linear operator L, in the user's units.

        Parameters
        ----------
        operator : AbstractOperator
        X : array-like, shape (N, D)

        Returns
        -------
        array, shape (N, Q), or (N,) if the model was fitted to a one-dimensional y

        Raises
        ------
        RuntimeError
            In a process forked from one that JAX was running in.
        """
        return self._apply(operator, X, "Fitted.apply(operator, X)")

    def gradient(self, X: Any) -> np.ndarray:
        """Evaluate ∂u/∂x at N points.

        Parameters
        ----------
        X : array-like, shape (N, D)

        Returns
        -------
        array, shape (N, Q, D), or (N, D) if the model was fitted to a one-dimensional y
        """
        return np.stack([self.apply(Partial(i), X) for i in range(self.n_inputs)], axis=-1)

    def functions(self, X: Any, *, initial: bool = False) -> np.ndarray:
        """Evaluate the basis functions themselves at N points: shape (N, P)."""
        parameters = self.initial_parameters if initial else self.parameters
        x = self._inputs(X, "Fitted.functions(X)")
        return by_rows(
            self.basis, self._parts()._replace(parameters=parameters), x, lambda phi: phi
        )

    def at(self, snapshot: Snapshot) -> Self:
        """Return the model as it was at a snapshot."""
        return dataclasses.replace(
            self, parameters=snapshot.parameters, coefficients=np.asarray(snapshot.coefficients)
        )

    def outside(self, X: Any) -> np.ndarray:
        """Say which of the N points lie outside the training box (extrapolation): (N,) bools.

        A periodic input lies within it anywhere.
        """
        x = self._inputs(X, "Fitted.outside(X)")
        beyond = (x < self.box[:, 0]) | (x > self.box[:, 1])
        if isinstance(self.input_map, maps.InputMap):
            beyond &= ~self.input_map.coordinates.periodic
        return np.any(beyond, axis=1)

    def support(self, X: Any) -> np.ndarray:
        """Say how well the training rows support the values at N points: (N,), from 0 to 1.

        1 is what training rows have among the others; .1 is ten times as far from the nearest row
        as rows usually are from one another, or a standard deviation ten times as large (the
        leverage of the point under the model's functions); the less of the two is returned.

        Parameters
        ----------
        X : array-like, shape (N, D)

        Raises
        ------
        ValueError
            If the model knows no rows: it is the solution of an equation, or from an older file.
        """
        x = self._inputs(X, "Fitted.support(X)")
        if self.places is None:
            raise ValueError(
                f"Fitted.support(X): {self!r} does not know where its rows lie: equations have no "
                "rows, and files of earlier versions do not hold them. Fit again."
            )
        places = np.asarray(self.places, dtype=float)
        near = by_distance(places, self.input_map(x))
        inner = dataclasses.replace(
            self,
            input_map=AffineMap.identity(places.shape[1]),
            box=np.zeros((places.shape[1], 2)),
        )
        return np.minimum(near, by_leverage(inner.functions(places), self.functions(x)))

    def plot(self, ax: Any = None) -> Figure:
        """Draw the fitted function; see :func:`adabasis.plots.fitted`."""
        return provided("plot")(self, ax=ax)

    def report(self, path: str | os.PathLike[str], X: Any = None, y: Any = None) -> None:
        """Write an HTML page about the model: how good it is, how it came about.

        Parameters
        ----------
        path : path
        X, y : array-likes, shapes (n, D) and (n,) or (n, Q), optional
            Rows with known answers, best ones that the model was not fitted to.
        """
        provided("report")(path, self, X, y)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the model to one file, atomically; :func:`load` reads it.

        Raises
        ------
        ValueError
            If the basis holds a function without a name (a custom activation).
        """
        write_model(path, self._document(), self._tensors())

    def _document(self) -> dict[str, Any]:
        return {
            "kind": type(self).__name__,
            "basis": description(self.basis),
            "n_inputs": self.n_inputs,
            "rank": self.rank,
            "status": self.status.name,
            "stop_reason": self.stop_reason.name,
            "validation_error": repr(float(self.validation_error)),
            "validation_range": [repr(float(end)) for end in self.validation_range],
            "validation_kind": self.validation_kind,
            "record": self.record.to_json(),
            "notes": list(self.notes),
            "flat_output": self.flat_output,
            **maps.document(self.input_map, self.output_map),
            "snapshots": [snapshot.step for snapshot in self.snapshots],
        }

    @classmethod
    def _restored(
        cls, document: Mapping[str, Any], tensors: Mapping[str, np.ndarray]
    ) -> dict[str, Any]:
        """Return the attributes that this kind of model has besides those of every one."""
        return {}

    def _tensors(self) -> dict[str, np.ndarray]:
        tensors = {
            "coefficients": self.coefficients,
            "box": self.box,
            "singular_values": self.singular_values,
            "probe": self(probe_points(self.box)),
        }
        if self.places is not None:
            tensors["places"] = self.places
        for name in ("input_map", "output_map"):
            for part, array in maps.arrays(getattr(self, name)).items():
                tensors[f"{name}.{part}"] = array
        for name in ("parameters", "initial_parameters"):
            for i, leaf in enumerate(jax.tree.leaves(getattr(self, name))):
                tensors[f"{name}.{i}"] = np.asarray(leaf)
        for k, snapshot in enumerate(self.snapshots):
            tensors[f"snapshots.{k}.coefficients"] = np.asarray(snapshot.coefficients)
            for i, leaf in enumerate(jax.tree.leaves(snapshot.parameters)):
                tensors[f"snapshots.{k}.{i}"] = np.asarray(leaf)
        for field in dataclasses.fields(History):
            tensors[f"history.{field.name}"] = getattr(self.history, field.name)
        return tensors

    def _inputs(self, X: Any, call: str) -> np.ndarray:
        x = floats(call.partition("(")[0], "X", in_order(call, X, self.record.input_names))
        if x.ndim != 2 or x.shape[1] != self.n_inputs:
            raise ValueError(
                f"{call}: expected an (N, {self.n_inputs}) array, got shape {x.shape}."
            )
        return x

    def _apply(self, operator: AbstractOperator, X: Any, call: str) -> np.ndarray:
        x = self._inputs(X, call)
        if isinstance(operator, Identity):
            out = by_rows(self.basis, self._parts(), x)
        else:
            out = in_jax(self.basis, self._parts(), x, operator)
        return out[:, 0] if self.flat_output else out

    def _parts(self) -> Parts:
        return Parts(self.parameters, self.coefficients, self.input_map, self.output_map)


def load(path: str | os.PathLike[str]) -> Fitted:
    """Read a model written by :meth:`Fitted.save`.

    The file's checksum is verified, and the model's answers at stored points are compared with
    those it gave when it was saved.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ModelFileError
        If the file is damaged, not a model, from a newer version, or answers differently here.
    """
    document, tensors = read_model(path)
    if document["format"] == 1:
        document = upgraded(document)
    basis = from_description(document["basis"])
    input_map, output_map = maps.restored(document, tensors)
    shape = _parameters_shape(basis, len(input_map.shift))
    leaves, structure = jax.tree.flatten(shape)

    def tree(name: str) -> Parameters:
        if f"{name}.0" not in tensors:  # a model made by hand may not know where it started
            return None
        return jax.tree.unflatten(structure, [tensors[f"{name}.{i}"] for i in range(len(leaves))])

    low, high = document.get("validation_range", ("nan", "nan"))  # of older files
    kind: type[Fitted] = provided(f"model {document['kind']}")
    model = kind(
        basis=basis,
        parameters=tree("parameters"),
        coefficients=tensors["coefficients"],
        input_map=input_map,
        output_map=output_map,
        box=tensors["box"],
        rank=document["rank"],
        singular_values=tensors["singular_values"],
        status=Status[document["status"]],
        stop_reason=StopReason[document["stop_reason"]],
        history=History(
            *(tensors[f"history.{field.name}"] for field in dataclasses.fields(History))
        ),
        validation_error=float(document["validation_error"]),
        validation_range=(float(low), float(high)),
        validation_kind=document["validation_kind"],
        initial_parameters=tree("initial_parameters"),
        record=Record.from_json(document["record"]),
        notes=tuple(document["notes"]),
        flat_output=flat_output(document, tensors["coefficients"]),
        places=tensors.get("places"),
        snapshots=tuple(
            Snapshot(step, tree(f"snapshots.{k}"), tensors[f"snapshots.{k}.coefficients"])
            for k, step in enumerate(document.get("snapshots", ()))
        ),
        **kind._restored(document, tensors),
    )
    places, then = probe_points(model.box), tensors["probe"]
    now = model(places).reshape(then.shape)
    phi, c = model.functions(places), model.coefficients
    tolerance = PROBE_TOLERANCE * np.abs(then).max(initial=1e-300)
    off = CANCELLED * np.abs(phi) @ np.abs(c)
    low, high = (output_map.inverse(phi @ c + side) for side in (-off, off))
    tolerance += 0.5 * np.max(np.abs(high - low))
    if not np.allclose(now, then, rtol=0, atol=tolerance):
        raise ModelFileError(
            f"load({os.fspath(path)!r}): the model answers differently here than where it was "
            f"saved (by up to {np.abs(now - then).max():.1e}). Check the versions with "
            "`adabasis doctor`, or fit again."
        )
    return model


def _parameters_shape(basis: AbstractBasis, n_inputs: int) -> Parameters:
    return jax.eval_shape(
        basis.init,
        jax.eval_shape(lambda: jax.random.key(0)),
        jax.ShapeDtypeStruct((n_inputs, 2), float),
    )
