"""Trainers and the loop that runs them."""

from .gauss_newton import LSGN
from .loop import Budget, held_out_error, train
from .record import Callback, History, Progress, Run, StopReason, Tape
from .schedule import TwoPhase
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
    "Tape",
    "TwoPhase",
    "held_out_error",
    "train",
]
