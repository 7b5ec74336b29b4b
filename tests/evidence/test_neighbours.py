"""Ten neighbours of each kind of false claim that was seen: tables, classes, pieces, equations."""

import jax
import numpy as np
import pytest

import adabasis as ab

from . import equation_neighbours, neighbours, tables
from .test_equations import ROUND_OFF

pytestmark = pytest.mark.plain_scope
#: A share of its spread above which a model is no better than a constant.
NOTHING_LEARNT = 0.9


def test_there_are_ten_of_each_kind():
    assert all(len(members) == 10 for members in neighbours.KINDS.values())


@pytest.mark.slow
@pytest.mark.parametrize("kind", neighbours.KINDS)
def test_neighbours_of_false_claims_are_claimed_honestly(kind):
    low, lines = [], []
    for one in neighbours.KINDS[kind]:
        case, seen = one.case, tables.run(one.case)
        # What lies on fewer than 3/n of all rows alone, n rows cannot see; the words say so.
        rare = seen.likely is not None and seen.likely <= 1.5 * seen.claimed
        low.append(seen.ratio < 2 / 3 and not rare)
        lines.append(f"{case.name:20}{seen.claimed:9.1e}{seen.true:9.1e}{seen.ratio:8.2g}")
        praised = "times the accuracy" in seen.words
        assert seen.ratio >= 1 / 3 or rare or not praised, lines[-1]
        assert seen.true > NOTHING_LEARNT or not any(w in seen.words for w in one.never), lines[-1]
        if one.beside is not None:
            y = case.draw(np.random.default_rng([0, 0]), case.n)[1]
            off = np.abs(np.ravel(seen.model(one.beside)) - (y.max() + y.min()) / 2)
            assert off.max() <= 3 * np.ptp(y), case.name
            assert np.max(seen.model.support(one.beside)) < 1 / 3, case.name
    print(*lines, sep="\n")
    assert sum(low) <= 1, "\n".join(lines)


@pytest.mark.slow
@pytest.mark.parametrize("name", equation_neighbours.CASES)
def test_neighbours_of_false_certificates_are_certified_honestly(name):
    jax.clear_caches()  # compiled code is mapped memory, of which a process has so much
    case = equation_neighbours.CASES[name]
    u = ab.solve(case.make())
    claimed, true = u.certificate.error_estimate, case.error(u)
    print(f"{name:50}{claimed:9.1e}{true:9.1e}  {u.verdict[:60]}")
    assert u.verdict.startswith(case.words)
    if u.verdict.startswith(("Solved", "Approximate")):
        assert claimed >= 2 / 3 * true or true <= ROUND_OFF
