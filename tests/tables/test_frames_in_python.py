"""What is no number, in a frame that is fitted in Python: which column, which row, what to do."""

import datetime

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

import adabasis as ab

N = 60
A, B = np.random.default_rng(0).uniform(0, 1, (2, N))
BASE = pd.DataFrame({"a": A, "b": B})
DAYS = pd.date_range("2020-01-01", periods=N)
FEW = ab.FrozenFeatures(6)


def spoiled(value, row=7, column="b"):
    table = BASE.astype({column: object})
    table.loc[row, column] = value
    return table


FAULTS = {
    "text": (BASE.assign(kind=["x", "y"] * 30), "column 'kind' holds text", "'x' in row 0"),
    "one text": (spoiled("n/a"), "1 of 60 entries of column 'b' is no number", "'n/a' in row 7"),
    "a list": (spoiled([1, 2]), "column 'b' holds list", "[1, 2] in row 7"),
    "dates": (BASE.assign(d=DAYS), "column 'd' holds dates or times", "2020-01-01"),
    "dates alone": (pd.DataFrame({"d": DAYS}), "column 'd' holds dates or times", "row 0"),
    "zoned": (BASE.assign(d=DAYS.tz_localize("Europe/Berlin")), "column 'd' holds dates", "row 0"),
    "days of Python": (BASE.assign(d=DAYS.date), "column 'd' holds dates or times", "in row 0"),
    "periods": (BASE.assign(d=DAYS.to_period("D")), "column 'd' holds dates or times", "in row 0"),
    "durations": (BASE.assign(d=DAYS - DAYS[0]), "column 'd' holds dates or times", "in row 0"),
    "dates of NumPy": (DAYS.to_numpy()[:, None], "column 0 holds dates or times", "in row 0"),
    "polars dates": (pl.DataFrame({"a": A, "d": DAYS.date}), "column 'd' holds dates", "in row 0"),
    "polars text": (pl.DataFrame({"a": A, "k": ["x"] * N}), "column 'k' holds text", "in row 0"),
    "arrow text": (pa.table({"a": A, "k": ["x"] * N}), "column 'k' holds text", "in row 0"),
    "an array": (np.array([[1.0, "x"]] * N, object), "column 1 holds text", "'x' in row 0"),
    "complex": (BASE.assign(b=B + 1j), "Complex data not supported", ""),
    "a mapping": ({"a": A, "b": B}, "a mapping is no array of rows", "Preparation"),
}
GAPS = {
    "NaN": spoiled(np.nan).astype(float), "None": spoiled(None), "infinite": spoiled(-np.inf),
    "NA": BASE.assign(b=pd.array([*range(7), None, *range(52)], "Int64")),
    "no bool": BASE.assign(b=pd.array([True] * 7 + [None] + [False] * 52, "boolean")),
    "null": pl.DataFrame({"a": A, "b": [*B[:7], None, *B[8:]]}),
}  # fmt: skip


def fits(x, y=A):
    """Yield what each public function says, by the name that it gives itself."""
    regressor = ab.AdaptiveBasisRegressor(6, 1, method="frozen")
    calls = {
        "fit": lambda: ab.fit(x, y, FEW, method="frozen"),
        "fit with rows held out": lambda: ab.fit(x, y, FEW, method="frozen", holdout=0.2),
        "AdaptiveBasisRegressor.fit": lambda: regressor.fit(x, y),
        "POUNetRegressor.fit": lambda: ab.POUNetRegressor(1, 1).fit(x, y),
    }
    for name, call in calls.items():
        with pytest.raises((TypeError, ValueError)) as caught:
            call()
        yield name.split()[0], str(caught.value)


@pytest.mark.parametrize("fault", FAULTS)
def test_the_column_and_the_row_of_what_is_no_number_are_named(fault):
    x, *words = FAULTS[fault]
    for name, said in fits(x):
        assert said.startswith(f"{name}(X): ") or fault == "complex"
        for word in words:
            assert word in said or fault == "complex"
        assert "Preparation" in said or fault == "complex"


@pytest.mark.parametrize("gap", GAPS)
def test_gaps_are_counted_by_column_and_no_other_library_is_advised(gap):
    for name, said in fits(GAPS[gap]):
        assert said.startswith(
            f"{name}(X): 1 entry is NaN or infinite: column 'b' (1 of 60, row 7)"
        )
        assert "Preparation(impute=True)" in said
        assert "HistGradientBoosting" not in said


def test_gaps_of_several_columns_and_of_plain_arrays_are_counted():
    x = BASE.to_numpy().copy()
    x[[3, 5], 0], x[9, 1] = np.nan, np.inf
    expected = "column 0 (2 of 60, the first in row 3), column 1 (1 of 60, row 9)"
    assert all(f"3 entries are NaN or infinite: {expected}" in said for _, said in fits(x))


