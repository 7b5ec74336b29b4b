"""Members of a mean: trained in turn or by workers, those left out that have not learnt."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from typing import Any

import jax
import numpy as np

from .._runtime.notation import Parameters
from ..rows.engine import current, packed, unpacked
from .search import Candidate, Search

#: A member whose errors, on its own rows and on those held out, are more than so many times the
#: least of all makes a mean worse: of members with independent errors one with more than 1.6 times
#: those of two others does, and one with more than 1.4 times those of many.
UNLEARNT = 3.0
#: Relative errors below which training leaves round-off: none is less.
ROUND_OFF = 1e-10


def learnt_and_not(group: list[Candidate]) -> tuple[list[Candidate], list[Candidate]]:
    """Return candidates, and apart those that have not learnt their rows as others have theirs.

    A few rows that nothing foresees, at a corner of the domain, end the training of the member that
    lacks them after some steps, with a large ridge. The mean would inherit its error at all points.
    """
    if any(one.run is None for one in group):
        return group, []
    losses = [one.run.loss for one in group if one.run]
    least = min(one.validation_error for one in group)
    most = UNLEARNT**2 * max(min(losses), ROUND_OFF**2), UNLEARNT * max(least, ROUND_OFF)
    unlearnt = [
        loss > most[0] and one.validation_error > most[1]
        for one, loss in zip(group, losses, strict=True)
    ]
    learnt = [one for one, out in zip(group, unlearnt, strict=True) if not out]
    if len(learnt) < 2:
        return group, []
    return learnt, [one for one, out in zip(group, unlearnt, strict=True) if out]


def in_turn(
    search: Search[Candidate], another: Callable[[int], Candidate], numbers: range
) -> Iterator[Candidate]:
    """Yield the candidates of numbers in order; as many are made at once as there are workers."""
    engine = current()
    if not engine.apart:
        yield from map(another, numbers)
        return
    n_workers = engine.n_workers
    task = functools.partial(_with_added, packed((search, another)))
    for start in range(0, len(numbers), n_workers):
        some = numbers[start : start + n_workers]
        made = engine.map(task, some, label="member")
        if search.checkpoint is not None:
            search.checkpoint.added({name: run for *_, runs in made for name, run in runs.items()})
        for candidate, added, _ in made:
            search.found.extend(added)
            yield candidate


def _with_added(pair: bytes, number: int) -> tuple[Candidate, list[Candidate], dict[str, Any]]:
    """Return a candidate, and what was added as it was made: candidates, runs to keep."""
    search, another = unpacked(pair)  # its own: what is added is added once
    before, kept = len(search.found), search.checkpoint
    known = set() if kept is None else set(kept.done)
    candidate = another(number)
    runs = {} if kept is None else {k: run for k, run in kept.done.items() if k not in known}
    return candidate, search.found[before:], runs


def stacked(trees: list[Parameters]) -> Parameters:
    """Return the leaves of several pytrees, one after another along a new first axis."""
    return jax.tree.map(lambda *leaves: np.stack([np.asarray(leaf) for leaf in leaves]), *trees)
