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
from ..basis.base import description
from ..evidence.support import by_leverage
from ..geometry import maps
from ..geometry.points import AffineMap
from ..lstsq import Status
from ..operators import AbstractOperator, Identity, Partial
from ..train import History, Snapshot, StopReason
from .error_model import ERRORS, ErrorModel
from .evaluation import Parts, by_rows, in_jax, in_single_precision, probe_points
from .factor import Factor
from .files import write_model
from .record import Asked, Record
from .timings import Timings
from .trust import Trust, noise_in_words, trust
from .uncertainty import WithUncertainty, deviations

if TYPE_CHECKING:
    from matplotlib.figure import Figure

#: Of a function that was put together by hand.
NO_RECORD = Record(Asked("Fitted"))


@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class Fitted(WithUncertainty):
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
    error_model : ErrorModel, optional
        What is known of its errors: noise, posterior, errors of rows not seen. ``None`` of classes,
        solutions of equations and older files.
    snapshots : tuple of Snapshot
        ξ and c while training, where they were kept (:func:`adabasis.fit_pounet` does).
    factor : Factor, optional
        What the rows of the last solve were reduced to, for rows to come
        (:meth:`adabasis.AdaptiveBasisRegressor.partial_fit`). Files do not hold it.
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
    error_model: ErrorModel | None = None
    snapshots: tuple[Snapshot, ...] = ()
    factor: Factor | None = None

    def __post_init__(self) -> None:
        """Hold arrays of NumPy alone, which need no JAX."""
        for name in ("parameters", "initial_parameters"):
            object.__setattr__(self, name, jax.tree.map(np.asarray, getattr(self, name)))

    @property
    def n_inputs(self) -> int:
        """The number of inputs, D."""
        return len(self.box)

    @property
    def candidates(self) -> tuple[dict[str, Any], ...]:
        """What was tried and with what error, best first, as rows of a table."""
        return tuple(tried.row for tried in self.record.tried)

    @property
    def verdict(self) -> str:
        """What rows that the model never saw say of it, in words; empty where nothing is known."""
        found = self.record.verdict
        if found is None:
            return ""
        noise = noise_in_words(self, found["scores"][0]["relative"] or math.nan)
        return " ".join(filter(None, [found["sentence"], noise, *found["advice"]]))

    @property
    def trust(self) -> Trust:
        """What is known of its errors: noise, support, rank, spread, and one thing to do next."""
        return trust(self)

    @property
    def timings(self) -> Timings | None:
        """Where the seconds of the call went; ``None`` of models made otherwise or long ago."""
        return self.record.timings

    @property
    def n_outputs(self) -> int:
        """The number of outputs, Q."""
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

    @property
    def output_names(self) -> tuple[str, ...]:
        """What the columns of :meth:`outputs` are called, where that is known."""
        return tuple(self.record.output_names)

    def outputs(self, X: Any) -> np.ndarray:
        """Evaluate at N points: real numbers, a column an output, (N, Q)."""
        return np.asarray(self(X)).reshape(len(X), -1)

    def predict(self, X: Any, return_std: bool = False, *, dtype: str = "float64") -> Any:
        """Evaluate at N points, as calling the model does; of a classifier, name the classes.

        ``return_std=True`` returns the values and the standard deviations of new values there,
        function and noise together (:meth:`uncertainty` tells them apart). ``dtype="float32"``
        computes in single precision: about twice as fast, to some six digits, with a warning where
        large coefficients cancel so that fewer than three are left.
        """
        call = f"{type(self).__name__}.predict(X"
        if dtype not in ("float64", "float32"):
            raise ValueError(f"{call}, dtype={dtype!r}): expected 'float64' or 'float32'.")
        if return_std:
            values, deviation = deviations(self, X, "predict(X, return_std=True)")
            return values.astype(dtype, copy=False), deviation.astype(dtype, copy=False)
        if dtype == "float64":
            return self._apply(Identity(), X, f"{call})")
        out = in_single_precision(self.basis, self._parts(), self._inputs(X, f"{call})"))
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
        changed: dict[str, Any] = {
            "coefficients": np.asarray(snapshot.coefficients),
            "error_model": None,
        }
        return dataclasses.replace(self, parameters=snapshot.parameters, **changed)

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
        near = self._nearness.support(self.input_map(x))
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

    def export(self, path: str | os.PathLike[str], *, dtype: str | None = None) -> Any:
        """Write the model to a file that needs no adabasis, compared with the model before.

        Parameters
        ----------
        path : path
            Its suffix chooses the format: see :func:`adabasis.export.export`.
        dtype : {"float64", "float32"}, optional
            Of ONNX alone.

        Returns
        -------
        adabasis.export.Exported
            What was written, and the largest difference from the model.

        Raises
        ------
        adabasis.export.NotExportable
            Where a format cannot hold the model.
        """
        return provided("export")(self, path, dtype=dtype)

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
            "error_model": self.error_model and self.error_model.to_json(),
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
            "probe": self._apply(Identity(), probe_points(self.box), "Fitted.save"),
        }
        if self.places is not None:
            tensors["places"] = self.places
        if self.error_model is not None:
            found = self.error_model.arrays()
            tensors |= {f"{ERRORS}.{name}": array for name, array in found.items()}
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
