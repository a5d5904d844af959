"""What all classifiers share: data in, a fitted projection and its scores out."""

from dataclasses import replace
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import ArrayLike
from sklearn.base import (
    BaseEstimator,
    ClassifierMixin,
    ClassNamePrefixFeaturesOutMixin,
    TransformerMixin,
)
from sklearn.utils.metaestimators import available_if

from skcollapse._utils.checks import snapshot, unchanged_on_error
from skcollapse._utils.devices import exclusive_device, resolve_device
from skcollapse._utils.doc_link import DocLinked
from skcollapse._utils.parallel import limited_threads
from skcollapse._utils.random_state import resolve_random_state
from skcollapse.classifiers._callbacks import CallbackSupportMixin, with_callbacks
from skcollapse.classifiers._check import (
    as_given,
    check_fit,
    check_partial_fit,
)
from skcollapse.classifiers._predict import PredictionMixin
from skcollapse.classifiers._publish import attributes
from skcollapse.classifiers._specify import specify
from skcollapse.classifiers._weights import WeightFilesMixin
from skcollapse.extract import portable
from skcollapse.fitting import FitContext, NoContext, Progress, TrainingData
from skcollapse.losses import Loss
from skcollapse.network import OPTIMIZERS
from skcollapse.targets import ClassGeometry


def _has_partial_fit(estimator):
    projector, solver = estimator.projector, estimator.solver
    name = getattr(projector, "name", projector)
    if name != "kernel" and solver in ("auto", *OPTIMIZERS):
        return True
    raise AttributeError(
        "partial_fit trains on mini-batches: it needs solver 'auto', 'adamw' or 'sgd', "
        f"and a projector other than 'kernel'; got solver={solver!r} and "
        f"projector={projector!r}."
    )


class ProjectionClassifier(
    DocLinked,
    PredictionMixin,
    WeightFilesMixin,
    CallbackSupportMixin,
    ClassNamePrefixFeaturesOutMixin,
    ClassifierMixin,
    TransformerMixin,
    BaseEstimator,
):
    """A projection of the features, scored against one vector for each class.

    Subclasses say which loss and target they want with ``_make_loss`` and
    ``_make_target``, and in ``_proxies`` how class vectors are trained, if they are.
    """

    # All classes weigh the same, costs apart, as if class_weight was "balanced".
    _balances_classes = False
    # The kind of proxies that learn the class vectors; None leaves them as they are.
    _proxies: type | None = None

    def _make_loss(self) -> Loss:
        """Return the loss; raise if a parameter of it is not valid."""
        raise NotImplementedError

    def _make_target(
        self,
        class_counts: np.ndarray,
        data: TrainingData,
        random_state: np.random.RandomState,
    ) -> ClassGeometry:
        """Return the class vectors for classes of these sizes."""
        raise NotImplementedError

    @unchanged_on_error
    @with_callbacks
    def fit(
        self,
        X: Any,
        y: Any = None,
        sample_weight: ArrayLike | None = None,
        groups: ArrayLike | None = None,
    ) -> Self:
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
        TypeError
            If an object is not of the kind that its parameter takes.
        """
        plan, device = specify(self), resolve_device(self.device)
        rng = resolve_random_state(self.random_state)
        X, y, sample_weight = given = as_given(self, X, y, sample_weight)
        in_batches = plan.network is not None
        checked = check_fit(self, given, groups, device, in_batches=in_batches)
        progress = self._progress(X, y, sample_weight, checked, plan.n_parts)
        with progress.task({}):
            context = FitContext(device, rng, progress)
            target = self._make_target(checked.class_counts, checked.data, rng)
            fitted = self._solve(plan, checked.data, target, context)
            self._publish(fitted, checked)
        return self

    @available_if(_has_partial_fit)
    @unchanged_on_error
    def partial_fit(
        self,
        X: Any,
        y: Any = None,
        classes: ArrayLike | None = None,
        sample_weight: ArrayLike | None = None,
    ) -> Self:
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
        plan, device = specify(self, one_epoch=True), resolve_device(self.device)
        before = getattr(self, "_fitted", None)
        X, y, sample_weight = as_given(self, X, y, sample_weight)
        checked = check_partial_fit(self, X, y, classes, sample_weight, device)
        # Callbacks follow a whole fit, and one epoch is none.
        progress = Progress(NoContext(), {}, dict, self._log)
        rng = resolve_random_state(self.random_state)
        context = FitContext(device, rng, progress)
        counts = checked.class_counts
        if before is not None and before.network is not None:
            target = ClassGeometry(before.target, before.target_means)
            counts = counts + self.class_counts_
        else:
            target = self._make_target(counts, checked.data, rng)
        fitted = self._solve(plan, checked.data, target, context)
        if before is not None:
            curve = [*before.loss_curve, *fitted.loss_curve]
            fitted = replace(fitted, loss_curve=curve, n_iter=len(curve))
        self._publish(fitted, checked._replace(class_counts=counts))
        return self

    def _solve(self, plan, data, target, context):
        size = data.X.size * data.n_classes
        with exclusive_device(context.device), limited_threads(size):
            return plan.fit(data, target, context)

    def _publish(self, fitted, checked):
        vars(self).update(attributes(fitted, *checked[1:]))

    def _progress(self, X, y, sample_weight, checked, n_parts):
        """Return the progress of a fit, which callbacks and ``verbose`` follow."""
        # As they came: an estimator that is handed to a callback may want names.
        metadata = None if sample_weight is None else {"sample_weight": sample_weight}
        data = {"estimator": self, "X": X, "y": y, "metadata": metadata}
        context = self._init_callback_context(max_subtasks=n_parts)
        return Progress(
            context, data, lambda fitted: attributes(fitted, *checked[1:]), self._log
        )

    def _log(self, step):
        """Print a step, if that is wanted."""
        if self.verbose:
            print(f"[{type(self).__name__}] {step}")

    def __getstate__(self):
        state = super().__getstate__()
        if isinstance(self.extractor, torch.nn.Module):
            # Pickles load where its device is not.
            state = {**state, "extractor": portable(self.extractor)}
        return state

    def __copy__(self):
        # copy.copy would put the stand-ins for pickles in the place of the weights.
        return snapshot(self)

    @property
    def _n_features_out(self):
        return self.target_.shape[1]

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags
