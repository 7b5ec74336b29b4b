"""The solution of a problem: a fitted function that knows its equation and its certificate.

The same equation with other data is solved by one factor for all right-hand sides; another factor
checks the answers.
"""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Iterable, Mapping
from typing import Any, ClassVar

import numpy as np

from ..geometry import Box
from ..geometry.documents import from_document, to_document
from ..geometry.domains import AbstractDomain
from ..geometry.fields import evaluate
from ..geometry.points import AffineMap
from ..models.evaluation import by_rows, in_jax
from ..models.fitted import Fitted
from ..operators import AbstractOperator, Equation, Expression, Identity
from ..operators.expressions import ZERO, as_expression, mapped
from .certificate import Certificate
from .columns import columns_of, joined, relative, relative_each
from .meshes import write_solution
from .posterior import Posterior
from .problem import Problem
from .regions import by_region, without_region
from .resolving import resolved
from .statement import rows_of
from .study import Study, studied
from .verdict import Stability

#: Points of the default measure of the error.
SEEN = 4096


@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class Solution(Fitted):
    """u with L[u] = f: evaluate it, apply any operator to it, read its certificate.

    Of several unknowns the values are the columns, in the order of ``unknowns``;
    ``solution["u"]`` is one of them, a function of its own.

    Attributes
    ----------
    certificate : Certificate
    domain : AbstractDomain
    equation : str
        In words.
    problem : Problem or None
        ``None`` where the solution was read from a file, which holds no functions of the user's;
        :meth:`with_problem` gives it back.
    finalists : tuple of EquationCandidate
        What was solved, and the best one on other functions where there is one of similar quality.
        Files do not hold them.
    task : EquationTask or None
        What made the candidates.
    posterior : Posterior or None
        What observations with noise (``Observe(…, noise=…)``) leave open.
    regions : mapping of str to AbstractDomain
        Where unknowns have functions of their own, if anywhere.

    See Also
    --------
    adabasis.Fitted : the attributes and methods every fitted function has.
    """

    certificate: Certificate = None  # type: ignore[assignment]
    domain: AbstractDomain = None  # type: ignore[assignment]
    equation: str = ""
    solved_from: ClassVar[str] = "an equation"

    problem: Problem = None  # type: ignore[assignment]
    finalists: tuple[Any, ...] = ()
    task: Any = None
    posterior: Posterior | None = None
    regions: Mapping[str, AbstractDomain] = dataclasses.field(default_factory=dict)

    @property
    def verdict(self) -> str:
        """What the certificate says, in words."""
        return self.certificate.verdict

    @property
    def unknowns(self) -> tuple[str, ...]:
        """The names of the unknowns, in the order of the columns."""
        return tuple(self._columns)

    @property
    def _columns(self) -> dict[str, list[int]]:
        """The columns of values by unknown: two for a complex one."""
        return columns_of(self.output_names)

    @property
    def output_names(self) -> tuple[str, ...]:
        """What the columns of :meth:`outputs` are: unknowns, complex ones as "Re u", "Im u"."""
        names = self.record.output_names or ("u",)
        return tuple(dict.fromkeys(map(without_region, names))) if self.regions else names

    def outputs(self, X: Any) -> np.ndarray:
        """Evaluate at N points: a real column for each of :attr:`output_names`, (N, Q)."""
        return self._here(super().__call__(X), X).reshape(len(X), -1)

    def _here(self, values: np.ndarray, X: Any) -> np.ndarray:
        """Return values of the regions that the points are in."""
        return by_region(self.regions, self.record.output_names, values, X)

    def _joined(self, values: np.ndarray) -> np.ndarray:
        """Return a column for each unknown, those of complex ones made of two."""
        return joined(values, self._columns)

    def __call__(self, X: Any) -> np.ndarray:
        """Evaluate at N points: (N,) for one unknown, else (N, number of unknowns)."""
        return self._joined(self._here(super().__call__(X), X))

    def __getitem__(self, name: Any) -> Solution:
        """Return one of several unknowns as a solution of its own.

        Parameters
        ----------
        name : str, or an unknown
            With regions, "u in core" is the function of one region, wherever it is evaluated.

        Raises
        ------
        KeyError
            For another name; the names are listed.
        """
        wanted, columns = name.name if isinstance(name, Expression) else name, self._columns
        blocks = self.record.output_names
        in_a_region = bool(self.regions) and wanted in blocks
        if wanted not in columns and not in_a_region:
            raise KeyError(f"{wanted!r}: the unknowns are {', '.join(columns)}.")
        if len(columns) == 1 and not in_a_region:
            return self
        k = columns.get(wanted, [])
        if self.regions:
            k = [i for i, one in enumerate(blocks) if wanted in (one, without_region(one))]
        units = AffineMap(self.output_map.shift[k], self.output_map.scale[k])
        names = tuple(self.record.output_names[i] for i in k)
        alone: dict[str, Any] = {"problem": None, "finalists": ()}
        alone |= {"regions": {}} if in_a_region else {}
        return dataclasses.replace(
            self,
            coefficients=self.coefficients[:, k],
            output_map=units,
            flat_output=len(k) == 1,
            record=dataclasses.replace(self.record, output_names=names),
            **alone,
        )

    def outside(self, X: Any) -> np.ndarray:
        """Say which of N points lie outside the domain."""
        return ~self.domain.contains(self._inputs(X, "Solution.outside(X)"))

    def apply(self, operator: Any, X: Any) -> np.ndarray:
        """Evaluate an operator of each unknown, or an expression, at N points.

        Parameters
        ----------
        operator : AbstractOperator or Expression
            Coordinates by name or number: ``Partial("x")``. An expression may be of several
            unknowns, and need not be linear: ``d(x)(u) + d(y)(v)``.
        X : array-like, shape (N, D)

        Returns
        -------
        array, shape (N,), or (N, number of unknowns) for an operator and several unknowns
        """
        if isinstance(operator, Expression):
            return self._expression(operator, X)
        return self._joined(self._here(super().apply(operator.bind(self.domain.names), X), X))

    def _expression(self, expression: Expression, X: Any) -> np.ndarray:
        call = f"Solution.apply({expression!r}, X)"
        x, names = self._inputs(X, call), self.domain.names
        known = [
            Expression("unknown", (n, "complex" if len(k) > 1 else "float", k[0]))
            for n, k in self._columns.items()
        ]
        kinds = {u.name: u for u in known}
        stated = mapped(expression, lambda e: kinds.get(e.name) if e.kind == "unknown" else None)
        parts = {}
        for row in rows_of(call, Equation(stated, as_expression(0.0)), known):
            values = self.joint(row.operator.bind(names), x)
            values = values if row.data == ZERO else values - evaluate(row.data, names, x)
            parts[row.part] = values
        if "imaginary" not in parts:
            return next(iter(parts.values()))
        return parts.get("real", 0.0) + 1j * parts["imaginary"]

    def joint(self, operator: AbstractOperator, x: np.ndarray) -> np.ndarray:
        """Return the image of all unknowns together under a bound operator of them, (N,)."""
        found = in_jax(self.basis, self._parts(), x, operator)
        return found[:, 0] if found.ndim > 1 else found

    def predict(self, X: Any, return_std: bool = False, *, dtype: str = "float64") -> Any:
        """Return u at N points, and its standard deviation given noisy observations if asked.

        Parameters
        ----------
        X : array-like, shape (N, D)
        return_std : bool
            Of the Gaussian posterior (:mod:`adabasis.pde.posterior`): 90 % of u lie within 1.645
            of them, were all that it assumes so.
        dtype : {"float64", "float32"}
            As of :meth:`Fitted.predict`.

        Returns
        -------
        array (N,), or two of them

        Raises
        ------
        ValueError
            If the problem has no observations with noise.
        """
        u = self._joined(self._here(super().predict(X, dtype=dtype), X))
        return (u, self.std(Identity(), X)) if return_std else u

    def std(self, operator: AbstractOperator, X: Any) -> np.ndarray:
        """Return the standard deviation of L[u] at N points, (N,), given noisy observations.

        Parameters
        ----------
        operator : AbstractOperator
            Linear; coordinates by name or number: ``Partial("x")`` for a flux.
        X : array-like, shape (N, D)

        Raises
        ------
        ValueError
            If the problem has no observations with noise.
        """
        call = f"Solution.std({operator!r}, X)"
        if self.posterior is None:
            raise ValueError(
                f"{call}: the problem has no observations with noise, of which a deviation could "
                "come. Say how large it is: Observe(X, y, noise=0.1), or noise='estimate'. "
                "solution.certificate.error_estimate says how far off the numbers are."
            )
        if not operator.linear:
            raise ValueError(
                f"{call}: the posterior is that of linear operators of u; {operator!r} is not."
            )
        x, root = self._inputs(X, call), self.posterior.root
        units = AffineMap(np.zeros(root.shape[1]), np.full(root.shape[1], self.output_map.scale[0]))
        parts = self._parts()._replace(coefficients=root, output_map=units)
        bound = operator.bind(self.domain.names)
        if isinstance(bound, Identity):
            moved = by_rows(self.basis, parts, x)
        else:
            moved = in_jax(self.basis, parts, x, bound)
        return np.asarray(np.linalg.norm(moved, axis=1))

    def variances(self, X: Any) -> tuple[np.ndarray, np.ndarray]:
        """Return the variance of u and that of its noise, which is none, both (N, 1)."""
        variance = self.std(Identity(), X)[:, None] ** 2
        return variance, np.zeros_like(variance)

    def residual(self, X: Any) -> np.ndarray:
        """Evaluate L[u] − f at N points, in the user's units: (N,), or a column an equation."""
        x, problem = self._inputs(X, "Solution.residual(X)"), self._known("residual")
        each = [
            self.joint(one.operator, x) - evaluate(one.data, self.domain.names, x)
            for one in problem.constraints
            if one.equation
        ]
        return each[0] if len(each) == 1 else np.stack(each, axis=1)

    def error(self, X: Any = None) -> float:
        """Return the relative l2 error against the exact solution, where that is known.

        Of several unknowns the largest one.

        Parameters
        ----------
        X : array-like, shape (N, D), optional
            By default 4,096 random points.
        """
        x = self._anywhere() if X is None else np.asarray(X, dtype=float)
        exact = self._known("error").exact_values(x)
        return float(relative(self(x) - exact, exact))

    def errors(self, X: Any = None) -> dict[str, float]:
        """Return :meth:`error` of each unknown by its name, as the certificate estimates them."""
        x = self._anywhere() if X is None else np.asarray(X, dtype=float)
        exact = self._known("errors").exact_values(x)
        off = (self(x) - exact).reshape(len(x), -1)
        found = relative_each(off, exact.reshape(len(x), -1))
        return dict(zip(self.unknowns, found, strict=True))

    def with_problem(self, problem: Problem) -> Solution:
        """Return a solution read from a file with its problem, which files do not hold.

        Raises
        ------
        ValueError
            If the domain or the equation is another one.
        """
        if (problem.domain, problem.equation) != (self.domain, self.equation):
            raise ValueError(
                f"Solution.with_problem: expected {self.equation}, got {problem.equation}."
            )
        return dataclasses.replace(self, problem=problem)

    def resolve(self, problems: Iterable[Problem]) -> list[Solution]:
        """Solve the same equation for other sources and values of conditions.

        The rows are factored once, those of the runner-up too; every further right-hand side costs
        products with the orthonormal factors. Of the two answers that of the smaller residuals on
        fresh points is returned: its certificate has its own residuals, violations and error
        estimate, and the stability of this one.

        Parameters
        ----------
        problems : iterable of Problem
            As made by :meth:`LinearProblem.with_data`: same domain, operator, places.

        Returns
        -------
        list of Solution

        Raises
        ------
        ValueError
            If domains, operators, places or weights differ, the equation is not linear, or the
            solution was read from a file.
        """
        self._solved_here("resolve")
        return resolved(self, list(problems))

    def convergence_study(self, widths: Iterable[int] | None = None) -> Study:
        """Solve at several widths: a table, the fitted order, a figure.

        Parameters
        ----------
        widths : iterable of int, optional
            Numbers of functions; by default halvings of this solution's. On cells: degrees, by
            default those from 2 to that of this solution, and two more.

        Raises
        ------
        ValueError
            If the solution's functions are not frozen ones nor polynomials on cells, a width is
            less than 1, or the solution was read from a file.
        """
        self._solved_here("convergence_study")
        self._known("convergence_study")
        return studied(self, widths, self._anywhere())

    def to_vtk(self, path: str | os.PathLike[str], per_side: int = 65) -> None:
        """Write u and its residual on a grid for ParaView and its like, atomically (needs meshio).

        Parameters
        ----------
        path : path
            The suffix chooses the format. Values, points and cells come back from these, with
            meshio 5.3.5:

            =======================  =========================================================
            suffix                   format
            =======================  =========================================================
            .vtu, .vtk               VTK
            .msh                     Gmsh 4.1
            .dat, .tec               Tecplot
            .avs                     AVS-UCD, fifteen digits
            .ply                     PLY, of one or two coordinates
            .xdmf, .xmf, .med        XDMF with its numbers inside, MED; need h5py
            .e, .ex2, .exo           Exodus; need netCDF4
            =======================  =========================================================

            Others that meshio knows lose the values or the cells, and are refused. Unknowns that
            are components of a vector (u, v; E_x, E_y; :func:`adabasis.pde.meshes.vectors`) are
            written as vectors, too, in VTK, Gmsh, XDMF and MED.
        per_side : int
            Cells with a corner outside the domain are left out.

        Raises
        ------
        ImportError
            If meshio, or what it needs for this format, is not installed.
        ValueError
            For more than three coordinates, or a suffix of another format.
        """
        write_solution(path, self, per_side)

    def _anywhere(self) -> np.ndarray:
        """Return fixed random points of the domain."""
        if not isinstance(self.domain, Box):
            return np.asarray(self.domain.interior(SEEN, 1).x)
        lower, upper = self.domain.bounds.T
        return np.random.default_rng(1).uniform(lower, upper, (SEEN, len(lower)))

    def _known(self, call: str) -> Problem:
        if self.problem is None:
            raise ValueError(
                f"Solution.{call}: this solution was read from a file, which does not hold its "
                "problem. Give it back: solution.with_problem(problem)."
            )
        return self.problem

    def _solved_here(self, call: str) -> None:
        if not self.finalists:
            raise ValueError(
                f"Solution.{call}: this solution was read from a file, which does not hold the "
                "rows it was solved on. Solve the problem again: solve(problem)."
            )

    def _document(self) -> dict[str, Any]:
        about = {
            "domain": to_document(self.domain),
            "equation": self.equation,
            "regions": {name: to_document(one) for name, one in self.regions.items()},
            # As text: numbers that are none are no JSON.
            "certificate": json.dumps(dataclasses.asdict(self.certificate)),
        }
        if self.posterior is not None:
            about["posterior"] = json.dumps(self.posterior.to_json())
        return {**super()._document(), "solution": about}

    def _tensors(self) -> dict[str, np.ndarray]:
        found = super()._tensors()
        if self.posterior is not None:
            found["posterior"] = np.ascontiguousarray(self.posterior.root)
        return found

    @classmethod
    def _restored(
        cls, document: Mapping[str, Any], tensors: Mapping[str, np.ndarray]
    ) -> dict[str, Any]:
        about = document["solution"]
        certificate = json.loads(about["certificate"])
        examined = Stability(**certificate.pop("stability"))
        weighed = None
        if "posterior" in tensors:
            known = json.loads(about["posterior"])
            weighed = Posterior.restored(known, tensors["coefficients"], tensors["posterior"])
        return {
            "posterior": weighed,
            "domain": from_document(about["domain"]),
            "equation": about["equation"],
            "regions": {name: from_document(one) for name, one in about.get("regions", {}).items()},
            "certificate": Certificate(**certificate, stability=examined),
        }
