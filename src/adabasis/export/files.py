"""What each format's file holds, and how it is called back to be compared with its model."""

from __future__ import annotations

import dataclasses
import json
import math
import shutil
import subprocess
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from ..models.classifier import Classifier
from ..models.fitted import Fitted
from . import c, javascript, onnx_graph, python, stored
from .program import Program
from .table import code_of
from .trace import NotExportable, program_of

Called = Callable[[np.ndarray], Mapping[str, np.ndarray]]


@dataclasses.dataclass(frozen=True)
class Written:
    """A file before it is written.

    Attributes
    ----------
    data : bytes
    called : callable or None
        What the file computes of rows; ``None`` where nothing here runs it.
    by : str
        What ran it, or why nothing did.
    notes : tuple of str
        What the file does not hold, and what it needs.
    tolerated : float
        Difference, relative to the largest value, that is no fault; 0: round-off alone.
    """

    data: bytes
    called: Called | None
    by: str
    notes: tuple[str, ...] = ()
    tolerated: float = 0.0


def names_of(model: Fitted) -> tuple[list[str], list[str]]:
    """Return what the inputs and outputs of a model are called."""
    inputs = list(model.record.input_names) or [f"x{i}" for i in range(model.n_inputs)]
    if len(inputs) != model.n_inputs:
        inputs = [f"x{i}" for i in range(model.n_inputs)]
    outputs = list(model.output_names)
    if len(outputs) != model.n_outputs:
        outputs = ["y"] if model.n_outputs == 1 else [f"y{i}" for i in range(model.n_outputs)]
    return inputs, outputs


def about(model: Fitted) -> str:
    """Say in a paragraph what a model takes and returns: in a line, whatever names hold."""
    said = _about(model)
    return "".join(c if c.isprintable() else " " for c in said)


def _about(model: Fitted) -> str:
    inputs, outputs = names_of(model)
    said = f"A model fitted by adabasis ({type(model.basis).__name__}). Inputs: {', '.join(inputs)}"
    if isinstance(model, Classifier):
        classes = ", ".join(map(str, model.classes.tolist()))
        return f"{said}. Outputs: scores, and the probabilities of the classes {classes}."
    return f"{said}. Outputs: {', '.join(outputs)}."


def in_python(model: Fitted, options: Mapping[str, Any]) -> Written:
    """Return a file of Python that needs NumPy only."""
    program = program_of(model)
    writer = python.Writer(program)
    inputs, outputs = names_of(model)
    imports, prepared = "", ""
    if model.record.preparation is not None:
        imports, prepared = code_of(model.record.preparation)
    if {"erf", "erfc"} & set(writer.helpers):
        imports = "\n".join(filter(None, ["import math", imports]))
    rows = "x" if not prepared else "x if isinstance(x, np.ndarray) else matrix(x)"
    taken = "rows x, an array (N, D) of the inputs"
    taken += ", or a table: a mapping of columns, a data frame, a list of mappings" * bool(prepared)
    parts = [f"INPUTS = {inputs!r}"]
    if isinstance(model, Classifier):
        labels = model.classes.tolist()
        parts += [f"CLASSES = {labels!r}", prepared, python.definitions(writer)]
        parts.append(python.function(writer, "_scores", "scores", "Return the scores of rows."))
        again = python.Writer(program)
        parts.append(python.function(again, "_probabilities", "probabilities", "Return chances."))
        parts.append(_callers(rows, taken))
    else:
        parts += [f"OUTPUTS = {outputs!r}", prepared, python.definitions(writer)]
        parts.append(
            python.function(
                writer,
                "evaluate",
                "values",
                "Return the outputs at rows x (N, D) of inputs: (N, Q).",
            )
        )
        flat = "[:, 0]" if model.flat_output else ""
        shape = "(N,)" if flat else "(N, Q)"
        parts.append(
            f'def predict(x):\n    """Return the values at {taken}: {shape}."""\n'
            f"    return evaluate({rows}){flat}"
        )
    head = f"{imports}\n\nimport numpy as np" if imports else "import numpy as np"
    doc = python.wrapped_text(f"{about(model)} It needs NumPy only; call predict.")
    text = f'"""{doc}"""\n\n{head}\n\n' + "\n\n\n".join(filter(None, parts)) + "\n"

    def called(x: np.ndarray) -> dict[str, np.ndarray]:
        space: dict[str, Any] = {"__name__": "exported"}
        exec(compile(text, "exported model", "exec"), space)
        names = ("_scores", "_probabilities") if "CLASSES" in space else ("evaluate",)
        return {n: space[f](x) for n, f in zip(program.outputs, names, strict=True)}

    return Written(text.encode(), called, "NumPy", lacking(model))


def _callers(rows: str, taken: str) -> str:
    return (
        f'def scores(x):\n    """Return the scores at {taken}."""\n'
        f"    found = _scores({rows})\n"
        "    return found[:, 0] if found.shape[1] == 1 else found\n\n\n"
        f'def probabilities(x):\n    """Return the chance of each class at {taken}: (N, K)."""\n'
        f"    return _probabilities({rows})\n\n\n"
        f'def predict(x):\n    """Return the likeliest class at {taken}: (N,)."""\n'
        "    return np.array(CLASSES)[probabilities(x).argmax(axis=1)]"
    )


