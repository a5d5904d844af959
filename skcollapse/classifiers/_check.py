"""The first station of a fit: what users pass becomes `TrainingData`."""

from dataclasses import replace
from functools import partial
from numbers import Integral
from typing import Any, NamedTuple

import numpy as np
from sklearn.utils import (
    check_array,
    check_X_y,
    compute_class_weight,
)
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_consistent_length, validate_data
from torch.utils.data import Dataset

from skcollapse._utils.arrays import (
    first_of_equal_rows,
    float_dtypes,
    resolve_classes,
    to_numpy,
)
from skcollapse._utils.checks import check_one_label, plain
from skcollapse._utils.numbers import check_sample_weight
from skcollapse.extract import extract_once, frozen_copy
from skcollapse.fitting import TrainingData
from skcollapse.rows import as_rows, read_labels


class CheckedData(NamedTuple):
    """The data of a fit, and what of it only the classifier has to know."""

    data: TrainingData
    classes: np.ndarray
    # Sums of the sample weights.
    class_counts: np.ndarray
    # A copy of the one that gave the features, if it is not trained.
    extractor: Any


def as_given(estimator, X, y, sample_weight) -> tuple[Any, Any, Any]:
    """Return what was passed with tensors in NumPy, and the labels of a data set."""
    if y is None and isinstance(X, Dataset) and estimator.extractor is not None:
        y = read_labels(X, n_workers(estimator))
    return to_numpy(X), to_numpy(y), to_numpy(sample_weight)


def check_fit(estimator, given, groups, device, *, in_batches) -> CheckedData:
    """Return the checked data of a fit; features, if an extractor gives them.

    Equal rows become one of their weight, unless a user's splits or mini-batches count
    them: no held-out row has a copy among those of training.
    """
    extractor = _extractor_to_keep(estimator)
    X, y, weight = _check_rows(estimator, *given, reset=True)
    classes = np.unique(y[weight > 0])
    if len(classes) < 2:
        raise ValueError(
            f"{type(estimator).__name__} needs rows of at least 2 classes; y has 1 "
            f"class, {classes[0]!r}."
        )
    # Rows of weight zero may have another class; they are never looked at.
    indices = np.searchsorted(classes, y).clip(max=len(classes) - 1)
    features = _features(estimator, extractor, X, device, estimator.memory)
    groups = _check_groups(groups, len(y))
    if not in_batches and (estimator.cv is None or isinstance(estimator.cv, Integral)):
        alike = [features, indices]
        if groups is not None:
            alike.append(np.unique(groups, return_inverse=True)[1].ravel())
        index, of_row = first_of_equal_rows(*alike)
        if len(index) < len(of_row):
            weight, indices = np.bincount(of_row, weight), indices[index]
            features, groups = (
                features[index],
                None if groups is None else groups[index],
            )
    data, counts = _training_data(estimator, features, indices, weight, classes)
    return CheckedData(replace(data, groups=groups), classes, counts, extractor)


def check_partial_fit(estimator, X, y, classes, sample_weight, device) -> CheckedData:
    """Return the checked data of one more epoch, with the class counts of its rows."""
    goes_on = going_on_from(estimator) is not None
    extractor = estimator.extractor_ if goes_on else _extractor_to_keep(estimator)
    X, y, weight = _check_rows(estimator, X, y, sample_weight, reset=not goes_on)
    begins_anew = not goes_on and classes is not None
    known = None if begins_anew else getattr(estimator, "classes_", None)
    classes = resolve_classes(classes, known)
    unknown = np.setdiff1d(y, classes)
    if len(unknown):
        raise ValueError(
            f"y holds {plain(unknown[0])!r}, which is not one of classes={classes!r}."
        )
    indices = np.searchsorted(classes, y)
    features = _features(estimator, extractor, X, device, None)
    data, counts = _training_data(estimator, features, indices, weight, classes)
    return CheckedData(data, classes, counts, extractor)


def going_on_from(estimator: Any) -> Any:
    """Return the network that training can go on from, or None."""
    fitted = getattr(estimator, "_fitted", None)
    return None if fitted is None else fitted.network


