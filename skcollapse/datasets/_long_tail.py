"""Long-tailed class counts, and long-tailed subsamples of labelled data."""

from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike
from sklearn.utils import column_or_1d
from sklearn.utils.multiclass import check_classification_targets

from skcollapse._utils.checks import check_choice, check_integer, check_number
from skcollapse._utils.random_state import resolve_random_state
from skcollapse._utils.types import Seed

# Products such as 2900 * 0.01 fall just short of the whole number they stand for.
_ROUND_OFF = 1e-9


def _exponential(n_classes: int, imbalance_ratio: float) -> np.ndarray:
    """Relative class sizes that fall geometrically from 1 to 1 / imbalance_ratio."""
    return imbalance_ratio ** -np.linspace(0.0, 1.0, n_classes)


def _step(n_classes: int, imbalance_ratio: float) -> np.ndarray:
    """Relative class sizes: 1 in the first half, 1 / imbalance_ratio in the second."""
    head = np.arange(n_classes) < (n_classes + 1) // 2
    return np.where(head, 1.0, 1.0 / imbalance_ratio)


_PROFILES = {"exp": _exponential, "step": _step}


def long_tail_counts(
    n_classes: int, n_max: int, imbalance_ratio: float, profile: str = "exp"
) -> np.ndarray:
    r"""Return the class sizes of a long-tailed profile, largest class first.

    Parameters
    ----------
    n_classes : int
        Number of classes, :math:`K`.
    n_max : int
        Size of the largest class.
    imbalance_ratio : float
        Size of the largest class over that of the smallest, :math:`R \geq 1`.
    profile : {"exp", "step"}, default="exp"
        - ``"exp"``: class :math:`k = 0, \dots, K-1` has
          :math:`\lfloor n_\max R^{-k/(K-1)} \rfloor` samples.
        - ``"step"``: the first :math:`\lceil K/2 \rceil` classes have
          :math:`n_\max` samples, the others :math:`\lfloor n_\max/R \rfloor`.

        No class falls below one sample.

    Returns
    -------
    counts : ndarray of shape (n_classes,), dtype int64
        Class sizes in descending order.

    Raises
    ------
    ValueError
        If a size is not a positive integer, the ratio is below 1 or not finite, or the
        profile is unknown.

    See Also
    --------
    make_long_tailed : Draw a subsample with such class sizes.

    References
    ----------
    .. [1] Cao, Wei, Gaidon, Arechiga and Ma, "Learning Imbalanced Datasets with
       Label-Distribution-Aware Margin Loss", NeurIPS 2019.
    .. [2] Yang, Chen, Li, Xie, Lin and Tao, "Inducing Neural Collapse in Imbalanced
       Learning: Do We Really Need a Learnable Classifier at the End of Deep Neural
       Network?", NeurIPS 2022.

    Examples
    --------
    >>> from skcollapse.datasets import long_tail_counts
    >>> long_tail_counts(5, n_max=1000, imbalance_ratio=100)
    array([1000,  316,  100,   31,   10])
    >>> long_tail_counts(5, n_max=1000, imbalance_ratio=100, profile="step")
    array([1000, 1000, 1000,   10,   10])
    """
    n_classes = check_integer("n_classes", n_classes, 1)
    n_max = check_integer("n_max", n_max, 1)
    imbalance_ratio = check_number("imbalance_ratio", imbalance_ratio, 1)
    check_choice("profile", profile, _PROFILES)
    sizes = n_max * _PROFILES[profile](n_classes, imbalance_ratio)
    return np.maximum(np.floor(sizes + _ROUND_OFF), 1).astype(np.int64)


