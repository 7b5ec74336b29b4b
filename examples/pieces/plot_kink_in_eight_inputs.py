"""
A kink found in eight inputs
============================

A function that bends along an unknown plane in eight dimensions. Trees cut along axes and need
very many cuts; a partition of unity network finds the plane.
"""

import matplotlib.pyplot as plt
import numpy as np
from sklearn.ensemble import HistGradientBoostingRegressor

import adabasis as ab

rng = np.random.default_rng(0)
normal = rng.normal(size=8)
normal /= np.linalg.norm(normal)


def function(X):
    return 4 * np.maximum(0.0, (X - 0.5) @ normal) + X[:, 0] * X[:, 1]


X, new = rng.uniform(0, 1, (800, 8)), rng.uniform(0, 1, (5000, 8))
model = ab.POUNetRegressor(max_seconds=60).fit(X, function(X))
trees = HistGradientBoostingRegressor(random_state=0).fit(X, function(X))


def error(predicted):
    return np.sqrt(np.mean((predicted - function(new)) ** 2)) / function(new).std()


ours, theirs = error(model.predict(new)), error(trees.predict(new))
print(f"relative error on unseen rows: {ours:.1e}, boosted trees {theirs:.1e}")

# %%
# Along the normal of the plane the bend is sharp.

steps = np.linspace(-0.4, 0.4, 200)
line = 0.5 + steps[:, None] * normal
figure, axes = plt.subplots(figsize=(6, 3.5), layout="constrained")
axes.plot(steps, trees.predict(line), "C1", linewidth=1, label="boosted trees")
axes.plot(steps, model.predict(line), "C0", label="POUnet")
axes.plot(steps, function(line), "k:", label="truth")
axes.set(xlabel="distance from the plane", ylabel="y")
axes.legend()
