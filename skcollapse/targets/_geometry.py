"""What a target is: one class vector and one class mean for every class."""

from typing import NamedTuple

import numpy as np


class ClassGeometry(NamedTuple):
    """Class vectors and class means, in the same coordinates.

    A score is the inner product of a feature with a class vector, so that
    ``classifier @ means.T`` holds the scores of the class means.

    Attributes
    ----------
    classifier : ndarray of shape (n_classes, n_components), dtype float64
        Class vectors as rows.
    means : ndarray of shape (n_classes, n_components), dtype float64
        Where the features of each class should sit, as rows.

    Examples
    --------
    >>> import numpy as np
    >>> from skcollapse.targets import ClassGeometry
    >>> geometry = ClassGeometry(classifier=np.eye(2), means=2 * np.eye(2))
    >>> geometry.scores(geometry.means)
    array([[2., 0.],
           [0., 2.]])
    """

    classifier: np.ndarray
    means: np.ndarray

    def scores(self, h: np.ndarray) -> np.ndarray:
        """Return the (n, n_classes) scores of (n, n_components) features."""
        return h @ self.classifier.T

    def pull(self, g: np.ndarray) -> np.ndarray:
        """Return the (n, n_components) gradient of features, given that of scores."""
        return g @ self.classifier
