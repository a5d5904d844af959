"""What all classifiers share: data in, a fitted projection and its scores out."""

from functools import partial

import numpy as np
import torch
from scipy.special import log_softmax, softmax
from sklearn.base import (
    BaseEstimator,
    ClassifierMixin,
    ClassNamePrefixFeaturesOutMixin,
    TransformerMixin,
)
from sklearn.utils import assert_all_finite, check_random_state, compute_class_weight
from sklearn.utils.metaestimators import available_if
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted

from skcollapse._utils.arrays import resolve_classes, to_numpy
from skcollapse._utils.devices import exclusive_device, resolve_device
from skcollapse._utils.doc_link import DocLinked
from skcollapse._utils.sample_weight import check_sample_weight
from skcollapse.classifiers._extraction import (
    as_rows,
    check_inputs,
    extract,
    extract_once,
    frozen,
    labels_of,
    n_workers,
)
from skcollapse.classifiers._fitted import fitted_attributes
from skcollapse.classifiers._fitting import (
    MINI_BATCH,
    check_parameters,
    fit_projection,
    fit_projection_partially,
    n_parts,
)
from skcollapse._utils.checks import (
    check_one_label,
    unchanged_on_error,
)
from skcollapse.classifiers._weights import WeightFilesMixin
from skcollapse.extract._placing import portable
from skcollapse.targets import ClassGeometry
from skcollapse.training.callbacks import (
    CallbackSupportMixin,
    NoContext,
    Task,
    with_callbacks,
)
from skcollapse.training.rows import Rows
from skcollapse._utils.threads import limited_threads


def _trains_on_mini_batches(estimator):
    if estimator.solver in ("auto", *MINI_BATCH) and estimator.projector != "kernel":
        return True
    raise AttributeError(
        "partial_fit trains on mini-batches: it needs solver 'auto', 'adamw' or 'sgd', "
        f"and a projector other than 'kernel'; got solver={estimator.solver!r} and "
        f"projector={estimator.projector!r}."
    )


