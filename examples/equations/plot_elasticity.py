"""
A block that bends under its weight
===================================

Linear elasticity: displacements of a block that is held at its left side and pulled down by
gravity. Tractions on the free sides are conditions with the components of the normal.
"""

import matplotlib.pyplot as plt
import numpy as np

import adabasis as ab

x, y = ab.pde.coordinates("x", "y")
u, v = ab.pde.unknowns("u", "v")
d, lam, mu = ab.operators.Partial, 1.0, 1.0
stretch = d(x)(u) + d(y)(v)
xx, yy = lam * stretch + 2 * mu * d(x)(u), lam * stretch + 2 * mu * d(y)(v)
xy = mu * (d(y)(u) + d(x)(v))
n_x, n_y = ab.pde.normal("x", "y")
free = [(x, 1.0), (y, 0.0), (y, 0.4)]
problem = ab.pde.Problem(
    domain=ab.Box(x=(0, 1), y=(0, 0.4)),
    equations=[d(x)(xx) + d(y)(xy) == 0.0, d(x)(xy) + d(y)(yy) == 0.02],
    conditions=[
        ab.pde.Dirichlet((0.0, 0.0), of=(u, v), on=(x, 0.0)),
        ab.pde.Condition(n_x * xx + n_y * xy == 0.0, on=free),
        ab.pde.Condition(n_x * xy + n_y * yy == 0.0, on=free),
    ],
)
solution = ab.solve(problem, ab.FrozenFeatures(200), method="frozen")
print(solution.certificate.verdict)

# %%
# Where a free side meets the held one, stresses are singular. Smooth functions are poor there, and
# the verdict says how poor: displacements are right to a few per cent.

a, b = np.meshgrid(np.linspace(0, 1, 41), np.linspace(0, 0.4, 17))
moved = solution(np.column_stack([a.ravel(), b.ravel()]))
dx, dy = moved.T.reshape(2, *a.shape)
print(f"the free end sinks by {-dy[:, -1].mean():.3f}")
figure, axes = plt.subplots(figsize=(6, 3), layout="constrained")
drawn = axes.pcolormesh(a + dx, b + dy, np.hypot(dx, dy), shading="gouraud")
axes.plot([0, 1, 1, 0, 0], [0, 0, 0.4, 0.4, 0], "k:", linewidth=1)
axes.set(aspect="equal", xlabel="x", ylabel="y", title="displaced block")
figure.colorbar(drawn, label="displacement")
