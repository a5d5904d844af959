"""What all displays share: axes, colours, and an axis of classes."""

from typing import Any

import numpy as np

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


def pyplot() -> Any:
    """Return ``matplotlib.pyplot``, or say how to get it."""
    try:
        import matplotlib.pyplot as plt
    except ImportError as error:
        raise ImportError(
            "Displays need matplotlib: pip install 'skcollapse[plot]'."
        ) from error
    return plt


def many_axes(
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
    if axes.size != n_rows * n_columns:
        raise ValueError(
            f"ax must hold {n_rows * n_columns} axes, one for each panel; got "
            f"{axes.size}. A single one is divided."
        )
    return axes.reshape(shape)


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
