"""The figures of the slides: ``adabasis reproduce NAME`` runs one and draws it."""

from . import (
    advection_constant,
    advection_depth,
    advection_width,
    basis_functions,
    classes_depth,
    cross_sine,
    error_estimate,
    he_vs_box,
    image_collapse,
    lsgd_path,
    lsgd_vs_gd,
    ngd_vs_gd,
    steam_phases,
    two_phase,
    waves,
    width_depth,
)
from .registry import EXPERIMENTS, Experiment, register

__all__ = [
    "EXPERIMENTS",
    "Experiment",
    "advection_constant",
    "advection_depth",
    "advection_width",
    "basis_functions",
    "classes_depth",
    "cross_sine",
    "error_estimate",
    "he_vs_box",
    "image_collapse",
    "lsgd_path",
    "lsgd_vs_gd",
    "ngd_vs_gd",
    "register",
    "steam_phases",
    "two_phase",
    "waves",
    "width_depth",
]
