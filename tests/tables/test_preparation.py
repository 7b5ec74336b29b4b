"""Columns become numbers: which, in what order, and the same way for rows to come."""

import datetime
import json

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from sklearn.base import clone
from sklearn.linear_model import Ridge
from sklearn.model_selection import cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import PolynomialFeatures
from sklearn.utils.estimator_checks import parametrize_with_checks

import adabasis as ab
from adabasis._runtime.errors import BadInput
from adabasis.tables import Preparation, dates, learn, levels

from ..laws import assert_close

N = 240
RNG = np.random.default_rng(0)
X = RNG.uniform(0, 1, (N, 2))
DAYS = pd.date_range("2019-03-01", periods=N, freq="D")
KINDS = "abcdefghijklmnop"
KIND = np.array(list(KINDS))[RNG.integers(0, 16, N)]
EFFECT = dict(zip(KINDS, RNG.normal(size=16), strict=True))
Y = X[:, 0] + np.array([EFFECT[kind] for kind in KIND])
FRAME = pd.DataFrame(
    {
        "a": X[:, 0],
        "on": X[:, 1] > 0.5,
        "few": np.where(X[:, 1] > 0.3, "u", "v"),
        "grade": pd.Categorical(
            np.array(["low", "mid", "high"])[RNG.integers(0, 3, N)], ["low", "mid", "high"], True
        ),
        "day": DAYS,
    }
)


@parametrize_with_checks([Preparation(), Preparation(impute=True), Preparation(max_one_hot=2)])
def test_it_keeps_to_the_conventions(estimator, check):
    check(estimator)


def test_every_kind_of_column_is_the_numbers_that_it_stands_for():
    preparation = Preparation().fit(FRAME)
    x = preparation.transform(FRAME)
    names = preparation.get_feature_names_out().tolist()
    assert names == [
        "a", "on", "few = u", "few = v", "grade", "day (days since 2019-03-01)",
        "day (cos of week)", "day (sin of week)",
    ]  # fmt: skip
    expected = {
        "a": FRAME["a"],
        "on": FRAME["on"],
        "few = v": FRAME["few"] == "v",
        "grade": FRAME["grade"].cat.codes,
        "day (days since 2019-03-01)": np.arange(N),
        "day (cos of week)": np.cos(2 * np.pi * DAYS.day_of_week / 7),
    }
    for name, values in expected.items():
        assert_close(x[:, names.index(name)], np.asarray(values, float), 1e-12)
    assert_close(x[:, 2] + x[:, 3], np.ones(N), 1e-15)


@pytest.mark.parametrize(
    "other",
    [
        pl.from_pandas, pa.Table.from_pandas, lambda f: pa.RecordBatch.from_pandas(f),
        lambda f: {name: f[name].tolist() for name in f}, lambda f: f.to_dict("records"),
        lambda f: {name: f[name].to_numpy() for name in f},
        lambda f: f.convert_dtypes(dtype_backend="pyarrow"), lambda f: f.convert_dtypes(),
        lambda f: f.astype(object).astype({"day": object}),
    ],
)  # fmt: skip
def test_tables_of_every_make_give_the_same_numbers(other):
    frame = FRAME.drop(columns="grade")
    preparation = Preparation().fit(other(frame))
    assert np.array_equal(preparation.transform(other(frame)), Preparation().fit_transform(frame))
    assert preparation.feature_names_in_.tolist() == list(frame)


def test_arrays_have_numbered_columns_and_mixed_ones_kinds():
    mixed = np.c_[X[:, 0].astype(object), FRAME["few"].to_numpy(object)]
    preparation = Preparation().fit(mixed)
    assert preparation.get_feature_names_out().tolist() == ["x0", "x1 = u", "x1 = v"]
    assert not hasattr(preparation, "feature_names_in_")
    assert np.array_equal(preparation.transform(mixed)[:, 0], X[:, 0])
    assert Preparation().fit([[1, "a"], [2, "b"]]).features == ["x0", "x1 = a", "x1 = b"]


def test_it_is_read_from_json_as_it_was_written():
    frame = FRAME.assign(kind=KIND)
    preparation = Preparation(drop=["on"]).fit(frame, Y)
    again = Preparation.from_json(json.loads(json.dumps(preparation.to_json())))
    assert again.columns_ == preparation.columns_
    assert np.array_equal(again.transform(frame), preparation.transform(frame))
    assert again.features == preparation.features
    old = {"inputs": [{"name": "k", "kind": "text", "fill": None, "categories": ["u", "v"]}],
           "targets": ["y"], "weight": None, "dropped": []}  # fmt: skip
    assert Preparation.from_json(old).transform({"k": ["v"]}).tolist() == [[0.0, 1.0]]


