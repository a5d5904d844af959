"""Class counts, class means and within-class scatter in one pass over the data.

Moments of two sets of rows are merged by the formula of Chan, Golub and LeVeque,
"Updating Formulae and a Pairwise Algorithm for Computing Sample Variances", 1979: each
set is centred by its own class means, so nothing large is ever subtracted.
"""

from numbers import Integral

import numpy as np
import torch
from scipy.sparse import csc_array

from skcollapse._gram import gram

__all__ = ["ClassMoments"]

# Values copied at a time: 32 MiB in float32.
_CHUNK_VALUES = 2**23
# Rows handled at a time within a chunk: few enough to stay in the processor's cache.
_SUMMED_ROWS = 1024
_CENTRED_ROWS = 64


def _slices(stop, step):
    return (slice(start, min(start + step, stop)) for start in range(0, stop, step))


def _place(values, device):
    """Return an array-like or tensor on `device`; None stands for a NumPy array."""
    if values is None:
        return None
    if device is not None:
        return torch.as_tensor(values, device=device)
    if not isinstance(values, torch.Tensor):
        return np.asarray(values)
    values = values.detach().cpu()
    # NumPy has no bfloat16.
    return (values.float() if values.dtype == torch.bfloat16 else values).numpy()


def _gram(rows):
    """Return rows.T @ rows, of NumPy rows too by torch, whose product is faster."""
    if isinstance(rows, torch.Tensor):
        return gram(rows)
    return gram(torch.from_numpy(rows)).numpy()


def _class_means_on_host(rows, labels, weights, counts):
    """Average rows by class, in float64."""
    means = np.zeros((len(counts), rows.shape[1]))
    # The product with a sparse indicator is the fastest way to sum rows by class.
    step = min(max(_SUMMED_ROWS, len(counts)), len(rows))
    buffer = np.empty((step, rows.shape[1]))
    for part in _slices(len(rows), step):
        block = buffer[: part.stop - part.start]
        block[:] = rows[part]
        share = np.ones(len(block)) if weights is None else weights[part]
        indicator = csc_array(
            (share, labels[part], np.arange(len(block) + 1)),
            shape=(len(counts), len(block)),
        )
        means += indicator @ block
    means /= counts[:, None]
    return means


def _centre_on_host(rows, labels, weights):
    """Summarise NumPy rows by class.

    Returns the classes among the labels, their counts, means and traces of the scatter,
    and the rows less their class means, times the root of their weights.
    """
    classes, labels = np.unique(labels, return_inverse=True)
    counts = np.bincount(labels, weights).astype(np.float64)
    means = _class_means_on_host(rows, labels, weights, counts)
    dtype = np.float32 if np.can_cast(rows.dtype, np.float32) else np.float64
    # In two steps, float32 centres as exactly as float64: the first loses nothing to
    # a large offset, and what the rounded mean lacks is small.
    rounded = means.astype(dtype)
    remainder = (means - rounded).astype(dtype)
    centred = np.empty(rows.shape, dtype)
    squares = np.empty(len(rows))
    for part in _slices(len(rows), _CENTRED_ROWS):
        block = np.subtract(rows[part], rounded[labels[part]], out=centred[part])
        block -= remainder[labels[part]]
        if weights is not None:
            block *= np.sqrt(weights[part, None]).astype(dtype)
        squares[part] = np.einsum("ij,ij->i", block, block)
    return classes, counts, means, np.bincount(labels, squares), centred


def _centre_on_device(rows, labels, weights):
    """Do for torch rows, where they are, what `_centre_on_host` does for NumPy's."""
    classes, labels, sizes = torch.unique(
        labels, return_inverse=True, return_counts=True
    )
    order = torch.argsort(labels, stable=True)
    first = sizes.cumsum(0) - sizes

    def sum_by_class(values):
        # Unlike index_add, the same at every call: no atomic additions.
        return torch.nn.functional.embedding_bag(order, values, first, mode="sum")

    exact = rows.to(torch.float64)
    share = exact.new_ones(len(rows), 1) if weights is None else weights[:, None]
    counts = sum_by_class(share)
    means = sum_by_class(exact * share) / counts
    centred = (exact - means[labels]) * share.sqrt()
    trace = sum_by_class(centred.square().sum(1, keepdim=True))
    centred = centred.to(torch.promote_types(rows.dtype, torch.float32))
    return classes, counts[:, 0], means, trace[:, 0], centred


def _check_size(value, name):
    if not isinstance(value, Integral) or isinstance(value, bool) or value < 1:
        raise ValueError(f"{name} must be an integer of at least 1, got {value!r}.")
    return int(value)


def _check_labels(labels, n_samples, n_classes):
    """Return an array or tensor of class indices as int64, or raise."""
    if tuple(labels.shape) != (n_samples,):
        raise ValueError(
            f"y must have one class index for each of the {n_samples} rows of X, "
            f"got the shape {tuple(labels.shape)}."
        )
    if isinstance(labels, torch.Tensor):
        indices = labels.long()
        whole = not (labels.is_floating_point() or labels.is_complex())
    else:
        whole = labels.dtype.kind in "iub" or n_samples == 0
        indices = labels.astype(np.int64, copy=False) if whole else None
    if not whole:
        raise ValueError(
            f"y must hold integer class indices, got the dtype {labels.dtype}. "
            "LabelEncoder turns labels into indices."
        )
    if n_samples and not 0 <= indices.min() <= indices.max() < n_classes:
        raise ValueError(
            f"y must hold class indices from 0 to n_classes - 1 = {n_classes - 1}, "
            f"got values from {indices.min()} to {indices.max()}."
        )
    return indices


