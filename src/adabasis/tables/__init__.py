"""Tables on disk: read, prepared for a model, streamed, written whole or not at all."""

from .encoding import Column
from .file_set import open_tables
from .opening import divided, open_table, steam_table
from .prepare import Preparation
from .source import AbstractSource
from .table_rows import TableRows, open_rows
from .training import TrainingData, check_names, learn
from .write import write_predictions

__all__ = [
    "AbstractSource",
    "Column",
    "Preparation",
    "TableRows",
    "TrainingData",
    "check_names",
    "divided",
    "learn",
    "open_rows",
    "open_table",
    "open_tables",
    "steam_table",
    "write_predictions",
]
