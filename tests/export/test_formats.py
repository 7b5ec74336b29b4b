"""Law: whatever a basis is, every format has the values of its model, to round-off."""

import dataclasses
import json
import subprocess
import sys

import jax
import numpy as np
import onnx
import onnxruntime
import pytest
import sympy
from onnx.reference import ReferenceEvaluator

from adabasis.export import FORMATS, NotExportable, export
from adabasis.export import python as in_python
from adabasis.export.check import compared
from adabasis.geometry.maps import Coordinates, InputMap, TargetMap, Transform
from adabasis.geometry.points import AffineMap
from adabasis.models.classifier import Classifier

from ..registry import FUNCTIONS, fitted
from .tools import run_here

each_function = pytest.mark.parametrize("name", FUNCTIONS)
TO_ROUND_OFF = run_here(".py", ".c", ".js", ".onnx")
#: Too many terms, or a cell that is looked up.
NO_FORMULA = {"deep residual tanh", "grid", "pou of a grid"}
#: Bases of which jax.export is asked: what it does is JAX's, whatever is computed.
BY_JAX = ["residual gelu", "three nets", "pou of a grid", "enriched"]


def model_of(name, **changes):
    """A model without a level that digits would be lost to."""
    units = AffineMap(np.zeros(2), np.array([1.0, 2e3]))
    return fitted(FUNCTIONS[name], **({"output_map": units} | changes))


def rows_of(model, n=20):
    rng = np.random.default_rng(3)
    low, high = model.box.T
    return low + (high - low) * rng.uniform(-0.5, 1.5, (n, model.n_inputs))


@each_function
def test_every_format_has_the_models_values(name, tmp_path):
    model = model_of(name)
    x = rows_of(model)
    truth = model.outputs(x)
    for suffix in TO_ROUND_OFF:
        found = export(model, tmp_path / f"m{suffix}")
        assert found.difference.round_off
        assert found.difference.relative < 1e-13
        assert found.path.stat().st_size > 100
    session = onnxruntime.InferenceSession(str(tmp_path / "m.onnx"))
    assert session.get_inputs()[0].type == "tensor(double)"
    for some in (x, x[:1], x[:0]):
        (values,) = session.run(None, {"x": some})
        assert values.shape == (len(some), 2)
        np.testing.assert_allclose(values, truth[: len(some)], atol=1e-11 * np.abs(truth).max())


@each_function
def test_formulas_have_the_values_or_say_why_there_are_none(name, tmp_path):
    model = model_of(name)
    for suffix, limit in ((".sympy", 1e-9), (".tex", 1e-4)):
        if name in NO_FORMULA:
            with pytest.raises(NotExportable, match="Export to"):
                export(model, tmp_path / f"m{suffix}")
            assert not (tmp_path / f"m{suffix}").exists()
        else:
            found = export(model, tmp_path / f"m{suffix}")
            assert found.difference.relative <= limit


@pytest.mark.parametrize("name", BY_JAX)
def test_jax_reads_what_it_wrote_for_any_number_of_rows(name, tmp_path):
    model = model_of(name)
    found = export(model, tmp_path / "m.jax")
    assert found.difference.round_off
    exported = jax.export.deserialize(bytearray((tmp_path / "m.jax").read_bytes()))
    assert str(exported.in_avals[0].shape[0]) == "b"
    assert {"cpu", "cuda"} <= set(exported.platforms)
    x = rows_of(model, 7)
    values = np.asarray(exported.call(x)["values"])
    np.testing.assert_allclose(values, model.outputs(x), atol=1e-11 * np.abs(values).max())


@pytest.mark.parametrize("name", ["residual tanh", "pou of bumps", "cubics", "kriging"])
def test_sympy_reads_the_formula(name, tmp_path):
    model = model_of(name)
    export(model, tmp_path / "m.sympy")
    space = {}
    exec((tmp_path / "m.sympy").read_text(), space)
    x = rows_of(model, 3)
    truth = model.outputs(x)
    for row, values in zip(x, truth, strict=True):
        at = dict(zip(sympy.symbols("x0 x1"), map(sympy.Float, row), strict=True))
        found = [float(space[f"values_{q}"].subs(at).evalf(30)) for q in (1, 2)]
        np.testing.assert_allclose(found, values, atol=1e-9 * np.abs(truth).max())


