"""
Wild values
===========

Five of a hundred readings are wrong by far. A fit lists them by row, and ``loss="huber"`` keeps
them from ruling the curve.
"""

import matplotlib.pyplot as plt
import numpy as np

import adabasis as ab

rng = np.random.default_rng(0)
x = np.sort(rng.uniform(0, 4, 100))
y = np.cos(2 * x) + 0.05 * rng.normal(size=100)
wrong = rng.choice(100, 5, replace=False)
y[wrong] += rng.choice([-1, 1], 5) * rng.uniform(3, 9, 5)

robust = ab.fit(x[:, None], y, loss="huber")
found = sorted(outlier.row for outlier in robust.record.outliers)
print("wrong rows:", sorted(wrong.tolist()))
print("listed:    ", found)

# %%
# The same functions with the usual sum of squares, for comparison.

squares = ab.fit(x[:, None], y, robust.basis, method="frozen")
points = np.linspace(0, 4, 300)[:, None]
truth = np.cos(2 * points[:, 0])
error = np.sqrt(np.mean((robust(points) - truth) ** 2))
error_of_squares = np.sqrt(np.mean((squares(points) - truth) ** 2))
print(f"error of the robust fit {error:.3f}, of least squares {error_of_squares:.3f}")

figure, axes = plt.subplots(figsize=(7, 3.5), layout="constrained")
axes.plot(x, y, "k.", markersize=4)
axes.plot(x[found], y[found], "o", color="C3", fillstyle="none", label="listed as outliers")
axes.plot(points, squares(points), "C1--", label="least squares")
axes.plot(points, robust(points), "C0", label='loss="huber"')
axes.set(xlabel="x", ylabel="y")
axes.legend()
