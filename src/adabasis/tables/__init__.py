"""Tables on disk: read, prepared for a model, streamed, written whole or not at all."""

from .prepare import Column, Preparation, TrainingData, learn
from .source import AbstractSource, open_table, steam_table
from .write import write_predictions

__all__ = [
    "AbstractSource",
    "Column",
    "Preparation",
    "TrainingData",
    "learn",
    "open_table",
    "steam_table",
    "write_predictions",
]
