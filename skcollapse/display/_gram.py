"""Gram matrices of class means and class vectors, beside those they tend to."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from skcollapse._utils.numbers import check_class_counts
from skcollapse.display._base import (
    ReportDisplay,
    check_classes,
    check_report,
    check_rows,
    class_axis_title,
    label_classes,
)
from skcollapse.measures import seli_grams
from skcollapse.scorer import CollapseReport

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_PANEL_SIZE = 3.5, 3.5


class GramDisplay(ReportDisplay):
    r"""Gram matrices beside the ETF and the SELI prediction, classes ordered by count.

    The first row has the class means, less their unweighted mean; the second the class
    vectors of the classifier, if there is one. Every matrix is scaled to a mean square
    length of one. Colours range over the entries off the diagonal, all but the largest
    hundredth of them.

    Parameters
    ----------
    means : ndarray of shape (n_classes, n_features)
        Class means.
    class_counts : ndarray of shape (n_classes,)
        Class sizes in training, positive.
    classifier : ndarray of shape (n_classes, n_features), default=None
        Class vectors.
    classes : ndarray of shape (n_classes,), default=None
        Labels; None for row numbers.
    ridge : float, default=0.0
        Strength of the regularisation in the SELI geometry.

    Attributes
    ----------
    grams_ : dict of str to ndarray of shape (n_classes, n_classes)
        What is drawn: by the title of the panel, in the order of the panels.
    order_ : ndarray of shape (n_classes,)
        Classes, from common to rare.
    figure_ : matplotlib.figure.Figure
    axes_ : ndarray of matplotlib.axes.Axes, of shape (1 or 2, 3)
    ax_ : matplotlib.axes.Axes
        The first of them.

    Examples
    --------
    >>> import matplotlib.pyplot as plt
    >>> from skcollapse.display import GramDisplay
    >>> from skcollapse.targets import seli
    >>> counts = [5, 50, 500]
    >>> classifier, means = seli(counts, random_state=0)
    >>> display = GramDisplay(means, counts, classifier).plot()
    >>> display.order_
    array([2, 1, 0])
    >>> list(display.grams_)[:3]
    ['class means', 'means of an ETF', 'means of SELI']
    >>> plt.close(display.figure_)
    """

    def __init__(
        self,
        means: ArrayLike,
        class_counts: ArrayLike,
        classifier: ArrayLike | None = None,
        *,
        classes: ArrayLike | None = None,
        ridge: float = 0.0,
    ) -> None:
        self.means = means
        self.class_counts = class_counts
        self.classifier = classifier
        self.classes = classes
        self.ridge = ridge

    @classmethod
    def from_report(
        cls,
        report: CollapseReport,
        *,
        class_counts: ArrayLike | None = None,
        ax: Axes | ArrayLike | None = None,
    ) -> GramDisplay:
        """Draw the class means and the classifier of a report.

        Parameters
        ----------
        report : CollapseReport
            Such as the ``report_`` of a scorer.
        class_counts : array-like of shape (n_classes_present,), default=None
            Class sizes in training. None for those of the report.
        ax : matplotlib.axes.Axes or array of them, default=None
            See :meth:`plot`.

        Returns
        -------
        GramDisplay
        """
        check_report("report", report)
        return cls(
            report.means,
            report.classes["weight"] if class_counts is None else class_counts,
            report.coef,
            classes=report.classes["class"],
            ridge=report.ridge,
        ).plot(ax)

    def plot(self, ax: Axes | ArrayLike | None = None) -> GramDisplay:
        """Draw.

        Parameters
        ----------
        ax : matplotlib.axes.Axes or array of them, default=None
            As many axes as there are panels, or one that is divided; None for a new
            figure.

        Returns
        -------
        GramDisplay

        Raises
        ------
        ValueError
            If there are not as many axes, or sizes of classes do not fit.
        ImportError
            If matplotlib is not installed.
        """
        means = check_rows("means", self.means)
        n_classes = len(means)
        if self.classifier is not None:
            check_rows("classifier", self.classifier, means.shape)
        counts = check_class_counts(self.class_counts, n_classes)
        classes = check_classes(self.classes, n_classes)
        self.order_ = np.argsort(-counts, kind="stable")
        self.grams_ = self._grams(counts[self.order_])
        self._set_axes(ax, (len(self.grams_) // 3, 3), _PANEL_SIZE)
        pairs = ~np.eye(n_classes, dtype=bool)
        limit = max(
            np.quantile(np.abs(gram[pairs]), 0.99, method="higher")
            for gram in self.grams_.values()
        )
        panels = zip(self.axes_.flat, self.grams_.items(), strict=True)
        for panel_axes, (title, gram) in panels:
            image = panel_axes.imshow(
                gram, cmap="RdBu_r", vmin=-limit, vmax=limit, interpolation="nearest"
            )
            panel_axes.set_title(title)
            for axis in (panel_axes.xaxis, panel_axes.yaxis):
                label_classes(axis, np.asarray(classes)[self.order_])
            panel_axes.spines[:].set_visible(False)
        for panel_axes in self.axes_[-1]:
            panel_axes.set_xlabel(class_axis_title(n_classes))
        for panel_axes in self.axes_[:, 0]:
            panel_axes.set_ylabel(class_axis_title(n_classes))
        bar = self.figure_.colorbar(
            image, ax=list(self.axes_.flat), shrink=0.7, extend="both"
        )
        bar.set_label("inner product, mean square length 1")
        bar.outline.set_visible(False)
        return self

    def _grams(self, counts: np.ndarray) -> dict[str, np.ndarray]:
        """Return the scaled Gram matrices, of classes from common to rare."""
        centring = np.eye(len(counts)) - 1 / len(counts)
        of_classifier, of_means = seli_grams(counts, ridge=self.ridge)
        means = centring @ np.asarray(self.means, dtype=np.float64)[self.order_]
        grams = {
            "class means": means @ means.T,
            "means of an ETF": centring,
            # With a ridge, the features of the prediction do not sum to zero.
            "means of SELI": centring @ of_means @ centring,
        }
        if self.classifier is not None:
            coef = np.asarray(self.classifier, dtype=np.float64)[self.order_]
            grams |= {
                "classifier": coef @ coef.T,
                "classifier of an ETF": centring,
                "classifier of SELI": of_classifier,
            }
        return {
            title: gram / (np.trace(gram) / len(gram) or np.nan)
            for title, gram in grams.items()
        }
