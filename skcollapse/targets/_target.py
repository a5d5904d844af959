"""What a target is, and the base class from which a new one is written."""

from abc import ABC, abstractmethod
from typing import NamedTuple

import numpy as np

from skcollapse._utils.types import Counts, Seed


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

    @property
    def is_simplex(self) -> bool:
        """Whether W Wᵀ is a multiple of the centring matrix, as a few vectors tell."""
        vectors = self.classifier
        probe = np.random.default_rng(0).standard_normal((len(vectors), 4))
        probe -= probe.mean(axis=0)
        factor = np.square(vectors).sum() / max(len(vectors) - 1, 1)
        gap = vectors @ (vectors.T @ probe) - factor * probe
        offset = vectors.sum(axis=0) / factor**0.5
        return bool(np.abs(gap).max() < 1e-8 * factor and np.abs(offset).max() < 1e-8)

    def scores(self, h: np.ndarray) -> np.ndarray:
        """Return the (n, n_classes) scores of (n, n_components) features."""
        return h @ self.classifier.T

    def pull(self, g: np.ndarray) -> np.ndarray:
        """Return the (n, n_components) gradient of features, given that of scores."""
        return g @ self.classifier


class Target(ABC):
    """A geometry of class vectors and class means that class sizes determine.

    To add a target: subclass it, declare what holds for its vectors with the attributes
    below, write ``build`` and enter an instance in ``TARGETS``. The conformance tests
    go through that registry.

    Attributes
    ----------
    assignable : bool
        The vectors may be given to the classes in any order.
    centred : bool
        The class vectors sum to zero.

    Examples
    --------
    >>> import numpy as np
    >>> from skcollapse.targets import ClassGeometry, Target
    >>> class OneHot(Target):
    ...     centred = False
    ...
    ...     def min_components(self, n_classes):
    ...         return n_classes
    ...
    ...     def build(self, class_counts, n_components=None, random_state=None):
    ...         n_classes = len(class_counts)
    ...         vectors = np.eye(n_classes, n_components or n_classes)
    ...         return ClassGeometry(classifier=vectors, means=vectors)
    >>> OneHot().build([5, 3], 3).classifier
    array([[1., 0., 0.],
           [0., 1., 0.]])
    """

    assignable: bool = False
    centred: bool = True

    def min_components(self, n_classes: int) -> int:
        """Return the fewest dimensions that hold the vectors of so many classes."""
        return n_classes - 1

    @abstractmethod
    def build(
        self,
        class_counts: Counts,
        n_components: int | None = None,
        random_state: Seed = None,
    ) -> ClassGeometry:
        """Compute class vectors and class means.

        Parameters
        ----------
        class_counts : array-like of shape (n_classes,)
            Class sizes, positive.
        n_components : int, default=None
            Dimension of the vectors; None is what suits the number of classes.
        random_state : int, RandomState instance or None, default=None
            Seed of the rotation and of a search; an int gives the same bits each time.

        Returns
        -------
        ClassGeometry
        """