# -- categories -------------------------------------------------------------------------------


def test_many_categories_are_told_by_the_target_and_few_by_inputs():
    frame = pd.DataFrame({"a": X[:, 0], "kind": KIND, "few": FRAME["few"]})
    preparation = Preparation().fit(frame, Y)
    assert preparation.features == ["a", "kind (mean of the target)", "few = u", "few = v"]
    assert "16 categories" in preparation.notes_[0]
    at = dict(zip(KIND, preparation.transform(frame)[:, 1], strict=True))
    found = np.array([at[kind] - EFFECT[kind] for kind in EFFECT])
    assert np.ptp(found) < 0.4
    assert Preparation(max_one_hot=16).fit(frame, Y).features[1] == "kind = a"
    assert len(Preparation().fit(frame).features) == 19  # no target, nothing to be told by


def test_a_row_is_never_told_by_its_own_target():
    """Categories of two rows and a target of noise: nothing can be learned, nor leaks."""
    noise = np.random.default_rng(3).normal(size=N)
    kind = np.array([f"k{i // 2}" for i in range(N)])
    kind[:20] = "k0"
    preparation = Preparation()
    fitted = preparation.fit_transform({"kind": kind}, noise)[:, 0]
    assert abs(np.corrcoef(fitted, noise)[0, 1]) < 0.25
    changed = noise.copy()
    changed[30] += 100.0
    again = preparation.fit_transform({"kind": kind}, changed)[:, 0]
    unsmoothed = levels.statistics(np.arange(N) // 2, noise[:, None], np.ones(N), N // 2)
    assert np.isfinite(again).all()
    assert unsmoothed.std() < 0.5 * noise.std()


def test_rows_that_are_alike_are_told_alike():
    """Replicates stay replicates: a fit knows the noise by them."""
    frame = pd.DataFrame({"kind": np.repeat(KIND, 3), "a": np.repeat(X[:, 0], 3)})
    x = Preparation().fit_transform(frame, np.repeat(Y, 3) + np.tile([0.0, 0.1, -0.1], N))
    assert len(np.unique(x, axis=0)) == N


def test_statistics_are_drawn_to_the_mean_by_the_variance_within_and_between():
    index, y = np.array([0, 0, 0, 0, 1, 1, 2]), np.array([1.0, 3, 1, 3, 8, 10, 0])
    found = levels.statistics(index, y[:, None], np.ones(7), 3)[:, 0]
    within = (4 * 1 + 2 * 1) / 4
    mean = np.array([2.0, 9.0, 0.0])
    count, middle = np.array([4.0, 2, 1]), y.mean()
    between = (count @ (mean - middle) ** 2 - 2 * within) / (7 - (16 + 4 + 1) / 7)
    trust = count * between / (count * between + within)
    rest = trust @ mean / trust.sum()
    assert_close(found, [*(rest + trust * (mean - rest)), rest], 1e-12)
    twice = levels.statistics(index, y[:, None], np.full(7, 2.0), 3)
    assert_close(twice[:, 0], found, 1e-12)


def test_classes_are_shares():
    frame = {"kind": KIND}
    assert Preparation().fit(frame, Y > 0).features == ["kind (share of True)"]
    three = np.array(["p", "q", "r"])[np.digitize(Y, [-0.5, 0.5])]
    preparation = Preparation().fit(frame, three)
    assert preparation.features == [f"kind (share of {name})" for name in "pqr"]
    assert_close(preparation.transform(frame).sum(axis=1), np.ones(N), 0.05)
    assert Preparation().fit(frame, np.c_[Y, -Y]).features == ["kind (mean of the target)"] * 2
    assert Preparation(target_type="continuous").fit(frame, np.digitize(Y, [0])).features == [
        "kind (mean of the target)"
    ]


def test_categories_never_seen_are_marked_and_mean_what_is_known_of_any():
    frame = pd.DataFrame({"kind": KIND, "few": FRAME["few"]})
    preparation = Preparation().fit(frame, Y)
    new = pd.DataFrame({"kind": ["a", "zz"], "few": ["w", "u"]})
    assert preparation.unseen(new).tolist() == [True, True]
    assert not preparation.unseen(frame).any()
    x = preparation.transform(new)
    assert x[0, 1:].tolist() == [0.0, 0.0]
    assert np.ptp(preparation.transform(frame)[:, 0]) > abs(x[1, 0] - Y.mean())


# -- codes ------------------------------------------------------------------------------------

LEVELS = RNG.integers(1, 13, 480)
OF_CODES = RNG.normal(size=13)


@pytest.mark.parametrize(
    ("y", "code"),
    [
        (OF_CODES[LEVELS], True), (OF_CODES[LEVELS] + RNG.normal(0, 0.5, 480), True),
        (0.3 * LEVELS, False), (0.3 * LEVELS + RNG.normal(size=480), False),
        (np.sin(LEVELS / 2), False), ((LEVELS - 6.0) ** 2, False), (1.0 * (LEVELS > 6), False),
        (np.log(LEVELS), False), (RNG.normal(size=480), False), (np.ones(480), False),
        (3 * RNG.uniform(size=480) + LEVELS / 12, False),
    ],
)  # fmt: skip
def test_whole_numbers_are_codes_where_their_order_says_nothing(y, code):
    preparation = Preparation().fit({"machine": LEVELS}, y)
    assert [column.kind for column in preparation.columns_] == ["code" if code else "number"]
    assert any("taken as categories" in note for note in preparation.notes_) == code
    number = Preparation(numeric="machine").fit({"machine": LEVELS}, y)
    assert np.array_equal(number.transform({"machine": LEVELS})[:, 0], LEVELS)
    told = Preparation(categorical="machine").fit({"machine": LEVELS}, y)
    assert told.features == [f"machine = {i}" for i in range(1, 13)]


@pytest.mark.parametrize(
    "few", [[0, 1], [-1, 0, 1], [1, 2, 3, 4, 5], RNG.uniform(size=12).tolist()]
)
def test_few_levels_and_fractions_are_numbers(few):
    at = RNG.integers(0, len(few), 480)
    kinds = Preparation().fit({"v": np.array(few)[at]}, OF_CODES[at]).columns_
    assert [column.kind for column in kinds] == ["number"]


def test_a_code_is_the_same_written_as_a_float_or_as_text():
    preparation = Preparation(categorical=["zip"]).fit({"zip": [101, 202, 101]})
    expected = preparation.transform({"zip": [202]}).tolist()
    for same in ([202.0], ["202"], pd.array([202], "Int64"), pd.Categorical([202])):
        assert preparation.transform(pd.DataFrame({"zip": same})).tolist() == expected
    category = Preparation().fit(pd.DataFrame({"zip": pd.Categorical([3, 20, 3])}))
    assert category.features == ["zip = 3", "zip = 20"]


# -- dates ------------------------------------------------------------------------------------


def periods(values):
    return Preparation().fit({"t": values}).columns_[0].clock.periods


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (pd.date_range("2020-01-01", periods=800, freq="D"), ("year", "week")),
        (pd.date_range("2020-01-01", periods=300, freq="D"), ("week",)),
        (pd.date_range("2020-01-01", periods=12, freq="D"), ()),
        (pd.date_range("2018-01-01", periods=40, freq="MS"), ("year",)),
        (pd.date_range("2020-01-01", periods=100, freq="h"), ("day",)),
        (pd.date_range("2018-01-01", periods=150, freq="W"), ("year",)),
        (pd.date_range("2020-01-01", periods=3), ()),
        (pd.to_datetime(["2020-01-01"] * 5), ()),
    ],
)
def test_what_came_round_twice_is_taken_round(values, expected):
    assert periods(values) == expected


