"""Sums of products of named values, multiplied out, and as text."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from .trace import NotExportable

#: Terms of all sums together, at most: more are no formula that a person reads.
MOST_TERMS = 4000


class Sum:
    """A sum of products of named values: {((name, power), …): factor}."""

    def __init__(self, terms: Mapping[tuple[tuple[str, int], ...], float]) -> None:
        self.terms = {key: float(value) for key, value in terms.items() if value != 0}

    @property
    def number(self) -> float | None:
        """Its value, if it has no names."""
        return self.terms.get((), 0.0) if set(self.terms) <= {()} else None

    def __add__(self, other: Sum) -> Sum:
        found = dict(self.terms)
        for key, value in other.terms.items():
            found[key] = found.get(key, 0.0) + value
        return Sum(found)

    def __mul__(self, other: Sum) -> Sum:
        found: dict[Any, float] = {}
        for key, value in self.terms.items():
            for more, factor in other.terms.items():
                powers = dict(key)
                for name, power in more:
                    powers[name] = powers.get(name, 0) + power
                both = tuple(sorted(powers.items()))
                found[both] = found.get(both, 0.0) + value * factor
        if len(found) > MOST_TERMS:
            raise too_long(len(found))
        return Sum(found)

    def times(self, factor: float) -> Sum:
        """Return a multiple."""
        return Sum({key: factor * value for key, value in self.terms.items()})


def too_long(count: int) -> NotExportable:
    """Return what is raised for more terms than a person reads."""
    return NotExportable(
        f"as a formula this model has {count:,} terms or more; at most {MOST_TERMS:,} are "
        "written. Export to '.py' or '.c', or fit fewer functions."
    )


def joined(terms: list[str]) -> str:
    """Return terms as a sum."""
    first, *rest = terms
    return first + "".join(f" - {t[1:]}" if t.startswith("-") else f" + {t}" for t in rest)


def term(value: float, key: Any, digits: int, latex: bool) -> str:
    """Return a product as SymPy or LaTeX read it."""
    number = repr(value) if digits >= 17 else f"{value:.{digits}g}"
    if latex and "e" in number:
        mantissa, exponent = number.split("e")
        number = f"{mantissa} \\cdot 10^{{{int(exponent)}}}"
    factors = []
    for name, power in key:
        said = letter(name) if latex else name
        raised = f"{said}^{{{power}}}" if latex else f"{said}**{power}"
        factors.append(said if power == 1 else raised)
    if factors and float(value) == 1.0:
        return (r" \, " if latex else "*").join(factors)
    if factors and float(value) == -1.0:
        return "-" + (r" \, " if latex else "*").join(factors)
    return (r" \, " if latex else "*").join([number, *factors])


def letter(name: str) -> str:
    """Return a name as LaTeX sets it: h12 as h_{12}, others upright."""
    found = re.fullmatch(r"([a-zA-Z])_?(\d*)", name)
    if found is None:
        return r"\mathrm{" + name.replace("_", r"\_") + "}"
    return f"{found[1]}_{{{found[2]}}}" if found[2] else found[1]