def test_the_file_of_python_needs_nothing_but_numpy(tmp_path):
    model = model_of("residual gelu", flat_output=False)
    export(model, tmp_path / "exported.py")
    x = rows_of(model, 5)
    code = (
        "import sys, json; sys.path.insert(0, '.'); import exported; "
        f"print(json.dumps(exported.predict({x.tolist()!r}).tolist())); "
        "assert not {'jax', 'adabasis', 'scipy', 'equinox'} & set(sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-I", "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    np.testing.assert_allclose(json.loads(done.stdout), model.outputs(x), rtol=1e-12)


def transformed(name):
    """A model with a logarithm and a period among its inputs, and transformed targets."""
    coordinates = Coordinates(("log", "periodic"), (10.0, 360.0))
    rng = np.random.default_rng(0)
    units = TargetMap(
        np.array([0.1, 0.2]),
        np.array([0.3, 0.5]),
        rng.normal(size=(3, 2)),
        (Transform("log", -1.0), Transform("yeo-johnson", 2.0, 0.5)),
    )
    box = np.array([[1.0, 500.0], [0.0, 360.0]])
    model = fitted(FUNCTIONS[name])
    # Three coordinates: two of them on a circle. Parameters are those of two inputs.
    unit = jax.numpy.tile(jax.numpy.array([0.0, 1.0]), (3, 1))
    parameters = jax.tree.map(np.asarray, model.basis.init(jax.random.key(0), unit))
    coefficients = rng.normal(size=(model.basis.size(3), 2)) / model.basis.size(3)
    return dataclasses.replace(
        model,
        parameters=parameters,
        initial_parameters=parameters,
        coefficients=coefficients,
        input_map=InputMap(np.array([1.0, -1.0, -1.0]), np.array([6.0, 2.0, 2.0]), coordinates),
        output_map=units,
        box=box,
    )


@pytest.mark.parametrize("name", ["residual softplus", "splines"])
def test_transforms_of_inputs_and_targets_go_along(name, tmp_path):
    model = transformed(name)
    for suffix in TO_ROUND_OFF:
        assert export(model, tmp_path / f"m{suffix}").difference.round_off
    assert export(model, tmp_path / "m.sympy").difference.relative < 1e-12


def classifier(n_classes):
    scores = 1 if n_classes == 2 else n_classes
    base = fitted(FUNCTIONS["residual silu"], n_outputs=scores)
    fields = {f.name: getattr(base, f.name) for f in dataclasses.fields(base)}
    fields["output_map"] = AffineMap(np.zeros(scores), np.ones(scores))
    fields["flat_output"] = n_classes == 2
    classes = np.array(["cold", "mild", "warm"][:n_classes])
    return Classifier(**fields, classes=classes)


@pytest.mark.parametrize("n_classes", [2, 3])
def test_classifiers_have_scores_probabilities_and_names(n_classes, tmp_path):
    model = classifier(n_classes)
    x = rows_of(model)
    for suffix in [*TO_ROUND_OFF, ".jax"]:
        assert export(model, tmp_path / f"m{suffix}").difference.round_off
    assert export(model, tmp_path / "m.sympy").difference.relative < 1e-12
    space = {}
    exec((tmp_path / "m.py").read_text(), space)
    assert (space["predict"](x) == model.predict(x)).all()
    np.testing.assert_allclose(space["probabilities"](x), model.probabilities(x), rtol=1e-12)
    np.testing.assert_allclose(space["scores"](x), model(x), atol=1e-12)
    found = onnxruntime.InferenceSession(str(tmp_path / "m.onnx")).run(None, {"x": x})
    np.testing.assert_allclose(found[1], model.probabilities(x), rtol=1e-12)


def test_the_reference_of_onnx_agrees_where_runtimes_have_no_function(tmp_path):
    """Erf, Atan and Softplus of double precision are written by other operators."""
    for name in ("residual gelu", "enriched", "residual softplus", "residual elu"):
        model = model_of(name)
        export(model, tmp_path / "m.onnx")
        made = onnx.load(tmp_path / "m.onnx")
        assert not {"Erf", "Atan", "Softplus"} & {node.op_type for node in made.graph.node}
        run = ReferenceEvaluator(made).run
        assert compared(model, lambda x: {"values": run(None, {"x": x})[0]}).round_off  # noqa: B023


def test_single_precision_is_stated(tmp_path):
    found = export(model_of("residual tanh"), tmp_path / "m.onnx", dtype="float32")
    assert 1e-9 < found.difference.relative < 1e-4
    assert "float32" in str(found)
    session = onnxruntime.InferenceSession(str(tmp_path / "m.onnx"))
    assert session.get_inputs()[0].type == "tensor(float)"


def test_without_double_precision_in_the_runtime_single_is_written_and_said(tmp_path, monkeypatch):
    real = onnxruntime.InferenceSession

    def only_single(data, **options):
        if onnx.load_from_string(data).graph.input[0].type.tensor_type.elem_type == 11:
            raise RuntimeError("NOT_IMPLEMENTED")
        return real(data, **options)

    monkeypatch.setattr(onnxruntime, "InferenceSession", only_single)
    found = export(model_of("residual tanh"), tmp_path / "m.onnx")
    assert "no float64" in str(found)
    assert found.difference.relative > 1e-9


def test_without_a_compiler_the_source_is_written_and_said_to_be_unchecked(tmp_path, monkeypatch):
    monkeypatch.setattr("adabasis.export.c.compiler", lambda: None)
    found = export(model_of("residual tanh"), tmp_path / "m.c")
    assert found.difference is None
    assert "not checked: no C compiler was found here" in str(found)


def test_a_file_that_differs_from_its_model_is_not_written(tmp_path, monkeypatch):
    monkeypatch.setitem(in_python._FUNCTIONS, "max", "np.minimum")
    with pytest.raises(RuntimeError, match=r"export\('m\.py'\).*more than round-off"):
        export(model_of("residual relu"), tmp_path / "m.py")
    assert not list(tmp_path.iterdir())


def test_a_suffix_of_no_format_is_refused_with_those_there_are(tmp_path):
    with pytest.raises(ValueError, match=r"'\.xyz' is that of no format.*\.py, \.onnx"):
        model_of("cubics").export(tmp_path / "m.xyz")
    with pytest.raises(ValueError, match="only ONNX is written in single precision"):
        model_of("cubics").export(tmp_path / "m.c", dtype="float32")
    with pytest.raises(ValueError, match="expected 'float64' or 'float32'"):
        model_of("cubics").export(tmp_path / "m.onnx", dtype="half")
    assert ".py" in FORMATS


def test_the_largest_difference_is_that_of_all_outputs():
    model = model_of("cubics")
    assert compared(model, lambda x: {"values": model.outputs(x)}).largest == 0.0
    off = compared(model, lambda x: {"values": model.outputs(x) + np.array([0.0, 3.0])})
    assert off.largest == pytest.approx(3.0)
    assert not off.round_off
    assert not compared(model, lambda x: {"values": np.full((len(x), 2), np.nan)}).round_off


@pytest.mark.parametrize("suffix", run_here(".py", ".c", ".js", ".html", ".sympy", ".tex"))
def test_names_are_said_in_comments_and_run_nowhere(suffix, tmp_path):
    """Names end neither comments nor strings, nor do line separators that JavaScript knows."""
    bad = """*/ '; " \"\"\" \\ \n \u2028 alert(1); raise SystemExit #</script>"""
    model = model_of("cubics")
    record = dataclasses.replace(model.record, input_names=(bad, "b"), output_names=(bad, "c"))
    found = export(dataclasses.replace(model, record=record), tmp_path / f"m{suffix}")
    assert found.difference.relative < 1e-4


@pytest.mark.parametrize("stem", ["exp", "double", "class", "2nd model", "häuser"])
def test_functions_are_called_after_their_file_where_languages_allow_it(stem, tmp_path):
    for suffix in run_here(".c", ".js"):
        assert export(model_of("cubics"), tmp_path / f"{stem}{suffix}").difference.round_off
