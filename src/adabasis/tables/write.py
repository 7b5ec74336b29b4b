"""Predictions into a file that is whole or not there."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet

from .._runtime.errors import BadInput
from ..models.files import replacing


def write_predictions(
    path: Path,
    columns: Mapping[str, pa.DataType],
    blocks: Iterable[tuple[Sequence[np.ndarray], np.ndarray, np.ndarray]],
) -> None:
    """Write blocks of predictions, an array (N,) for each column, flags and support, atomically.

    The last columns of the file, ``outside`` and ``support``, mark rows outside the training box
    and say how well the training rows support each prediction. Its suffix says whether it is CSV
    or Parquet.
    """
    flag = "outside" if "outside" not in columns else "outside_training_box"
    level = "support" if "support" not in columns else "support_of_training_rows"
    schema = pa.schema([*columns.items(), (flag, pa.int8()), (level, pa.float64())])
    with replacing(path) as temporary, _writer(path, temporary, schema) as writer:
        for predicted, outside, support in blocks:
            arrays = [*predicted, outside.astype(np.int8), support]
            writer.write(pa.record_batch(list(map(pa.array, arrays)), schema=schema))


def _writer(path: Path, temporary: Path, schema: pa.Schema) -> pa.csv.CSVWriter:
    if path.suffix.lower() in (".parquet", ".pq"):
        return pa.parquet.ParquetWriter(temporary, schema)
    if path.suffix.lower() in (".csv", ".txt", ""):
        return pa.csv.CSVWriter(temporary, schema)
    raise BadInput(f"--out {path}: predictions are written as .csv or .parquet.")
