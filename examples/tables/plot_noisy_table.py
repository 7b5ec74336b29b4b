"""
A noisy table, with error bars
==============================

Sixty noisy measurements of a curve: a fit, the standard deviation of the curve, and intervals for
new measurements.
"""

import matplotlib.pyplot as plt
import numpy as np

import adabasis as ab

rng = np.random.default_rng(0)
x = np.sort(rng.uniform(0, 6, 60))
y = np.sin(2 * x) * np.exp(-x / 4) + 0.1 * rng.normal(size=60)

model = ab.fit(x[:, None], y)
print(model.verdict)

# %%
# ``uncertainty`` tells how well the *curve* is known, ``predict_interval`` where a *new
# measurement* will lie, noise included: nine out of ten should be inside. Beyond the data both
# grow.

points = np.linspace(-0.5, 6.5, 300)[:, None]
mean, std = model(points), model.uncertainty(points).function
low, high = model.predict_interval(points, coverage=0.9)

figure, axes = plt.subplots(figsize=(7, 3.5), layout="constrained")
axes.fill_between(points[:, 0], low, high, alpha=0.2, label="90 % of new measurements")
axes.fill_between(points[:, 0], mean - 2 * std, mean + 2 * std, alpha=0.4, label="curve ± 2 std")
axes.plot(points[:, 0], mean, label="fit")
axes.plot(points[:, 0], np.sin(2 * points[:, 0]) * np.exp(-points[:, 0] / 4), "k:", label="truth")
axes.plot(x, y, "k.", markersize=4, label="measurements")
axes.set(xlabel="x", ylabel="y", ylim=(-1.5, 1.6))
axes.legend(ncols=2, fontsize="small")

# %%
# New measurements of the same kind tell whether the intervals hold what they promise.

new = rng.uniform(0, 6, 2000)
measured = np.sin(2 * new) * np.exp(-new / 4) + 0.1 * rng.normal(size=2000)
low, high = model.predict_interval(new[:, None], coverage=0.9)
covered = np.mean((low <= measured) & (measured <= high))
error = np.std(model(new[:, None]) - np.sin(2 * new) * np.exp(-new / 4))
print(f"{covered:.0%} of 2,000 new measurements lie inside; the curve is off by {error:.3f}")
