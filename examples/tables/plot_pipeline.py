"""
Pipeline and grid search
========================

The estimators are scikit-learn's: a column of text goes through
:class:`adabasis.tables.Preparation`, and a grid search chooses an option. Most options need no
search, because a fit chooses them on rows it has not seen.
"""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline

import adabasis as ab

rng = np.random.default_rng(0)
n = 300
table = pd.DataFrame(
    {
        "depth": rng.uniform(0, 10, n),
        "load": rng.uniform(1, 3, n),
        "soil": rng.choice(["clay", "sand", "silt"], n),
    }
)
offset = table["soil"].map({"clay": 2.0, "sand": 0.5, "silt": 1.0}).to_numpy()
settlement = offset * np.sqrt(table["load"]) * np.exp(-table["depth"] / 8)
settlement += 0.02 * rng.normal(size=n)

pipeline = make_pipeline(ab.tables.Preparation(), ab.AdaptiveBasisRegressor(method="frozen"))
search = GridSearchCV(pipeline, {"adaptivebasisregressor__loss": ["squared", "huber"]}, cv=3)
search.fit(table, settlement)
print("best:", search.best_params_)
print(f"R² in cross-validation: {search.best_score_:.4f}")

# %%
# New tables have their columns in any order.

depths = np.linspace(0, 10, 100)
figure, axes = plt.subplots(figsize=(6, 3.5), layout="constrained")
for soil in ("clay", "sand", "silt"):
    new = pd.DataFrame({"soil": soil, "load": 2.0, "depth": depths})
    axes.plot(depths, search.predict(new[["depth", "load", "soil"]]), label=soil)
axes.set(xlabel="depth", ylabel="settlement", title="load 2")
axes.legend()
score = search.best_score_
