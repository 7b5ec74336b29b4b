"""What a least-squares solve has to say about itself, with advice."""

from __future__ import annotations

import enum


class Status(enum.IntEnum):
    """Outcome of a solve; ``status.advice`` says what to do about it."""

    FULL_RANK = 0
    RANK_DEFICIENT = 1
    UNDERDETERMINED = 2
    GRAM_REFUSED = 3
    NON_FINITE = 4
    SEPARABLE = 5

    @property
    def advice(self) -> str:
        """One sentence: what happened and what to do."""
        return _ADVICE[self]

    @property
    def solved(self) -> bool:
        """Whether the coefficients can be used."""
        return self is not Status.NON_FINITE


_ADVICE = {
    Status.FULL_RANK: "All functions are independent on the data; the solution is unique.",
    Status.RANK_DEFICIENT: (
        "Some functions are combinations of others on the data; directions below the cut-off were "
        "dropped and the smallest solution taken. Usual on smooth bases; a narrower basis or "
        "init='box' raises the share of independent functions."
    ),
    Status.UNDERDETERMINED: (
        "There are fewer rows than functions; the smallest solution was taken. Use fewer "
        "functions, more data or a ridge."
    ),
    Status.GRAM_REFUSED: (
        "method='gram' squares the condition number and was refused above 1e6; the truncated SVD "
        "answered instead. Use the default method."
    ),
    Status.NON_FINITE: (
        "The rows hold NaN or infinite entries. Look at the data, at coefficient functions, and "
        "for diverged parameters (a learning rate too large)."
    ),
    Status.SEPARABLE: (
        "The functions separate the classes on the data: without a ridge the coefficients grow "
        "without end, and Newton's method was stopped. Use a ridge for probabilities that mean "
        "something."
    ),
}
