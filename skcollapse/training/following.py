"""Who follows a fit step by step, and what there is to see.

Training knows no more of those who follow it than ``begin`` and ``end``.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from skcollapse.training.candidates import Family


@dataclass(frozen=True)
class Iteration:
    """The end of an iteration.

    Parameters
    ----------
    n_iter : int
        From 1.
    loss : float
    score : float or None
        On held-out rows, if there are any.
    outcome : callable
        Makes, without arguments, a tuple of what training would come to if it ended
        here: copies, which stay as they are when training goes on. It costs nothing
        unless it is called, and must be called before the next iteration begins.
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
    """The end of a trial in a search, which is nothing that could predict.

    Parameters
    ----------
    family : Family
    solver : str
    alpha : float
    log_loss : float
        The lowest one on held-out rows.
    """

    family: Family
    solver: str
    alpha: float
    log_loss: float
    outcome = None

    def __str__(self):
        return (
            f"projector {self.family.projector}, feature scaling "
            f"{self.family.feature_scaling}, solver {self.solver}, alpha "
            f"{self.alpha:g}, held-out log-loss {self.log_loss:.6f}"
        )


class Follower:
    """Follows the steps of a fit. This one pays no attention."""

    def begin(self):
        """Take note that a step begins, unless one has begun already."""

    def end(self, step):
        """Take note of the end of a step, an `Iteration` or a `Trial`.

        Returns
        -------
        bool
            Whether training should end here.
        """
        return False

    def through(self, function):
        """Return a follower of iterations whose outcomes have a function to go through.

        Parameters
        ----------
        function : callable
            Is given what is in their outcome as its arguments, and returns the outcome
            that this follower is told of.

        Returns
        -------
        Follower
        """
        return _Through(self, function)


class _Through(Follower):
    def __init__(self, follower, function):
        self._follower, self._function = follower, function

    def begin(self):
        self._follower.begin()

    def end(self, step):
        def outcome():
            return self._function(*step.outcome())

        return self._follower.end(replace(step, outcome=outcome))


NOBODY = Follower()


class Stopped(Exception):
    """A follower has ended the training; SciPy has no word for it before 1.11."""