def in_c(model: Fitted, options: Mapping[str, Any]) -> Written:
    """Return the source of one function in C."""
    program, name = program_of(model), options["name"]
    text = c.source(program, name, _one_point(model, f"void {name}(x, …)"))
    if c.compiler() is None:
        return Written(text.encode(), None, "no C compiler was found here", numbers_only(model))
    of_rows = c.compiled(text, name, program)
    by = f"compiled by {c.compiler()}"
    return Written(
        text.encode(),
        lambda x: dict(zip(program.outputs, of_rows(x), strict=True)),
        by,
        numbers_only(model),
    )


def in_javascript(model: Fitted, options: Mapping[str, Any]) -> Written:
    """Return the source of one function in JavaScript."""
    program, name = program_of(model), options["name"]
    text = javascript.source(program, name, _one_point(model, f"{name}(x)"))
    node = shutil.which("node")
    if node is None:
        return Written(text.encode(), None, "Node.js was not found here", numbers_only(model))

    def called(x: np.ndarray) -> dict[str, np.ndarray]:
        finite = "(k, v) => typeof v === 'number' && !isFinite(v) ? String(v) : v"
        rows = json.dumps(x.tolist())
        ask = f"console.log(JSON.stringify({rows}.map({name}), {finite}));"
        done = subprocess.run([node, "-"], input=f"{text}\n{ask}", capture_output=True, text=True)
        if done.returncode:
            raise RuntimeError(f"Node.js refuses the exported source: {done.stderr[:500]}")
        found = json.loads(done.stdout)
        return {n: np.array([row[n] for row in found], dtype=float) for n in program.outputs}

    return Written(text.encode(), called, "run by Node.js", numbers_only(model))


def in_onnx(model: Fitted, options: Mapping[str, Any]) -> Written:
    """Return an ONNX model, in double precision where that runs."""
    try:
        import onnx  # noqa: F401
    except ImportError as error:
        raise NotExportable(
            "writing ONNX needs the onnx package: pip install 'adabasis[onnx]'."
        ) from error
    program = program_of(model)
    dtype = options.get("dtype") or "float64"
    if dtype == "float64":
        try:
            return _of_precision(model, program, float)
        except _NoDouble as error:
            said = f"float32, as the runtime has no float64 of what this model computes ({error})"
            found = _of_precision(model, program, np.float32)
            return dataclasses.replace(found, notes=(said, *found.notes))
    found = _of_precision(model, program, np.float32)
    return dataclasses.replace(found, notes=("in float32, as asked", *found.notes))


class _NoDouble(Exception):
    """A runtime lacks an operator in double precision."""


def _of_precision(model: Fitted, program: Program, dtype: Any) -> Written:
    made = onnx_graph.OnnxWriter(program, dtype).model(about(model))
    data = made.SerializeToString()
    try:
        import onnxruntime
    except ImportError:
        from onnx.reference import ReferenceEvaluator

        run, by = ReferenceEvaluator(made).run, "run by the reference implementation of onnx"
    else:
        try:
            run = onnxruntime.InferenceSession(data, providers=["CPUExecutionProvider"]).run
        except Exception as error:
            if dtype is not float:
                raise
            raise _NoDouble(str(error)[:200]) from error
        by = f"run by onnxruntime {onnxruntime.__version__}"

    def called(x: np.ndarray) -> dict[str, np.ndarray]:
        return dict(zip(program.outputs, run(None, {"x": x.astype(dtype)}), strict=True))

    return Written(
        data, called, by, numbers_only(model), tolerated=0.0 if dtype is float else math.inf
    )


def by_jax(model: Fitted, options: Mapping[str, Any]) -> Written:
    """Return what ``jax.export`` serialises."""
    data = stored.serialized(model)
    note = (
        "call it in double precision: with jax.enable_x64(True): "
        "jax.export.deserialize(bytearray(data)).call(x)"
    )
    notes = (note, *numbers_only(model))
    return Written(data, stored.called(data), "run by JAX", notes)


def _one_point(model: Fitted, call: str) -> str:
    return f"{about(model)} {call} takes one point, the inputs in this order."


def numbers_only(model: Fitted) -> tuple[str, ...]:
    """Say what a format that takes numbers leaves to its user."""
    if model.record.preparation is None:
        return lacking(model)
    inputs = ", ".join(names_of(model)[0])
    said = f"takes numbers, not the table: {inputs} (a .py file holds their preparation, too)"
    return (said, *lacking(model))


def lacking(model: Fitted) -> tuple[str, ...]:
    """Say what stays in the model file."""
    lacks = "intervals and standard deviations stay in the model file"
    known = getattr(model, "error_model", None) is not None or hasattr(model, "noise_levels")
    return (lacks,) if known else ()