def test_the_year_begins_with_january_and_goes_by_the_calendar():
    at = np.array(["2019-01-01", "2020-01-01", "2020-07-01", "2020-12-31T12:00"], "M8[us]")
    year = dates.phases(at.view(np.int64), "year")
    np.testing.assert_allclose(year, [0, 0, 182 / 366, 365.5 / 366], atol=1e-12)
    monday = np.array(["2024-01-01", "2024-01-07T12:00"], "M8[us]").view(np.int64)
    np.testing.assert_allclose(dates.phases(monday, "week"), [0.0, 6.5 / 7], atol=1e-12)
    old = np.array(["1960-02-29", "1969-12-29"], "M8[us]").view(np.int64)
    assert dates.phases(old, "week").tolist() == [0.0, 0.0]


def test_clocks_show_the_time_of_their_zone_through_summer_and_winter():
    stamps = pd.date_range("2020-03-27", periods=120, freq="h", tz="Europe/Berlin")
    preparation = Preparation().fit(pd.DataFrame({"t": stamps}))
    x = preparation.transform(pd.DataFrame({"t": stamps}))
    assert preparation.features[0] == "t (days since 2020-03-27)"
    assert_close(x[:, 0], np.arange(120) / 24, 1e-12)  # an hour is an hour
    assert_close(x[:, 1], np.cos(2 * np.pi * stamps.hour / 24), 1e-12)
    with pytest.raises(ValueError, match=r"no time zone, but .* the zone Europe/Berlin"):
        preparation.transform(pd.DataFrame({"t": stamps.tz_localize(None)}))
    again = Preparation.from_json(preparation.to_json())
    utc = pd.DataFrame({"t": stamps.tz_convert("UTC")})
    assert_close(again.transform(utc), x, 1e-12)


