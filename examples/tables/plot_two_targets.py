"""
Two targets at once
===================

Lift and drag over the angle of attack and the flap, say: targets that depend on the same inputs
share their functions, and each has coefficients of its own.
"""

import matplotlib.pyplot as plt
import numpy as np

import adabasis as ab

rng = np.random.default_rng(0)
X = rng.uniform(-1, 1, (200, 2))
first = np.sin(3 * X[:, 0]) + 0.3 * X[:, 1]
second = 0.1 + X[:, 0] ** 2 * np.exp(-X[:, 1])
Y = np.column_stack([first, second]) + 0.01 * rng.normal(size=(200, 2))

model = ab.AdaptiveBasisRegressor(effort="fast").fit(X, Y)
predicted = model.predict(X)
print("shape of the predictions:", predicted.shape)
print("functions:", model.fitted_.rank)

# %%
# Errors against the functions without noise, at new points.

new = rng.uniform(-1, 1, (2000, 2))
clean = np.column_stack(
    [np.sin(3 * new[:, 0]) + 0.3 * new[:, 1], 0.1 + new[:, 0] ** 2 * np.exp(-new[:, 1])]
)
errors = np.sqrt(np.mean((model.predict(new) - clean) ** 2, axis=0))
print("root mean square errors:", errors.round(4), "noise: 0.01")

figure, panels = plt.subplots(1, 2, figsize=(7, 3.2), layout="constrained")
for panel, measured, found, name in zip(
    panels, clean.T, model.predict(new).T, ("first", "second"), strict=True
):
    panel.plot(measured, found, ".", markersize=2)
    panel.axline((0, 0), slope=1, color="k", linewidth=0.8)
    panel.set(title=f"{name} target", xlabel="true", ylabel="predicted")
