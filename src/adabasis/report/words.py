"""What the functions of a model are, in the words of a textbook."""

from __future__ import annotations

from ..basis import (
    AbstractBasis,
    AbstractWrapper,
    AdditiveSplines,
    EnrichedBasis,
    Ensemble,
    FrozenFeatures,
    GaussianKernels,
    NeuralBasis,
    PartitionBasis,
    Polynomial,
    ProjectedFeatures,
)
from ..selection.task import describe

#: Polynomials that have names.
DEGREES = {0: "a constant", 1: "a line: the inputs and a constant", 2: "a quadratic polynomial"}
#: What is added to a basis, by the name of its class.
ADDED = {
    "Poles": "poles in holes",
    "Sources": "sources outside of the domain",
    "Corners": "powers of the distance from corners",
    "Layers": "exponential layers",
    "Radial": "functions of a distance",
    "Additive": "functions of single coordinates",
}


def in_words(basis: AbstractBasis) -> str:
    """Return what the functions are.

    Examples
    --------
    >>> from adabasis import NeuralBasis, PartitionBasis
    >>> from adabasis.report.words import in_words
    >>> in_words(NeuralBasis(16, 2, activation="tanh"))
    'network of 2 hidden layers of 16 tanh functions'
    >>> in_words(PartitionBasis(4, 2))
    'polynomials of degree 2 on 4 parts (rbf partition)'
    """
    if isinstance(basis, Ensemble):
        return f"mean of {basis.n_members} models, each: {in_words(basis.inner)}"
    if isinstance(basis, EnrichedBasis):
        kinds = dict.fromkeys(type(one).__name__ for one in basis.added)
        added = ", ".join(ADDED.get(kind, kind) for kind in kinds)
        return f"{in_words(basis.inner)}, with {basis.n_added} functions added: {added}"
    if isinstance(basis, NeuralBasis):
        kind = "residual network" if basis.residual else "network"
        layers = "one hidden layer" if basis.depth == 1 else f"{basis.depth} hidden layers"
        return f"{kind} of {layers} of {basis.width} {basis.activation} functions"
    if isinstance(basis, PartitionBasis):
        return _partition(basis)
    found = _frozen(basis)
    if found is None and isinstance(basis, AbstractWrapper):
        inner: AbstractBasis = basis.inner
        return in_words(inner)
    return describe(basis) if found is None else found


def _partition(basis: PartitionBasis) -> str:
    n, parts = basis.n_partitions, "cell" if basis.on_a_grid else "part"
    kind = "" if basis.on_a_grid else f" ({basis.partition} partition)"
    each = f"{n} {parts}s" if n > 1 else f"one {parts}"
    return f"polynomials of degree {basis.degree} on {each}{kind}"


def _frozen(basis: AbstractBasis) -> str | None:
    """Return what functions that are not trained are, if they are of a known kind."""
    if isinstance(basis, ProjectedFeatures):
        which = "one direction" if basis.rank == 1 else f"{basis.rank} directions"
        return f"{basis.width} {basis.activation} features of {which}"
    if isinstance(basis, FrozenFeatures):
        return f"{basis.width} random {basis.activation} features"
    if isinstance(basis, GaussianKernels):
        products = " for sets of inputs (ANOVA kernels)" if basis.anova else ""
        return f"Gaussians at {basis.n_centers} rows{products}, and a line"
    if isinstance(basis, AdditiveSplines):
        return f"sum of cubic splines of single inputs, {basis.n_knots} knots each"
    if isinstance(basis, Polynomial):
        if basis.highest == 1 and basis.degree > 1:
            return f"products of up to {basis.degree} inputs"
        if basis.index_set == "total" and basis.highest is None:
            return DEGREES.get(basis.degree, f"polynomial of total degree {basis.degree}")
        return f"polynomial of degree {basis.degree} ({basis.index_set})"
    return None
