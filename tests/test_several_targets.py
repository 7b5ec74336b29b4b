"""Several targets share functions and a ridge: what each loses by it is said."""

import numpy as np
import pytest

import adabasis as ab
from adabasis.basis import NeuralBasis, Polynomial
from adabasis.evidence.errors import Unseen
from adabasis.regression import remarks
from adabasis.selection.prepared import Prepared
from adabasis.selection.search import Candidate

N = 60


def seen(*errors):
    """Return residuals of every target, each ± its error."""
    signs = np.where(np.arange(N) % 2, 1.0, -1.0)[:, None]
    rows, same = np.arange(N), np.ones(N)
    return Unseen(rows, same, same, rows, "left out", residuals=signs * np.array(errors))


def prepared(y):
    x = np.linspace(-1, 1, N)[:, None]
    return Prepared("fit", x, y, None, "auto", 0, split_by_default=True)


def drawn(label, *errors):
    return Candidate(Polynomial(1), (), (), label, unseen=seen(*errors))


@pytest.mark.parametrize(
    ("best", "others", "said"),
    [
        ((0.1, 0.1), [(1e-9, 0.3)], [1]),
        ((0.1, 0.1), [(0.06, 0.3)], []),  # by less than a factor of two
        ((0.1, 0.1), [(1e-9, 0.3), (0.3, 1e-9)], [1, 2]),
        ((1e-8, 0.1), [(1e-16, 0.3)], []),  # too little to be worth a word
        ((0.1, 0.1), [], []),
    ],
)
def test_a_target_that_other_functions_fit_better_is_named(best, others, said):
    assert (remarks.BETTER_ALONE, remarks.WORTH_SAYING) == (2.0, 1e-6)
    rng = np.random.default_rng(0)
    found = [drawn(f"candidate {k}", *errors) for k, errors in enumerate(others)]
    told = list(remarks.better_alone(prepared(rng.normal(size=(N, 2))), seen(*best), found))
    assert [int(note.split()[1]) for note in told] == said
    for note, k in zip(told, said, strict=True):
        assert f"candidate {k - 1}" in note
        assert note.endswith("all targets share one choice. Fit this one alone.")


def test_nothing_is_said_of_one_target_or_of_one_that_is_constant():
    found = [drawn("line", 1e-9), drawn("unknown")]
    found[1] = Candidate(Polynomial(1), (), (), "nothing known")
    alone = prepared(np.linspace(0, 1, N)[:, None])
    assert not list(remarks.better_alone(alone, seen(0.1), found))
    assert not list(remarks.better_alone(alone, None, found))
    constant = prepared(np.c_[np.ones(N), np.linspace(0, 1, N)])
    assert not list(remarks.better_alone(constant, seen(0.1, 0.1), [drawn("line", 0.0, 0.1)]))


def test_a_line_beside_a_noisy_wave_is_better_fitted_alone():
    rng = np.random.default_rng(0)
    x = rng.uniform(-1, 1, (N, 1))
    y = np.c_[2 + 3 * x[:, 0], np.sin(5 * x[:, 0]) + 0.3 * rng.normal(size=N)]
    bases = [Polynomial(1), NeuralBasis(4, 1)]
    model = ab.fit(x, y, bases, ensemble=1, max_steps=20)
    assert isinstance(model.basis, NeuralBasis)
    (note,) = [one for one in model.notes if "alone" in one]
    assert note.startswith("Target 1 errs")
    assert "Polynomial degree 1" in note
