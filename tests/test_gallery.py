"""The gallery's scripts run, and what they say is true."""

import pathlib
import runpy

import numpy as np
import pytest

FOLDER = pathlib.Path(__file__).parents[1] / "examples"
SCRIPTS = sorted(FOLDER.glob("*/plot_*.py"))
#: What a script leaves behind, and what must hold of it.
HOLDS = {
    "plot_noisy_table": lambda s: 0.85 < s["covered"] < 0.97 and s["error"] < 0.06,
    "plot_twenty_runs": lambda s: s["error"] < 0.5,
    "plot_two_targets": lambda s: np.all(s["errors"] < 0.03),
    "plot_pipeline": lambda s: s["score"] > 0.98,
    "plot_outliers": lambda s: (
        s["found"] == sorted(s["wrong"].tolist()) and s["error"] < 0.2 * s["error_of_squares"]
    ),
    "plot_classes": lambda s: s["score"] > 0.9,
    "plot_tolerance": lambda s: (
        all(t <= a for t, a in zip(s["true"], s["asked"], strict=True))
        and s["tolerance"].reason.name == "NOISE"
    ),
    "plot_convergence": lambda s: s["smooth"][-1] < 1e-6 < 1e-4 < s["kink"][-1],
    "plot_rows_from_disk": lambda s: s["error"] < 0.03,
    "plot_jump": lambda s: np.median(s["off"]) < 1e-3 and np.mean(s["off"] > 0.1) < 0.03,
    "plot_water_and_steam": lambda s: np.median(s["off"]) < 10,
    "plot_kink_in_eight_inputs": lambda s: s["ours"] < 0.1 * s["theirs"],
    "plot_plate_with_holes": lambda s: s["solution"].certificate.error_estimate < 1e-2,
    "plot_stokes": lambda s: s["solution"].certificate.error_estimate < 1e-2,
    "plot_elasticity": lambda s: s["error"] < s["solution"].certificate.error_estimate < 1e-2,
    "plot_interface": lambda s: s["error"] < 1e-8,
    "plot_heat": lambda s: s["error"] < 1e-6,
    "plot_burgers": lambda s: s["error"] < 1e-3,
    "plot_sensors": lambda s: s["error"] < 0.05,
}


def test_every_script_is_judged():
    assert sorted(HOLDS) == sorted(script.stem for script in SCRIPTS)
    assert len(SCRIPTS) >= 16


@pytest.mark.slow
@pytest.mark.plain_scope
@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: script.stem)
def test_what_a_script_says_is_true(script, monkeypatch):
    monkeypatch.chdir(FOLDER.parent)
    scope = runpy.run_path(str(script))
    try:
        assert HOLDS[script.stem](scope)
    finally:
        scope["plt"].close("all")
