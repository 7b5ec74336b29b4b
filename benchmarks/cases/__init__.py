"""The cases; importing this package registers them."""

from . import directions, sine, steam, step_ratio, tables, training

__all__ = ["directions", "sine", "steam", "step_ratio", "tables", "training"]