def _check_rows(estimator, X, y, sample_weight, *, reset):
    """Return checked X, labels and sample weights, in NumPy."""
    check_one_label(y)
    X, y = check_inputs(estimator, X, y, reset=reset)
    check_classification_targets(y)
    if sample_weight is None:
        return X, y, np.ones(len(X))
    return X, y, check_sample_weight(sample_weight, len(X))


def check_inputs(
    estimator: Any, *data: Any, reset: bool, ensure_all_finite: bool = True
) -> Any:
    """Return X, or X and y, as arrays, or raise.

    Rows have any number of axes if there is an extractor: it is for that to say what
    goes in. Features are counted where there are two.
    """
    X, options = data[0], {"ensure_all_finite": ensure_all_finite}
    if estimator.extractor is None:
        if isinstance(X, Dataset):
            raise TypeError(
                f"X must be an array of features; got the data set {X!r}. Give an "
                "extractor, or extract features first by "
                "skcollapse.extract.extract_features."
            )
        dtype = float_dtypes(X)
        return validate_data(estimator, *data, dtype=dtype, reset=reset, **options)
    if isinstance(X, Dataset):
        return _check_dataset(*data)
    ndim = X.ndim if hasattr(X, "ndim") else np.asarray(X).ndim
    if ndim <= 2:
        return validate_data(estimator, *data, dtype="numeric", reset=reset, **options)
    if reset:
        # Of an earlier fit, to rows that had them.
        for name in ("n_features_in_", "feature_names_in_"):
            vars(estimator).pop(name, None)
    # The other one names X itself.
    check = partial(check_array, input_name="X") if len(data) == 1 else check_X_y
    return check(*data, dtype="numeric", allow_nd=True, estimator=estimator, **options)


def _check_dataset(dataset, *labels):
    n_rows = len(as_rows(dataset))
    if not labels:
        return dataset
    y = check_array(*labels, ensure_2d=False, dtype=None, input_name="y")
    check_consistent_length(range(n_rows), y)
    return dataset, y.ravel()


def n_workers(estimator: Any) -> int:
    """Return how many processes read a data set."""
    return 0 if estimator.trainer is None else estimator.trainer.num_workers


def _extractor_to_keep(estimator):
    """Return a copy of an extractor that is not trained, or None."""
    untrained = estimator.extractor is not None and not estimator.train_extractor
    return frozen_copy(estimator.extractor) if untrained else None


def _features(estimator, extractor, X, device, memory):
    """Return what the rows of a fit are: features, or what to learn them from."""
    if estimator.train_extractor:
        return as_rows(X, n_workers(estimator))
    return extract_once(memory, extractor, X, device, n_workers(estimator))


def _check_groups(groups, n_rows):
    if groups is None:
        return None
    groups = np.asarray(to_numpy(groups))
    if groups.shape != (n_rows,):
        raise ValueError(
            f"groups must have the shape ({n_rows},), a group for each row; got the "
            f"shape {groups.shape}."
        )
    if groups.dtype.kind not in "biuUSfO" or any(value != value for value in groups):
        raise ValueError(f"groups must hold labels, none of them NaN; got {groups!r}.")
    try:
        np.unique(groups)
    except TypeError as error:
        raise ValueError(f"groups must be labels to sort; got {groups!r}.") from error
    return groups


def _training_data(estimator, X, y, weight, classes):
    """Return the rows with what ``class_weight`` says, and the weight of each class."""
    class_counts = np.bincount(y, weight, minlength=len(classes))
    class_weight, given = estimator.class_weight, None
    balanced = isinstance(class_weight, str) and class_weight == "balanced"
    if balanced or estimator._balances_classes:
        given, counts = weight, class_counts
        # As if the classes were equally frequent: of the prior too. A class whose
        # rows have no weight has none to share.
        share = np.divide(1, counts, where=counts > 0, out=np.zeros_like(counts))
        weight = weight * (counts.sum() / len(counts) * share[y])
    cost = np.ones(len(classes))
    if not balanced and class_weight is not None:
        cost = compute_class_weight(class_weight, classes=classes, y=classes)
        if not (np.isfinite(cost) & (cost > 0)).all():
            raise ValueError(
                f"class_weight must be positive and finite; got {class_weight!r}. To "
                "leave a class out, leave out its rows."
            )
    data = TrainingData(X, y.astype(np.int64), weight, cost, given)
    return data, class_counts
