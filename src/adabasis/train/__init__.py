"""Objectives, trainers and the loop that runs them."""

from .._runtime.compute import numerics
from .._runtime.progress import Callback, Progress
from .base import (
    AbstractObjective,
    AbstractTrainer,
    Budget,
    CrossEntropy,
    Evaluation,
    Objective,
    named_trainers,
)
from .blocks import held_out_error
from .gauss_newton import LSGN
from .last_layer import LastLayer, average_layers, newton
from .levenberg_marquardt import LM
from .loop import train
from .ngd import NGD
from .record import History, Snapshot, Snapshots, StopReason
from .schedule import Locality, TwoPhase
from .soap import scale_by_soap
from .steps import GD, LSGD
from .tape import Run, Tape

__all__ = [
    "GD",
    "LM",
    "LSGD",
    "LSGN",
    "NGD",
    "AbstractObjective",
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
    "named_trainers",
    "newton",
    "numerics",
    "scale_by_soap",
    "train",
]
