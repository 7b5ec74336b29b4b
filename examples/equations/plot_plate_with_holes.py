"""
Poisson's equation on a plate with holes
========================================

The temperature of a heated plate whose edges are cold. One hole is kept cold, too, the other lets
no heat through.
"""

import matplotlib.pyplot as plt
import numpy as np

import adabasis as ab

x, y = ab.pde.coordinates("x", "y")
u, laplacian = ab.pde.unknowns("u"), ab.operators.Laplacian()
plate = (
    ab.Box(x=(0, 2), y=(0, 1))
    - ab.Disk(center=(0.5, 0.5), radius=0.2).named("cold")
    - ab.Disk(center=(1.4, 0.5), radius=0.25).named("insulated")
)
problem = ab.pde.Problem(
    domain=plate,
    equations=[-laplacian(u) == 1.0],
    conditions=[
        ab.pde.Dirichlet(0.0, on=[x, y]),
        ab.pde.Dirichlet(0.0, on=plate.boundaries["cold"]),
        ab.pde.Neumann(0.0, on=plate.boundaries["insulated"]),
    ],
)

# %%
# The search for functions takes the longest. Here they are given: 500 random ones, beside the
# poles in the holes that theory asks for and the solver adds.

solution = ab.solve(problem, ab.FrozenFeatures(500), method="frozen")
print(solution.certificate)

# %%
# The certificate is computed from the equation, at points that the solve has not seen.

a, b = np.meshgrid(np.linspace(0, 2, 201), np.linspace(0, 1, 101))
points = np.column_stack([a.ravel(), b.ravel()])
inside = plate.contains(points)
value = np.full(len(points), np.nan)
value[inside] = solution(points[inside])
figure, axes = plt.subplots(figsize=(7, 3.4), layout="constrained")
drawn = axes.contourf(a, b, value.reshape(a.shape), 20, cmap="inferno")
axes.set(aspect="equal", xlabel="x", ylabel="y", title="temperature")
figure.colorbar(drawn)
