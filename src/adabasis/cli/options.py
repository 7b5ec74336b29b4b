"""What ``fit`` and ``solve`` can be asked for; options of a search are spelled as in Python."""

from __future__ import annotations

import contextlib
import dataclasses
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Literal

from cyclopts import Parameter

from .._runtime.errors import BadInput, listed

LOSSES = ("squared", "huber", "absolute", "quantile")
MODELS = ("auto", "network", "frozen", "pounet")
Names = Annotated[tuple[str, ...], Parameter(negative=(), show_default=False)]
Flag = Annotated[bool, Parameter(negative=(), show_default=False)]
Sign = Annotated[Literal["point", "comma"] | None, Parameter(show_default=False)]
AsJson = Annotated[bool, Parameter(name="--json", negative=(), show_default=False)]


@Parameter(name="*")
@dataclasses.dataclass(frozen=True, kw_only=True)
class SearchOptions:
    """How long to search, and what to say.

    Parameters
    ----------
    random_state
        Seed of everything random.
    max_seconds
        Stop the search after so many seconds, and keep the best model so far.
    max_steps
        Most steps of each training run.
    tol
        Relative error at which training stops.
    n_restarts
        How many training runs, each from another start.
    ridge
        Weight of the squares of the coefficients.
    checkpoint
        File that keeps the training runs: given again, the command goes on from it.
    scheduler
        Address of a Dask scheduler, such as tcp://127.0.0.1:8786, whose workers take parts of the
        work.
    force
        Overwrite files.
    quiet
        Say nothing but errors.
    as_json
        Print one JSON document instead of text.
    """

    random_state: Annotated[int, Parameter(name=("--random-state", "--seed"))] = 0
    max_seconds: Annotated[float, Parameter(show_default=False)] = math.inf
    max_steps: int | None = None
    tol: float | None = None
    n_restarts: int | None = None
    ridge: Literal["auto"] | float = "auto"
    checkpoint: Path | None = None
    scheduler: str | None = None
    force: Flag = False
    quiet: Flag = False
    as_json: AsJson = False

    def check(self) -> None:
        """Refuse arguments that cannot be meant.

        Raises
        ------
        BadInput
        """
        if not self.max_seconds > 0:
            raise BadInput(f"--max-seconds {self.max_seconds:g}: expected a positive number.")
        if self.random_state < 0:
            raise BadInput(
                f"--random-state {self.random_state}: expected a whole number of at least 0."
            )
        for name, least in (("max_steps", 0), ("tol", 0), ("n_restarts", 1), ("ridge", 0)):
            self.check_least(name, least)

    def check_least(self, name: str, least: int) -> None:
        """Refuse a number below the least there can be."""
        number = getattr(self, name)
        if isinstance(number, int | float) and not number >= least:
            option = name.replace("_", "-")
            raise BadInput(f"--{option} {number:g}: expected at least {least}.")

    @contextlib.contextmanager
    def blocks(self, command: str) -> Iterator[None]:
        """Let workers do what can be done apart, and keep runs in a file, where that was asked for.

        Raises
        ------
        EngineError
            Where no scheduler answers.
        BadInput
            For a checkpoint of something else.
        """
        with contextlib.ExitStack() as blocks:
            if self.scheduler is not None:
                import logging

                from ..rows.dask_engine import engine_of
                from ..rows.engine import using

                # What fails is said once.
                logging.getLogger("distributed").setLevel(logging.CRITICAL)
                blocks.enter_context(using(engine_of("--scheduler", self.scheduler)))
            if self.checkpoint is not None:
                from ..selection.checkpoints import Checkpoint, keeping

                blocks.enter_context(keeping(Checkpoint(self.checkpoint, command)))
            yield

    def asked(self, *names: str) -> dict[str, Any]:
        """Return what a search in Python takes, these names besides: what was asked for alone."""
        names = ("random_state", "max_seconds", "max_steps", "tol", "n_restarts", "ridge", *names)
        return {name: getattr(self, name) for name in names if getattr(self, name) is not None}


