"""An estimator that measures: neural collapse behind scikit-learn's interface."""

from functools import partial

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.metrics import pairwise_distances_argmin
from sklearn.utils import assert_all_finite
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted, validate_data

from skcollapse._utils.arrays import float_dtypes, resolve_classes, to_numpy
from skcollapse._utils.doc_link import DocLinked
from skcollapse._utils.sample_weight import check_sample_weight
from skcollapse.moments import ClassMoments, RowMoments
from skcollapse.scorer._catalogue import CATALOGUE, Subject, measure
from skcollapse.scorer._data import (
    class_indices,
    features_of,
    find_classes,
    look_at,
)
from skcollapse.scorer._head import resolve_head
from skcollapse.scorer._network import Network, look_at_network
from skcollapse.scorer._report import make_report
from skcollapse.scorer._scatter import streamed_scatter, wants_scatter
from skcollapse.scorer._validation import check_head, check_parameters
from skcollapse._utils.threads import limited_threads


class NeuralCollapseScorer(DocLinked, ClassifierMixin, BaseEstimator):
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
        check_parameters(self, has_classifier=self.classifier is not None)
        X, y, weight = self._check_rows(X, y, sample_weight, reset=True)
        head = resolve_head(self.classifier)
        classes = find_classes(y if weight is None else y[weight > 0], head)
        with limited_threads(X.size * len(classes)):
            moments = look_at(X, y, weight, classes)
            subject = self._subject(moments, head)
            report = make_report(subject, classes, moments.sizes, self.split)
        self._accept(moments, classes, report)
        return self

    def fit_network(
        self,
        module,
        loader,
        *,
        classes=None,
        layer=None,
        device="auto",
        autocast=None,
        verbose=False,
    ):
        """Measure the features that enter the head of a network, and the head itself.

        Features are measured batch by batch as they are computed, and never held.

        Parameters
        ----------
        module : torch.nn.Module
            Left as it was, see :func:`~skcollapse.extract.extract_features`.
        loader : iterable
            Of batches with labels: ``(x, y)`` pairs, or dicts with "labels", "label" or
            "y". It is gone through twice with a classifier, whose agreement with the
            nearest class mean needs the class means beforehand. From an iterator, which
            is used up by then, "nc4_ncc_agreement" is NaN.
        classes : array-like of shape (n_classes,), default=None
            All labels, whose sorted order is that of the rows of the head. None stands
            for row numbers, from 0 on.
        layer : str or torch.nn.Module, default=None
            The head, where it is not found: any layer that takes one vector for each
            input. `classifier` comes before it. If neither `classifier` is given nor
            the weights of the layer give its output, no classifier is measured.
        device : str or torch.device, default="auto"
            Where to compute. "auto" is where the network is, or CUDA where there is one
            if that is the CPU.
        autocast : torch.bfloat16, torch.float16 or None, default=None
            Mixed precision.
        verbose : bool, default=False
            Print a line that counts the batches.

        Returns
        -------
        self

        Raises
        ------
        ValueError
            If a parameter is not valid; if there is no head, or several; if there are
            no batches, no labels, or labels that are not among `classes`; if features
            are not finite.
        TypeError
            If `module` is not a :class:`torch.nn.Module`.
        """
        check_parameters(self, has_classifier=True)
        told_by = type(self).__name__ if verbose else None
        found = look_at_network(
            Network(module, layer, device, autocast, told_by),
            loader,
            resolve_head(self.classifier),
            classes,
            partial(streamed_scatter, self.scatter),
        )
        subject = self._subject(found.moments, found.head, found.agreement)
        sizes = found.moments.counts.astype(int)
        report = make_report(subject, found.classes, sizes, self.split)
        # What scikit-learn checks other rows against.
        like = np.empty((1, found.moments.n_features))
        validate_data(self, like, reset=True, skip_check_array=True)
        self._accept(found.moments, found.classes, report, head=found.head)
        return self

    def partial_fit(self, X, y, classes=None, sample_weight=None):
        """Add rows to what is measured. After any other fit it begins anew.

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
        check_parameters(self, has_classifier=self.classifier is not None)
        streamed = getattr(self, "_streamed", None)
        X, y, weight = self._check_rows(X, y, sample_weight, reset=streamed is None)
        known = getattr(self, "classes_", None)
        if streamed is None and classes is not None:
            known = None
        classes = resolve_classes(classes, known)
        indices = class_indices(y, classes)
        assert_all_finite(X, input_name="X")
        if streamed is None:
            shape = len(classes), X.shape[1]
            streamed = ClassMoments(
                *shape, scatter=streamed_scatter(self.scatter, *shape)
            )
        streamed.update(X, indices, weight)
        self._accept(streamed, classes, streamed=streamed)
        return self

    @property
    def report_(self):
        """The report; after `partial_fit` made when it is asked for."""
        check_is_fitted(self)
        if self._report is None:
            subject = self._subject(self._streamed, resolve_head(self.classifier))
            self._report = make_report(subject, self.classes_, None, self.split)
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
        X = to_numpy(X)
        X = validate_data(self, X, dtype=float_dtypes(X), reset=False)
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
        head = resolve_head(self.classifier) or self._network_head
        return self._score(X, y, weight, head, self.classes_)

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
        checked = other._check_rows(features, y, sample_weight, reset=True)
        return other._score(*checked, resolve_head(self.classifier))

    def _score(self, X, y, weight, head, classes=None):
        check_parameters(self, has_classifier=head is not None)
        if classes is None:
            classes = find_classes(y if weight is None else y[weight > 0], head)
        with limited_threads(X.size * len(classes)):
            subject = self._subject(look_at(X, y, weight, classes), head)
            value = measure(self.metric, subject)
        return float(value if CATALOGUE[self.metric].rising else -value)

    def _subject(self, moments, head, agreement=None):
        """Return what is measured, with what it can be asked for."""
        check_head(head, moments.n_classes, moments.n_features)
        if (moments.counts > 0).sum() < 2:
            raise ValueError(
                "y must hold samples of at least two classes, got one class."
            )
        has = {"classifier"} if head is not None else set()
        if isinstance(moments, RowMoments):
            has |= {"rows", "spread", "class spread"}
            shape = len(moments.labels), moments.n_features
            wanted = wants_scatter(self.scatter, self.metric, *shape)
            has |= {"scatter"} if wanted else set()
        else:
            has |= {"scatter", "spread"} if moments.gathers else set()
            has |= {"class spread"} if moments.gathers == "class" else set()
            has |= {"rows"} if agreement is not None else set()
        return Subject(
            moments, frozenset(has), head, self.target, self.ridge, agreement
        )

    def _accept(self, moments, classes, report=None, *, streamed=None, head=None):
        # In one step: never half of a fit.
        self.classes_, self.class_counts_ = classes, moments.counts
        self.centres_ = moments.means
        self._report, self._streamed, self._network_head = report, streamed, head

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
        # Whole numbers are classes, and to count them takes longer than to measure few.
        if y.dtype.kind not in "iu":
            check_classification_targets(y)
        if sample_weight is None:
            return X, y, None
        return X, y, check_sample_weight(to_numpy(sample_weight), len(X))
