"""
Heat in a rod
=============

Time is a coordinate like any other: the equation is solved for all times at once.
"""

import matplotlib.pyplot as plt
import numpy as np

import adabasis as ab

x, t = ab.pde.coordinates("x", "t")
u, d = ab.pde.unknowns("u"), ab.operators.Partial
problem = ab.pde.Problem(
    domain=ab.Box(x=(0, 1), t=(0, 1)),
    equations=[d(t)(u) == 0.1 * d(x, 2)(u)],
    conditions=[
        ab.pde.Initial(np.sin(np.pi * x) + 0.5 * np.sin(3 * np.pi * x), at=(t, 0.0)),
        ab.pde.Dirichlet(0.0, on=x),
    ],
)
solution = ab.solve(problem)
print(solution.certificate.verdict)

# %%
# The solution is a function, with derivatives: here the heat that leaves through the left end.

places, times = np.linspace(0, 1, 101), (0.0, 0.05, 0.2, 0.5, 1.0)
figure, panels = plt.subplots(1, 2, figsize=(7.5, 3.2), layout="constrained")
for time in times:
    points = np.column_stack([places, np.full(101, time)])
    panels[0].plot(places, solution(points), label=f"t = {time:g}")
panels[0].set(xlabel="x", ylabel="temperature")
panels[0].legend(fontsize="small")
clock = np.linspace(0, 1, 101)
points = np.column_stack([np.zeros(101), clock])
panels[1].plot(clock, 0.1 * solution.apply(d(x), points))
panels[1].set(xlabel="t", ylabel="heat through the left end")


def exact(x, t):
    slow = np.sin(np.pi * x) * np.exp(-0.1 * np.pi**2 * t)
    return slow + 0.5 * np.sin(3 * np.pi * x) * np.exp(-0.9 * np.pi**2 * t)


points = np.random.default_rng(0).uniform(0, 1, (1000, 2))
error = np.max(np.abs(solution(points) - exact(*points.T)))
print(f"largest error at 1,000 points: {error:.0e}")