def test_times_of_day_are_hours_or_go_round_and_durations_are_days():
    morning = [datetime.time(8), datetime.time(12, 30)]
    assert Preparation().fit_transform({"t": morning})[:, 0].tolist() == [8.0, 12.5]
    whole = [datetime.time(0, 30), datetime.time(23, 30)]
    assert Preparation().fit({"t": whole}).features == ["t (cos of day)", "t (sin of day)"]
    spent = np.array([36, 12], "m8[h]")
    assert Preparation().fit_transform({"d": spent})[:, 0].tolist() == [1.5, 0.5]


@pytest.mark.parametrize(
    "text", [["2020-01-01", "2020-01-03"], ["2020-01-01 00:00", "2020-01-03T00:00:00"],
             ["2020-01-01T00:00:00Z", "2020-01-03T02:00:00+02:00"]],
)  # fmt: skip
def test_text_of_dates_is_dates_and_other_text_is_not(text):
    preparation = Preparation().fit({"t": text})
    assert preparation.transform({"t": text})[:, 0].tolist() == [0.0, 2.0]
    assert "taken as days since 2020-01-01" in preparation.notes_[0]
    for other in (["20/20/2020", "03/02/2020"], ["2020", "2021"], ["2020-01-01", "soon"]):
        assert Preparation().fit({"t": other}).columns_[0].kind == "text"
    with pytest.raises(ValueError, match=r"Column 't': the model was fitted to dates"):
        preparation.transform({"t": ["soon", "later"]})


DATES = {
    "day": ["25/12/2020", "4/3/2021"],
    "month": ["12.25.2020", "03.04.2021"],
    "named": ["Dec 25, 2020", "4-March-2021", "2020/12/25", "Fri, 25 Dec 2020", "5/5/2020"],
    "": ["2020-12-25", "2021-03-04"],
}


@pytest.mark.parametrize("order", DATES)
def test_dates_are_read_where_they_can_be_one_alone_and_rows_to_come_likewise(order):
    preparation = Preparation().fit({"t": DATES[order]})
    stored = Preparation.from_json(json.loads(json.dumps(preparation.to_json())))
    assert stored.columns_[0].clock.order == order
    days = [int(x) for x in stored.transform({"t": DATES[order]})[:2, 0]]
    assert days[1] - days[0] == 69
    if order in ("day", "month"):
        assert "is written" in preparation.notes_[0]
        again = stored.transform({"t": [DATES[order][1]]})  # which would not tell by itself
        assert again[0, 0] == 69
    noon = [f"{entry} 12:30 pm" for entry in DATES[order][:1]]
    if order:
        assert stored.transform({"t": noon})[0, 0] == pytest.approx(days[0] + 12.5 / 24)


@pytest.mark.parametrize(
    ("entries", "words"),
    [
        (["03/04/2021", "05/06/2021"], "is '03/04/2021' 2021-04-03 or 2021-03-04"),
        (["25/12/2020", "12/25/2020"], "the day first"),
        (["25/12/20", "13/1/21"], "two digits, such as '25/12/20'"),
    ],
)
def test_dates_that_may_be_others_are_asked_about(entries, words):
    with pytest.raises(BadInput, match=words) as caught:
        Preparation().fit({"t": entries, "x": [1.0, 2.0]})
    assert "Preparation(drop=…)" in str(caught.value)
    assert Preparation(categorical=["t"]).fit({"t": entries}).columns_[0].kind == "code"


# -- gaps, refusals ---------------------------------------------------------------------------


