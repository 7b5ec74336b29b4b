"""
Classes, with probabilities
===========================

Two interleaved half circles: the classifier's probabilities, and sets of labels that hold the
true one with a chance of 95 %.
"""

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import make_moons

import adabasis as ab

X, label = make_moons(400, noise=0.25, random_state=0)
names = np.array(["left", "right"])[label]
model = ab.AdaptiveBasisClassifier().fit(X[:300], names[:300])
score = model.score(X[300:], names[300:])
print(f"right labels on 100 other rows: {score:.0%}")

# %%
# Near the border one label is not enough: the set has both.

sets = model.predict_set(X[300:], coverage=0.95)
print("sets with one label:", int(np.sum(np.sum(sets, axis=1) == 1)), "of 100")

a, b = np.meshgrid(np.linspace(-1.8, 2.8, 120), np.linspace(-1.3, 1.8, 100))
chance = model.predict_proba(np.column_stack([a.ravel(), b.ravel()]))[:, 1].reshape(a.shape)
figure, axes = plt.subplots(figsize=(6, 3.8), layout="constrained")
drawn = axes.contourf(a, b, chance, np.linspace(0, 1, 11), cmap="RdBu", alpha=0.7)
for name, colour in (("left", "C3"), ("right", "C0")):
    axes.plot(*X[:300][names[:300] == name].T, ".", color=colour, label=name)
axes.set(xlabel="x", ylabel="y")
figure.colorbar(drawn, label='probability of "right"')
axes.legend()
