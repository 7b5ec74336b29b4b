"""
Burgers' equation
=================

An equation that is not linear: a front that travels. Each Newton step is one linear least-squares
problem.
"""

import matplotlib.pyplot as plt
import numpy as np

import adabasis as ab

x, t = ab.pde.coordinates("x", "t")
u, d = ab.pde.unknowns("u"), ab.operators.Partial
nu, speed = 0.1, 0.5
front = speed - speed * np.tanh(speed * (x - speed * t) / (2 * nu))
problem = ab.pde.Problem(
    domain=ab.Box(x=(-1, 1), t=(0, 1)),
    equations=[d(t)(u) + u * d(x)(u) == nu * d(x, 2)(u)],
    conditions=[
        ab.pde.Initial(speed - speed * np.tanh(speed * x / (2 * nu)), at=(t, 0.0)),
        ab.pde.Dirichlet(front, on=x),
    ],
)
solution = ab.solve(problem, ab.FrozenFeatures(200), method="frozen")
print(solution.certificate)

# %%
# Here the exact solution is known, so that the claim can be compared with the truth.

places = np.linspace(-1, 1, 201)


def exact(x, t):
    return speed - speed * np.tanh(speed * (x - speed * t) / (2 * nu))


points = np.random.default_rng(0).uniform([-1, 0], [1, 1], (1000, 2))
off = solution(points) - exact(*points.T)
error = np.linalg.norm(off) / np.linalg.norm(exact(*points.T))
print(f"relative error {error:.0e}, estimated {solution.certificate.error_estimate:.0e}")
figure, axes = plt.subplots(figsize=(6, 3.2), layout="constrained")
for time in (0.0, 0.5, 1.0):
    points = np.column_stack([places, np.full(201, time)])
    axes.plot(places, solution(points), label=f"t = {time:g}")
axes.set(xlabel="x", ylabel="u")
axes.legend()
