"""What displays share: the report of an estimator, axes, colours, and labels."""

from collections.abc import Callable
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike
from sklearn.pipeline import Pipeline

from skcollapse._utils.numbers import as_float64
from skcollapse.scorer import CollapseReport, NeuralCollapseScorer, transformed

# Told apart by colour-blind readers (Petroff, arXiv:2107.02270), and by markers.
COLOURS = ("#3f90da", "#e76300", "#832db6", "#717581")
MARKERS = ("o", "s", "^", "D")
# More labels than that do not fit side by side.
_MOST_LABELS = 15
# Ranks beside the first that fit, and the steps that people count in.
_MOST_RANKS = 6
_STEPS = [c * 10**power for power in range(1, 9) for c in (1, 2, 5)]
# Labels of more characters together stand upright.
_MOST_CHARACTERS = 20


def check_report(name: str, report: Any) -> None:
    """Raise TypeError unless there is a report."""
    if not isinstance(report, CollapseReport):
        raise TypeError(
            f"{name} must hold what NeuralCollapseScorer.fit leaves in report_, a "
            f"CollapseReport; got {report!r}."
        )


class ReportDisplay:
    """Base of what draws the report of features."""

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        X: Any = None,
        y: ArrayLike | None = None,
        *,
        scorer: NeuralCollapseScorer | None = None,
        **options: Any,
    ) -> Self:
        """Draw a report of the features that an estimator makes of X.

        Parameters
        ----------
        estimator : estimator
            A fitted :class:`~skcollapse.NeuralCollapseScorer`, whose report is drawn.
            Or a fitted estimator that transforms, or a pipeline of which all but the
            last step do; its target or linear classifier is measured too.
        X : array-like of shape (n_samples, ...), default=None
            Rows to measure; None for a fitted scorer.
        y : array-like of shape (n_samples,), default=None
            Their labels.
        scorer : NeuralCollapseScorer, default=None
            Says how to measure; left as it is.
        **options : keyword arguments
            As in ``from_report``.

        Returns
        -------
        display : this class

        Raises
        ------
        TypeError
            If X or y is missing, or the estimator does not transform.
        """
        draw: Callable[..., Self] = cls.from_report  # type: ignore[attr-defined]
        if X is None and hasattr(estimator, "report_"):
            return draw(estimator.report_, **options)
        if X is None or y is None:
            raise TypeError(
                "X and y must be given: only a fitted NeuralCollapseScorer has a "
                f"report without them, not {estimator!r}."
            )
        if not isinstance(scorer, NeuralCollapseScorer | None):
            raise TypeError(f"scorer must be a NeuralCollapseScorer; got {scorer!r}.")
        parameters = {} if scorer is None else scorer.get_params(deep=False)
        if parameters.get("classifier") is None:
            parameters["classifier"] = _classifier_of(estimator)
        measured = NeuralCollapseScorer(**parameters).fit(transformed(estimator, X), y)
        return draw(measured.report_, **options)

    def _set_axes(
        self, ax: Any, shape: tuple[int, int], panel_size: tuple[float, float]
    ) -> None:
        self.axes_ = _many_axes(ax, shape, panel_size)
        self.ax_ = self.axes_.flat[0]
        self.figure_ = self.ax_.figure


def _classifier_of(estimator: Any) -> Any:
    """Return what classifies the features that `transformed` returns."""
    last = estimator[-1] if isinstance(estimator, Pipeline) else estimator
    if hasattr(last, "target_"):
        return last.target_
    # A linear classifier that transforms classifies what it is given, not its output.
    is_linear = hasattr(last, "coef_") and not hasattr(last, "transform")
    return last if is_linear else None


def pyplot() -> Any:
    """Return ``matplotlib.pyplot``, or say how to get it."""
    try:
        import matplotlib.pyplot as plt
    except ImportError as error:
        raise ImportError(
            "Displays need matplotlib: pip install 'skcollapse[plot]'."
        ) from error
    return plt


def _many_axes(
    ax: Any, shape: tuple[int, int], panel_size: tuple[float, float]
) -> np.ndarray:
    """Return an array of axes of a shape, or raise.

    The axes are given, parts of one Axes, or for None in a new figure, where each has
    the size of a panel in inches.
    """
    n_rows, n_columns = shape
    if ax is None:
        size = panel_size[0] * n_columns, panel_size[1] * n_rows
        options = {"figsize": size, "layout": "constrained", "squeeze": False}
        return np.asarray(pyplot().subplots(*shape, **options)[1])
    if hasattr(ax, "get_subplotspec"):
        ax.set_axis_off()
        grid = ax.get_subplotspec().subgridspec(*shape)
        return np.asarray(grid.subplots(squeeze=False))
    axes = np.asarray(ax, dtype=object)
    drawable = all(hasattr(one, "plot") for one in axes.flat)
    if axes.size != n_rows * n_columns or not drawable:
        raise ValueError(
            f"ax must hold {n_rows * n_columns} axes, one for each panel; got "
            f"{axes.size}: {ax!r}. A single one is divided."
        )
    return axes.reshape(shape)


def check_rows(
    name: str, values: Any, shape: tuple[int, ...] | None = None
) -> np.ndarray:
    """Return finite vectors of classes, of a given shape if there is one."""
    rows = as_float64(name, values)
    if shape is None:
        must, fits = "(n_classes, n_features)", rows.ndim == 2 and rows.size
    else:
        must, fits = str(shape), rows.shape == shape
    if not fits or not np.isfinite(rows).all():
        raise ValueError(
            f"{name} must hold finite numbers in the shape {must}; got {values!r} of "
            f"the shape {rows.shape}."
        )
    return rows


def check_classes(classes: Any, n_classes: int) -> np.ndarray:
    """Return labels of so many classes, or their numbers for None."""
    labels = np.arange(n_classes) if classes is None else np.asarray(classes)
    if labels.shape != (n_classes,):
        raise ValueError(
            f"classes must hold a label for each of the {n_classes} classes; got "
            f"{classes!r} of the shape {labels.shape}."
        )
    return labels


def label_classes(axis: Any, labels: np.ndarray) -> None:
    """Put labels of classes at 0, 1, ... on an axis; ranks if these are too many."""
    if len(labels) > _MOST_LABELS:
        step = next(s for s in _STEPS if s >= len(labels) / _MOST_RANKS)
        ranks = [1, *range(step, len(labels) + 1, step)]
        axis.set_ticks([rank - 1 for rank in ranks], ranks)
        return
    names = [str(label) for label in labels]
    wide = len(names) * max(map(len, names)) > _MOST_CHARACTERS
    upright = axis.axis_name == "x" and wide
    axis.set_ticks(range(len(names)), names, rotation=90 if upright else 0)
    axis.set_tick_params(length=0)


def class_axis_title(n_classes: int) -> str:
    """Return what `label_classes` has put there."""
    place = "class" if n_classes <= _MOST_LABELS else "rank of class"
    return f"{place}, from common to rare"
