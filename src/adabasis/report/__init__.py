"""A fitted model as one offline HTML page: how good it is, how it came about, how it was made.

What a page says comes from sections; each kind of result registers its own with
:func:`adabasis.report.sections.section`.
"""

from . import classes, equations, importance, live, partitions, tried
from .page import of_model, write
from .sections import Evidence

__all__ = [
    "Evidence",
    "classes",
    "equations",
    "importance",
    "live",
    "of_model",
    "partitions",
    "tried",
    "write",
]
