"""Recall of each class against its number of training samples."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike
from sklearn.metrics import recall_score
from sklearn.utils.validation import column_or_1d

from skcollapse._utils.numbers import as_float64
from skcollapse.display._base import COLOURS, MARKERS, check_classes, pyplot
from skcollapse.metrics import (
    SHOTS,
    THRESHOLDS,
    counts_by_label,
    counts_of,
    innermost,
    shot_of,
    training_counts,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes

ClassCounts = Mapping[Any, float] | ArrayLike

# By which drawn recalls are known again in axes that several share.
_GID = "recalls"
# More of them are drawn smaller.
_FEW_POINTS = 20


class ShotAccuracyDisplay:
    """Recall of each class against its number of training samples.

    Lines are the mean recalls of classes with few (less than 20), medium and many (more
    than 100) training samples.

    Parameters
    ----------
    recalls : ndarray of shape (n_classes,)
        NaN for classes that were not tested.
    class_counts : ndarray of shape (n_classes,)
        Training samples, positive.
    classes : ndarray of shape (n_classes,), default=None
        Labels.
    name : str, default=None
        Of the classifier, for the legend.

    Attributes
    ----------
    shots_ : dict of str to float
        Mean recall of "few", "medium" and "many", of those that there are.
    points_ : matplotlib.lines.Line2D
        The recalls.
    figure_ : matplotlib.figure.Figure
    ax_ : matplotlib.axes.Axes

    Examples
    --------
    >>> import matplotlib.pyplot as plt
    >>> from skcollapse.display import ShotAccuracyDisplay
    >>> display = ShotAccuracyDisplay.from_predictions(
    ...     [0, 0, 1, 1, 2, 2], [0, 0, 1, 1, 0, 2], class_counts=[500, 50, 5]
    ... )
    >>> display.shots_
    {'few': 0.5, 'medium': 1.0, 'many': 1.0}
    >>> plt.close(display.figure_)
    """

    def __init__(
        self,
        recalls: ArrayLike,
        class_counts: ArrayLike,
        *,
        classes: ArrayLike | None = None,
        name: str | None = None,
    ) -> None:
        self.recalls = recalls
        self.class_counts = class_counts
        self.classes = classes
        self.name = name

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        X: Any,
        y: ArrayLike,
        *,
        class_counts: ClassCounts | None = None,
        name: str | None = None,
        **options: Any,
    ) -> ShotAccuracyDisplay:
        """Draw the recalls of a fitted classifier on test rows.

        Parameters
        ----------
        estimator : estimator
            A fitted classifier, or a pipeline or search with one.
        X, y : array-like of shape (n_samples, ...)
            Test rows and their labels.
        class_counts : mapping or array-like of shape (n_classes,), default=None
            Training samples: a mapping from labels, or an array in the order of the
            sorted classes of the estimator. None for its ``class_counts_``, found as
            by :func:`~skcollapse.metrics.imbalance_scorers`.
        name : str, default=None
            None for the name of the class.
        **options : keyword arguments
            `ax` and `color`, as in :meth:`plot`.

        Returns
        -------
        ShotAccuracyDisplay

        Raises
        ------
        ValueError
            If there are no class counts, or they do not fit.
        """
        if class_counts is None:
            class_counts = training_counts(estimator)
        if name is None:
            name = type((innermost(estimator) or [estimator])[0]).__name__
        return cls.from_predictions(
            y,
            estimator.predict(X),
            class_counts=class_counts,
            classes=estimator.classes_,
            name=name,
            **options,
        )

    @classmethod
    def from_predictions(
        cls,
        y_true: ArrayLike,
        y_pred: ArrayLike,
        *,
        class_counts: ClassCounts,
        classes: ArrayLike | None = None,
        name: str | None = None,
        **options: Any,
    ) -> ShotAccuracyDisplay:
        """Draw the recalls of predictions.

        Parameters
        ----------
        y_true, y_pred : array-like of shape (n_samples,)
            True and predicted labels of test rows.
        class_counts : mapping or array-like of shape (n_classes,)
            Training samples: a mapping from labels, or an array in the order of
            `classes`.
        classes : array-like of shape (n_classes,), default=None
            Labels. None for the sorted labels of `y_true` and `y_pred`.
        name : str, default=None
            Of the classifier, for the legend.
        **options : keyword arguments
            `ax` and `color`, as in :meth:`plot`.

        Returns
        -------
        ShotAccuracyDisplay

        Raises
        ------
        ValueError
            If class counts do not fit.
        """
        y_true, y_pred = column_or_1d(y_true), column_or_1d(y_pred)
        if classes is None:
            classes = np.union1d(y_true, y_pred)
        recalls = recall_score(
            y_true, y_pred, labels=classes, average=None, zero_division=np.nan
        )
        classes = np.asarray(classes)
        counts = counts_of(classes, counts_by_label(class_counts, classes))
        display = cls(recalls, counts, classes=classes, name=name)
        return display.plot(**options)

    def plot(self, ax: Axes | None = None, *, color: Any = None) -> ShotAccuracyDisplay:
        """Draw.

        Parameters
        ----------
        ax : matplotlib.axes.Axes, default=None
            Also one with another classifier. None for a new figure.
        color : str, default=None
            None for the next of colours that can be told apart.

        Returns
        -------
        ShotAccuracyDisplay

        Raises
        ------
        ValueError
            If class counts do not fit, or are not positive.
        ImportError
            If matplotlib is not installed.
        """
        recalls = as_float64("recalls", self.recalls)
        outside = (recalls < 0) | (recalls > 1)
        if recalls.ndim != 1 or not recalls.size or outside.any():
            raise ValueError(
                "recalls must be a list of a recall from 0 to 1 for each class; got "
                f"{self.recalls!r} of the shape {recalls.shape}."
            )
        counts = as_float64("class_counts", self.class_counts)
        positive = (counts > 0) & np.isfinite(counts)
        if counts.shape != recalls.shape or not positive.all():
            raise ValueError(
                f"class_counts must hold a positive number for each of the "
                f"{len(recalls)} classes, got {counts.tolist()} of the shape "
                f"{counts.shape}. Leave out the classes without training samples."
            )
        check_classes(self.classes, len(recalls))
        if not (self.name is None or isinstance(self.name, str)):
            raise ValueError(f"name must be a str or None; got {self.name!r}.")
        if ax is None:
            ax = pyplot().subplots(figsize=(5.5, 4.0), layout="constrained")[1]
        self.ax_: Any = ax
        self.figure_ = self.ax_.figure
        drawn = sum(line.get_gid() == _GID for line in self.ax_.lines)
        color = COLOURS[drawn % len(COLOURS)] if color is None else color
        self.points_: Any = self.ax_.plot(
            counts,
            recalls,
            linestyle="none",
            marker=MARKERS[drawn % len(MARKERS)],
            markersize=5 if len(counts) <= _FEW_POINTS else 3.5,
            markeredgewidth=0,
            color=color,
            alpha=0.8,
            label=self.name,
            gid=_GID,
        )[0]
        self.shots_ = {}
        group = shot_of(counts)
        for k, shot in enumerate(SHOTS):
            own = (group == k) & ~np.isnan(recalls)
            if own.any():
                mean = self.shots_[shot] = float(recalls[own].mean())
                span = counts[own].min() / 1.08, counts[own].max() * 1.08
                self.ax_.plot(span, [mean, mean], color=color, linewidth=2.5, alpha=0.6)
        if drawn == 0:
            self._set_up()
        if self.name is not None:
            means = [f"{shot} {mean:.2f}" for shot, mean in self.shots_.items()]
            self.points_.set_label(f"{self.name}: {', '.join(means)}")
            self.ax_.legend(
                loc="upper center",
                bbox_to_anchor=(0.5, -0.16),
                frameon=False,
                fontsize="small",
            )
        return self

    def _set_up(self) -> None:
        from matplotlib.ticker import LogLocator, NullFormatter, StrMethodFormatter

        ax = self.ax_
        ax.set_xscale("log")
        ax.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        ax.xaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
        ax.xaxis.set_minor_formatter(NullFormatter())
        ax.set(xlabel="training samples of the class", ylabel="recall")
        ax.set_ylim(-0.03, 1.03)
        for bound in THRESHOLDS:
            ax.axvline(bound, color="#b0b0b0", linestyle=":", linewidth=1, zorder=0)
        ax.spines[["top", "right"]].set_visible(False)
