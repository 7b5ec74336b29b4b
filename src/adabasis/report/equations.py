"""What a report says of a solution of a differential equation."""

from __future__ import annotations

from collections.abc import Iterator

from .. import plots
from ..basis import PartitionBasis
from ..pde.certificate import Certificate
from ..pde.solution import Solution
from .fields import ERROR, FRAMES, RESIDUAL, Views
from .sections import MOST_OUTPUTS, Block, Film, Picture, Subject, Table, Text, number, section
from .words import in_words


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
        *_bound(certificate),
        ("Stability constant", number(stability.constant)),
        ("Functions", f"{certificate.n_functions:,}, {certificate.rank:,} of them independent"),
        ("Basis", in_words(solution.basis)),
    ]
    if solution.timings:
        rows.append(("Time", str(solution.timings)))
    if problem is not None and problem.exact is not None:
        rows.insert(4, ("True relative error", number(solution.error())))
    yield Table("The certificate, on points that no solve has seen; all relative to u", (), rows)
    on_cells = isinstance(solution.basis, PartitionBasis) and solution.basis.on_a_grid
    how = (
        "The estimate rests on the differences from solutions on coarser cells, and on how far the "
        "residuals have fallen since."
        if on_cells
        else "The estimate is the size of a correction, which removes the residuals; it is solved "
        "for on an enlarged basis."
    )
    yield Text(
        f"Residual and violation are given as errors of u that they stand for. {how}"
        + (
            " The bound divides the residuals by the stability constant, the least residual of a "
            "function of size one."
            if _bound(certificate)
            else ""
        )
    )


def _bound(certificate: Certificate) -> list[tuple[str, str]]:
    """Return the row of the bound, unless it is the estimate: it is at least that."""
    if certificate.error_bound <= certificate.error_estimate:
        return []
    return [("Bound of the error", number(certificate.error_bound))]


@section(Solution, "The solution", before="The fitted function")
def _solution(subject: Subject) -> Iterator[Block]:
    solution = subject.model
    outputs = plots.names_of(solution)[1]
    for q, name in enumerate(outputs[:MOST_OUTPUTS]):
        views = Views(solution, q)
        yield Picture(views.picture(), _caption(views), _alt(views), True)
        if views.time is not None and solution.n_inputs > 1:
            frames = [
                Picture(drawn, f"{moment}.", f"{name} at {moment}.", True)
                for moment, drawn in views.film()
            ]
            yield Film(
                f"time-{q}",
                f"{name} at {FRAMES} times, on the same scales: choose one with the slider",
                frames,
            )
    if len(outputs) > MOST_OUTPUTS:
        yield Text(f"The first {MOST_OUTPUTS} of {len(outputs)} unknowns are shown.")


def _caption(views: Views) -> str:
    """Say what the panels are, and what stays where it is."""
    said, titles = [f"{views.name} over the domain."], views.titles
    if RESIDUAL in titles:
        said.append(
            "The residual is what the equation misses, in the units of its source; of several "
            "equations the largest."
        )
    if ERROR in titles:
        said.append(
            "The estimated error is in the units of the solution; its root mean square is the "
            "certificate's estimate."
        )
    if views.solution.n_inputs > 2:
        said.append("Further coordinates stay in the middle of their range.")
    return " ".join(said)


def _alt(views: Views) -> str:
    along = " and ".join(views.names[:2])
    return f"Side by side over {along}: {', '.join(views.titles)}."


@section(Solution, "The fitted function")
def _function(subject: Subject) -> Iterator[Block]:
    yield from ()  # "The solution" shows it


@section(Solution, "Residuals", before="Error while training")
def _residuals(subject: Subject) -> Iterator[Block]:
    solution = subject.model
    if solution.certificate is None:
        return
    certificate = solution.certificate
    for caption, entries in (
        ("Term by term", certificate.terms),
        ("The equation, region by region", certificate.regions),
    ):
        if entries:  # solutions that step in time have no residuals by regions
            yield Table(caption, (), [(name, number(value)) for name, value in entries.items()])


@section(Solution, "Error while training")
def _history(subject: Subject) -> Iterator[Block]:
    solution = subject.model
    if len(solution.history) < 2:
        linear = solution.problem is None or solution.problem.linear
        yield Text(
            "No function was moved: one least-squares problem gave the coefficients."
            if linear
            else "No function was moved: each Newton step solved one least-squares problem."
        )
        return
    yield Picture(
        plots.history(solution),
        f"{len(solution.history) - 1:,} steps. Stopped because: {solution.stop_reason}.",
        "Root mean square residual against steps.",
    )
