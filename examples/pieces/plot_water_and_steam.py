"""
Water and steam
===============

The enthalpy of water jumps where it boils. The table has temperature and pressure, and no column
says which states are steam. A model in pieces finds the boiling curve.
"""

import pathlib

import matplotlib.pyplot as plt
import numpy as np

import adabasis as ab

place = pathlib.Path("examples/data/steam.csv")
while not place.exists():
    place = ".." / place
table = np.genfromtxt(place, delimiter=",", names=True)[:800]
X = np.column_stack([table["temperature_C"], table["log10_pressure_bar"]])
enthalpy, steam = table["enthalpy_kJ_per_kg"], table["superheated"] == 1

model = ab.POUNetRegressor(max_seconds=60).fit(X[:600], enthalpy[:600])
print(model.n_partitions_, "parts, polynomials of degree", model.degree_)
off = np.abs(model.predict(X[600:]) - enthalpy[600:])
print(f"median error on other rows: {np.median(off):.2f} kJ/kg of {np.ptp(enthalpy):.0f}")

# %%
# The jump of the fitted function is the boiling curve, of which it was not told.

a, b = np.meshgrid(np.linspace(20, 590, 160), np.linspace(-1, 2.3, 120))
fitted = model.predict(np.column_stack([a.ravel(), b.ravel()])).reshape(a.shape)
figure, axes = plt.subplots(figsize=(6, 4), layout="constrained")
drawn = axes.pcolormesh(a, b, fitted)
axes.plot(*X[steam].T, "w.", markersize=3, label="steam")
axes.plot(*X[~steam].T, "k.", markersize=3, label="water")
axes.set(xlabel="temperature, °C", ylabel="log10 of the pressure in bar")
axes.legend(loc="lower right", facecolor="0.6", framealpha=1.0)
figure.colorbar(drawn, label="enthalpy, kJ/kg")
