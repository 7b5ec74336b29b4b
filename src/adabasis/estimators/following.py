"""The callbacks of scikit-learn (1.9): a fit tells its tasks to those that it was given.

The fit is a task, and so is each check of its training runs; a callback that returns true at the
end of a check ends that run.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, TypeVar

from sklearn.callback import CallbackContext, with_callbacks

from .._runtime.progress import Progress

AnyFit = TypeVar("AnyFit", bound=Callable[..., Any])


class Follower:
    """A callback of a public function that tells those of an estimator.

    Parameters
    ----------
    estimator : estimator
    context : CallbackContext
        Of its fit.
    """

    def __init__(self, estimator: Any, context: CallbackContext) -> None:
        self.estimator, self.context = estimator, context

    def __call__(self, progress: Progress) -> bool:
        """Tell of one check; return whether the run is to end."""
        stage = progress.stage
        known = {
            "step": progress.step,
            "loss": progress.loss,
            "held_out_rms": progress.validation,
            "best": progress.best,
            "seconds": progress.seconds,
            "stage": None if stage is None else stage.what,
        }
        task = self.context.subcontext(task_name="check")
        task.call_on_fit_task_begin(estimator=self.estimator)
        return bool(task.call_on_fit_task_end(estimator=self.estimator, metadata=known))


def followers(estimator: Any) -> list[Follower]:
    """Return what follows an estimator's fit, if it was given callbacks."""
    context = getattr(estimator, "_callback_fit_ctx", None)
    given = getattr(estimator, "_skl_callbacks", None)
    return [Follower(estimator, context)] if context is not None and given else []


def followed(fit: AnyFit) -> AnyFit:
    """Make a method ``fit`` a task of scikit-learn's callbacks."""

    @with_callbacks
    @functools.wraps(fit)
    def managed(self: Any, X: Any, y: Any = None, *args: Any, **named: Any) -> Any:
        context = self._init_callback_context(max_subtasks=None)
        context.call_on_fit_task_begin(estimator=self, X=X, y=y, metadata={})
        found = fit(self, X, y, *args, **named)
        learned = {
            name: value
            for name, value in vars(self).items()
            if name.endswith("_") and name[0] != "_"
        }
        context.call_on_fit_task_end(
            estimator=self, X=X, y=y, metadata={}, reconstruction_attributes=learned
        )
        return found

    return managed
