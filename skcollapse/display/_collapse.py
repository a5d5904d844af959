"""The four properties of neural collapse, of one report or of a history."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from skcollapse.display._measured import ReportDisplay, check_report
from skcollapse.display._panels import draw_classes, draw_curves, panel_names
from skcollapse.scorer import CollapseReport

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_PANEL_SIZE = 4.4, 3.3


class CollapseDisplay(ReportDisplay):
    """NC1 to NC4 in a panel each: by class, or as curves over epochs.

    Of one report the panels show every class, from common to rare: its NC1; the lengths
    of its mean and class vector over the average length, beside those of SELI geometry;
    1 less the cosine of both; and the share of its rows decided for the nearest class
    mean. Of a history they show measures over epochs. Without a classifier there are
    the first two.

    Parameters
    ----------
    reports : list of CollapseReport
        One, or one for each epoch.
    epochs : list of int, default=None
        None for a single report.

    Attributes
    ----------
    figure_ : matplotlib.figure.Figure
    axes_ : ndarray of matplotlib.axes.Axes, of shape (2, 2) or (1, 2)
    ax_ : matplotlib.axes.Axes
        The first of them.

    See Also
    --------
    skcollapse.monitor.CollapseMonitor : Collects a history.

    Examples
    --------
    >>> import matplotlib.pyplot as plt
    >>> from sklearn.datasets import load_iris
    >>> from skcollapse import NeuralCollapseScorer
    >>> from skcollapse.display import CollapseDisplay
    >>> scorer = NeuralCollapseScorer().fit(*load_iris(return_X_y=True))
    >>> display = CollapseDisplay.from_report(scorer.report_)
    >>> display.axes_.shape
    (1, 2)
    >>> plt.close(display.figure_)
    """

    def __init__(
        self, reports: Sequence[CollapseReport], epochs: Sequence[int] | None = None
    ) -> None:
        self.reports = reports
        self.epochs = epochs

    @classmethod
    def from_report(
        cls, report: CollapseReport, *, ax: Axes | ArrayLike | None = None
    ) -> CollapseDisplay:
        """Draw a report, class by class.

        Parameters
        ----------
        report : CollapseReport
            Such as the ``report_`` of a scorer.
        ax : matplotlib.axes.Axes or array of them, default=None
            See :meth:`plot`.

        Returns
        -------
        CollapseDisplay
        """
        return cls([report]).plot(ax)

    @classmethod
    def from_history(
        cls,
        history: Mapping[int, CollapseReport],
        *,
        ax: Axes | ArrayLike | None = None,
    ) -> CollapseDisplay:
        """Draw reports over epochs.

        Parameters
        ----------
        history : dict of int to CollapseReport
            By epoch, such as the ``reports`` of a
            :class:`~skcollapse.monitor.CollapseMonitor`.
        ax : matplotlib.axes.Axes or array of them, default=None
            See :meth:`plot`.

        Returns
        -------
        CollapseDisplay

        Raises
        ------
        ValueError
            If the history is empty.
        """
        if not history:
            raise ValueError("history holds no report: record one beforehand.")
        return cls(list(history.values()), list(history)).plot(ax)

    def plot(self, ax: Axes | ArrayLike | None = None) -> CollapseDisplay:
        """Draw.

        Parameters
        ----------
        ax : matplotlib.axes.Axes or array of them, default=None
            As many axes as there are panels, or one that is divided; None for a new
            figure.

        Returns
        -------
        CollapseDisplay
            Itself.

        Raises
        ------
        ValueError
            If there are not as many axes, no reports, or other things than reports.
        ImportError
            If matplotlib is not installed.
        """
        if isinstance(self.reports, CollapseReport) or not self.reports:
            raise ValueError(
                "reports must be a list of at least one CollapseReport, such as "
                f"[scorer.report_]; got {self.reports!r}."
            )
        for report in self.reports:
            check_report("reports", report)
        names = panel_names(self.reports[0].measures)
        self._set_axes(ax, (len(names) // 2, 2), _PANEL_SIZE)
        for panel, panel_axes in zip(names, self.axes_.ravel(), strict=True):
            if self.epochs is None:
                draw_classes(panel_axes, panel, self.reports[0])
            else:
                draw_curves(panel_axes, panel, np.asarray(self.epochs), self.reports)
        return self