def test_gaps_are_refused_by_name_and_filled_where_asked():
    frame = FRAME.astype({"a": object, "few": object, "on": "boolean"})
    for name in frame:
        frame.loc[[2, 5], name] = None
    with pytest.raises(
        ValueError, match=r"'a' \(2, the first in row 2\).*Preparation\(impute=True"
    ):
        Preparation().fit(frame)
    x = Preparation(impute=True).fit_transform(frame)
    good = FRAME.drop(index=[2, 5])
    expected = [good["a"].median(), good["on"].median() >= 0.5]
    assert x[2, :2].tolist() == x[5, :2].tolist() == expected
    assert x[2, 2:4].tolist() == [1.0, 0.0]
    preparation = Preparation().fit(FRAME)
    with pytest.raises(ValueError, match=r"Column 'a': 2 missing .* the first in row 2"):
        preparation.transform(frame)


@pytest.mark.parametrize(
    ("table", "words"),
    [
        ({"a": [1.0, 2.0], "name": [[1], [2]]}, r"'name' holds list.*Preparation\(drop="),
        (
            {"a": [1.0, "x"], "b": [1.0, 2.0]},
            "1 of 2 entries|holds text, not numbers: 'x' in row 1",
        ),
        ({"a": [1.0, 2.0], "b": [1.0]}, "one length"),
        (pd.DataFrame({"a": []}), "there are no rows"),
        ({"a": [None, None], "b": [1.0, 2.0]}, "'a' has no entries"),
        (pd.DataFrame([[1, 2], [3, 4]], columns=["a", "a"]), "'a' occur more than once"),
        (pl.LazyFrame({"a": [1]}), r"collect\(\) it first"),
        ({"a": range(40), "name": [f"n{i}" for i in range(40)]}, "more like a name"),
        ({"a": np.array([1j, 2.0])}, "a"),
    ],
)
def test_what_cannot_be_used_is_named(table, words):
    with pytest.raises((TypeError, ValueError), match=words):
        Preparation().fit(table, np.arange(len(table["a"])) if isinstance(table, dict) else None)


def test_columns_are_known_by_name():
    preparation = Preparation(drop=["day"], targets=["y"]).fit(FRAME.assign(y=Y))
    expected = preparation.transform(FRAME)
    turned = FRAME[FRAME.columns[::-1]].drop(columns="day")
    assert np.array_equal(preparation.transform(turned), expected)
    with pytest.raises(ValueError, match="lacks columns the model was fitted to: 'on'"):
        preparation.transform(FRAME.drop(columns="on"))
    with pytest.raises(ValueError, match="'tag' is no column"):
        Preparation(drop=["tag"]).fit(FRAME)


# -- in pipelines, and in the command line's hands ----------------------------------------------


def test_a_pipeline_takes_frames_as_they_are():
    frame = FRAME.assign(kind=KIND)
    line = make_pipeline(Preparation(), ab.AdaptiveBasisRegressor(16, 1, method="frozen"))
    assert clone(line)[0].get_params() == line[0].get_params()
    assert line.fit(frame, Y).score(frame, Y) > 0.5
    assert cross_val_predict(line, frame, Y, cv=2).shape == (N,)
    shown = Preparation().set_output(transform="pandas").fit_transform(frame, Y)
    assert next(iter(shown)) == "a"
    labels = make_pipeline(Preparation(), ab.AdaptiveBasisClassifier(8, 1, method="frozen"))
    assert labels.fit(frame, KIND > "f").score(frame, KIND > "f") > 0.7


def test_rows_held_out_are_told_by_the_rows_kept():
    table = pa.table({"a": X[:, 0], "kind": KIND, "y": Y})
    data = learn(table, ["y"], encode=True)
    kept = np.arange(0, N, 2)
    seen = data.known_from(kept)
    spoiled = table.set_column(2, "y", pa.array(np.where(np.arange(N) % 2, 1e3, Y)))
    again = learn(spoiled, ["y"], encode=True).known_from(kept)
    assert_close(again.x, seen.x, 1e-12)
    assert again.preparation.columns_ == seen.preparation.columns_
    assert len(np.unique(data.places[:, 1])) == 16
    assert not np.array_equal(data.x, seen.x)


