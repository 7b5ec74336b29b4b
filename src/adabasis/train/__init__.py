"""Trainers and the loop that runs them."""

from .._runtime.progress import Callback, Progress
from .cross_entropy import CrossEntropy
from .gauss_newton import LSGN
from .last_layer import LastLayer, average_layers, newton
from .locality import Locality
from .loop import Budget, held_out_error, train
from .ngd import NGD
from .record import History, Run, Snapshot, Snapshots, StopReason, Tape
from .schedule import TwoPhase
from .steps import GD, LSGD, AbstractTrainer, Evaluation, Objective

__all__ = [
    "GD",
    "LSGD",
    "LSGN",
    "NGD",
    "AbstractTrainer",
    "Budget",
    "Callback",
    "CrossEntropy",
    "Evaluation",
    "History",
    "LastLayer",
    "Locality",
    "Objective",
    "Progress",
    "Run",
    "Snapshot",
    "Snapshots",
    "StopReason",
    "Tape",
    "TwoPhase",
    "average_layers",
    "held_out_error",
    "newton",
    "train",
]
