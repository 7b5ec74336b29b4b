"""The cases; importing this package registers them."""

from . import sine, steam, step_ratio, tables

__all__ = ["sine", "steam", "step_ratio", "tables"]
