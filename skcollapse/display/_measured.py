"""From a fitted estimator to a report of what it makes of data."""

from typing import Any, Self

from numpy.typing import ArrayLike
from sklearn.pipeline import Pipeline

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
        report = _report_of(estimator, X, y, scorer)
        drawn: Self = cls.from_report(report, **options)  # type: ignore[attr-defined]
        return drawn


def _report_of(
    estimator: Any, X: Any, y: Any, scorer: NeuralCollapseScorer | None
) -> Any:
    """Return the report of features of an estimator, and of what classifies them."""
    if X is None and hasattr(estimator, "report_"):
        return estimator.report_
    if X is None or y is None:
        raise TypeError(
            "X and y must be given: only a fitted NeuralCollapseScorer has a report "
            f"without them, not {estimator!r}."
        )
    parameters = {} if scorer is None else scorer.get_params(deep=False)
    if parameters.get("classifier") is None:
        parameters["classifier"] = _classifier_of(estimator)
    features = transformed(estimator, X)
    return NeuralCollapseScorer(**parameters).fit(features, y).report_


def _classifier_of(estimator: Any) -> Any:
    """Return what classifies the features that `transformed` returns."""
    last = estimator[-1] if isinstance(estimator, Pipeline) else estimator
    if hasattr(last, "target_"):
        return last.target_
    # A linear classifier that transforms classifies what it is given, not its output.
    is_linear = hasattr(last, "coef_") and not hasattr(last, "transform")
    return last if is_linear else None
