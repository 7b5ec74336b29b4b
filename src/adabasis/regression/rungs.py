"""Families of functions of growing size, to be tried one after another."""

from __future__ import annotations

import dataclasses
import itertools
import math
from collections.abc import Iterator, Sequence

from ..basis import AbstractBasis, FrozenFeatures, GaussianKernels, Polynomial
from ..basis.pou.polynomial import dimension
from ..selection.search import Candidate
from .bases import plain_bases

#: Functions of the largest basis: a solve of 3000 takes a minute.
MOST_FUNCTIONS = 3000
#: Factor of the number of polynomials from one degree that is tried to the next.
GROWS = 1.25
#: Polynomials for each row, at most: of exact data from 500 rows in three inputs, 0.7 err a fifth
#: to a thirtieth of what 0.45 do.
DENSE = 0.75
#: Widths of frozen features, the largest that rows allow besides; one that is nearly that is not.
WIDTHS, NEARLY = (64, 128, 256, 512, 1024, 2048), 0.8


@dataclasses.dataclass(frozen=True, eq=False)
class Rung:
    """A basis that was tried.

    Attributes
    ----------
    family : str
    size : int
        The number of functions.
    candidate : Candidate
    seconds : float
        That its solve took.
    """

    family: str
    size: int
    candidate: Candidate
    seconds: float = 0.0

    @property
    def error(self) -> float:
        """The leave-one-out error; infinite where it is not known."""
        error = self.candidate.loo_error
        return error if math.isfinite(error) else math.inf

    def degree(self, kind: str = "total") -> int:
        """Return the degree of the polynomials of an index set; 0 of other functions."""
        basis = self.candidate.basis
        own = isinstance(basis, Polynomial) and (basis.index_set, basis.highest) == (kind, None)
        return basis.degree if isinstance(basis, Polynomial) and own else 0


def plain(n_rows: int, n_inputs: int) -> Iterator[AbstractBasis]:
    """Yield a constant, a line, products of inputs, quadratics and splines."""
    for basis in plain_bases(n_rows, n_inputs):
        high = isinstance(basis, Polynomial) and basis.degree > 2
        if not high and not isinstance(basis, GaussianKernels):
            yield basis


def gaussians(n_rows: int, n_inputs: int) -> Iterator[AbstractBasis]:
    """Yield Gaussians at rows, where these are enough."""
    for basis in plain_bases(n_rows, n_inputs):
        if isinstance(basis, GaussianKernels):
            yield basis


def polynomials(n_inputs: int, most: int, kind: str) -> Iterator[AbstractBasis]:
    """Yield polynomials of rising degree, as far as there are at most so many.

    Parameters
    ----------
    n_inputs, most : int
    kind : str
        Their index set.
    """
    size = 0
    for degree in itertools.count(3):
        own = dimension(n_inputs, degree, kind)
        if own > most:
            return
        if own >= GROWS * size or dimension(n_inputs, degree + 1, kind) > most:
            size = own
            yield Polynomial(degree, index_set=kind)


def between(rungs: Sequence[Rung], kind: str, most: float) -> Iterator[AbstractBasis]:
    """Yield the degrees that were left out beside the best one, if its error is at most so much."""
    tried = {rung.degree(kind): rung.error for rung in rungs if rung.degree(kind)}
    best = min(tried, key=lambda degree: tried[degree], default=0)
    if not tried.get(best, math.inf) <= most:
        return
    below = max((degree for degree in tried if degree < best), default=best)
    above = min((degree for degree in tried if degree > best), default=best)
    for degree in sorted(range(below + 1, above), key=lambda degree: abs(degree - best)):
        if degree not in tried:
            yield Polynomial(degree, index_set=kind)


def features(most: int, n_inputs: int) -> Iterator[AbstractBasis]:
    """Yield frozen features of growing width, of at most so many functions."""
    spare = n_inputs + 1
    for width in [*(w for w in WIDTHS if w < NEARLY * most), most - spare]:
        if width > spare:
            yield FrozenFeatures(width)