@pytest.mark.parametrize(
    ("y", "words"),
    [
        (np.where(np.arange(N) == 4, np.nan, A), "1 entry is NaN or infinite: row 4"),
        (
            pd.DataFrame({"y": A, "z": [None] * 2 + [1.0] * 58}),
            "2 entries are NaN or infinite: column 'z' (2 of 60",
        ),
        (["x"] * N, "it holds text, not numbers: 'x' in row 0"),
        (DAYS, "it holds dates or times"),
        (pd.Series(DAYS), "it holds dates or times"),
        (pd.array([None] + [1] * 59, "Int64"), "1 entry is NaN or infinite: row 0"),
    ],
)
def test_the_row_of_a_target_that_is_no_number_is_named(y, words):
    assert all(f"{name}(y): {words}" in said for name, said in fits(BASE, y))


def test_rows_to_predict_for_are_looked_at_too():
    model = ab.AdaptiveBasisRegressor(6, 1, method="frozen").fit(BASE, A)
    with pytest.raises(ValueError, match=r"predict\(X\): 1 entry is NaN .*'b' \(1 of 60, row 7\)"):
        model.predict(GAPS["NaN"])
    with pytest.raises(ValueError, match=r"Fitted\(X\): 1 of 60 entries of column 'b' is no num"):
        model.fitted_(FAULTS["one text"][0])
    assert np.isnan(model.fitted_(GAPS["NaN"])).sum() == 1


LABELS = np.where(A > 0.5, "hi", "lo").astype(object)
TRUE = (A > 0.5).astype(int).tolist()


def labels(value):
    found = LABELS.copy()
    found[3] = value
    return found


MISSING = {
    "None": labels(None), "NaN": labels(np.nan), "NA": labels(pd.NA), "NaT": labels(pd.NaT),
    "category": pd.Categorical(labels(None)), "strings": pd.array(labels(None), "string"),
    "polars": pl.Series(labels(None).tolist()), "list": labels(None).tolist(),
    "Int64": pd.array([*TRUE[:3], None, *TRUE[4:]], "Int64"),
    "boolean": pd.array([*map(bool, TRUE[:3]), None, *map(bool, TRUE[4:])], "boolean"),
    "arrow": pa.array(labels(None).tolist()), "floats": [*TRUE[:3], np.nan, *TRUE[4:]],
}  # fmt: skip


def classified(y):
    yield "classify", lambda: ab.classify(BASE, y, FEW, method="frozen").classes
    estimator = ab.AdaptiveBasisClassifier(6, 1, method="frozen")
    yield "AdaptiveBasisClassifier.fit", lambda: estimator.fit(BASE, y).classes_


@pytest.mark.parametrize("kind", MISSING)
def test_a_row_without_a_label_is_named(kind):
    for name, call in classified(MISSING[kind]):
        with pytest.raises(ValueError, match="1 label is missing") as caught:
            call()
        assert str(caught.value).startswith(f"{name}(y): ")
        assert "in row 3" in str(caught.value)


@pytest.mark.parametrize(
    ("y", "words"),
    [
        (labels(1), "got 'int' (1 in row 3), 'str' ('hi' in row 0)"),
        (A, "row 0 holds 0.63"),
        (DAYS, "dates and times are no classes"),
        (labels(datetime.date(2020, 1, 1)), "'date' (datetime.date(2020, 1, 1) in row 3)"),
    ],
)
def test_what_is_no_label_is_named(y, words):
    for name, call in classified(y):
        with pytest.raises(ValueError, match=r"\(y\): ") as caught:
            call()
        assert str(caught.value).startswith(f"{name}(y): ")
        assert words in str(caught.value)


@pytest.mark.parametrize(
    ("y", "classes"),
    [
        (pd.Categorical(LABELS, categories=["lo", "hi", "never"]), ["hi", "lo"]),
        (pd.array(TRUE, "Int64"), [0, 1]),
        (pd.array([*map(bool, TRUE)], "boolean"), [False, True]),
        (pl.Series(LABELS.tolist(), dtype=pl.Categorical), ["hi", "lo"]),
        (pa.chunked_array([LABELS.tolist()]), ["hi", "lo"]),
        (np.array(TRUE, float), [0.0, 1.0]),
        (labels(""), ["", "hi", "lo"]),
    ],
)
def test_labels_of_every_kind_are_taken_as_they_are(y, classes):
    for _, call in classified(y):
        found = call().tolist()
        assert found == classes
        assert [type(label) for label in found] == [type(label) for label in classes]
