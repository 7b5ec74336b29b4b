"""
An error that is asked for
==========================

:func:`adabasis.fit_to_tolerance` takes more functions until the error on rows not seen is as
small as asked, and says what stands in the way if it cannot be.
"""

import matplotlib.pyplot as plt
import numpy as np

import adabasis as ab

rng = np.random.default_rng(0)
X = rng.uniform(-1, 1, (1500, 2))
clean = np.exp(X[:, 0]) * np.cos(3 * X[:, 1])
new = rng.uniform(-1, 1, (2000, 2))
truth = np.exp(new[:, 0]) * np.cos(3 * new[:, 1])

asked = 10.0 ** -np.arange(2, 11, 2)
true, claimed = [], []
for tol in asked:
    model = ab.fit_to_tolerance(X, clean, tol)
    true.append(np.sqrt(np.mean((model(new) - truth) ** 2)) / truth.std())
    claimed.append(model.validation_error)
    print(
        f"asked {tol:.0e}, claimed {claimed[-1]:.1e}, true {true[-1]:.1e}: {model.rank} functions"
    )

figure, axes = plt.subplots(figsize=(5, 3.8), layout="constrained")
axes.loglog(asked, asked, "k:", label="asked for")
axes.loglog(asked, claimed, "s", fillstyle="none", markersize=11, label="claimed")
axes.loglog(asked, true, "o", label="true")
axes.set(xlabel="error asked for", ylabel="relative error")
axes.legend()

# %%
# With noise there is an end, and the record says so.

noisy = clean + 0.05 * rng.normal(size=1500)
tolerance = ab.fit_to_tolerance(X, noisy, 1e-4).record.tolerance
print(tolerance.reason.name)
print(tolerance)