def _check_weights(weights, n_samples):
    """Return an array or tensor of weights as float64, or raise."""
    if tuple(weights.shape) != (n_samples,):
        raise ValueError(
            f"sample_weight must have one weight for each of the {n_samples} rows of "
            f"X, got the shape {tuple(weights.shape)}."
        )
    is_tensor = isinstance(weights, torch.Tensor)
    weights = weights.double() if is_tensor else weights.astype(np.float64)
    # NaN fails the first comparison, infinity the second.
    if n_samples and not ((weights >= 0).all() and weights.max() < np.inf):
        raise ValueError(
            "sample_weight must be finite and not negative, got values from "
            f"{weights.min():g} to {weights.max():g}."
        )
    return weights


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
    scatter : bool, default=True
        Whether to gather the :math:`d \times d` scatter matrix. Without it the cost
        falls from :math:`O(n d^2)` to :math:`O(n d)`.

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
    class_scatter_trace : ndarray of shape (n_classes,), dtype float64
        :math:`\sum_{i : y_i = k} w_i \lVert x_i - \mu_k \rVert^2` of each class.
    weight_sum : float
        Sum of all weights.

    Raises
    ------
    ValueError
        If `n_classes` or `n_features` is not a positive integer.

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
        self.n_classes = _check_size(n_classes, "n_classes")
        self.n_features = _check_size(n_features, "n_features")
        # The state: NumPy arrays, or tensors on the device of the latest batch.
        self._device = None
        self._counts = np.zeros(self.n_classes)
        self._means = np.zeros((self.n_classes, self.n_features))
        self._trace = np.zeros(self.n_classes)
        self._scatter = np.zeros((self.n_features,) * 2) if scatter else None

    @property
    def counts(self):
        """Sum of the weights of each class."""
        return np.array(_place(self._counts, None))

    @property
    def means(self):
        """Weighted class means; NaN for classes without samples."""
        means = np.array(_place(self._means, None))
        means[self.counts == 0] = np.nan
        return means

    @property
    def scatter(self):
        """Pooled within-class scatter, a weighted sum."""
        if self._scatter is None:
            raise AttributeError(
                "These moments were gathered without a scatter matrix. Construct "
                "ClassMoments with scatter=True."
            )
        scatter = _place(self._scatter, None)
        # Matrix products are symmetric up to rounding only.
        return (scatter + scatter.T) / 2

    @property
    def class_scatter_trace(self):
        """Weighted sum of squared distances to the class mean, for each class."""
        return np.array(_place(self._trace, None))

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
        labels = _check_labels(_place(y, device), len(X), self.n_classes)
        weights = _place(sample_weight, device)
        if weights is not None:
            weights = _check_weights(weights, len(X))

        # The state goes to the data, not the data to the state.
        self._move(device)
        for part in _slices(len(X), max(1, _CHUNK_VALUES // self.n_features)):
            chunk = _place(X[part], device), labels[part]
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
        if (self._scatter is None) != (other._scatter is None):
            raise ValueError(
                "Moments with and without a scatter matrix cannot be merged: construct "
                "both with the same value of scatter."
            )
        counts, means, trace, scatter = (
            _place(getattr(other, name), self._device) for name in self._STATE
        )
        present = counts > 0
        between = self._merge_classes(
            present, counts[present], means[present], trace[present]
        )
        if scatter is not None:
            self._scatter += scatter
            self._scatter += _gram(between)
        return self

    def __repr__(self):
        without = "" if self._scatter is not None else ", scatter=False"
        return (
            f"ClassMoments(n_classes={self.n_classes}, n_features={self.n_features}"
            f"{without}, weight_sum={self.weight_sum:g})"
        )

    def __getstate__(self):
        # NumPy copies: a pickle loads without the device, and copy.copy copies.
        state = {"n_classes": self.n_classes, "n_features": self.n_features}
        for name in self._STATE:
            values = _place(getattr(self, name), None)
            state[name] = None if values is None else values.copy()
        return state | {"_device": None}

    def _move(self, device):
        if device != self._device:
            for name in self._STATE:
                setattr(self, name, _place(getattr(self, name), device))
            self._device = device

    def _update_chunk(self, rows, labels, weights):
        """Merge the moments of rows of positive weight."""
        if len(rows) == 0:
            return
        centre = _centre_on_host if self._device is None else _centre_on_device
        *moments, centred = centre(rows, labels, weights)
        between = self._merge_classes(*moments)
        if self._scatter is not None:
            self._scatter += _gram(centred)
            # Reused for a second product in the precision of the first.
            centred[: len(between)] = between
            self._scatter += _gram(centred[: len(between)])

    def _merge_classes(self, classes, counts, means, trace):
        """Merge all moments but the scatter, in terms that arrays and tensors share.

        Between the two means of a class lies scatter that neither part has seen.
        Returns rows of which it is the Gram matrix.
        """
        ours = self._counts[classes]
        total = ours + counts
        gap = means - self._means[classes]
        self._counts[classes] = total
        self._means[classes] += gap * (counts / total)[:, None]
        between = gap * ((ours * counts / total) ** 0.5)[:, None]
        self._trace[classes] += trace + (between**2).sum(1)
        return between[ours > 0]