class ProjectionClassifier(
    DocLinked,
    WeightFilesMixin,
    CallbackSupportMixin,
    ClassNamePrefixFeaturesOutMixin,
    ClassifierMixin,
    TransformerMixin,
    BaseEstimator,
):
    """A projection of the features, scored against one vector for each class.

    Subclasses fit ``projection_`` (from X to (n, d) features, in NumPy), ``target_``
    ((K, d) class vectors), ``temperature_`` and ``classes_``. They say which loss and
    target they want with ``_make_loss`` and ``_make_target``.
    """

    # All classes weigh the same, costs apart, as if class_weight was "balanced".
    _balances_classes = False
    # The kind of proxies that learn the class vectors; None leaves them as they are.
    _proxies = None

    @unchanged_on_error
    @with_callbacks
    def fit(self, X, y=None, sample_weight=None, groups=None):
        """Fit the projector.

        Parameters
        ----------
        X : array-like or tensor of shape (n_samples, n_features), or Dataset
            Float32 and float64 are computed as they are, float16 in float32. With an
            extractor rows have any shape, X may be a memory map, and
            floating-point numbers and pixels, which are integers of one byte, are
            converted to the dtype of the network on the device; or X is a map-style
            :class:`torch.utils.data.Dataset` of pairs.
        y : array-like or tensor of shape (n_samples,)
            Labels of at least two classes. None reads a Dataset once for its own.
        sample_weight : array-like of shape (n_samples,), default=None
            A weight of 2 is a row that stands twice, a weight of 0 a row left out.
        groups : array-like of shape (n_samples,), default=None
            Rows of a group, such as frames of one recording, are held out together when
            something is chosen, but for classes in one or two groups only.

        Returns
        -------
        self
            If the fit fails or is interrupted, as it was before.

        Raises
        ------
        ValueError
            If a parameter or the data is not valid, or the loss diverges.
        """
        check_parameters(self)
        loss, device = self._make_loss(), resolve_device(self.device)
        rng = check_random_state(self.random_state)
        y = labels_of(X, y, n_workers(self))
        X, y, sample_weight = map(to_numpy, (X, y, sample_weight))
        extractor = self._extractor_to_keep()
        rows, classes, counts = self._prepare(X, y, sample_weight, extractor, device)
        attributes = partial(
            fitted_attributes, classes=classes, counts=counts, extractor=extractor
        )
        # As they came: an estimator that is handed to a callback may want names.
        weight = None if sample_weight is None else {"sample_weight": sample_weight}
        told = {"estimator": self, "X": X, "y": y, "metadata": weight}
        context = self._init_callback_context(max_subtasks=n_parts(self))
        task = Task(context, told, attributes, self._say)
        target = self._make_target(counts, rows, rng)
        with exclusive_device(device), limited_threads(rows.X.size * len(classes)):
            state = fit_projection(self, rows, loss, target, device, groups, rng, task)
        vars(self).update(attributes(state))
        task.end({})
        return self

    @available_if(_trains_on_mini_batches)
    @unchanged_on_error
    def partial_fit(self, X, y=None, classes=None, sample_weight=None):
        """Train the projector for one epoch on some rows.

        Always on mini-batches, with a constant learning rate: projectors "auto" and
        "linear" are one affine map, which begins anew after a ``fit`` that did not
        train on mini-batches. The features are scaled as the first rows say, and
        the class prior is that of all rows so far.

        Parameters
        ----------
        X : array-like or tensor of shape (n_samples, n_features)
        y : array-like or tensor of shape (n_samples,)
        classes : array-like of shape (n_classes,), default=None
            All labels that will ever come; needed by the first call.
        sample_weight : array-like of shape (n_samples,), default=None

        Returns
        -------
        self
            If the call fails or is interrupted, as it was before.

        Raises
        ------
        ValueError
            As :meth:`fit`; and if ``classes`` is missing in the first call, or ``y``
            holds a label that is not among them.
        """
        check_parameters(self)
        loss, device = self._make_loss(), resolve_device(self.device)
        y = labels_of(X, y, n_workers(self))
        first = getattr(self, "_network", None) is None
        extractor = self._extractor_to_keep() if first else self.extractor_
        X, y, weight = self._check_rows(X, y, sample_weight, reset=first)
        begins_anew = first and classes is not None
        known = None if begins_anew else getattr(self, "classes_", None)
        classes = resolve_classes(classes, known)
        unknown = np.setdiff1d(y, classes)
        if len(unknown):
            raise ValueError(
                f"y holds {unknown[0]!r}, which is not one of classes={classes!r}."
            )
        indices = np.searchsorted(classes, y)
        counts = np.bincount(indices, weight, minlength=len(classes))
        features = self._features(extractor, X, device)
        rows = self._make_rows(features, classes, indices, weight)
        rng = check_random_state(self.random_state)
        if first:
            target = self._make_target(counts, rows, rng)
        else:
            target = ClassGeometry(self.target_, self.target_means_)
            counts = counts + self.class_counts_
        # Callbacks follow a whole fit, and one epoch is none.
        task = Task(NoContext(), {}, dict, self._say)
        with exclusive_device(device), limited_threads(rows.X.size * len(classes)):
            state = fit_projection_partially(
                self, rows, loss, target, device, rng, task
            )
        # In one step: never half of a fit.
        vars(self).update(fitted_attributes(state, classes, counts, extractor))
        return self

    def _say(self, step):
        """Print a line, if that is wanted."""
        if self.verbose:
            print(f"[{type(self).__name__}] {step}")

    def _check_rows(self, X, y, sample_weight, *, reset=True):
        """Return checked X, labels and sample weights, in NumPy."""
        X, y = to_numpy(X), to_numpy(y)
        check_one_label(y)
        X, y = check_inputs(self, X, y, reset=reset)
        check_classification_targets(y)
        if sample_weight is None:
            return X, y, np.ones(len(X))
        return X, y, check_sample_weight(to_numpy(sample_weight), len(X))

    def _encode(self, y, weight):
        """Return the classes of rows that count, and the class indices of all rows."""
        classes = np.unique(y[weight > 0])
        if len(classes) < 2:
            raise ValueError(
                f"{type(self).__name__} needs rows of at least 2 classes; y has 1 "
                f"class, {classes[0]!r}."
            )
        # Rows of weight zero may have another class; they are never looked at.
        indices = np.searchsorted(classes, y).clip(max=len(classes) - 1)
        return classes, indices.astype(np.int64)

    def _make_rows(self, X, classes, indices, weight):
        """Return the rows, with what ``class_weight`` says."""
        balanced = isinstance(self.class_weight, str) and (
            self.class_weight == "balanced"
        )
        given = weight
        if balanced or self._balances_classes:
            counts = np.bincount(indices, weight, minlength=len(classes))
            # As if the classes were equally frequent: of the prior too. A class whose
            # rows have no weight has none to share.
            share = np.divide(1, counts, where=counts > 0, out=np.zeros_like(counts))
            weight = weight * (counts.sum() / len(counts) * share[indices])
        if balanced or self.class_weight is None:
            return Rows(X, indices, weight, np.ones(len(classes)), given)
        cost = compute_class_weight(self.class_weight, classes=classes, y=classes)
        if not (cost > 0).all():
            raise ValueError(
                f"class_weight must be positive; got {self.class_weight!r}. To leave a "
                "class out, leave out its rows."
            )
        return Rows(X, indices, weight, cost, given)

    def _extractor_to_keep(self):
        """Return a copy of an extractor that is not trained, or None."""
        untrained = self.extractor is not None and not self.train_extractor
        return frozen(self.extractor) if untrained else None

    def _features(self, extractor, X, device, memory=None):
        """Return what the rows of a fit are: features, or what to learn them from."""
        if self.train_extractor:
            return as_rows(X, n_workers(self))
        return extract_once(memory, extractor, X, device, n_workers(self))

    def _prepare(self, X, y, sample_weight, extractor, device):
        """Return rows of features, classes and class counts."""
        X, y, weight = self._check_rows(X, y, sample_weight)
        classes, indices = self._encode(y, weight)
        counts = np.bincount(indices, weight, minlength=len(classes))
        features = self._features(extractor, X, device, self.memory)
        return self._make_rows(features, classes, indices, weight), classes, counts

    def _apply(self, function, X):
        """Return a function of checked X."""
        check_is_fitted(self)
        # Networks may hide what is not finite.
        finite = self.extractor_ is not None
        X = check_inputs(self, to_numpy(X), reset=False, ensure_all_finite=finite)
        if self.extractor_ is not None:
            device = resolve_device(self.device)
            X = extract(self.extractor_, X, device, n_workers(self))
        with np.errstate(invalid="ignore", over="ignore"):
            result = function(X)
            # Most projections show NaN and infinity, and are the smaller to look at.
            if not (self.projection_.keeps_non_finite and np.isfinite(result.sum())):
                assert_all_finite(X, input_name="X")
        return result

    def transform(self, X):
        """Project features to where the classes sit.

        Parameters
        ----------
        X : array-like or tensor of shape (n_samples, n_features)

        Returns
        -------
        ndarray of shape (n_samples, n_components)
            Of unit norm if the loss looks at directions only.
        """
        check_is_fitted(self)
        projected = self._apply(self.projection_, X)
        return _unit_rows(projected) if self._unit_features else projected

    def _scores(self, X):
        """Return the (n, K) inner products with the class vectors, at temperature 1."""
        check_is_fitted(self)
        if not self._unit_features:
            return self._apply(self._scorer, X)
        vectors = self.target_.T / self.temperature_
        projected = _unit_rows(self._apply(self.projection_, X))
        return projected @ vectors.astype(projected.dtype)

    def decision_function(self, X):
        """Return the scores of the classes, on a balanced footing.

        Parameters
        ----------
        X : array-like or tensor of shape (n_samples, n_features)

        Returns
        -------
        ndarray of shape (n_samples, n_classes) or (n_samples,)
            Inner products of projected features and class vectors, over the
            temperature; with two classes, the second less the first.
        """
        scores = self._scores(X)
        return scores[:, 1] - scores[:, 0] if len(self.classes_) == 2 else scores

    def predict(self, X):
        """Return the class of the greatest score.

        Parameters
        ----------
        X : array-like or tensor of shape (n_samples, n_features)

        Returns
        -------
        ndarray of shape (n_samples,)
        """
        best = self._scores(X).argmax(axis=1)
        return self.classes_[best]

    def predict_proba(self, X):
        """Return class probabilities, for rows drawn evenly from the classes.

        Parameters
        ----------
        X : array-like or tensor of shape (n_samples, n_features)

        Returns
        -------
        ndarray of shape (n_samples, n_classes)
        """
        return softmax(self._scores(X), axis=1)

    def predict_log_proba(self, X):
        """Return the logarithms of the probabilities.

        Parameters
        ----------
        X : array-like or tensor of shape (n_samples, n_features)

        Returns
        -------
        ndarray of shape (n_samples, n_classes)
        """
        return log_softmax(self._scores(X), axis=1)

    def __getstate__(self):
        state = super().__getstate__()
        if isinstance(self.extractor, torch.nn.Module):
            # Pickles load where its device is not.
            state = {**state, "extractor": portable(self.extractor)}
        return state

    def __copy__(self):
        # copy.copy would put the stand-ins for pickles in the place of the weights.
        copied = type(self).__new__(type(self))
        vars(copied).update(vars(self))
        return copied

    @property
    def _n_features_out(self):
        return self.target_.shape[1]

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags


def _unit_rows(rows):
    length = np.linalg.norm(rows, axis=1, keepdims=True)
    return rows / np.where(length > 0, length, 1).astype(rows.dtype)
