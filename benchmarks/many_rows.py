"""A Parquet set of any number of rows: ``python -m benchmarks.many_rows 1e7 FOLDER``.

Row i is the same whatever the number of rows and files asked for; files are of a million rows, in
row groups of 65,536. Eight inputs are uniform on [0, 1], of which two do nothing; the target is a
smooth function of the others plus normal noise of a tenth of its spread.
"""

from __future__ import annotations

import pathlib
import sys

import numpy as np
import pyarrow as pa
import pyarrow.parquet

#: Rows that are drawn from one seed, and rows of a file.
BLOCK, FILE = 2**16, 16 * 2**16
INPUTS, NOISE = 8, 0.05


def clean(x: np.ndarray) -> np.ndarray:
    """Return the target without noise at points (N, 8); its spread is about .5."""
    waves = np.sin(5 * x[:, 0] * x[:, 1]) + 0.3 * np.cos(4 * x[:, 4] + 2 * x[:, 5])
    return waves + np.exp(-x[:, 2]) * x[:, 3]


def block(number: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the rows of one block: X (BLOCK, 8) and y (BLOCK,)."""
    rng = np.random.default_rng([31, number])
    x = rng.uniform(size=(BLOCK, INPUTS))
    return x, clean(x) + NOISE * rng.normal(size=BLOCK)


def unseen(n_rows: int) -> tuple[np.ndarray, np.ndarray]:
    """Return points that are in no set, and the target there without noise."""
    x = np.random.default_rng([32]).uniform(size=(n_rows, INPUTS))
    return x, clean(x)


def write(n_rows: int, folder: pathlib.Path) -> None:
    """Write ``part-0000.parquet`` and so on; files that are there already stay."""
    folder.mkdir(parents=True, exist_ok=True)
    for number, start in enumerate(range(0, n_rows, FILE)):
        path, last = folder / f"part-{number:04}.parquet", min(start + FILE, n_rows)
        if path.exists():
            continue
        with pyarrow.parquet.ParquetWriter(path.with_suffix(".part"), _schema()) as writer:
            for begin in range(start, last, BLOCK):
                x, y = (array[: last - begin] for array in block(begin // BLOCK))
                columns = [*x.T, y]
                writer.write_batch(pa.record_batch(columns, schema=_schema()))
        path.with_suffix(".part").rename(path)


def _schema() -> pa.Schema:
    names = [*(f"x{j}" for j in range(INPUTS)), "y"]
    return pa.schema([(name, pa.float64()) for name in names])


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(f"usage: python -m benchmarks.many_rows ROWS FOLDER (such as 1e7 rows)\n{__doc__}")
    write(int(float(sys.argv[1])), pathlib.Path(sys.argv[2]))
