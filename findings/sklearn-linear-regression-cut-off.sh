#!/bin/sh
# scikit-learn 1.9.1: LinearRegression hands its default tol=1e-6 to the dense solver as the cut-off
# of singular values. Three independent columns of sizes 1, 1e-5 and 1e-9, each needed: the third is
# dropped, R² is .65 where it should be 1, and no warning is given. StandardScaler before it, or
# tol=1e-14, gives 1. A comparison with "linear regression" on columns in mixed units is one with
# fewer columns.
#
# Seen: "rank 2 R2 0.652 warnings 0; tol=1e-14 1.000; scaled 1.000"
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet scikit-learn==1.9.1 numpy==2.4.6
seen=$("$folder/venv/bin/python" - <<'PY'
import warnings

import numpy as np
from sklearn.linear_model import LinearRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

r = np.random.default_rng(0)
X = r.normal(size=(200, 3)) * [1.0, 1e-5, 1e-9]
y = X @ [1.0, 1e5, 1e9]
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    model = LinearRegression().fit(X, y)
tight = LinearRegression(tol=1e-14).fit(X, y).score(X, y)
scaled = make_pipeline(StandardScaler(), LinearRegression()).fit(X, y).score(X, y)
print(
    f"rank {model.rank_} R2 {model.score(X, y):.3f} warnings {len(caught)}; "
    f"tol=1e-14 {tight:.3f}; scaled {scaled:.3f}"
)
PY
)
echo "$seen"
test "$seen" = "rank 2 R2 0.652 warnings 0; tol=1e-14 1.000; scaled 1.000"
