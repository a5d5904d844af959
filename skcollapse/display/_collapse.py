"""The four properties of neural collapse, of one report or of a history."""

import numpy as np

from skcollapse.display._measured import report_of
from skcollapse.display._panels import draw_classes, draw_curves, panel_names
from skcollapse.display._style import many_axes

_PANEL_SIZE = 4.4, 3.3


class CollapseDisplay:
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

    def __init__(self, reports, epochs=None):
        self.reports = reports
        self.epochs = epochs

    @classmethod
    def from_report(cls, report, *, ax=None):
        """Draw a report, class by class.

        Parameters
        ----------
        report : CollapseReport
        ax : matplotlib.axes.Axes or array of them, default=None
            See :meth:`plot`.

        Returns
        -------
        CollapseDisplay
        """
        return cls([report]).plot(ax)

    @classmethod
    def from_history(cls, history, *, ax=None):
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

    @classmethod
    def from_estimator(cls, estimator, X=None, y=None, *, scorer=None, ax=None):
        """Draw a report of the features that an estimator makes of X.

        Parameters
        ----------
        estimator : estimator
            A fitted :class:`~skcollapse.NeuralCollapseScorer`, whose report is drawn.
            Or a fitted estimator that transforms, or a pipeline of which all but the
            last step do; its target or linear classifier is measured too.
        X : array-like of shape (n_samples, ...), default=None
        y : array-like of shape (n_samples,), default=None
        scorer : NeuralCollapseScorer, default=None
            Says how to measure.
        ax : matplotlib.axes.Axes or array of them, default=None
            See :meth:`plot`.

        Returns
        -------
        CollapseDisplay

        Raises
        ------
        TypeError
            If X or y is missing, or the estimator does not transform.
        """
        return cls.from_report(report_of(estimator, X, y, scorer), ax=ax)

    def plot(self, ax=None):
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
            If there are not as many axes.
        ImportError
            If matplotlib is not installed.
        """
        names = panel_names(self.reports[0].measures)
        self.axes_ = many_axes(ax, (len(names) // 2, 2), _PANEL_SIZE)
        for panel, panel_axes in zip(names, self.axes_.ravel(), strict=True):
            if self.epochs is None:
                draw_classes(panel_axes, panel, self.reports[0])
            else:
                draw_curves(panel_axes, panel, np.asarray(self.epochs), self.reports)
        self.ax_ = self.axes_.flat[0]
        self.figure_ = self.ax_.figure
        return self
