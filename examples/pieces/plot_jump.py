"""
A jump in the plane
===================

A disk in which the function is another one. Nobody tells the model where the disk is: a partition
of unity network finds it.
"""

import matplotlib.pyplot as plt
import numpy as np

import adabasis as ab


def function(X):
    inside = np.sum((X - 0.5) ** 2, axis=1) < 0.1
    return np.where(inside, 1.0 + X[:, 0], np.sin(3 * X[:, 0]) * X[:, 1])


rng = np.random.default_rng(0)
X = rng.uniform(0, 1, (900, 2))
model = ab.POUNetRegressor().fit(X, function(X))
print(model.n_partitions_, "parts, polynomials of degree", model.degree_)

# %%
# Errors sit where a point is taken for one of the other side of the border.

new = rng.uniform(0, 1, (4000, 2))
off = np.abs(model.predict(new) - function(new))
print(f"median error {np.median(off):.0e}; {np.mean(off > 0.1):.1%} of points on the wrong side")

grid = np.linspace(0, 1, 150)
a, b = np.meshgrid(grid, grid)
points = np.column_stack([a.ravel(), b.ravel()])
figure, axes = plt.subplots(figsize=(5, 4), layout="constrained")
drawn = axes.pcolormesh(a, b, model.predict(points).reshape(a.shape))
angle = np.linspace(0, 2 * np.pi, 200)
radius = np.sqrt(0.1)
axes.plot(0.5 + radius * np.cos(angle), 0.5 + radius * np.sin(angle), "r--", label="true border")
axes.set(aspect="equal", xlabel="x", ylabel="y", title="the fitted function")
axes.legend()
figure.colorbar(drawn)
