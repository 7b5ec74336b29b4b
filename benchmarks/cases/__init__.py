"""The cases; importing this package registers them."""

from . import pde, sine, steam, step_ratio, tables

__all__ = ["pde", "sine", "steam", "step_ratio", "tables"]
