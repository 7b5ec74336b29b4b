"""What a report says of a solution of a differential equation."""

from __future__ import annotations

from collections.abc import Iterator

from .. import plots
from ..basis import PartitionBasis
from ..pde.solution import Solution
from .sections import Block, Picture, Subject, Table, Text, in_words, number, section


@section(Solution, "Verdict")
def _verdict(subject: Subject) -> Iterator[Block]:
    solution = subject.model
    certificate, problem = solution.certificate, solution.problem
    if certificate is None:
        yield Text("This solution has no certificate.", loud=True)
        return
    yield Text(certificate.verdict, loud=True)
    stability = certificate.stability
    rows = [
        ("Equation", solution.equation),
        ("Residual of the equation", number(certificate.residual)),
        ("Violation of the conditions", number(certificate.boundary_violation)),
        ("Estimated relative error", number(certificate.error_estimate)),
        *((f"Estimated error of {n}", number(e)) for n, e in certificate.by_unknown.items()),
        ("Bound of the error", number(certificate.error_bound)),
        ("Stability constant", number(stability.constant)),
        ("Functions", f"{certificate.n_functions:,}, {certificate.rank:,} of them independent"),
        ("Basis", in_words(solution.basis)),
    ]
    if solution.timings:
        rows.append(("Time", str(solution.timings)))
    if problem is not None and problem.exact is not None:
        rows.insert(4, ("True relative error", number(solution.error())))
    yield Table("The solution, on points that no solve has seen; all relative to u", (), rows)
    on_cells = isinstance(solution.basis, PartitionBasis) and solution.basis.on_a_grid
    how = (
        "the difference from a solution on coarser cells, times the ratio of their residuals, is "
        "the estimate."
        if on_cells
        else "the residuals are solved for on an enlarged basis, and the size of what removes them "
        "is the estimate."
    )
    yield Text(
        f"Residual and violation are what they stand for as errors of u: {how} The bound divides "
        "residuals by the stability constant, the least residual of a function of size one."
    )


@section(Solution, "Residuals", before="Error while training")
def _residuals(subject: Subject) -> Iterator[Block]:
    solution = subject.model
    if solution.certificate is None:
        return
    if solution.problem is not None:  # it is where a solution was read from a file
        yield Picture(
            plots.residual_map(solution),
            "Where the equation is violated, and by how much, in the units of its source.",
            "Absolute residual of the equation over the domain, on a logarithmic scale.",
        )
    certificate = solution.certificate
    for caption, entries in (
        ("Term by term", certificate.terms),
        ("The equation, region by region", certificate.regions),
    ):
        yield Table(caption, (), [(name, number(value)) for name, value in entries.items()])


@section(Solution, "Error while training")
def _history(subject: Subject) -> Iterator[Block]:
    solution = subject.model
    if len(solution.history) < 2:
        yield Text(
            "No function was moved: the coefficients solve one least-squares problem, or one in "
            "every Newton step where the equation is not linear."
        )
        return
    yield Picture(
        plots.history(solution),
        f"{len(solution.history) - 1:,} steps. Stopped because: {solution.stop_reason}.",
        "Root mean square residual against steps.",
    )
