"""
Two materials
=============

A wire that conducts heat a hundred times better in its middle third. The temperature has kinks at
the interfaces: it is a function of its own in every region, joined by value and flux.
"""

import matplotlib.pyplot as plt
import numpy as np

import adabasis as ab

(x,) = ab.pde.coordinates("x")
u, d = ab.pde.unknowns("u"), ab.operators.Partial
k = ab.pde.piecewise(left=1.0, middle=100.0, right=1.0)
problem = ab.pde.Problem(
    regions={
        "left": ab.Box(x=(0, 1)),
        "middle": ab.Box(x=(1, 2)),
        "right": ab.Box(x=(2, 3)),
    },
    equations=[-d(x)(k * d(x)(u)) == 1.0],
    conditions=[
        ab.pde.Dirichlet(0.0),
        ab.pde.Interface(of=u, between=("left", "middle"), flux=k),
        ab.pde.Interface(of=u, between=("middle", "right"), flux=k),
    ],
)
solution = ab.solve(problem)
print(solution.certificate)

# %%
# The exact solution is a parabola in each third; by symmetry no heat flows through the centre.


def exact(x):
    s = 1.5 - np.abs(x - 1.5)  # distance from the nearer end
    outer = 1.5 * s - s**2 / 2
    return np.where(s < 1, outer, 1.0 + (1.5 * s - s**2 / 2 - 1.0) / 100)


points = np.linspace(0, 3, 301)
error = np.max(np.abs(solution(points[:, None]) - exact(points)))
print(f"largest error: {error:.0e}")
figure, axes = plt.subplots(figsize=(6, 3.2), layout="constrained")
axes.plot(points, solution(points[:, None]))
axes.axvspan(1, 2, alpha=0.15, label="conducts 100 times better")
axes.set(xlabel="x", ylabel="temperature")
axes.legend()
