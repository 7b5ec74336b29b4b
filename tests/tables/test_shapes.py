"""A model of one target answers (N,), as does a file of an older version."""

import dataclasses
import pathlib

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

import adabasis as ab
from adabasis.report.origin import with_origin
from adabasis.tables import learn

DATA = pathlib.Path(__file__).parents[1] / "data"
X = np.random.default_rng(0).uniform(-1, 1, (60, 2))
Y = np.sin(2 * X[:, 0]) + 0.3 * X[:, 1]
TABLE = pa.table({"a": X[:, 0], "b": X[:, 1], "y": Y, "z": -Y, "kind": np.where(Y > 0, "+", "-")})
FEW = ab.FrozenFeatures(6)


def of_table(targets, fit, *others):
    """Return a model as the command line makes it: y has a column for each target."""
    data = learn(TABLE.select(["a", "b", *targets]), targets)
    truth = data.y if data.labels is None else data.labels
    return with_origin(fit(data.x, truth, *others, **QUICK), data.preparation, None, {})


QUICK = {"method": "frozen"}
POU = {"n_partitions": 1, "degree": 1}


@pytest.mark.parametrize(
    ("targets", "shape"), [(["y"], (60,)), (["y", "z"], (60, 2)), (["z", "y"], (60, 2))]
)
def test_one_column_is_one_dimensional_and_several_are_not(targets, shape, tmp_path):
    model = of_table(targets, ab.fit, FEW)
    model.save(tmp_path / "m.adabasis")
    for each in (model, ab.load(tmp_path / "m.adabasis")):
        assert each(X).shape == each.predict(X).shape == shape
        assert each.gradient(X).shape == (*shape, 2)
        assert (
            each(X) - TABLE.select(targets).to_pandas().to_numpy().reshape(shape)
        ).shape == shape


def test_a_file_that_says_otherwise_is_read_as_one_column(tmp_path):
    """Earlier versions wrote (N, 1) into the files of tables."""
    model = dataclasses.replace(of_table(["y"], ab.fit, FEW), flat_output=False)
    assert model(X).shape == (60, 1)
    model.save(tmp_path / "m.adabasis")
    assert ab.load(tmp_path / "m.adabasis")(X).shape == (60,)
    old = ab.load(DATA / "0.1-table.adabasis")
    assert len(old.record.output_names) == 1
    assert old(np.tile(old.box.mean(axis=1), (4, 1))).shape == (4,)


def test_classes_of_a_table_keep_a_score_for_each(tmp_path):
    two = of_table(["kind"], ab.classify, FEW)
    three = TABLE.set_column(
        4, "kind", pa.array(np.array(list("abc"))[np.digitize(Y, [-0.3, 0.3])])
    )
    data = learn(three.select(["a", "b", "kind"]), ["kind"])
    more = ab.classify(data.x, data.labels, FEW, **QUICK)
    more = with_origin(more, data.preparation, None, {})
    more.save(tmp_path / "m.adabasis")
    for model, shape in (
        (two, (60,)),
        (more, (60, 3)),
        (ab.load(tmp_path / "m.adabasis"), (60, 3)),
    ):
        assert model(X).shape == shape
        assert model.predict(X).shape == (60,)


@pytest.mark.parametrize(
    "fit", [lambda x, y: ab.fit(x, y, FEW, **QUICK), lambda x, y: ab.fit_pounet(x, y, **POU)]
)
@pytest.mark.parametrize("y", [Y, Y.tolist(), pd.Series(Y), Y[:, None], pd.DataFrame({"y": Y})])
def test_in_python_values_are_shaped_like_y(fit, y):
    assert fit(X, y)(X).shape == np.shape(y)


@pytest.mark.parametrize("first", [Y, Y[:, None]])
@pytest.mark.parametrize("then", [Y, Y[:, None]])
def test_solving_again_follows_the_newer_y(first, then):
    again = ab.refit(ab.fit(X, first, FEW, **QUICK), X, then)
    assert again(X).shape == np.shape(then)
