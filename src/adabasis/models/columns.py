"""The columns of a table behind a model's inputs, and what inputs and outputs are called."""

from __future__ import annotations

import dataclasses

import numpy as np

from .fitted import Fitted


def names_of(model: Fitted) -> tuple[list[str], list[str]]:
    """Return the names of a model's inputs and outputs: its table's, or x1 … and y1 …."""

    def numbered(letter: str, n: int) -> list[str]:
        return [f"{letter}{i + 1}" for i in range(n)] if n > 1 else [letter]

    inputs = model.record.input_names or numbered("x", model.n_inputs)
    return list(inputs), list(model.output_names or numbered("y", model.n_outputs))


@dataclasses.dataclass(frozen=True)
class Column:
    """A column of the table that a model was fitted to.

    Attributes
    ----------
    name : str
    inputs : tuple of int
        Which of the D model inputs it became.
    categories : tuple of str
        Of a column of categories or of true and false.
    settings : array, shape (categories, inputs)
        What the inputs are for each category.
    """

    name: str
    inputs: tuple[int, ...]
    categories: tuple[str, ...] = ()
    settings: np.ndarray = dataclasses.field(default_factory=lambda: np.zeros((0, 1)))


def columns_of(model: Fitted) -> list[Column]:
    """Return the columns behind a model's inputs; every input is its own where none is known."""
    names = names_of(model)[0]
    known = (model.record.preparation or {}).get("inputs", [])
    counts = [c.get("features", len(c["categories"]) or 1) for c in known]
    if sum(counts) != len(names):
        return [Column(name, (i,)) for i, name in enumerate(names)]
    columns, first = [], 0
    for c, count in zip(known, counts, strict=True):
        categories, settings = tuple(c["categories"]), np.eye(len(c["categories"]))
        inputs = tuple(range(first, first + count))
        if c["kind"] == "bool":
            categories, settings = ("false", "true"), np.array([[0.0], [1.0]])
        elif c.get("statistics"):
            settings = np.array(c["statistics"][:-1])
        elif c["kind"] == "ordered":
            settings = np.arange(len(categories))[:, None].astype(float)
        if c.get("clock"):  # its numbers are looked at one by one
            columns += [Column(names[i], (i,)) for i in inputs]
        else:
            columns.append(Column(c["name"], inputs, categories, settings))
        first += count
    return columns
