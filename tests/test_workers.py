"""Searches whose runs are made apart end with the model of one process."""

import numpy as np
import pytest

import adabasis as ab
from adabasis.rows.engine import LocalEngine
from adabasis.selection.search import Search

RNG = np.random.default_rng(0)
X = RNG.uniform(-1, 1, (160, 2))
Y = np.sin(3 * X[:, 0]) * X[:, 1] + 0.05 * RNG.normal(size=160)
BASIS = ab.NeuralBasis(4, 1)


class Recorded(LocalEngine):
    """Two threads; what they were given is told by its labels, and packed as for a process."""

    def __init__(self):
        super().__init__(2)
        self.labels = []

    def map(self, function, parts, *, label="map"):
        from adabasis.rows.engine import packed, unpacked

        parts = list(parts)
        self.labels += [label] * len(parts)
        return super().map(unpacked(packed(function)), parts, label=label)


def same(one, other):
    assert np.array_equal(one.coefficients, other.coefficients)
    assert [(t.what, t.validation_error) for t in one.record.tried] == [
        (t.what, t.validation_error) for t in other.record.tried
    ]


def test_restarts_made_apart_give_the_same_model():
    options = {"method": "lsgn", "n_restarts": 3, "max_steps": 4, "validation": 0.2}
    engine = Recorded()
    same(ab.fit(X, Y, BASIS, client=engine, **options), ab.fit(X, Y, BASIS, **options))
    assert engine.labels.count("restart") == 3


def test_members_made_apart_give_the_same_mean():
    options = {"ensemble": 3, "max_steps": 6, "validation": 0.2}
    engine = Recorded()
    same(ab.fit(X, Y, client=engine, **options), ab.fit(X, Y, **options))
    assert "member" in engine.labels


def test_a_client_that_is_none_is_refused():
    pytest.importorskip("distributed")
    with pytest.raises(TypeError, match=r"fit: client=3: expected a distributed\.Client"):
        ab.fit(X, Y, BASIS, client=3)


def test_a_search_takes_its_deadline_along():
    import pickle

    search = Search(ab.fit(X, Y, BASIS, method="frozen").record.asked)
    search.deadline += 5.0
    again = pickle.loads(pickle.dumps(search))
    assert again.deadline == pytest.approx(search.deadline, abs=0.5) or np.isinf(search.deadline)
    assert again.callbacks == ()
