"""From a fitted estimator to a report of what it makes of data."""

from sklearn.pipeline import Pipeline

from skcollapse.scorer import NeuralCollapseScorer
from skcollapse.scorer._data import features_of


def report_of(estimator, X, y, scorer):
    """Return the report of the features of an estimator, and of what classifies them.

    Parameters
    ----------
    estimator : estimator
        A fitted `NeuralCollapseScorer`, if X is None; anything that transforms, or a
        pipeline of which all but the last step do.
    X, y : arrays or None
    scorer : NeuralCollapseScorer or None
        Says how to measure; left as it is.

    Raises
    ------
    TypeError
        If X or y is missing, or the estimator does not transform.
    """
    if X is None and hasattr(estimator, "report_"):
        return estimator.report_
    if X is None or y is None:
        raise TypeError(
            "X and y must be given: only a fitted NeuralCollapseScorer has a report "
            f"without them, not {estimator!r}."
        )
    features = features_of(estimator, X)
    scorer = NeuralCollapseScorer() if scorer is None else scorer
    parameters = scorer.get_params(deep=False)
    if scorer.classifier is None:
        parameters["classifier"] = _classifier_of(estimator)
    return NeuralCollapseScorer(**parameters).fit(features, y).report_


def _classifier_of(estimator):
    """Return what classifies the features that `features_of` an estimator returns."""
    last = estimator[-1] if isinstance(estimator, Pipeline) else estimator
    if hasattr(last, "target_"):
        return last.target_
    # A linear classifier that transforms classifies what it is given, not its output.
    is_linear = hasattr(last, "coef_") and not hasattr(last, "transform")
    return last if is_linear else None
