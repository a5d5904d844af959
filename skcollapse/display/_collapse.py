"""The four properties of neural collapse, of one report or of a history."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from skcollapse._utils.numbers import as_float64
from skcollapse.display._base import (
    COLOURS,
    MARKERS,
    ReportDisplay,
    check_report,
    class_axis_title,
    label_classes,
)
from skcollapse.scorer import CollapseReport

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_PANEL_SIZE = 4.4, 3.3
# From this many classes on, points are drawn without lines between them.
_MANY_CLASSES = 40

# Panel: its title; the label of the axis and {column: label} of classes; the label and
# {measure: label} of curves.
_PANELS = {
    "nc1": (
        "NC1: features gather at class means",
        ("NC1 of the class", {"nc1": "class"}),
        (
            "within-class variability",
            {"nc1": "NC1", "nc1_balanced": "NC1, classes alike", "cdnv": "CDNV"},
        ),
    ),
    "nc2": (
        "NC2: class means spread evenly",
        (
            "length over mean length",
            {
                "norm": "class mean",
                "seli_norm": "class mean, SELI",
                "classifier_norm": "class vector",
                "seli_classifier_norm": "class vector, SELI",
            },
        ),
        (
            "distance",
            {
                "nc2_etf_distance": "means, from ETF",
                "seli_distance": "means, from SELI",
                "classifier_etf_distance": "classifier, from ETF",
                "classifier_seli_distance": "classifier, from SELI",
            },
        ),
    ),
    "nc3": (
        "NC3: classifier and means align",
        ("1 − cosine", {"nc3_cosine": "class"}),
        (
            "distance",
            {"nc3_self_duality": "distance", "nc3_cosine": "mean 1 − cosine"},
        ),
    ),
    "nc4": (
        "NC4: nearest means decide",
        ("share that agrees", {"nc4_ncc_agreement": "class"}),
        ("share that agrees", {"nc4_ncc_agreement": "agreement"}),
    ),
}
# Positive values of NC1 that are further apart than this are on a logarithmic axis.
_LARGE_RATIO = 10
_ROUND_OFF = 1e-9


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
        if not isinstance(history, Mapping) or not history:
            raise ValueError(
                "history must hold a report for each epoch, such as the reports of a "
                f"CollapseMonitor that has recorded some; got {history!r}."
            )
        for report in history.values():
            check_report("history", report)
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

        Raises
        ------
        ValueError
            If there are not as many axes, no reports, or other things than reports.
        ImportError
            If matplotlib is not installed.
        """
        if not isinstance(self.reports, list | tuple) or not self.reports:
            raise ValueError(
                "reports must be a list of at least one CollapseReport, such as "
                f"[scorer.report_]; got {self.reports!r}."
            )
        for report in self.reports:
            check_report("reports", report)
        if self.epochs is not None:
            epochs = as_float64("epochs", self.epochs)
            if epochs.shape != (len(self.reports),) or not np.isfinite(epochs).all():
                raise ValueError(
                    f"epochs must be a number for each of {len(self.reports)} reports; "
                    f"got {self.epochs!r}."
                )
        names = _panel_names(self.reports[0].measures)
        self._set_axes(ax, (len(names) // 2, 2), _PANEL_SIZE)
        for panel, panel_axes in zip(names, self.axes_.ravel(), strict=True):
            if self.epochs is None:
                _draw_classes(panel_axes, panel, self.reports[0])
            else:
                _draw_curves(panel_axes, panel, np.asarray(self.epochs), self.reports)
        return self


def _panel_names(measures: dict[str, float]) -> list[str]:
    """Return the panels for which there are measures."""
    has_classifier = "nc3_cosine" in measures
    return list(_PANELS) if has_classifier else ["nc1", "nc2"]


def _draw_classes(ax: Axes, panel: str, report: CollapseReport) -> None:
    """Draw values of all classes of a report, from common to rare."""
    title, (label, columns), _ = _PANELS[panel]
    classes = report.classes
    order = np.argsort(-classes["weight"], kind="stable")
    many = len(order) >= _MANY_CLASSES
    for k, (name, described) in enumerate(columns.items()):
        if name not in classes:
            continue
        values = classes[name][order]
        if panel == "nc2":
            values = values / values.mean()
        # Predictions are lines, what was measured are points.
        predicted = name.startswith("seli")
        ax.plot(
            values,
            color=COLOURS[k // 2],
            linestyle="--" if predicted else "none" if many else "-",
            linewidth=1.2,
            marker=None if predicted else MARKERS[k // 2],
            markersize=2.5 if many else 5,
            label=described,
        )
    label_classes(ax.xaxis, classes["class"][order])
    ax.set(title=title, xlabel=class_axis_title(len(order)), ylabel=label)
    _finish(ax, panel)


def _draw_curves(
    ax: Axes, panel: str, epochs: np.ndarray, reports: Sequence[CollapseReport]
) -> None:
    """Draw measures over epochs."""
    title, _, (label, measures) = _PANELS[panel]
    for k, (name, described) in enumerate(measures.items()):
        if name not in reports[0].measures:
            continue
        ax.plot(
            epochs,
            [report[name] for report in reports],
            color=COLOURS[k],
            marker=MARKERS[k],
            markersize=3.5,
            linewidth=1.5,
            label=described,
        )
    ax.set(title=title, xlabel="epoch", ylabel=label)
    locator: Any = ax.xaxis.get_major_locator()
    locator.set_params(integer=True)
    _finish(ax, panel)


def _finish(ax: Any, panel: str) -> None:
    values = np.concatenate([line.get_ydata() for line in ax.lines] or [[]])
    values = values[np.isfinite(values)]
    positive = values[values > 0]
    least = positive.min(initial=np.inf)
    if panel == "nc4":
        ax.set_ylim(-0.03, 1.03)
    elif panel == "nc1" and (positive > _LARGE_RATIO * least).any():
        # It is zero for a class with one sample.
        ax.set_yscale("log", nonpositive="mask")
    else:
        top = values.max(initial=0)
        # Rounding errors alone are not to fill a panel.
        ax.set_ylim(0, 1.08 * top if top > _ROUND_OFF else 1)
    if not len(values):
        ax.annotate("not measured", (0.5, 0.5), xycoords="axes fraction", ha="center")
    if len(ax.lines) > 1:
        ax.legend(frameon=False, fontsize="small")
    ax.spines[["top", "right"]].set_visible(False)
