"""Models read from files, and checked."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Mapping
from typing import Any

import jax
import numpy as np

from .._runtime.notation import Parameters
from .._runtime.registry import provided
from ..basis import AbstractBasis
from ..basis.base import from_description
from ..geometry import maps
from ..lstsq import Status
from ..operators import Identity
from ..train import History, Snapshot, StopReason
from .error_model import ERRORS, ErrorModel
from .evaluation import probe_points
from .files import ModelFileError, flat_output, read_model, upgraded
from .fitted import Fitted
from .record import Record

PROBE_TOLERANCE = 1e-9
#: Of a sum of large terms that cancel, relative to their size: a hundred times what was seen.
CANCELLED = 1e-14


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
        error_model=_error_model(document, tensors),
        snapshots=tuple(
            Snapshot(step, tree(f"snapshots.{k}"), tensors[f"snapshots.{k}.coefficients"])
            for k, step in enumerate(document.get("snapshots", ()))
        ),
        **kind._restored(document, tensors),
    )
    places, then = probe_points(model.box), tensors["probe"]
    now = model._apply(Identity(), places, "load").reshape(then.shape)
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


def _error_model(
    document: Mapping[str, Any], tensors: Mapping[str, np.ndarray]
) -> ErrorModel | None:
    """Return what a file says of errors; older ones say nothing."""
    about, start = document.get("error_model"), f"{ERRORS}."
    own = {name.removeprefix(start): a for name, a in tensors.items() if name.startswith(start)}
    return None if about is None else ErrorModel.restored(about, own)


def _parameters_shape(basis: AbstractBasis, n_inputs: int) -> Parameters:
    return jax.eval_shape(
        basis.init,
        jax.eval_shape(lambda: jax.random.key(0)),
        jax.ShapeDtypeStruct((n_inputs, 2), float),
    )
