"""Callbacks that follow a fit: lines of JSON in a file, MLflow, TensorBoard.

Give them to any public function: ``fit(X, y, callbacks=[JsonLines("run.jsonl")])``. A callback is
any function of a :class:`adabasis.callbacks.Progress`; one that returns true ends the training run.
Where it has methods ``begins(stage)`` and ``finished(model)``, these are called, too.

Steps are counted through all training runs of a search; the number of the run stands beside them.
"""

from __future__ import annotations

import abc
import contextlib
import json
import math
import os
import tempfile
import time
from pathlib import Path
from typing import IO, Any, Self

from ._runtime.progress import Progress, Stage

__all__ = ["AbstractTracker", "JsonLines", "MLflow", "Progress", "Stage", "TensorBoard"]

#: What is told of each check, by name, where it is known.
METRICS = ("loss", "rms", "held_out_rms", "best")


class AbstractTracker(abc.ABC):
    """Counts steps and runs, and hands on what there is to write.

    Use as a context manager, or call :meth:`close`, where more than one function is called with it;
    what was written by then is whole anyway.
    """

    def __init__(self) -> None:
        self.run, self.last, self.before = 0, math.inf, 0
        self.began = time.time()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __call__(self, progress: Progress) -> None:
        """Write one check of a training run."""
        if progress.step <= self.last:
            self.before += 0 if math.isinf(self.last) else int(self.last) + 1
            self.run += 1
        self.last = progress.step
        numbers = {
            "loss": float(progress.loss),
            "rms": math.sqrt(max(float(progress.loss), 0.0)),
            "held_out_rms": progress.validation,
            "best": float(progress.best),
        }
        known = {k: float(v) for k, v in numbers.items() if v is not None and math.isfinite(v)}
        self.check(self.before + progress.step, progress, known)

    def begins(self, stage: Stage) -> None:
        """Write that a stage of the search begins."""
        self.staged(stage)

    def finished(self, model: Any) -> None:
        """Write what became of the search."""
        asked = model.record.asked
        about: dict[str, Any] = {
            "function": asked.call,
            "method": asked.method,
            "basis": repr(model.basis),
            "functions": len(model.coefficients),
            "rank": int(model.rank),
            "rows": model.record.n_rows,
            "random_state": asked.random_state,
            "stop_reason": model.stop_reason.name,
            "validation_kind": model.validation_kind,
        }
        results = {"validation_error": float(model.validation_error)}
        if model.timings is not None:
            results["cpu_seconds"] = float(model.timings.total.cpu)
        self.ended(model, about, {k: v for k, v in results.items() if math.isfinite(v)})
        self.run, self.last, self.before = 0, math.inf, 0

    @abc.abstractmethod
    def check(self, step: int, progress: Progress, known: dict[str, float]) -> None:
        """Write the numbers of one check."""

    @abc.abstractmethod
    def staged(self, stage: Stage) -> None:
        """Write that a stage begins."""

    @abc.abstractmethod
    def ended(self, model: Any, about: dict[str, Any], results: dict[str, float]) -> None:
        """Write what a model is, in words, and its numbers."""

    def close(self) -> None:
        """Release what is open."""
        return None


