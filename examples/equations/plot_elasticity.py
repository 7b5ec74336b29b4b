"""
A pipe under pressure
=====================

Linear elasticity: the displacements of a thick pipe with pressure inside. A quarter of its cross
section is enough, because the solution is symmetric. Tractions on the curved sides are conditions
with the components of the normal.
"""

import matplotlib.pyplot as plt
import numpy as np

import adabasis as ab

x, y = ab.pde.coordinates("x", "y")
u, v = ab.pde.unknowns("u", "v")
d, lam, mu, pressure = ab.operators.Partial, 1.0, 1.0, 0.1
stretch = d(x)(u) + d(y)(v)
xx, yy = lam * stretch + 2 * mu * d(x)(u), lam * stretch + 2 * mu * d(y)(v)
xy = mu * (d(y)(u) + d(x)(v))
n_x, n_y = ab.pde.normal("x", "y")

disk, hole = (ab.Disk(center=(0, 0), radius=radius) for radius in (1.0, 0.5))
quarter = (disk.named("outside") - hole.named("inside")) & ab.Box(x=(0, 1), y=(0, 1))
inside, outside = (quarter.boundaries[name] for name in ("inside", "outside"))
problem = ab.pde.Problem(
    domain=quarter,
    equations=[d(x)(xx) + d(y)(xy) == 0.0, d(x)(xy) + d(y)(yy) == 0.0],
    conditions=[
        ab.pde.Dirichlet(0.0, of=u, on=(x, 0.0)),
        ab.pde.Dirichlet(0.0, of=v, on=(y, 0.0)),
        ab.pde.Condition(xy == 0.0, on=[(x, 0.0), (y, 0.0)]),
        ab.pde.Condition(n_x * xx + n_y * xy == -pressure * n_x, on=inside),
        ab.pde.Condition(n_x * xy + n_y * yy == -pressure * n_y, on=inside),
        ab.pde.Condition(n_x * xx + n_y * xy == 0.0, on=outside),
        ab.pde.Condition(n_x * xy + n_y * yy == 0.0, on=outside),
    ],
)
solution = ab.solve(problem, ab.FrozenFeatures(200), method="frozen")
print(solution.certificate.verdict)

# %%
# Lamé knew the exact solution: the displacement points outwards, and its size is a r + b / r.

r, angle = np.meshgrid(np.linspace(0.5, 1, 26), np.linspace(0, np.pi / 2, 61))
a, b = r * np.cos(angle), r * np.sin(angle)
moved = solution(np.column_stack([a.ravel(), b.ravel()]))
dx, dy = moved.T.reshape(2, *a.shape)
factor = pressure * 0.5**2 / (1 - 0.5**2)
exact = factor / (2 * (lam + mu)) * r + factor / (2 * mu) / r
error = np.sqrt(np.mean((dx * a / r + dy * b / r - exact) ** 2) / np.mean(exact**2))
print(f"relative error {error:.0e}, estimated {solution.certificate.error_estimate:.0e}")
figure, axes = plt.subplots(figsize=(5, 4), layout="constrained")
drawn = axes.pcolormesh(a + dx, b + dy, np.hypot(dx, dy), shading="gouraud")
for curve in ((0, slice(None)), (-1, slice(None)), (slice(None), 0), (slice(None), -1)):
    axes.plot(a[curve], b[curve], "r:", linewidth=1)
axes.set(aspect="equal", xlabel="x", ylabel="y", title="displaced pipe; dotted: without pressure")
figure.colorbar(drawn, label="displacement")
