"""The figures of the slides: ``adabasis reproduce NAME`` runs one and draws it."""

from . import advection_constant, advection_depth, advection_width, classes_depth, ngd_vs_gd
from .registry import EXPERIMENTS, Experiment, register

__all__ = [
    "EXPERIMENTS",
    "Experiment",
    "advection_constant",
    "advection_depth",
    "advection_width",
    "classes_depth",
    "ngd_vs_gd",
    "register",
]
