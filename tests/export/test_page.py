"""The page computes in the browser what the model computes, without network or errors."""

import dataclasses
import re
import shutil
import subprocess

import numpy as np
import pytest

from adabasis.export import NotExportable, export
from adabasis.export import page as page_module
from adabasis.export.page import fragment

from ..registry import FUNCTIONS
from .test_formats import classifier, model_of
from .test_tables import mixed
from .test_tables import model_of as model_of_table

BROWSER = shutil.which("chromium") or shutil.which("google-chrome")
in_a_browser = pytest.mark.skipif(BROWSER is None, reason="no browser is installed")


def shown(path, script=""):
    """Return the values on a page after a script has used it, and what the page then holds."""
    if script:
        text = path.read_text("utf-8")
        path.write_text(text.replace("</body>", f"<script>{script}</script></body>"), "utf-8")
    options = ["--headless", "--no-sandbox", "--disable-gpu", "--virtual-time-budget=2000"]
    done = subprocess.run(
        [BROWSER, *options, "--dump-dom", path.as_uri()],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    return [float(v) for v in re.findall(r'data-value="([^"]*)"', done.stdout)], done.stdout


SET = """
const set = (id, value) => {
    const e = document.querySelector(id);
    e.value = value;
    e.dispatchEvent(new Event("input"));
};
"""


@in_a_browser
@pytest.mark.parametrize("name", ["residual gelu", "pou of bumps"])
def test_values_follow_the_sliders(name, tmp_path):
    model = model_of(name)
    export(model, tmp_path / "m.html")
    found, text = shown(tmp_path / "m.html")
    middle = model.box.mean(axis=1)
    np.testing.assert_allclose(found, model.outputs(middle[None])[0], rtol=1e-10)
    assert "http" not in re.sub(r"<title>.*?</title>", "", text)
    script = SET + 'set("[data-beside=\\"0\\"]", 123.456); set("#live-1", 1000);'
    found, _ = shown(tmp_path / "m.html", script)
    slid = model.box[1, 0] + round((1000 - model.box[1, 0]) / 10) * 10  # 200 steps of 10
    np.testing.assert_allclose(found, model.outputs([[123.456, slid]])[0], rtol=1e-10)


@in_a_browser
def test_a_report_takes_the_columns_of_the_table(tmp_path):
    model, preparation = model_of_table(mixed())
    model.report(tmp_path / "r.html")
    script = SET + (
        'set("[data-beside=\\"0\\"]", .25); set("#live-1", "[1.0]");'
        "const pick = (id, text) => { const e = document.querySelector(id);"
        "e.selectedIndex = [...e.options].findIndex((o) => o.text === text);"
        'e.dispatchEvent(new Event("input")); };'
        'pick("#live-2", "red"); pick("#live-5", "town 3");'
        'set("#live-6", "2024-02-03T04:05");'
    )
    found, text = shown(tmp_path / "r.html", script)
    row = {"size": 0.25, "open": True, "colour": "red", "town": "town 3"}
    table = mixed(1).assign(**row, day=np.datetime64("2024-02-03T04:05")).drop(columns="y")
    np.testing.assert_allclose(found, model(preparation.transform(table)), rtol=1e-10)
    assert "Try it" in text


@in_a_browser
def test_probabilities_of_classes_sum_to_one(tmp_path):
    model = classifier(3)
    export(model, tmp_path / "m.html")
    found, text = shown(tmp_path / "m.html")
    truth = model.probabilities(model.box.mean(axis=1)[None])[0]
    np.testing.assert_allclose(found, truth, rtol=1e-10)
    assert all(label in text for label in model.classes)


def test_names_cannot_end_the_script_or_a_tag():
    model = model_of("cubics")
    names = ('</script><b a="', "a & b")
    record = dataclasses.replace(model.record, input_names=names, output_names=("<i>", "y"))
    found = fragment(dataclasses.replace(model, record=record))
    assert found.count("</script>") == 1
    assert "<b a=" not in re.sub(r"<script>.*</script>", "", found, flags=re.DOTALL)
    assert "<i>" not in found.replace("Outputs: <i>", "")


def test_large_models_have_no_page(monkeypatch, tmp_path):
    monkeypatch.setattr(page_module, "MOST", 1000)
    assert "cubics" in FUNCTIONS
    with pytest.raises(NotExportable, match=r"MB of numbers.*'\.js' or '\.py'"):
        export(model_of("cubics"), tmp_path / "m.html")
    model_of("cubics").report(tmp_path / "r.html")
    assert "Try it" not in (tmp_path / "r.html").read_text("utf-8")