def make_long_tailed(
    y: ArrayLike,
    imbalance_ratio: float = 100.0,
    *,
    n_max: int | None = None,
    profile: str = "exp",
    min_per_class: int = 1,
    class_order: str | ArrayLike | None = None,
    random_state: Seed = None,
) -> np.ndarray:
    """Draw a long-tailed subsample and return its indices into `y`.

    Samples are drawn without replacement. With the same `random_state` and
    `class_order`, a subsample whose class sizes are all smaller is contained in one
    whose class sizes are larger, so that a sweep over `imbalance_ratio` or `n_max`
    only ever removes samples.

    Parameters
    ----------
    y : array-like of shape (n_samples,)
        Class labels of any type that can be sorted.
    imbalance_ratio : float, default=100.0
        Size of the largest class over that of the smallest.
    n_max : int or None, default=None
        Size of the largest class of the subsample. None takes the largest size for
        which `y` has enough samples of every class.
    profile : {"exp", "step"}, default="exp"
        How the class sizes fall, see :func:`long_tail_counts`.
    min_per_class : int, default=1
        No class is left with fewer samples than this. Where it takes effect the
        ratio of the subsample is smaller than `imbalance_ratio`.
    class_order : None, "random" or array-like of shape (n_classes,), default=None
        Classes from the head to the tail of the distribution: None for sorted order,
        "random" for a drawn order, or the labels themselves.
    random_state : int, RandomState instance or None, default=None
        Determines which samples are drawn, and the order of the classes when
        `class_order` is "random". Pass an int for reproducible results.

    Returns
    -------
    indices : ndarray of shape (n_selected,), dtype int64
        Indices of the subsample in ascending order: the samples keep the order that
        they have in `y`.

    Raises
    ------
    ValueError
        If a class has too few samples for its size, `class_order` does not hold every
        class once, or another parameter is not valid.

    See Also
    --------
    long_tail_counts : The class sizes alone.

    Examples
    --------
    >>> import numpy as np
    >>> from skcollapse.datasets import make_long_tailed
    >>> y = np.repeat(["cat", "dog", "fox"], 100)
    >>> index = make_long_tailed(y, imbalance_ratio=25, random_state=0)
    >>> np.unique(y[index], return_counts=True)[1]
    array([100,  20,   4])
    >>> index = make_long_tailed(
    ...     y, imbalance_ratio=25, class_order=["fox", "cat", "dog"], random_state=0
    ... )
    >>> np.unique(y[index], return_counts=True)[1]
    array([ 20,   4, 100])
    """
    imbalance_ratio = check_number("imbalance_ratio", imbalance_ratio, 1)
    check_choice("profile", profile, _PROFILES)
    min_per_class = check_integer("min_per_class", min_per_class, 1)
    labels = column_or_1d(y)
    if len(labels) == 0:
        raise ValueError("y must hold samples; got an array of the shape (0,).")
    check_classification_targets(labels)
    classes, y_index = np.unique(labels, return_inverse=True)
    available = np.bincount(y_index)
    rng = resolve_random_state(random_state)
    # Whatever the class sizes, the draws are the same: subsamples are nested.
    shuffled = [
        rng.permutation(np.flatnonzero(y_index == k)) for k in range(len(classes))
    ]
    order = _resolve_class_order(class_order, classes, rng)

    def counts_for(n_max: int) -> np.ndarray:
        counts = np.empty(len(classes), dtype=np.int64)
        counts[order] = long_tail_counts(len(classes), n_max, imbalance_ratio, profile)
        return np.maximum(counts, min_per_class)

    if n_max is None:
        n_max = _largest_n_max(counts_for, available, upper=int(available[order[0]]))
    else:
        n_max = check_integer("n_max", n_max, 1, also=(None,))
        if n_max < min_per_class:
            raise ValueError(
                f"n_max={n_max} is smaller than min_per_class={min_per_class}."
            )
    counts = counts_for(n_max)
    short = counts > available
    if short.any():
        names = classes.tolist()
        missing = "; ".join(
            f"class {names[k]!r} needs {counts[k]} and has {available[k]}"
            for k in np.flatnonzero(short)
        )
        raise ValueError(
            f"y has too few samples for n_max={n_max}, imbalance_ratio="
            f"{imbalance_ratio:g}, min_per_class={min_per_class} and "
            f"profile={profile!r}: {missing}."
        )
    chosen = [rows[:count] for rows, count in zip(shuffled, counts, strict=True)]
    return np.sort(np.concatenate(chosen)).astype(np.int64, copy=False)


def _resolve_class_order(
    class_order: str | ArrayLike | None, classes: np.ndarray, rng: np.random.RandomState
) -> np.ndarray:
    """Return the indices of `classes` from the head to the tail."""
    if class_order is None:
        return np.arange(len(classes))
    if isinstance(class_order, str):
        if class_order != "random":
            raise ValueError(
                "class_order must be None, 'random' or the labels of all classes, "
                f"got {class_order!r}."
            )
        return rng.permutation(len(classes))
    given = np.asarray(class_order).ravel().tolist()
    position = {label: k for k, label in enumerate(classes.tolist())}
    one_axis = np.ndim(class_order) == 1
    if not one_axis or len(given) != len(position) or set(given) != set(position):
        raise ValueError(
            "class_order must hold every class of y exactly once: the classes are "
            f"{list(position)}, got {given}."
        )
    return np.array([position[label] for label in given])


def _largest_n_max(
    counts_for: Callable[[int], np.ndarray], available: np.ndarray, upper: int
) -> int:
    """Return the largest n_max whose class sizes `available` allows, at least 1."""
    lowest, highest = 1, upper
    while lowest < highest:
        middle = (lowest + highest + 1) // 2
        if (counts_for(middle) <= available).all():
            lowest = middle
        else:
            highest = middle - 1
    return lowest
