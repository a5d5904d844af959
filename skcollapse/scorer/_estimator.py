"""An estimator that measures: neural collapse behind scikit-learn's interface."""

from collections.abc import Iterable
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import ArrayLike
from sklearn.utils import assert_all_finite
from sklearn.utils.validation import check_is_fitted, validate_data

from skcollapse._utils.arrays import Rows, resolve_classes
from skcollapse._utils.checks import unchanged_on_error
from skcollapse._utils.doc_link import DocLinked
from skcollapse._utils.parallel import limited_threads
from skcollapse.moments import ClassMoments
from skcollapse.scorer._checks import check_parameters, make_inputs, streamed_scatter
from skcollapse.scorer._network import NetworkReader, network_moments
from skcollapse.scorer._report import CollapseReport, make_report
from skcollapse.scorer._rows import (
    class_indices,
    compute_moments,
    find_classes,
    resolve_head,
)
from skcollapse.scorer._scoring import RowScorer


class NeuralCollapseScorer(DocLinked, RowScorer):
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
        Geometry of ``target_distance``: "etf", "seli", "hyperspherical", or where the
        class means should sit. The hyperspherical code is one in as many dimensions as
        the class means can span, min(n_classes - 1, n_features), whose vectors are
        given to the classes that they suit.
    metric : str, default="nc1"
        The measure that :meth:`score` returns, with the sign that makes greater more
        collapsed: a key of ``report_.to_dict()``. The measures themselves fall with
        collapse, all but "min_angle" and "nc4_ncc_agreement".
    scatter : bool or "auto", default="auto"
        Whether to gather the :math:`d \times d` scatter matrix. Whole data need it for
        "vci" alone; data in batches for "nc1" too. "auto" gathers it for data in
        batches, and for whole data where it takes little time or `metric` needs it.
    ridge : float, default=0.0
        Strength of the regularisation in the SELI geometry, at least 0, as in
        :func:`~skcollapse.targets.seli`.
    split : str, default="train"
        What the rows are, such as "train" or "test"; a part of the report.

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
    .. [1] Papyan, Han and Donoho, "Prevalence of neural collapse", PNAS 117, 2020,
       arXiv:2008.08186.
    .. [2] Thrampoulidis et al., "Imbalance Trouble", NeurIPS 2022, arXiv:2208.05512.

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

    _report: CollapseReport | None

    _moments: Any
    _summary: Any

    def __init__(
        self,
        classifier: Any = None,
        *,
        target: str | ArrayLike = "etf",
        metric: str = "nc1",
        scatter: bool | Literal["auto"] = "auto",
        ridge: float = 0.0,
        split: str = "train",
    ) -> None:
        self.classifier = classifier
        self.target = target
        self.metric = metric
        self.scatter = scatter
        self.ridge = ridge
        self.split = split

    @unchanged_on_error
    def fit(
        self, X: Rows, y: Rows, sample_weight: Rows | None = None
    ) -> "NeuralCollapseScorer":
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
        rows, labels, weight = self._check_rows(X, y, sample_weight, reset=True)
        head = resolve_head(self.classifier)
        self.classes_ = find_classes(labels, weight, head)
        with limited_threads(rows.size * len(self.classes_)):
            moments = compute_moments(rows, labels, weight, self.classes_)
            inputs = make_inputs(self, moments, head)
            report = make_report(inputs, self.classes_, moments.sizes, self.split)
        self._accept(moments, report)
        return self

    @unchanged_on_error
    def fit_network(
        self,
        module: torch.nn.Module,
        loader: Iterable[Any],
        *,
        classes: Rows | None = None,
        layer: str | torch.nn.Module | None = None,
        device: str | torch.device = "auto",
        autocast: torch.dtype | None = None,
        verbose: bool = False,
    ) -> "NeuralCollapseScorer":
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
        name = type(self).__name__ if verbose else None
        moments, head, self.classes_, agreement = network_moments(
            NetworkReader(module, layer, device, autocast, name),
            loader,
            resolve_head(self.classifier),
            classes,
            self.scatter,
        )
        inputs = make_inputs(self, moments, head, agreement)
        sizes = moments.counts.astype(int)
        report = make_report(inputs, self.classes_, sizes, self.split)
        # What scikit-learn checks other rows against.
        like = np.empty((1, moments.n_features))
        validate_data(self, like, reset=True, skip_check_array=True)
        self._accept(moments, report, head)
        return self

    @unchanged_on_error
    def partial_fit(
        self,
        X: Rows,
        y: Rows,
        classes: Rows | None = None,
        sample_weight: Rows | None = None,
    ) -> "NeuralCollapseScorer":
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
        streamed = getattr(self, "_moments", None)
        anew = streamed is None
        rows, labels, weight = self._check_rows(X, y, sample_weight, reset=anew)
        known = getattr(self, "classes_", None)
        if anew and classes is not None:
            known = None
        self.classes_ = resolve_classes(classes, known)
        indices = class_indices(labels, self.classes_, weight)
        counted = rows if weight is None else rows[weight > 0]
        assert_all_finite(counted, input_name="X")
        if streamed is None:
            shape = len(self.classes_), rows.shape[1]
            scatter = streamed_scatter(self.scatter, *shape)
            streamed = ClassMoments(*shape, scatter=scatter)
        self._accept(streamed)
        # The last step, which adds all rows or none.
        streamed.update(rows, indices, weight)
        return self

    @property
    def report_(self) -> CollapseReport:
        """The report; after `partial_fit` made when it is asked for."""
        check_is_fitted(self)
        if self._report is None:
            inputs = make_inputs(self, self._moments, resolve_head(self.classifier))
            self._report = make_report(inputs, self.classes_, None, self.split)
        return self._report

    @property
    def class_counts_(self) -> np.ndarray:
        """Sum of the sample weights of each class."""
        return self._counts_and_means[0]

    @property
    def centres_(self) -> np.ndarray:
        """Class means; NaN for classes without samples."""
        return self._counts_and_means[1]

    @property
    def _counts_and_means(self) -> tuple[np.ndarray, np.ndarray]:
        moments = self._moments
        return self._summary if moments is None else (moments.counts, moments.means)

    def _accept(
        self, moments: Any, report: CollapseReport | None = None, head: Any = None
    ) -> None:
        """Keep what is measured; without a report, rows may be added to it."""
        self._moments = moments if report is None else None
        self._summary = None if report is None else (moments.counts, moments.means)
        self._report, self._network_head = report, head
