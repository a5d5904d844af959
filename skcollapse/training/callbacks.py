"""The callbacks of scikit-learn, which are told of the tasks of a fit.

scikit-learn has them from version 1.9 on. Before, nobody is told.
"""

from collections.abc import Callable, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace

import sklearn

from skcollapse.training.following import Follower

try:
    from sklearn.callback import CallbackSupportMixin, with_callbacks
except ImportError:

    class CallbackSupportMixin:
        """What has callbacks where there are none."""

        def set_callbacks(self, *callbacks):
            """Raise, since nobody would call them.

            Parameters
            ----------
            *callbacks : callbacks

            Raises
            ------
            ImportError
            """
            raise ImportError(
                "set_callbacks needs scikit-learn 1.9 or later, and this is "
                f"{sklearn.__version__}. Use verbose=True to follow a fit."
            )

        def _init_callback_context(self, max_subtasks=0):
            return NoContext()

    def with_callbacks(method):
        """Return the method as it is."""
        return method


class NoContext:
    """The context of a task of which nobody is told."""

    def subcontext(self, task_name="", max_subtasks=0):
        """Return the context of a part of the task."""
        return self

    def call_on_fit_task_begin(self, **told):
        """Tell nobody."""

    def call_on_fit_task_end(self, **told):
        """Tell nobody, so that nobody asks to stop."""
        return False


@dataclass(frozen=True)
class Task:
    """A task of a fit, which begins when it is made.

    Parameters
    ----------
    context : CallbackContext or NoContext
    told : mapping
        What callbacks are told of every task: the estimator and its data.
    attributes : callable
        From what a fit comes to, to the attributes of an estimator that has.
    say : callable
        Is told of every step.
    """

    context: object
    told: Mapping
    attributes: Callable
    say: Callable

    def __post_init__(self):
        """Begin."""
        self.context.call_on_fit_task_begin(**self.told)

    def part(self, name, max_parts=0, attributes=None):
        """Begin a part of the task.

        Parameters
        ----------
        name : str
        max_parts : int
            How many parts it may have itself.
        attributes : callable or None
            In place of that of the task.

        Returns
        -------
        Task
        """
        context = self.context.subcontext(task_name=name, max_subtasks=max_parts)
        return replace(self, context=context, attributes=attributes or self.attributes)

    def end(self, attributes=None):
        """End the task; return whether a callback asks to stop.

        Parameters
        ----------
        attributes : dict, callable or None
            The attributes of an estimator that is fitted as far as this, or what makes
            them if a callback wants one. None if there is no such estimator.

        Returns
        -------
        bool
        """
        return self.context.call_on_fit_task_end(
            **self.told, reconstruction_attributes=attributes
        )

    @contextmanager
    def steps(self, name):
        """Give a follower that makes each step a part of the task.

        Parameters
        ----------
        name : str
        """
        steps = _Steps(self, name)
        yield steps
        steps.close()


class _Steps(Follower):
    def __init__(self, task, name):
        self._task, self._name, self._part = task, name, None

    def begin(self):
        if self._part is None:
            self._part = self._task.part(self._name)

    def end(self, step):
        self._task.say(step)
        part, self._part = self._part, None
        return part.end(step.outcome and self._made_by(step.outcome))

    def _made_by(self, outcome):
        return lambda: self._task.attributes(outcome())

    def close(self):
        # A step that has led nowhere, such as the last search along a line.
        if self._part is not None:
            self._part.end()
