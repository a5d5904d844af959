"""Expected calibration error."""

import numpy as np
from numpy.typing import ArrayLike

from skcollapse._utils.checks import check_choice, check_integer
from skcollapse.metrics._probabilities import balanced, check_probabilities


def expected_calibration_error(
    y_true: ArrayLike,
    y_prob: ArrayLike,
    *,
    labels: ArrayLike | None = None,
    sample_weight: ArrayLike | None = None,
    n_bins: int = 15,
    class_balanced: bool = False,
) -> float:
    r"""Return how far confidence is from accuracy.

    The confidence of a row is the probability of the class that is predicted. With the
    rows in bins :math:`B_m` of equal width by confidence,
    :math:`\sum_m \frac{|B_m|}{n} \, |\operatorname{acc}(B_m) -
    \operatorname{conf}(B_m)|`.

    Parameters
    ----------
    y_true : array-like of shape (n_samples,)
        True labels, of any type that can be sorted.
    y_prob : array-like of shape (n_samples, n_classes) or (n_samples,)
        Probabilities of the sorted classes, or of the second of two.
    labels : array-like of shape (n_classes,), default=None
        All classes. None for those of `y_true`.
    sample_weight : array-like of shape (n_samples,), default=None
        A weight of 2 is a row that stands twice, a weight of 0 a row left out.
    n_bins : int, default=15
        Bins, open on the left and closed on the right.
    class_balanced : bool, default=False
        Have all classes of `y_true` weigh the same, however many rows they have.

    Returns
    -------
    error : float
        Between 0 and 1; 0 if accuracy is what confidence says in every bin.

    Raises
    ------
    ValueError
        If `y_prob` does not hold probabilities, or has not a column for each class, as
        where classes are absent from `y_true` and `labels` is not given; if `n_bins`,
        labels, lengths or weights are not valid.

    References
    ----------
    .. [1] Guo, Pleiss, Sun and Weinberger, "On Calibration of Modern Neural Networks",
       ICML 2017. arXiv:1706.04599, equation 3.

    Examples
    --------
    >>> from skcollapse.metrics import expected_calibration_error
    >>> y_true = ["a", "a", "a", "b"]
    >>> y_prob = [[0.9, 0.1]] * 4
    >>> round(expected_calibration_error(y_true, y_prob), 3)  # 3 of 4 are right
    0.15
    >>> round(expected_calibration_error(y_true, y_prob, class_balanced=True), 3)
    0.4
    """
    n_bins = check_integer("n_bins", n_bins, 1)
    check_choice("class_balanced", class_balanced, (False, True))
    index, prob, weight = check_probabilities(y_true, y_prob, labels, sample_weight)
    if class_balanced:
        weight = balanced(weight, index)
    confidence = prob.max(axis=1).astype(np.float64)
    surplus = weight * ((prob.argmax(axis=1) == index) - confidence)
    edges = np.linspace(0, 1, n_bins + 1)[1:-1]
    by_bin = np.bincount(np.searchsorted(edges, confidence), surplus)
    return float(np.abs(by_bin).sum() / weight.sum())
