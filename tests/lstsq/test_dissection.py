"""Least squares over parts: the same as one dense solve, whatever touches what."""

import numpy as np
import pytest

from adabasis.lstsq.dissection import DEPENDENT, SparseRows, halved, reduce_sparse


def grid_rows(counts, width, rng, n_rhs=2):
    """Rows of the cells of a grid and of their borders."""
    places = np.stack(np.meshgrid(*map(np.arange, counts), indexing="ij"), -1).reshape(
        -1, len(counts)
    )
    number = {tuple(place): k for k, place in enumerate(places.tolist())}
    rows = []

    def add(*parts):
        n = width // 2 + 1 if len(parts) > 1 else width + 1
        matrices = tuple(rng.normal(size=(n, width)) for _ in parts)
        rows.append(SparseRows(parts, matrices, rng.normal(size=(n, n_rhs))))

    for place, k in number.items():
        add(k)
        for axis in range(len(counts)):
            above = tuple(p + (axis == i) for i, p in enumerate(place))
            if above in number:
                add(k, number[above])
    return places.astype(float), rows


def dense(rows, sizes):
    starts = np.concatenate([[0], np.cumsum(sizes)])
    matrix = np.zeros((sum(len(r.rhs) for r in rows), starts[-1]))
    at = 0
    for block in rows:
        for part, piece in zip(block.parts, block.matrices, strict=True):
            matrix[at : at + len(piece), starts[part] : starts[part + 1]] = piece
        at += len(block.rhs)
    return matrix, np.concatenate([r.rhs for r in rows])


@pytest.mark.parametrize("counts", [(1,), (7,), (3, 4), (2, 3, 2)])
def test_it_is_the_solution_of_all_rows_at_once(counts):
    places, rows = grid_rows(counts, 4, np.random.default_rng(0))
    sizes = [4] * len(places)
    found = reduce_sparse(places, sizes, rows)
    a, b = dense(rows, sizes)
    c = np.linalg.lstsq(a, b, rcond=None)[0]
    np.testing.assert_allclose(found.coefficients, c, atol=1e-11 * np.abs(c).max())
    left = np.linalg.norm(a @ c - b, axis=0)
    np.testing.assert_allclose(found.residual_norm, left, rtol=1e-10, atol=1e-12)
    assert not found.dependent


def test_its_triangle_is_that_of_the_gram_matrix():
    places, rows = grid_rows((3, 3), 3, np.random.default_rng(1))
    found = reduce_sparse(places, [3] * 9, rows)
    a, _ = dense(rows, [3] * 9)
    v = np.random.default_rng(2).normal(size=(27, 2))
    back = found.solve(found.solve_transposed(v))
    np.testing.assert_allclose(a.T @ (a @ back), v, atol=1e-9)


def test_rows_a_hundred_thousand_times_as_heavy_leave_ten_digits():
    places, rows = grid_rows((4, 2), 3, np.random.default_rng(3))
    heavy = [
        SparseRows(r.parts, tuple(1e5 * m for m in r.matrices), 1e5 * r.rhs) if k % 3 == 0 else r
        for k, r in enumerate(rows)
    ]
    exact = np.random.default_rng(4).normal(size=(24, 1))
    starts = range(0, 25, 3)
    heavy = [
        SparseRows(
            r.parts,
            r.matrices,
            sum(
                m @ exact[starts[p] : starts[p] + 3]
                for p, m in zip(r.parts, r.matrices, strict=True)
            ),
        )
        for r in heavy
    ]
    found = reduce_sparse(places, [3] * 8, heavy)
    np.testing.assert_allclose(found.coefficients, exact, atol=1e-10)


def test_columns_that_depend_on_others_are_found_and_the_residual_is_the_least():
    places, rows = grid_rows((3, 2), 3, np.random.default_rng(5))
    twice = np.array([[1.0, 0.0, 1.0], [0.0, 1.0, 0.0], [0.0, 0.0, 0.0]])  # the last is the first
    rows = [SparseRows(r.parts, tuple(m @ twice for m in r.matrices), r.rhs) for r in rows]
    found = reduce_sparse(places, [3] * 6, rows)
    a, b = dense(rows, [3] * 6)
    best = np.linalg.lstsq(a, b, rcond=DEPENDENT)[0]
    assert found.dependent
    np.testing.assert_allclose(a @ found.coefficients, a @ best, atol=1e-9)


def test_parts_without_rows_and_parts_of_other_widths_are_allowed():
    rng = np.random.default_rng(6)
    rows = [
        SparseRows(
            (0, 2), (rng.normal(size=(9, 2)), rng.normal(size=(9, 3))), rng.normal(size=(9, 1))
        )
    ]
    found = reduce_sparse(np.array([[0.0], [1.0], [2.0]]), [2, 1, 3], rows)
    a, b = dense(rows, [2, 1, 3])
    np.testing.assert_allclose(found.coefficients, np.linalg.lstsq(a, b, rcond=None)[0], atol=1e-11)
    assert found.coefficients[2] == 0


def test_halves_are_cut_between_rows_of_a_grid():
    places = np.stack(np.meshgrid(np.arange(5), np.arange(2), indexing="ij"), -1).reshape(-1, 2)
    left, right = halved(places.astype(float), np.arange(10))
    assert {len(left), len(right)} == {4, 6}
    assert not {*places[left, 0]} & {*places[right, 0]}


def test_rows_of_no_part_are_refused():
    empty = SparseRows((3,), (np.ones((1, 1)),), np.ones((1, 1)))
    with pytest.raises(ValueError, match=r"reduce_sparse: .*touches the parts \(3,\); there are 2"):
        reduce_sparse(np.zeros((2, 1)), [1, 1], [empty])
