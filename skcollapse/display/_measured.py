"""From a fitted estimator to a report of what it makes of data."""

from collections.abc import Callable
from typing import Any, Self

from numpy.typing import ArrayLike
from sklearn.pipeline import Pipeline

from skcollapse.display._style import many_axes
from skcollapse.scorer import CollapseReport, NeuralCollapseScorer, transformed


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
        parameters = {} if scorer is None else scorer.get_params(deep=False)
        if parameters.get("classifier") is None:
            parameters["classifier"] = _classifier_of(estimator)
        measured = NeuralCollapseScorer(**parameters).fit(transformed(estimator, X), y)
        return draw(measured.report_, **options)

    def _set_axes(
        self, ax: Any, shape: tuple[int, int], panel_size: tuple[float, float]
    ) -> None:
        self.axes_ = many_axes(ax, shape, panel_size)
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