@Parameter(name="*")
@dataclasses.dataclass(frozen=True, kw_only=True)
class FitOptions(SearchOptions):
    """What to fit to a table.

    Parameters
    ----------
    tol
        Add functions until the error on unseen rows is at most this, relative to their spread,
        or say why not. With another --model and for classes: the error at which training stops.
    target
        Column to predict (needed); repeat for several. Text means classes.
    model
        auto, network (trained functions), frozen (random functions) or pounet (pieces).
    n_partitions
        With --model pounet: how many pieces [default: chosen by held-out error].
    degree
        With --model pounet: degree of their polynomials [default: chosen by held-out error].
    loss
        squared, huber (a few wild values do not matter), absolute (the median) or quantile.
    robust
        The same as --loss huber.
    quantile
        With --loss quantile: the share of rows that should lie below.
    weight
        Column of non-negative row weights.
    group
        Column of labels (a patient, a run); no input. Rows of one label are held out together.
    drop
        Column to leave out; repeat for several.
    decimal
        Where the table does not tell: point (1,050 is 1050) or comma (1,050 is 1.05).
    encode
        Make categories of text columns: a 0/1 input for each, or the mean target if they are many.
    categorical
        Column of whole numbers that name categories; repeat for several.
    numeric
        Column of whole numbers that are numbers, though they look like codes; repeat likewise.
    impute
        Fill missing inputs (median, most frequent entry), and leave out rows without target.
    classify
        Predict classes if the target has whole numbers; text and true/false are always classes.
    target_transform
        Transform of the target; auto takes what suits rows left out [default: auto, pounet: none].
    log
        Column to take the logarithm of; repeat for several [default: tried over decades].
    no_log
        Column to take as it is; repeat for several.
    periodic
        Column with a period, such as angle=360 or hour=24; repeat for several.
    stream
        Read rows chunk by chunk, whatever their number [default: from a million rows on].
    fast
        Spend about a fifth of the usual time on the search.
    holdout
        Share of rows kept aside to judge the model; last keeps the last fifth, of a series.
    validation
        Share of the other rows held out to choose functions and to end training.
    out
        Model file [default: TABLE.adabasis here].
    report
        Report page [default: TABLE.html here].
    no_report
        Write no report page, which saves time.
    """

    tol: Annotated[float | None, Parameter(show_default=False)] = None
    target: Names = ()
    model: str = "auto"
    n_partitions: Annotated[int | None, Parameter(name=("--n-partitions", "--pieces"))] = None
    degree: int | None = None
    loss: str | None = None
    robust: Flag = False
    quantile: float | None = None
    weight: str | None = None
    group: str | None = None
    drop: Names = ()
    decimal: Sign = None
    encode: Flag = False
    categorical: Names = ()
    numeric: Names = ()
    impute: Flag = False
    classify: Flag = False
    target_transform: Annotated[
        Literal["auto", "log", "yeo-johnson", "none"] | None, Parameter(show_default=False)
    ] = None
    log: Names = ()
    no_log: Names = ()
    periodic: Names = ()
    stream: Flag = False
    fast: Flag = False
    holdout: Literal["last"] | float = 0.2
    validation: Literal["auto"] | float = "auto"
    out: Path | None = None
    report: Path | None = None
    no_report: Flag = False

    def check(self) -> None:
        """Refuse arguments that cannot be meant."""
        if self.model not in MODELS:
            raise BadInput(f"--model {self.model}: expected {listed(MODELS)}.")
        for name, least in (("n_partitions", 1), ("degree", 0)):
            number = getattr(self, name)
            if number is not None and self.model != "pounet":
                option = name.replace("_", "-")
                raise BadInput(f"--{option} {number}: only with --model pounet.")
            self.check_least(name, least)
        if self.robust and self.loss not in (None, "huber"):
            raise BadInput(f"--robust and --loss {self.loss} exclude each other.")
        if self.loss not in (None, *LOSSES):
            raise BadInput(f"--loss {self.loss}: expected {listed(LOSSES)}.")
        if self.quantile is not None:
            if self.loss != "quantile":
                raise BadInput(f"--quantile {self.quantile:g}: only with --loss quantile.")
            if not 0 < self.quantile < 1:
                raise BadInput(f"--quantile {self.quantile:g}: expected a number between 0 and 1.")
        if self.holdout != "last" and not 0 <= self.holdout < 1:
            raise BadInput(f"--holdout {self.holdout:g}: expected a share from 0 to below 1.")
        if self.validation != "auto" and not 0 < self.validation < 1:
            raise BadInput(f"--validation {self.validation:g}: expected a share between 0 and 1.")
        super().check()
        if self.fast and (self.model == "frozen" or self.tol is not None):
            raise BadInput(
                "--fast: not with --model frozen, where there is little to leave out, nor with "
                "--tol. Leave it out, or say --max-seconds."
            )
        if self.model == "auto" and self.tol is not None:
            self._check_tolerance(self.tol)
        if self.report and self.no_report:
            raise BadInput(f"--no-report and --report {self.report} exclude each other.")

    def _check_tolerance(self, tol: float) -> None:
        """Refuse what cannot be meant where functions grow to a tolerance."""
        if not 0 < tol < math.inf:
            raise BadInput(
                f"--tol {tol:g}: expected a positive number, such as 1e-3 for errors of a "
                "thousandth of the target's standard deviation."
            )
        others = {
            "--ridge": self.ridge != "auto",
            "--validation": self.validation != "auto",
            "--max-steps": self.max_steps is not None,
            "--n-restarts": self.n_restarts is not None,
            "--loss" if not self.robust else "--robust": bool(self.losses),
        }
        for option, given in others.items():
            if given:
                raise BadInput(
                    f"--tol and {option} exclude each other, unless --model is network, frozen or "
                    "pounet: growth to a tolerance decides this itself, by squared errors. Leave "
                    "one of them out."
                )

    @property
    def losses(self) -> dict[str, Any]:
        """What to lower, where that was asked for."""
        asked = {"loss": "huber" if self.robust else self.loss, "quantile": self.quantile}
        return {name: value for name, value in asked.items() if value is not None}

    @property
    def effort(self) -> dict[str, Any]:
        """How much to spend, where that was asked for."""
        return {"effort": "fast"} if self.fast else {}