@pytest.mark.parametrize(
    ("count", "rows", "one_hot"),
    [(10, 40, True), (11, 40, False), (15, 300, True), (16, 300, False), (51, 2000, False)],
)
def test_categories_of_enough_rows_have_an_input_each(count, rows, one_hot):
    kind = np.array([f"k{i % count}" for i in range(rows)])
    preparation = Preparation().fit({"kind": kind}, np.arange(rows) / 7)
    assert len(preparation.features) == (count if one_hot else 1)
    assert bool(preparation.notes_) == (count > 10)


def test_levels_that_change_the_slope_need_inputs_of_their_own():
    """What ROWS_ONE_HOT is for: a mean cannot say that one level rises and another falls."""
    rng = np.random.default_rng(1)
    at, x, rise = rng.integers(0, 12, 600), rng.uniform(-1, 1, 600), rng.normal(size=12)
    frame = pd.DataFrame({"x": x, "kind": np.array(list(KINDS))[at]})
    y, left_over = rise[at] * x + 0.05 * rng.normal(size=600), []
    for most in ("auto", 0):
        line = make_pipeline(Preparation(max_one_hot=most), PolynomialFeatures(), Ridge(1e-3))
        left_over.append(1 - line.fit(frame[:400], y[:400]).score(frame[400:], y[400:]))
    assert left_over[0] < 0.1 * left_over[1]


@pytest.mark.parametrize(("n", "rows"), [(5, 480), (12, 30)])
def test_few_levels_or_few_rows_show_no_codes(n, rows):
    """What FEWEST_CODES and FEWEST_AT_EACH are for."""
    at = np.arange(rows) % n
    jagged = np.where(at % 2, 1.0, -1.0) * (1 + at)
    assert not levels.looks_like_a_code(
        at.astype(float), jagged[:, None] + 1e-3 * RNG.normal(size=(rows, 1))
    )
    many = np.tile(np.arange(12.0), 40)
    assert levels.looks_like_a_code(
        many, np.where(many % 2, 1.0, -1.0)[:, None] * (1 + many[:, None])
    )


def test_an_array_may_leave_columns_out_by_number():
    x = np.c_[X, Y]
    preparation = Preparation(drop=["x2"]).fit(x)
    assert np.array_equal(preparation.transform(x), X)


def test_numbers_written_as_text_are_no_categories_unless_said_so():
    written = [f"{i / 4}" for i in range(40)]
    with pytest.raises(ValueError, match="'a' holds numbers written as text, such as"):
        Preparation().fit({"a": written})
    written[7] = "n/a"
    with pytest.raises(ValueError, match="but for 'n/a' in row 7: make them numbers"):
        Preparation().fit({"a": written})
    names = [f"0{i % 15}" for i in range(300)]
    assert len(Preparation(categorical=["a"]).fit({"a": names}).features) == 15


def summed(labelled, function, rows=30):
    """Return a frame of two columns of numbers, and the same with rows that sum it up."""
    rng = np.random.default_rng(3)
    frame = pd.DataFrame({"a": rng.random(rows), "b": rng.random(rows)})
    return frame, pd.concat([frame, pd.DataFrame(function(frame), index=labelled)])


SUMS = [
    (["Total"], lambda f: [f.sum()], "the last row sums"),
    (["mean", "std"], lambda f: [f.mean(), f.std()], "the last 2 rows sum"),
]


@pytest.mark.parametrize(("labels", "function", "words"), SUMS)
def test_rows_of_a_frame_that_sum_up_the_others_are_refused(labels, function, words):
    _, frame = summed(labels, function)
    kept = rf"{words} up the others \('{labels[0]}' in .*X.iloc\[:-{len(labels)}\]"
    with pytest.raises(BadInput, match=rf"Preparation.fit\(X\): {kept}"):
        Preparation().fit(frame)
    with pytest.raises(BadInput, match=rf"fit\(X\): {kept}"):
        ab.fit(frame[["a"]], frame["b"])
    with pytest.raises(BadInput, match=rf"AdaptiveBasisRegressor.fit\(X\): {kept}"):
        ab.AdaptiveBasisRegressor().fit(frame[["a"]], frame["b"])
    named = frame.reset_index(names="city")
    named["city"] = named["city"].astype(str)
    for given in (named, pl.from_pandas(named)):
        with pytest.raises(BadInput, match=rf"{words} up the others .* in column 'city'"):
            Preparation().fit(given)


def test_rows_that_are_only_named_so_stay():
    frame, _ = summed(["Total"], lambda f: [f.sum()])
    frame.index = [*"abcdefghijklmnopqrstuvwxyz123", "Total"]
    assert Preparation().fit_transform(frame).shape == (30, 2)
