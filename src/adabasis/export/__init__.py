"""Models in formats that need no adabasis: Python, ONNX, C, JavaScript, formulas.

A model is recorded by JAX as a program of array operations (:mod:`adabasis.export.trace`), from
which every format is written, and each file is compared with its model before it is kept.
"""

from .api import FORMATS, Exported, export
from .check import Difference
from .trace import NotExportable

__all__ = ["FORMATS", "Difference", "Exported", "NotExportable", "export"]
