"""Progress of a fit: printed, and reported to callbacks."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from copy import copy
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Iteration:
    """The end of an iteration, of which the first is 1.

    Parameters
    ----------
    score : float or None
        On held-out rows, if there are any.
    outcome : callable
        Makes what training would lead to if it ended here: copies, which stay as they
        are when training goes on. It costs nothing unless it is called, and must be
        called before the next iteration begins.
    """

    n_iter: int
    loss: float
    score: float | None
    outcome: Callable[[], Any]

    def __str__(self):
        held_out = "" if self.score is None else f", held-out accuracy {self.score:.4f}"
        return f"iteration {self.n_iter}, loss {self.loss:.6f}{held_out}"


@dataclass(frozen=True)
class Trial:
    """What was tried in a search, and its lowest held-out loss: nothing can predict."""

    candidate: str
    log_loss: float
    outcome = None

    def __str__(self):
        return f"{self.candidate}, held-out log-loss {self.log_loss:.6f}"


class NoContext:
    """A callback context without callbacks."""

    def subcontext(self, task_name="", max_subtasks=0):
        """Return the context of a part of the task."""
        return self

    def call_on_fit_task_begin(self, **data):
        """Call nothing."""

    def call_on_fit_task_end(self, **data):
        """Call nothing, so that nothing asks to stop."""
        return False


class Progress:
    """The progress of a task: a fit, one of its parts, or a series of steps.

    Parameters
    ----------
    context : scikit-learn's CallbackContext, or NoContext
    data : mapping
        What callbacks are given with every task: the estimator and its data.
    publish : callable
        From what a fit leads to, to the attributes of an estimator fitted so far.
    log : callable or None
        Is called with every step, to print it.
    """

    def __init__(
        self,
        context: Any,
        data: Mapping[str, Any],
        publish: Callable[[Any], Any],
        log: Callable[[Any], None] | None = None,
    ):
        self._context, self._data = context, data
        self._publish, self._log = publish, log
        # The step that has begun, shared by all views of the same task.
        self._steps: list[Any] = []

    @contextmanager
    def task(self, attributes: Any = None) -> Iterator["Progress"]:
        """Begin the task, and end it unless it fails.

        Parameters
        ----------
        attributes : dict, default=None
            What the estimator lacks at the end to be fitted; None if it is not fitted.
        """
        self._context.call_on_fit_task_begin(**self._data)
        yield self
        # A step that led nowhere, such as the last search along a line.
        if self._steps:
            self._end(self._steps.pop(), None)
        self._end(self._context, attributes)

    def part(self, name: str, max_parts: int | None = 0):
        """Return the task of a part, a context manager, with at most so many parts."""
        context = self._context.subcontext(task_name=name, max_subtasks=max_parts)
        return Progress(context, self._data, self._publish, self._log).task()

    def map(self, function: Callable[[Any], Any]) -> "Progress":
        """Return a view of this task whose outcomes go through a function first."""
        view, publish = copy(self), self._publish
        view._publish = lambda outcome: publish(function(outcome))
        return view

    def begin(self, name: str) -> None:
        """Take note that a step begins, unless one has begun already."""
        if not self._steps:
            context = self._context.subcontext(task_name=name, max_subtasks=0)
            context.call_on_fit_task_begin(**self._data)
            self._steps.append(context)

    def end(self, step: Iteration | Trial) -> bool:
        """Take note of the end of a step; return whether a callback asks to stop."""
        if self._log is not None:
            self._log(step)
        publish, outcome = self._publish, step.outcome
        attributes = None if outcome is None else lambda: publish(outcome())
        return self._end(self._steps.pop(), attributes)

    def _end(self, context, attributes):
        return context.call_on_fit_task_end(
            **self._data, reconstruction_attributes=attributes
        )


class NullProgress(Progress):
    """The progress of a fit that nobody follows."""

    def __init__(self):
        super().__init__(NoContext(), {}, lambda outcome: outcome)

    def begin(self, name: str) -> None:
        """Take no note."""

    def end(self, step: Iteration | Trial) -> bool:
        """Take no note, so that nobody asks to stop."""
        return False


class Stopped(Exception):
    """A callback has ended the training; SciPy has no word for it before 1.11."""
