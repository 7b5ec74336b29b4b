"""Triangular factors by shifted Cholesky-QR [1]_, where a QR by reflections is slow: on GPUs.

A pass factors WᵀW + s I = CᵀC and goes on with W C⁻¹, whose columns are nearer to orthonormal; the
product of the C is the factor. The shift s keeps the factorization going whatever the condition is,
and is left out once columns are nearly orthonormal. Passes are repeated until they are so to 1e-12.
Columns that depend on each other never become so. What passes leave of them is factored by its
eigenvalues, to which a rank of any kind does no harm.

References
----------
.. [1] Fukaya, Kannan, Nakatsukasa, Yamamoto, Yanagisawa, "Shifted Cholesky QR for computing the QR
   factorization of ill-conditioned matrices", SIAM J. Sci. Comput. 42, 2020.
"""

from __future__ import annotations

import os

import jax
import jax.numpy as jnp
from jax import Array
from jax.scipy.linalg import solve_triangular

State = tuple[Array, Array, Array, Array, Array]
VARIABLE = "ADABASIS_REDUCTIONS"
#: Names of the two ways; the variable holds one of them, or nothing.
QR, CHOLESKY = "qr", "cholesky"
#: Deviation of WᵀW from the identity at which columns are orthonormal (in float64), and up to which
#: a Cholesky factorization needs no shift.
ORTHONORMAL, NEARLY = 1e-12, 0.5
#: Shift over columns × machine epsilon × ‖WᵀW‖ at first; a hundred times as much where it fails.
SHIFT = 10.0
#: At most so many passes: a condition of 1e15 takes four, dependent columns take all.
PASSES = 6
#: Rows for each column from which products pay.
TALL = 4


def method() -> str:
    """Return how JAX's arrays are reduced here: ``"qr"`` or, on accelerators, ``"cholesky"``.

    The environment variable ``ADABASIS_REDUCTIONS`` goes before.

    Raises
    ------
    ValueError
        If it names neither.
    """
    named = os.environ.get(VARIABLE, "").strip().lower()
    if named not in ("", QR, CHOLESKY):
        raise ValueError(f"{VARIABLE}={named}: expected '{QR}' or '{CHOLESKY}'.")
    return named or (QR if jax.default_backend() == "cpu" else CHOLESKY)


def suits(n: int, columns: int) -> bool:
    """Whether rows (n, columns) are reduced by products of them."""
    return n >= TALL * columns and method() == CHOLESKY


@jax.custom_jvp
def cholesky_factor(rows: Array) -> Array:
    """Return the upper triangular R with RᵀR = rowsᵀ rows, of rows (N, P) with N ≥ P."""
    n = rows.shape[1]
    eye, eps = jnp.eye(n, dtype=rows.dtype), jnp.finfo(rows.dtype).eps
    enough = float(max(ORTHONORMAL, 100 * float(eps)))
    norms = jnp.linalg.norm(rows, axis=0)
    norms = jnp.where(norms > 0, norms, 1.0)

    def gram(w: Array) -> tuple[Array, Array]:
        g = w.T @ w
        return g, jnp.linalg.norm(g - eye)

    def unfinished(state: State) -> Array:
        _, _, _, passes, off = state
        return jnp.logical_and(off > enough, passes < PASSES)

    def one(state: State) -> State:
        w, factor, shift, passes, _ = state
        g, off = gram(w)
        added = jnp.where(off <= NEARLY, 0.0, shift * n * eps * jnp.linalg.norm(g))
        c = jnp.linalg.cholesky(g + added * eye).T
        sound = jnp.all(jnp.isfinite(c))
        c = jnp.where(sound, c, eye)
        w = solve_triangular(c, w.T, trans=1).T
        shift = jnp.where(sound, shift, 100 * shift)
        return w, c @ factor, shift, passes + 1, gram(w)[1]

    begin = (rows / norms, eye, jnp.asarray(SHIFT, rows.dtype), jnp.asarray(0))
    w, factor, *_ = jax.lax.while_loop(unfinished, one, (*begin, gram(begin[0])[1]))
    values, vectors = jnp.linalg.eigh(gram(w)[0])
    left = jnp.sqrt(jnp.maximum(values, 0.0))[:, None] * vectors.T
    return jnp.linalg.qr((left @ factor) * norms, mode="r")


@cholesky_factor.defjvp
def _derivative(primals: tuple[Array], tangents: tuple[Array]) -> tuple[Array, Array]:
    # From RᵀR = G: R⁻ᵀ dG R⁻¹ is dR R⁻¹ and its transpose.
    (rows,), (change,) = primals, tangents
    r = cholesky_factor(rows)
    half = change.T @ rows
    of_gram = half + half.T
    x = solve_triangular(r, solve_triangular(r, of_gram, trans=1).T, trans=1)
    return r, (jnp.triu(x, 1) + jnp.diag(jnp.diag(x) / 2)) @ r
