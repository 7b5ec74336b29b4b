"""Print the CPU seconds of a first hour: clone, set-up, demo, a table of one's own, its report.

``python scripts/measure_start.py`` clones this repository into a folder of its own, builds its
environment there as ``make setup`` does (which needs the network, or pip's cache), and runs the
commands of the README with an empty folder for compiled code. ``--with PYTHON`` uses an existing
environment. CPU seconds are those of all processes of a step, user and system.
"""

from __future__ import annotations

import argparse
import os
import pathlib
import resource
import shutil
import subprocess
import tempfile
import time
from collections.abc import Mapping, Sequence

ROOT = pathlib.Path(__file__).parents[1]
OWN = ROOT / "examples" / "data" / "readings.csv"
NEW = ROOT / "examples" / "data" / "new-states.csv"
TARGET = "enthalpy_kJ_per_kg"


def spent() -> float:
    """Return the CPU seconds of all child processes that have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def step(what: str, command: Sequence[str], folder: pathlib.Path, env: Mapping[str, str]) -> None:
    """Run a command and print what it took."""
    before, began = spent(), time.perf_counter()
    done = subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"{what}: exit code {done.returncode}\n{done.stderr[-2000:]}")
    wall = time.perf_counter() - began
    print(f"{what:34}{spent() - before:8.1f}{wall:8.0f}", flush=True)


def main() -> int:
    """Measure every step in a folder that is deleted afterwards."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--with", dest="python", help="an interpreter that has the dependencies")
    options = parser.parse_args()
    print(f"{'':34}{'CPU s':>8}{'s':>8}")
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        copy = folder / "adabasis"
        env = {k: v for k, v in os.environ.items() if not k.startswith(("PYTHON", "ADABASIS"))}
        env |= {"ADABASIS_CACHE": str(folder / "compiled"), "COLUMNS": "80"}
        step("git clone", ["git", "clone", "--quiet", str(ROOT), str(copy)], folder, env)
        if options.python:
            command = [options.python, "-m", "adabasis"]
            env |= {"PYTHONPATH": str(copy / "src")}
        else:
            step("make setup", ["make", "setup"], copy, env)
            command = [str(copy / ".venv" / "bin" / "adabasis")]
        step("make demo", [*command, "demo"], copy, env)
        for table in (OWN, NEW):
            shutil.copy(table, folder)
        step(
            "adabasis fit, with a report", [*command, "fit", OWN.name, "--target", TARGET],
            folder, env,
        )  # fmt: skip
        page = folder / OWN.with_suffix(".html").name
        model = str(folder / OWN.with_suffix(".adabasis").name)
        step("adabasis predict", [*command, "predict", model, NEW.name], folder, env)
        step("adabasis show", [*command, "show", model], folder, env)
        print(f"{page.name}: {page.stat().st_size / 1000:.0f} kB")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
