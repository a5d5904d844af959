"""Class counts, class means and within-class scatter in one pass over the data.

Moments of two sets of rows are merged by the formula of Chan, Golub and LeVeque,
"Updating Formulae and a Pairwise Algorithm for Computing Sample Variances", 1979: each
set is centred by its own class means, so nothing large is ever subtracted.
"""

import numpy as np
import torch

from skcollapse._utils.parallel import row_slices
from skcollapse.moments._centring import centre_on_device, centre_on_host
from skcollapse.moments._checks import check_labels, check_size, check_weights
from skcollapse.moments._rows import gram_of, place
from skcollapse.moments._whitening import whitening

__all__ = ["ClassMoments"]

# Values copied at a time: 32 MiB in float32.
_CHUNK_VALUES = 2**23


def _empty_scatter(scatter, n_classes, n_features):
    if isinstance(scatter, str) and scatter == "class":
        return np.zeros((n_classes, n_features, n_features))
    if not isinstance(scatter, bool | np.bool_):
        raise ValueError(f'scatter must be True, False or "class", got {scatter!r}.')
    return np.zeros((n_features, n_features)) if scatter else None


class ClassMoments:
    r"""Weighted counts, means and within-class scatter of labelled features.

    All that closed-form classifiers and collapse measures need to know of the data,
    gathered in one pass: batches are added with :meth:`update`, and moments gathered
    elsewhere with :meth:`merge`. In what order does not matter, up to rounding.

    Parameters
    ----------
    n_classes : int
        Number of classes, :math:`K`.
    n_features : int
        Number of features, :math:`d`.
    scatter : bool or "class", default=True
        Whether to gather the :math:`d \times d` scatter matrix; "class" gathers one for
        each class. Without it the cost falls from :math:`O(n d^2)` to :math:`O(n d)`.

    Attributes
    ----------
    counts : ndarray of shape (n_classes,), dtype float64
        Sum of the weights of each class.
    means : ndarray of shape (n_classes, n_features), dtype float64
        Weighted class means. The rows of classes without samples are NaN, so that a
        measure that forgets to mask them by ``counts > 0`` does not go unnoticed.
    scatter : ndarray of shape (n_features, n_features), dtype float64
        Pooled within-class scatter
        :math:`\sum_i w_i (x_i - \mu_{y_i}) (x_i - \mu_{y_i})^\top`, a sum and not a
        mean. AttributeError if constructed with ``scatter=False``.
    class_scatter : ndarray of shape (n_classes, n_features, n_features), dtype float64
        The terms of each class. AttributeError unless constructed with
        ``scatter="class"``.
    class_scatter_trace : ndarray of shape (n_classes,), dtype float64
        :math:`\sum_{i : y_i = k} w_i \lVert x_i - \mu_k \rVert^2` of each class.
    whitened_trace : float
        :math:`\operatorname{tr} T (\bar M^\top \bar M)^{+}` with :math:`T` the scatter
        and :math:`\bar M` the class means less their unweighted mean; infinite if all
        means coincide.
    class_whitened_trace : ndarray of shape (n_classes,), dtype float64
        The terms of each class, from `class_scatter`.
    weight_sum : float
        Sum of all weights.

    Raises
    ------
    ValueError
        If `n_classes` or `n_features` is not a positive integer, or `scatter` is none
        of its values.

    See Also
    --------
    RowMoments : Faster for rows that can be looked at twice.

    Notes
    -----
    Rows are handled in chunks of 32 MiB, whatever the size of the data: memory maps are
    never read as a whole. Means are accumulated in float64. The scatter of a chunk is
    one matrix product of its centred rows, in float32 for float32 or shorter data and
    in float64 otherwise, added up in float64. Chunks are merged by the formula of
    [1]_: large offsets and nearly collapsed classes do not lose accuracy.

    Torch tensors on an accelerator are summarised there, in float64; the moments stay
    on the device of the latest batch and cross to the host when an attribute is
    read. Pickles hold NumPy arrays and load on any machine.

    References
    ----------
    .. [1] Chan, Golub and LeVeque, "Updating Formulae and a Pairwise Algorithm for
       Computing Sample Variances", Stanford University, STAN-CS-79-773, 1979,
       equation 2.1.

    Examples
    --------
    >>> import numpy as np
    >>> from skcollapse.moments import ClassMoments
    >>> X = np.array([[0.0, 1.0], [2.0, 1.0], [5.0, 5.0]])
    >>> moments = ClassMoments(n_classes=2, n_features=2).update(X, [0, 0, 1])
    >>> moments
    ClassMoments(n_classes=2, n_features=2, weight_sum=3)
    >>> moments.means
    array([[1., 1.],
           [5., 5.]])
    >>> moments.scatter
    array([[2., 0.],
           [0., 0.]])

    More data, from another pass:

    >>> other = ClassMoments(n_classes=2, n_features=2).update([[7.0, 3.0]], [1])
    >>> moments.merge(other).means
    array([[1., 1.],
           [6., 4.]])
    >>> moments.class_scatter_trace
    array([2., 4.])
    """

    _STATE = ("_counts", "_means", "_trace", "_scatter")

    def __init__(self, n_classes, n_features, *, scatter=True):
        self.n_classes = check_size(n_classes, "n_classes")
        self.n_features = check_size(n_features, "n_features")
        # The state: NumPy arrays, or tensors on the device of the latest batch.
        self._device = None
        self._counts = np.zeros(self.n_classes)
        self._means = np.zeros((self.n_classes, self.n_features))
        self._trace = np.zeros(self.n_classes)
        self._scatter = _empty_scatter(scatter, self.n_classes, self.n_features)

    @property
    def counts(self):
        """Sum of the weights of each class."""
        return np.array(place(self._counts, None))

    @property
    def means(self):
        """Weighted class means; NaN for classes without samples."""
        means = np.array(place(self._means, None))
        means[self.counts == 0] = np.nan
        return means

    @property
    def gathers(self):
        """The value of `scatter` that these moments were constructed with."""
        if self._scatter is None:
            return False
        return True if self._scatter.ndim == 2 else "class"

    @property
    def scatter(self):
        """Pooled within-class scatter, a weighted sum."""
        if self._scatter is None:
            raise AttributeError(
                "These moments were gathered without a scatter matrix. Construct "
                "ClassMoments with scatter=True."
            )
        scatter = place(self._scatter, None)
        if scatter.ndim == 3:
            scatter = scatter.sum(axis=0)
        # Matrix products are symmetric up to rounding only.
        return (scatter + scatter.T) / 2

    @property
    def class_scatter(self):
        """Within-class scatter of each class, a weighted sum."""
        if self._scatter is None or self._scatter.ndim < 3:
            raise AttributeError(
                "These moments were gathered without a scatter matrix for each class. "
                'Construct ClassMoments with scatter="class".'
            )
        scatter = place(self._scatter, None)
        return (scatter + scatter.swapaxes(1, 2)) / 2

    @property
    def whitened_trace(self):
        """Trace of the scatter after whitening the class means."""
        directions = whitening(self.means[self.counts > 0])
        if directions.shape[1] == 0:
            return np.inf
        return float((directions * (self.scatter @ directions)).sum())

    @property
    def class_whitened_trace(self):
        """The same for each class."""
        directions = whitening(self.means[self.counts > 0])
        if directions.shape[1] == 0:
            return np.full(self.n_classes, np.inf)
        products = ((own @ directions) * directions for own in self.class_scatter)
        return np.array([product.sum() for product in products])

    @property
    def class_scatter_trace(self):
        """Weighted sum of squared distances to the class mean, for each class."""
        return np.array(place(self._trace, None))

    @property
    def weight_sum(self):
        """Sum of all weights."""
        return float(self._counts.sum())

    @torch.no_grad()
    def update(self, X, y, sample_weight=None):
        """Add a batch of rows.

        Parameters
        ----------
        X : array-like or torch.Tensor of shape (n_samples, n_features)
            Features: NumPy arrays of any real dtype and memory layout, memory maps, or
            tensors on any device that has float64. They are not checked for NaN and
            infinity, which end up in the moments.
        y : array-like or torch.Tensor of shape (n_samples,)
            Class indices, integers from 0 to ``n_classes - 1``.
        sample_weight : array-like or torch.Tensor of shape (n_samples,), default=None
            Weights of at least zero. A row of weight zero counts as absent, whatever
            it holds. None stands for ones.

        Returns
        -------
        self : ClassMoments
            These moments, with the rows added.

        Raises
        ------
        ValueError
            If shapes do not fit, `y` is not made of valid class indices, or weights
            are negative or not finite. The moments are then left as they were.
        """
        X = X.detach() if isinstance(X, torch.Tensor) else np.asarray(X)
        if X.ndim != 2 or X.shape[1] != self.n_features:
            raise ValueError(
                f"X must have the shape (n_samples, {self.n_features}), got "
                f"{tuple(X.shape)}."
            )
        on_host = isinstance(X, np.ndarray) or X.device.type == "cpu"
        device = None if on_host else X.device
        labels = check_labels(place(y, device), len(X), self.n_classes)
        weights = place(sample_weight, device)
        if weights is not None:
            weights = check_weights(weights, len(X))

        # The state goes to the data, not the data to the state.
        self._move(device)
        for part in row_slices(len(X), max(1, _CHUNK_VALUES // self.n_features)):
            chunk = place(X[part], device), labels[part]
            if weights is None:
                self._update_chunk(*chunk, None)
                continue
            kept = weights[part] > 0
            if not kept.all():
                chunk = tuple(values[kept] for values in chunk)
            self._update_chunk(*chunk, weights[part][kept])
        return self

    @torch.no_grad()
    def merge(self, other):
        """Add the moments of other rows.

        Parameters
        ----------
        other : ClassMoments
            Moments with the same classes and features, both with or both without a
            scatter matrix. Left unchanged.

        Returns
        -------
        self : ClassMoments
            The moments of the rows of both.

        Raises
        ------
        TypeError
            If `other` is not a `ClassMoments`.
        ValueError
            If it does not fit.
        """
        if not isinstance(other, ClassMoments):
            raise TypeError(f"Only ClassMoments can be merged, got {other!r}.")
        for name in ("n_classes", "n_features"):
            ours, theirs = getattr(self, name), getattr(other, name)
            if ours != theirs:
                raise ValueError(
                    f"Moments with different {name} cannot be merged: {ours} and "
                    f"{theirs}."
                )
        if np.shape(self._scatter) != np.shape(other._scatter):
            raise ValueError(
                "Moments with and without a scatter matrix cannot be merged: construct "
                "both with the same value of scatter."
            )
        counts, means, trace, scatter = (
            place(getattr(other, name), self._device) for name in self._STATE
        )
        present = place(np.flatnonzero(other.counts), self._device)
        classes, between = self._merge_classes(
            present, counts[present], means[present], trace[present]
        )
        if scatter is None:
            return self
        self._scatter += scatter
        if scatter.ndim == 2:
            self._scatter += gram_of(between)
        else:
            self._add_by_class(classes, between)
        return self

    def __repr__(self):
        without = "" if self.gathers is True else f", scatter={self.gathers!r}"
        return (
            f"ClassMoments(n_classes={self.n_classes}, n_features={self.n_features}"
            f"{without}, weight_sum={self.weight_sum:g})"
        )

    def __getstate__(self):
        # NumPy copies: a pickle loads without the device, and copy.copy copies.
        state = {"n_classes": self.n_classes, "n_features": self.n_features}
        for name in self._STATE:
            values = place(getattr(self, name), None)
            state[name] = None if values is None else values.copy()
        return state | {"_device": None}

    def _move(self, device):
        if device != self._device:
            for name in self._STATE:
                setattr(self, name, place(getattr(self, name), device))
            self._device = device

    def _update_chunk(self, rows, labels, weights):
        """Merge the moments of rows of positive weight."""
        if len(rows) == 0:
            return
        centre = centre_on_host if self._device is None else centre_on_device
        *moments, centred = centre(rows, labels, weights)
        classes, between = self._merge_classes(*moments)
        if self._scatter is None:
            return
        if self._scatter.ndim == 3:
            self._add_by_class(labels, centred)
            self._add_by_class(classes, between)
            return
        self._scatter += gram_of(centred)
        # Reused for a second product in the precision of the first.
        centred[: len(between)] = between
        self._scatter += gram_of(centred[: len(between)])

    def _add_by_class(self, labels, centred):
        for k in range(self.n_classes):
            own = centred[labels == k]
            if len(own):
                self._scatter[k] += gram_of(own)

    def _merge_classes(self, classes, counts, means, trace):
        """Merge all moments but the scatter, in terms that arrays and tensors share.

        Between the two means of a class lies scatter that neither part has seen.
        Returns rows of which it is the Gram matrix, and the classes that they are of.
        """
        ours = self._counts[classes]
        total = ours + counts
        gap = means - self._means[classes]
        self._counts[classes] = total
        self._means[classes] += gap * (counts / total)[:, None]
        between = gap * ((ours * counts / total) ** 0.5)[:, None]
        self._trace[classes] += trace + (between**2).sum(1)
        return classes[ours > 0], between[ours > 0]
