"""
Sensors and an equation
=======================

A hundred noisy sensors in a room whose walls nobody has measured. The equation holds inside;
what it leaves open is decided by the readings, and the result has error bars.
"""

import matplotlib.pyplot as plt
import numpy as np

import adabasis as ab

x, y = ab.pde.coordinates("x", "y")
u, laplacian = ab.pde.unknowns("u"), ab.operators.Laplacian()


def truth(points):
    a, b = points.T
    return np.exp(a) * np.cos(b) + a * b


rng = np.random.default_rng(0)
sensors = rng.uniform(0, 1, (100, 2))
readings = truth(sensors) + 0.05 * rng.normal(size=100)
problem = ab.pde.Problem(
    domain=ab.Box(x=(0, 1), y=(0, 1)),
    equations=[laplacian(u) == 0.0],
    data=[ab.pde.Observe(sensors, readings, noise=0.05)],
)
solution = ab.solve(problem, ab.FrozenFeatures(150), method="frozen")

# %%
# The standard deviation is small between the sensors and grows towards the walls. Errors at
# neighbouring points go together: the share within two standard deviations is near 95 % only in the
# mean over many sets of readings. With a few dozen readings the deviations would be too small,
# because the readings also choose which functions are used.

a, b = np.meshgrid(np.linspace(0, 1, 60), np.linspace(0, 1, 60))
points = np.column_stack([a.ravel(), b.ravel()])
mean, std = solution.predict(points, return_std=True)
error = np.sqrt(np.mean((mean - truth(points)) ** 2))
print(f"error of the field {error:.3f}, of a sensor 0.05")
print(f"within two standard deviations: {np.mean(np.abs(mean - truth(points)) < 2 * std):.0%}")
figure, panels = plt.subplots(1, 2, figsize=(8, 3.4), layout="constrained")
for panel, shown, name in zip(panels, (mean, std), ("field", "standard deviation"), strict=True):
    drawn = panel.contourf(a, b, shown.reshape(a.shape), 15)
    panel.plot(*sensors.T, "w.", markeredgecolor="k")
    panel.set(aspect="equal", xlabel="x", ylabel="y", title=name)
    figure.colorbar(drawn)
