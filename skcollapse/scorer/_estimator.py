"""An estimator that measures: neural collapse behind scikit-learn's interface."""

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.metrics import pairwise_distances_argmin
from sklearn.utils import assert_all_finite
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted, validate_data

from skcollapse.moments import ClassMoments, RowMoments
from skcollapse.scorer._catalogue import CATALOGUE, Subject, class_columns, measure
from skcollapse.scorer._data import (
    class_indices,
    features_of,
    find_classes,
    float_dtypes,
    given_classes,
    look_at,
    to_numpy,
)
from skcollapse.scorer._head import resolve_head
from skcollapse.scorer._report import CollapseReport
from skcollapse.targets import TARGETS
from skcollapse.training.threads import limited_threads

# Multiplications for which a scatter matrix takes some hundredths of a second.
_CHEAP_SCATTER = 2**30
# Values of the scatter matrices of all classes: 128 MiB.
_CHEAP_CLASS_SCATTER = 2**24


class NeuralCollapseScorer(ClassifierMixin, BaseEstimator):
    r"""Measure how far features are from neural collapse.

    Parameters
    ----------
    classifier : array, tuple, torch.nn.Linear or fitted estimator, default=None
        The linear classifier on these features, for NC3, NC4 and the geometry of its
        class vectors: an array of shape (n_classes, n_features), such an array and
        biases of shape (n_classes,), a torch layer, or a fitted linear classifier of
        scikit-learn. Rows are in the order of the sorted labels; if there are more rows
        than labels, labels are row numbers.
    target : str or array-like of shape (n_classes, n_components), default="etf"
        Geometry of ``target_distance``: "etf", "seli", or any other name of a target,
        or where the class means should sit.
    metric : str, default="nc1"
        The measure that :meth:`score` returns, with the sign that makes greater more
        collapsed: a key of ``report_.to_dict()``. The measures themselves fall with
        collapse, all but "min_angle" and "nc4_ncc_agreement".
    scatter : bool or "auto", default="auto"
        Whether to gather the :math:`d \times d` scatter matrix. Whole data need it for
        "vci" alone; data in batches for "nc1" too. "auto" gathers it for data in
        batches, and for whole data where it takes little time or `metric` needs it.
    ridge : float, default=0.0
        Strength of the regularisation in the SELI geometry, as in
        :func:`~skcollapse.targets.seli`.
    split : str, default="train"
        What the rows are; a part of the report.

    Attributes
    ----------
    report_ : CollapseReport
        All measures. After :meth:`partial_fit` those that need rows again are NaN.
    centres_ : ndarray of shape (n_classes, n_features)
        Class means; NaN for classes without samples.
    class_counts_ : ndarray of shape (n_classes,)
        Sum of the sample weights of each class.
    classes_ : ndarray of shape (n_classes,)
    n_features_in_ : int
    feature_names_in_ : ndarray of shape (`n_features_in_`,)

    See Also
    --------
    skcollapse.measures : The measures by themselves.

    Notes
    -----
    ``fit`` looks at the rows twice, or three times with a classifier, and projects them
    on the directions between class means. ``partial_fit`` sees each row once: it keeps
    the scatter matrix of every class where these take up to 128 MiB and one for all
    otherwise, and then has no balanced NC1.

    As ``scoring=``, ``scorer(estimator, X, y)`` measures the features that the
    estimator makes of X: what its ``transform`` returns, or that of the last
    transformer in a pipeline. Cloning unfits an estimator given as `classifier` unless
    it is frozen by ``sklearn.frozen.FrozenEstimator``.

    References
    ----------
    .. [1] Papyan, Han and Donoho, "Prevalence of neural collapse during the terminal
       phase of deep learning training", PNAS 117, 2020. arXiv:2008.08186.
    .. [2] Thrampoulidis, Kini, Vakilian and Behnia, "Imbalance Trouble: Revisiting
       Neural-Collapse Geometry", NeurIPS 2022. arXiv:2208.05512.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from sklearn.linear_model import LogisticRegression
    >>> from skcollapse import NeuralCollapseScorer
    >>> X, y = load_iris(return_X_y=True)
    >>> head = LogisticRegression(max_iter=1000).fit(X, y)
    >>> scorer = NeuralCollapseScorer(classifier=head, metric="cdnv").fit(X, y)
    >>> round(scorer.report_["nc1"], 3)
    1.708
    >>> round(scorer.report_["nc4_ncc_agreement"], 3)
    0.927
    >>> round(scorer.score(X, y), 3)
    -0.118
    """

    def __init__(
        self,
        classifier=None,
        *,
        target="etf",
        metric="nc1",
        scatter="auto",
        ridge=0.0,
        split="train",
    ):
        self.classifier = classifier
        self.target = target
        self.metric = metric
        self.scatter = scatter
        self.ridge = ridge
        self.split = split

    def fit(self, X, y, sample_weight=None):
        """Measure all rows.

        Parameters
        ----------
        X : array-like or tensor of shape (n_samples, n_features)
            Features of any real dtype, also in a memory map.
        y : array-like or tensor of shape (n_samples,)
            Labels of at least two classes.
        sample_weight : array-like of shape (n_samples,), default=None
            A weight of 2 is a row that stands twice, a weight of 0 a row left out.

        Returns
        -------
        self

        Raises
        ------
        ValueError
            If a parameter or the data is not valid.
        """
        self._check_parameters()
        X, y, weight = self._check_rows(X, y, sample_weight, reset=True)
        head = resolve_head(self.classifier)
        classes = find_classes(y if weight is None else y[weight > 0], head)
        with limited_threads(X.size * len(classes)):
            moments = look_at(X, y, weight, classes)
            subject = self._subject(moments, head)
            self._report = self._make_report(subject, classes, moments.sizes)
        self._streamed = None
        self._accept(moments, classes)
        return self

    def partial_fit(self, X, y, classes=None, sample_weight=None):
        """Add rows to what is measured. After :meth:`fit` it begins anew.

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

        Raises
        ------
        ValueError
            As :meth:`fit`; and if ``classes`` is missing in the first call or differs
            from the first, or ``y`` holds a label that is not among them.
        """
        self._check_parameters()
        streamed = getattr(self, "_streamed", None)
        X, y, weight = self._check_rows(X, y, sample_weight, reset=streamed is None)
        known = getattr(self, "classes_", None)
        if streamed is None and classes is not None:
            known = None
        classes = given_classes(classes, known)
        indices = class_indices(y, classes)
        assert_all_finite(X, input_name="X")
        if streamed is None:
            shape = len(classes), X.shape[1]
            streamed = ClassMoments(*shape, scatter=self._streamed_scatter(*shape))
        self._streamed = streamed.update(X, indices, weight)
        self._report = None
        self._accept(streamed, classes)
        return self

    @property
    def report_(self):
        """The report; after `partial_fit` made when it is asked for."""
        check_is_fitted(self)
        if self._report is None:
            subject = self._subject(self._streamed, resolve_head(self.classifier))
            self._report = self._make_report(subject, self.classes_, None)
        return self._report

    def predict(self, X):
        """Return the class of the nearest class mean.

        Parameters
        ----------
        X : array-like or tensor of shape (n_samples, n_features)

        Returns
        -------
        ndarray of shape (n_samples,)
        """
        check_is_fitted(self)
        X = validate_data(self, to_numpy(X), dtype=float_dtypes(X), reset=False)
        present = self.class_counts_ > 0
        centres = self.centres_[present].astype(X.dtype)
        return self.classes_[present][pairwise_distances_argmin(X, centres)]

    def score(self, X, y, sample_weight=None):
        """Measure other rows by `metric`, about class means of their own.

        Parameters
        ----------
        X : array-like or tensor of shape (n_samples, n_features)
        y : array-like or tensor of shape (n_samples,)
            Labels that were there in :meth:`fit`, at least two of them.
        sample_weight : array-like of shape (n_samples,), default=None

        Returns
        -------
        score : float
            The measure, negative if it falls with collapse: greater is more collapsed.

        Raises
        ------
        ValueError
            If the data are not valid or `metric` needs a classifier that is not given.
        """
        check_is_fitted(self)
        X, y, weight = self._check_rows(X, y, sample_weight, reset=False)
        return self._score(X, y, weight, self.classes_)

    def __call__(self, estimator, X, y, sample_weight=None):
        """Score the features that a fitted estimator makes of X.

        Parameters
        ----------
        estimator : estimator
            With a ``transform``, or a pipeline of which all but the last step have one.
        X : array-like of shape (n_samples, ...)
        y : array-like of shape (n_samples,)
        sample_weight : array-like of shape (n_samples,), default=None

        Returns
        -------
        score : float
            As :meth:`score`. The scorer need not be fitted and stays as it is.

        Raises
        ------
        TypeError
            If the estimator does not transform.
        """
        features = features_of(estimator, X)
        other = type(self)(**self.get_params(deep=False))
        other._check_parameters()
        checked = other._check_rows(features, y, sample_weight, reset=True)
        return other._score(*checked, None)

    def _score(self, X, y, weight, classes):
        self._check_parameters()
        head = resolve_head(self.classifier)
        if classes is None:
            classes = find_classes(y if weight is None else y[weight > 0], head)
        with limited_threads(X.size * len(classes)):
            subject = self._subject(look_at(X, y, weight, classes), head)
            value = measure(self.metric, subject)
        return float(value if CATALOGUE[self.metric].rising else -value)

    def _subject(self, moments, head):
        """Return what is measured, with what it can be asked for."""
        shape = moments.n_classes, moments.n_features
        if head is not None and head.coef.shape != shape:
            raise ValueError(
                f"classifier must hold class vectors of shape {shape}, a row for each "
                f"class; got the shape {head.coef.shape}."
            )
        if (moments.counts > 0).sum() < 2:
            raise ValueError(
                "y must hold samples of at least two classes, got one class."
            )
        has = {"classifier"} if head is not None else set()
        if isinstance(moments, RowMoments):
            has |= {"rows", "spread", "class spread"}
            has |= {"scatter"} if self._wants_scatter(moments) else set()
        else:
            has |= {"scatter", "spread"} if moments.gathers else set()
            has |= {"class spread"} if moments.gathers == "class" else set()
        return Subject(moments, frozenset(has), head, self.target, self.ridge)

    def _make_report(self, subject, classes, sizes):
        # The agreement first: one look at the rows then serves all measures.
        if subject.head is not None and "rows" in subject.has:
            subject.agreement()
        values = {
            name: float(measure(name, subject))
            for name, entry in CATALOGUE.items()
            if subject.head is not None or "classifier" not in entry.needs
        }
        return CollapseReport(
            values,
            class_columns(subject, classes, sizes),
            self.split,
            subject.moments.n_features,
            None if sizes is None else int((sizes == 1).sum()),
        )

    def _accept(self, moments, classes):
        self.classes_, self.class_counts_ = classes, moments.counts
        self.centres_ = moments.means

    def _wants_scatter(self, moments):
        if self.scatter != "auto":
            return self.scatter
        d = moments.n_features
        cheap = len(moments.labels) * d * d <= _CHEAP_SCATTER and d <= 1024
        return cheap or self.metric == "vci"

    def _streamed_scatter(self, n_classes, n_features):
        if self.scatter is False:
            return False
        cheap = n_classes * n_features**2 <= _CHEAP_CLASS_SCATTER
        return "class" if cheap else True

    def _check_parameters(self):
        names = ", ".join(map(repr, CATALOGUE))
        if self.metric not in CATALOGUE:
            raise ValueError(f"metric must be one of {names}; got {self.metric!r}.")
        if "classifier" in CATALOGUE[self.metric].needs and self.classifier is None:
            raise ValueError(
                f"metric={self.metric!r} measures a classifier: pass classifier=."
            )
        if not (self.scatter is True or self.scatter is False):
            if self.scatter != "auto":
                raise ValueError(
                    f'scatter must be True, False or "auto"; got {self.scatter!r}.'
                )
        elif not self.scatter and "scatter" in CATALOGUE[self.metric].needs:
            raise ValueError(
                f"metric={self.metric!r} needs a scatter matrix: leave scatter='auto'."
            )
        if isinstance(self.target, str) and self.target not in TARGETS:
            names = ", ".join(map(repr, TARGETS))
            raise ValueError(
                f"target must be one of {names}, or an array of class means; got "
                f"{self.target!r}."
            )
        if not isinstance(self.split, str):
            raise ValueError(f"split must be a name, got {self.split!r}.")

    def _check_rows(self, X, y, sample_weight, *, reset):
        """Return X, labels and weights in NumPy; finiteness is checked later."""
        X, y = validate_data(
            self,
            to_numpy(X),
            to_numpy(y),
            dtype="numeric",
            reset=reset,
            ensure_all_finite=False,
        )
        check_classification_targets(y)
        if sample_weight is None:
            return X, y, None
        weight = np.asarray(to_numpy(sample_weight), dtype=np.float64)
        if weight.shape != (len(X),):
            raise ValueError(
                f"sample_weight must have the shape ({len(X)},), a weight for each row "
                f"of X; got the shape {weight.shape}."
            )
        # NaN fails the comparison.
        if not ((weight >= 0) & (weight < np.inf)).all():
            raise ValueError(
                "sample_weight must be finite and not negative, got values from "
                f"{weight.min():g} to {weight.max():g}."
            )
        if not weight.any():
            raise ValueError("sample_weight must not be zero for every row.")
        return X, y, weight
