"""
Stokes flow in a cavity
=======================

Slow flow in a square whose lid moves, fastest in its middle: three unknowns, two velocities and a
pressure.
"""

import matplotlib.pyplot as plt
import numpy as np

import adabasis as ab

x, y = ab.pde.coordinates("x", "y")
u, v, p = ab.pde.unknowns("u", "v", "p")
laplacian, d = ab.operators.Laplacian(), ab.operators.Partial
problem = ab.pde.Problem(
    domain=ab.Box(x=(0, 1), y=(0, 1)),
    equations=[
        -laplacian(u) + d(x)(p) == 0.0,
        -laplacian(v) + d(y)(p) == 0.0,
        d(x)(u) + d(y)(v) == 0.0,
    ],
    conditions=[
        ab.pde.Dirichlet((16 * x**2 * (1 - x) ** 2, 0.0), of=(u, v), on=(y, 1.0)),
        ab.pde.Dirichlet((0.0, 0.0), of=(u, v), on=[(y, 0.0), x]),
        ab.pde.MeanValue(0.0, of=p),
    ],
)
solution = ab.solve(problem, ab.FrozenFeatures(200), method="frozen")
print(solution.certificate)

# %%
# ``solution["u"]`` is one unknown, ``solution.apply`` any expression of them: here the divergence,
# which should be 0.

a, b = np.meshgrid(np.linspace(0, 1, 60), np.linspace(0, 1, 60))
points = np.column_stack([a.ravel(), b.ravel()])
first, second = (solution[name](points).reshape(a.shape) for name in ("u", "v"))
divergence = solution.apply(d(x)(u) + d(y)(v), points)
print(f"divergence: {np.sqrt(np.mean(divergence**2)):.0e} (root mean square at these points)")

figure, axes = plt.subplots(figsize=(4.6, 4), layout="constrained")
drawn = axes.contourf(a, b, solution["p"](points).reshape(a.shape), 20, cmap="RdBu")
axes.streamplot(a, b, first, second, color="k", linewidth=0.6, density=1.2)
axes.set(aspect="equal", xlabel="x", ylabel="y", title="stream lines over pressure")
figure.colorbar(drawn)
