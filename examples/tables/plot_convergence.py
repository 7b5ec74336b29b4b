"""
Convergence with the number of functions
========================================

How fast does the error fall as functions are added? Random functions and one least-squares solve,
for a smooth function and for one with a kink.
"""

import matplotlib.pyplot as plt
import numpy as np

import adabasis as ab

rng = np.random.default_rng(0)
X, new = rng.uniform(-1, 1, (2000, 1)), np.linspace(-1, 1, 1001)[:, None]
targets = {"smooth: exp(sin 4x)": lambda x: np.exp(np.sin(4 * x)), "kink: |x|": np.abs}
widths = (4, 8, 16, 32, 64, 128)

figure, axes = plt.subplots(figsize=(6, 3.8), layout="constrained")
errors = {}
for name, target in targets.items():
    errors[name] = []
    for width in widths:
        model = ab.fit(X, target(X[:, 0]), ab.FrozenFeatures(width), method="frozen")
        off = model(new) - target(new[:, 0])
        errors[name].append(np.sqrt(np.mean(off**2)) / np.std(target(new[:, 0])))
    print(name, " ".join(f"{error:.0e}" for error in errors[name]))
    axes.loglog(widths, errors[name], "o-", label=name)
axes.set(xlabel="number of functions", ylabel="relative error on unseen points")
axes.legend()
smooth, kink = errors.values()

# %%
# The smooth function is found to many digits. The error of the one with a kink falls only like a
# power of the number of functions: there :class:`adabasis.POUNetRegressor` is the tool.
