"""Recompute ``steam.csv``: the specific enthalpy of water and steam at random states.

Source
    pyXSteam 0.4.10, an implementation of the industrial formulation IAPWS-IF97. Every value is
    computed; none is copied from a table.
States
    2,500 draws from ``numpy.random.default_rng(0)``: first all temperatures, uniform on
    20-590 °C, then all pressures, log-uniform on 0.1-200 bar. They are rounded to 10 significant
    digits before anything is evaluated, so each row is consistent as written.
Columns
    ``temperature_C``, ``pressure_bar``, ``log10_pressure_bar``, ``enthalpy_kJ_per_kg`` and
    ``superheated``: 1 above the saturation temperature at that pressure (vapour), else 0 (liquid).

The enthalpy jumps at saturation: that is physics. IF97 is moreover a piecewise formulation, whose
regions meet with small seams (some 0.05 kJ/kg), within the tolerances of the standard. These
states lie in region 1 (all the liquid) and region 2 (all the vapour), which touch at saturation
alone, so no seam runs through either phase; other ranges of temperature or pressure may cross one.

Usage
    pip install 'adabasis[data]'
    python examples/data/make_steam.py
"""

import csv
from pathlib import Path

import numpy as np
from pyXSteam.XSteam import XSteam

COLUMNS = (
    "temperature_C",
    "pressure_bar",
    "log10_pressure_bar",
    "enthalpy_kJ_per_kg",
    "superheated",
)


def digits(value: float) -> str:
    return f"{value:.10g}"


def main(n: int = 2500) -> None:
    steam = XSteam(XSteam.UNIT_SYSTEM_MKS)
    rng = np.random.default_rng(0)
    temperatures = rng.uniform(20, 590, n)
    pressures = 10 ** rng.uniform(np.log10(0.1), np.log10(200), n)

    with (Path(__file__).parent / "steam.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(COLUMNS)
        for temperature, pressure in zip(temperatures, pressures, strict=True):
            t, p = digits(temperature), digits(pressure)
            enthalpy = steam.h_pt(float(p), float(t))
            if not np.isfinite(enthalpy):
                raise ValueError(f"no enthalpy at {p} bar and {t} °C")
            superheated = float(t) > steam.tsat_p(float(p))
            writer.writerow([t, p, digits(np.log10(float(p))), digits(enthalpy), int(superheated)])


if __name__ == "__main__":
    main()
