"""Log-loss for which all classes weigh the same."""

import numpy as np
from numpy.typing import ArrayLike
from sklearn.metrics import log_loss

from skcollapse.metrics._probabilities import balanced, check_probabilities


def balanced_log_loss(
    y_true: ArrayLike,
    y_prob: ArrayLike,
    *,
    labels: ArrayLike | None = None,
    sample_weight: ArrayLike | None = None,
) -> float:
    r"""Return the mean over the classes of the mean log-loss of their rows.

    :math:`-\frac1K \sum_k \frac1{n_k} \sum_{i: y_i = k} \log p_{ik}` over the classes
    that have rows.

    Parameters
    ----------
    y_true : array-like of shape (n_samples,)
        True labels, of any type that can be sorted.
    y_prob : array-like of shape (n_samples, n_classes) or (n_samples,)
        Probabilities of the sorted classes, or of the second of two. They are clipped
        as :func:`sklearn.metrics.log_loss` does, at the precision of their dtype.
    labels : array-like of shape (n_classes,), default=None
        All classes. None for those of `y_true`.
    sample_weight : array-like of shape (n_samples,), default=None
        A weight of 2 is a row that stands twice, a weight of 0 a row left out.

    Returns
    -------
    loss : float
        Not negative. Classes without rows are left out of the mean.

    Raises
    ------
    ValueError
        If `y_prob` does not hold probabilities, or has not a column for each class, as
        where classes are absent from `y_true` and `labels` is not given; if labels,
        lengths or weights are not valid.

    Examples
    --------
    >>> from skcollapse.metrics import balanced_log_loss
    >>> loss = balanced_log_loss([0, 0, 0, 1], [[1, 0], [1, 0], [1, 0], [0.75, 0.25]])
    >>> round(loss, 4)  # log(4) / 2
    0.6931
    """
    index, prob, weight = check_probabilities(y_true, y_prob, labels, sample_weight)
    weight = balanced(weight, index)
    columns = np.arange(prob.shape[1])
    return float(log_loss(index, prob, labels=columns, sample_weight=weight))
