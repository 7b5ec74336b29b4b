"""
Twenty runs of an experiment
============================

A composite design in three factors: eight corners, six points on the axes, and the centre six
times. Few rows are enough for a quadratic function, and the replicates at the centre tell the
noise.
"""

import itertools

import matplotlib.pyplot as plt
import numpy as np

import adabasis as ab

corners = list(itertools.product((-1.0, 1.0), repeat=3))
axes = [s * 1.68 * row for row in np.eye(3) for s in (-1, 1)]
X = np.vstack([corners, axes, np.zeros((6, 3))])


def truth(X):
    a, b = X[:, 0], X[:, 1]
    return 80 + 4 * a - 3 * b + 2 * a * b - 3 * a**2 - 2 * b**2


yields = truth(X) + 0.5 * np.random.default_rng(1).normal(size=20)
model = ab.fit(X, yields)
print(model.verdict)
print(model.basis.degree, "is the degree of the polynomial that was taken")

# %%
# Where is the largest yield? The fitted function answers, and its standard deviation says how sure
# that is.

grid = np.linspace(-1.68, 1.68, 81)
a, b = np.meshgrid(grid, grid)
points = np.column_stack([a.ravel(), b.ravel(), np.zeros(a.size)])
mean, std = model.predict(points, return_std=True)
best = points[np.argmax(mean)]
largest, off = mean.max(), std[np.argmax(mean)]
print(f"largest fitted yield {largest:.1f} ± {off:.1f} at {best.round(2)}")

figure, axes = plt.subplots(figsize=(5, 4), layout="constrained")
drawn = axes.contourf(a, b, mean.reshape(a.shape), 15)
axes.plot(X[:, 0], X[:, 1], "w.", markeredgecolor="k")
axes.plot(best[0], best[1], "r*", markersize=12)
axes.set(xlabel="factor 1", ylabel="factor 2", title="fitted yield where factor 3 is 0")
figure.colorbar(drawn)

error = np.sqrt(np.mean((mean - truth(points)) ** 2))
print(f"error of the fitted function on this grid: {error:.2f}, noise of one run: 0.5")
