"""
Rows from disk
==============

Rows are reduced chunk by chunk to a small triangle, so that a fit of given functions needs little
memory: here 200,000 rows in files that NumPy maps and nobody loads.
"""

import pathlib
import tempfile

import matplotlib.pyplot as plt
import numpy as np

import adabasis as ab

folder = tempfile.TemporaryDirectory()
place = pathlib.Path(folder.name)
rng = np.random.default_rng(0)
rows = rng.uniform(-1, 1, (200_000, 3))
np.save(place / "X.npy", rows)
np.save(place / "y.npy", np.sin(2 * rows @ [1.0, 2.0, -1.0]) + 0.1 * rng.normal(size=len(rows)))
del rows

X, y = (np.load(place / name, mmap_mode="r") for name in ("X.npy", "y.npy"))
print(type(X).__name__, X.shape, f"{X.nbytes / 1e6:.1f} MB")
model = ab.fit(X, y, ab.FrozenFeatures(200), method="frozen")

# %%
# Two hundred thousand noisy rows determine 200 functions well: the error of the function is far
# below the noise.

new = rng.uniform(-1, 1, (5000, 3))
truth = np.sin(2 * new @ [1.0, 2.0, -1.0])
error = np.sqrt(np.mean((model(new) - truth) ** 2))
print(f"noise 0.1, error of the fitted function {error:.4f}")

figure, axes = plt.subplots(figsize=(4, 3.6), layout="constrained")
axes.plot(truth, model(new), ".", markersize=2)
axes.axline((0, 0), slope=1, color="k", linewidth=0.8)
axes.set(xlabel="true", ylabel="predicted")
del X, y
folder.cleanup()
