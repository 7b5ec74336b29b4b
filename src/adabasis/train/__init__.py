"""Trainers and the loop that runs them."""

from .gauss_newton import LSGN
from .loop import Budget, Callback, History, Progress, Run, StopReason, held_out_error, train
from .steps import GD, LSGD, AbstractTrainer, Evaluation, Objective

__all__ = [
    "GD",
    "LSGD",
    "LSGN",
    "AbstractTrainer",
    "Budget",
    "Callback",
    "Evaluation",
    "History",
    "Objective",
    "Progress",
    "Run",
    "StopReason",
    "held_out_error",
    "train",
]
