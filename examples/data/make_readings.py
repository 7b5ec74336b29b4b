"""Recompute ``readings.csv`` and ``new-states.csv`` from ``steam.csv``, as an instrument might.

The first 400 superheated states of ``steam.csv``; to each enthalpy normal noise is added, with a
standard deviation of 2 kJ/kg, from ``numpy.random.default_rng(0)``. Temperatures and pressures are
rounded to the digits that a display shows, enthalpies to 0.1 kJ/kg. ``new-states.csv`` has three
states to predict; the last is hotter than any reading.

Usage
    python examples/data/make_readings.py
"""

import csv
from pathlib import Path

import numpy as np

FOLDER = Path(__file__).parent
ROWS, NOISE = 400, 2.0


def main() -> None:
    with (FOLDER / "steam.csv").open(encoding="utf-8") as file:
        states = [row for row in csv.DictReader(file) if row["superheated"] == "1"][:ROWS]
    noise = NOISE * np.random.default_rng(0).normal(size=ROWS)
    with (FOLDER / "readings.csv").open("w", encoding="utf-8") as file:
        file.write("temperature_C,pressure_bar,enthalpy_kJ_per_kg\n")
        for state, error in zip(states, noise, strict=True):
            temperature, pressure = float(state["temperature_C"]), float(state["pressure_bar"])
            enthalpy = float(state["enthalpy_kJ_per_kg"]) + error
            file.write(f"{temperature:.1f},{pressure:.4g},{enthalpy:.1f}\n")
    new = "temperature_C,pressure_bar\n200,1\n350,10\n900,10\n"
    (FOLDER / "new-states.csv").write_text(new, "utf-8")


if __name__ == "__main__":
    main()