class JsonLines(AbstractTracker):
    """Appends a line of JSON for each stage, check and model: always available, read by anything.

    ``{"event": "stage", "number": 1, "of": 5, "what": …, "relative_error": …}``,
    ``{"event": "check", "step": …, "run": …, "loss": …, "rms": …, "held_out_rms": …, "best": …}``,
    ``{"event": "model", "basis": …, "validation_error": …}``, each with ``time`` (seconds since
    1970) and ``seconds`` (since the callback was made). What is not known is left out.

    Parameters
    ----------
    path : path
        Lines are added at its end.

    Examples
    --------
    >>> import json, pathlib, tempfile
    >>> import numpy as np, adabasis as ab
    >>> path = pathlib.Path(tempfile.mkdtemp(), "run.jsonl")
    >>> X = np.linspace(0, 1, 50)[:, None]
    >>> model = ab.fit(X, np.sin(3 * X[:, 0]), callbacks=[JsonLines(path)])
    >>> events = [json.loads(line) for line in path.read_text().splitlines()]
    >>> events[0]["event"], events[-1]["event"]
    ('stage', 'model')
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        super().__init__()
        self.path = Path(path)
        self.file: IO[str] | None = None

    def check(self, step: int, progress: Progress, known: dict[str, float]) -> None:
        """Append a check."""
        stage = {} if progress.stage is None else {"stage": progress.stage.number}
        self._append("check", {"step": step, "run": self.run, **stage, **known})

    def staged(self, stage: Stage) -> None:
        """Append a stage."""
        said: dict[str, Any] = {"number": stage.number, "of": stage.most, "what": stage.what}
        if math.isfinite(stage.error):
            said["relative_error"] = float(stage.error)
        if math.isfinite(stage.seconds):
            said["expected_seconds"] = float(stage.seconds)
        self._append("stage", said)

    def ended(self, model: Any, about: dict[str, Any], results: dict[str, float]) -> None:
        """Append a model."""
        self._append("model", about | results)
        self.close()

    def close(self) -> None:
        """Close the file; the next line opens it again."""
        if self.file is not None:
            self.file.close()
            self.file = None

    def _append(self, event: str, said: dict[str, Any]) -> None:
        now = time.time()
        if self.file is None:
            self.file = open(self.path, "a", encoding="utf-8")  # noqa: SIM115 (kept open)
        known = {"event": event, "time": now, "seconds": now - self.began, **said}
        self.file.write(json.dumps(known, allow_nan=False) + "\n")
        self.file.flush()


class MLflow(AbstractTracker):
    """Writes a run of MLflow: parameters, a metric for each number, the model file.

    Parameters
    ----------
    run_id : str, optional
        A run to write into; by default the active one (``mlflow.start_run``), or else a new one for
        each model.
    experiment : str
        Where new runs go.
    tracking_uri : str, optional
        By default as MLflow is set (``MLFLOW_TRACKING_URI``).
    save_model : bool
        Whether the model file is added as an artifact.

    Raises
    ------
    ImportError
        Without MLflow: ``pip install 'adabasis[mlflow]'``.
    """

    def __init__(
        self,
        run_id: str | None = None,
        *,
        experiment: str = "adabasis",
        tracking_uri: str | None = None,
        save_model: bool = True,
    ) -> None:
        super().__init__()
        try:
            import mlflow
        except ImportError as error:
            raise ImportError(
                "MLflow(): the package mlflow is not installed. Install it with: pip install "
                "'adabasis[mlflow]'."
            ) from error
        self.client = mlflow.MlflowClient(tracking_uri=tracking_uri)
        active = mlflow.active_run() if tracking_uri is None else None
        self.given = run_id or (active.info.run_id if active else None)
        self.experiment, self.save_model = experiment, save_model
        self.run_id: str | None = self.given

    def check(self, step: int, progress: Progress, known: dict[str, float]) -> None:
        """Log the numbers of a check at its step."""
        for name, value in known.items():
            self._log(name, value, step)

    def staged(self, stage: Stage) -> None:
        """Log the relative error that a stage begins with."""
        if math.isfinite(stage.error):
            self._log("relative_error", float(stage.error), stage.number)

    def ended(self, model: Any, about: dict[str, Any], results: dict[str, float]) -> None:
        """Log parameters, results and the model, and end a run of its own."""
        run = self._started()
        for name, value in about.items():
            self.client.log_param(run, name, str(value)[:500])
        for name, value in results.items():
            self._log(name, value, 0)
        if self.save_model:
            with tempfile.TemporaryDirectory() as folder, contextlib.suppress(ValueError):
                path = Path(folder) / "model.adabasis"
                model.save(path)  # what no file can hold has none
                self.client.log_artifact(run, str(path))
        self.close()

    def close(self) -> None:
        """End the run, if it is one of its own."""
        if self.run_id is not None and self.given is None:
            self.client.set_terminated(self.run_id)
        self.run_id = self.given

    def _started(self) -> str:
        if self.run_id is None:
            found = self.client.get_experiment_by_name(self.experiment)
            number = (
                found.experiment_id if found else self.client.create_experiment(self.experiment)
            )
            self.run_id = self.client.create_run(number).info.run_id
        return self.run_id

    def _log(self, name: str, value: float, step: int) -> None:
        self.client.log_metric(self._started(), name, value, step=step)


class TensorBoard(AbstractTracker):
    """Writes event files of TensorBoard: a scalar for each number, without TensorFlow.

    Parameters
    ----------
    folder : path
        The log folder; one for each run shows them side by side.

    Raises
    ------
    ImportError
        Without TensorBoard: ``pip install 'adabasis[tensorboard]'``.
    """

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        super().__init__()
        try:
            from tensorboard.summary import Writer
        except ImportError as error:
            raise ImportError(
                "TensorBoard(folder): the package tensorboard is not installed. Install it with: "
                "pip install 'adabasis[tensorboard]'."
            ) from error
        self.folder, self.make = Path(folder), Writer
        self.writer: Any = None

    def check(self, step: int, progress: Progress, known: dict[str, float]) -> None:
        """Write the numbers of a check at its step."""
        for name, value in known.items():
            self._write(f"training/{name}", value, step)

    def staged(self, stage: Stage) -> None:
        """Write the relative error that a stage begins with."""
        if math.isfinite(stage.error):
            self._write("search/relative_error", float(stage.error), stage.number)

    def ended(self, model: Any, about: dict[str, Any], results: dict[str, float]) -> None:
        """Write the results, and close the file."""
        for name, value in results.items():
            self._write(f"model/{name}", value, 0)
        self.close()

    def close(self) -> None:
        """Close the event file; the next number begins another."""
        if self.writer is not None:
            self.writer.close()
            self.writer = None

    def _write(self, name: str, value: float, step: int) -> None:
        if self.writer is None:
            self.writer = self.make(str(self.folder))
        self.writer.add_scalar(name, value, step=step)
