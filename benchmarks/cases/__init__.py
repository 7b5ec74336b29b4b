"""The cases; importing this package registers them."""

from . import directions, pde, pieces, sine, steam, step_ratio, tables, training

__all__ = ["directions", "pde", "pieces", "sine", "steam", "step_ratio", "tables", "training"]
