"""Moments of rows that stay where they are, by looking at them twice."""

from functools import cached_property

import numpy as np
import torch

from skcollapse._parallel import row_slices, sum_over_parts
from skcollapse.moments._centring import (
    add_class_sums_on_device,
    add_class_sums_on_host,
)
from skcollapse.moments._checks import check_labels, check_size, check_weights
from skcollapse.moments._class_moments import ClassMoments
from skcollapse.moments._rows import place
from skcollapse.moments._whitening import squared_length, whitening

__all__ = ["RowMoments"]

# Values handled at a time: 2 MiB in float32, few enough to stay in a cache.
_BLOCK_VALUES = 2**19
# What float32 does not hold exactly.
_WIDE_INTEGERS = (torch.int32, torch.int64)


class RowMoments:
    r"""Moments of rows in memory or in a memory map, projected on the class means.

    The first look takes the class means. The second takes the rows less their class
    means and projects them on the at most :math:`K - 1` directions between the class
    means: :math:`O(n d K)` operations in place of the :math:`O(n d^2)` of a scatter
    matrix, and for each class by itself.

    Parameters
    ----------
    X : array-like or torch.Tensor of shape (n_samples, n_features)
        Features: NumPy arrays of any real dtype, memory maps, or tensors on any device
        that has float64. Kept, not copied; not checked for NaN and infinity.
    y : array-like or torch.Tensor of shape (n_samples,)
        Class indices, integers from 0 to ``n_classes - 1``.
    n_classes : int
        Number of classes, :math:`K`.
    sample_weight : array-like or torch.Tensor of shape (n_samples,), default=None
        Weights of at least zero. A row of weight zero counts as absent, whatever it
        holds. None stands for ones.

    Attributes
    ----------
    counts : ndarray of shape (n_classes,), dtype float64
        Sum of the weights of each class.
    sizes : ndarray of shape (n_classes,), dtype int64
        Number of rows of positive weight of each class.
    means : ndarray of shape (n_classes, n_features), dtype float64
        Weighted class means. The rows of classes without samples are NaN.
    class_scatter_trace : ndarray of shape (n_classes,), dtype float64
        :math:`\operatorname{tr} S_k` with
        :math:`S_k = \sum_{i : y_i = k} w_i (x_i - \mu_k)(x_i - \mu_k)^\top`.
    class_whitened_trace : ndarray of shape (n_classes,), dtype float64
        :math:`\operatorname{tr} S_k (\bar M^\top \bar M)^{+}` with :math:`\bar M` the
        class means less their unweighted mean; infinite if all means coincide.
    whitened_trace : float
        Its sum over the classes.
    scatter : ndarray of shape (n_features, n_features), dtype float64
        :math:`\sum_k S_k`, gathered anew by :class:`ClassMoments` when asked for.
    weight_sum : float
        Sum of all weights.

    Raises
    ------
    ValueError
        If shapes do not fit, `y` is not made of valid class indices, or weights are
        negative or not finite.

    See Also
    --------
    ClassMoments : Streams and merges.

    Notes
    -----
    Rows are handled in blocks of some MiB, so that memory maps are never read as a
    whole. Sums are accumulated in float64; centred rows are projected in float32 for
    float32 or shorter data and in float64 otherwise. Centring precedes all else: large
    offsets and nearly collapsed classes do not lose accuracy.

    Examples
    --------
    >>> import numpy as np
    >>> from skcollapse.moments import RowMoments
    >>> X = np.array([[0.0, 1.0], [2.0, 1.0], [5.0, 5.0]])
    >>> moments = RowMoments(X, [0, 0, 1], n_classes=2)
    >>> moments.means
    array([[1., 1.],
           [5., 5.]])
    >>> moments.class_scatter_trace
    array([2., 0.])
    """

    def __init__(self, X, y, n_classes, sample_weight=None):
        self.n_classes = check_size(n_classes, "n_classes")
        self._X = X.detach() if isinstance(X, torch.Tensor) else np.asarray(X)
        if self._X.ndim != 2:
            raise ValueError(
                "X must have the shape (n_samples, n_features), got "
                f"{tuple(self._X.shape)}."
            )
        self.n_features = check_size(self._X.shape[1], "n_features")
        self._device = _device_of(self._X)
        labels = check_labels(place(y, None), len(self._X), self.n_classes)
        weights = place(sample_weight, None)
        # None stands for all rows, so that these are never copied.
        self._kept = None
        if weights is not None:
            weights = check_weights(weights, len(labels))
            if not weights.all():
                self._kept = np.flatnonzero(weights)
                labels, weights = labels[self._kept], weights[self._kept]
        # A copy: torch takes only arrays that may be written to.
        self.labels, self._weights = np.array(labels), weights
        self.sizes = np.bincount(labels, minlength=self.n_classes)
        self.counts = np.bincount(labels, weights, self.n_classes).astype(np.float64)
        self.means = self._class_means()

    @property
    def weight_sum(self):
        """Sum of all weights."""
        return float(self.counts.sum())

    @property
    def class_scatter_trace(self):
        """Weighted sum of squared distances to the class mean, for each class."""
        return self._traces[0]

    @property
    def class_whitened_trace(self):
        """The same after whitening the class means."""
        return self._traces[1]

    @property
    def whitened_trace(self):
        """Sum of `class_whitened_trace`."""
        return float(self.class_whitened_trace.sum())

    @cached_property
    def scatter(self):
        """Pooled within-class scatter, a weighted sum."""
        moments = ClassMoments(self.n_classes, self.n_features)
        step = max(1, _BLOCK_VALUES * 16 // self.n_features)
        for part in row_slices(len(self.labels), step):
            weights = None if self._weights is None else self._weights[part]
            moments.update(self._rows(part), self.labels[part], weights)
        return moments.scatter

    def sum_by_class(self, *functions):
        """Sum functions of the centred rows over each class, all in one pass.

        The traces above come from the first such pass, whoever asks for it.

        Parameters
        ----------
        *functions : callables
            Each takes a (m, n_features) tensor, rows less the `centres` of their
            classes, and the (m,) tensor of their class indices. It returns a tensor of
            m values.

        Returns
        -------
        sums : ndarray of shape (len(functions), n_classes), dtype float64
        """
        own = () if "_traces" in vars(self) else self._trace_functions()
        sums = self._sum_by_class(*own, *functions)
        if own:
            vars(self)["_traces"] = self._corrected(sums[: len(own)])
        return sums[len(own) :]

    @cached_property
    def centres(self):
        """Class means, rounded to the precision in which the rows are centred."""
        return np.nan_to_num(self.means).astype(self._dtype).astype(np.float64)

    @cached_property
    def _dtype(self):
        if isinstance(self._X, torch.Tensor):
            wide = torch.promote_types(self._X.dtype, torch.float32)
            exact = wide == torch.float32 and self._X.dtype not in _WIDE_INTEGERS
        else:
            exact = np.can_cast(self._X.dtype, np.float32)
        return np.dtype(np.float32 if exact else np.float64)

    @cached_property
    def _whitening(self):
        return whitening(self.means[self.counts > 0])

    @cached_property
    def _traces(self):
        return self._corrected(self._sum_by_class(*self._trace_functions()))

    def _trace_functions(self):
        directions = self.as_tensor(self._whitening)

        def whitened(rows, labels):
            return squared_length(rows @ directions)

        def plain(rows, labels):
            return squared_length(rows)

        return plain, whitened

    def _corrected(self, sums):
        """Take off what rounding of the centres has added."""
        gap = np.nan_to_num(self.means) - self.centres
        added = [np.square(gap).sum(1), np.square(gap @ self._whitening).sum(1)]
        sums = np.maximum(sums - self.counts * added, 0)
        if self._whitening.shape[1] == 0:
            sums[1] = np.inf
        return sums

    def _sum_by_class(self, *functions):
        centres = self.as_tensor(self.centres)
        step = max(1, _BLOCK_VALUES // self.n_features)

        def sum_part(start, stop):
            sums = np.zeros((len(functions), self.n_classes))
            shape = min(step, stop - start), self.n_features
            buffer, own = (centres.new_empty(shape) for _ in range(2))
            for part in row_slices(stop, step, start):
                labels = torch.from_numpy(self.labels[part]).to(centres.device)
                centred = buffer[: len(labels)]
                torch.index_select(centres, 0, labels, out=centred)
                torch.sub(self._block(part, own), centred, out=centred)
                for total, function in zip(sums, functions, strict=True):
                    values = function(centred, labels).cpu().double().numpy()
                    if self._weights is not None:
                        values = values * self._weights[part]
                    total += np.bincount(self.labels[part], values, self.n_classes)
            return sums

        return self._sum_over_parts(sum_part)

    def as_tensor(self, values):
        """Return an array as a tensor where the rows are, in the precision of sums."""
        values = values.astype(self._dtype, order="C")
        return torch.from_numpy(values).to(self._device or "cpu")

    def _rows(self, part):
        if self._kept is None:
            return self._X[part]
        kept = self._kept[part]
        return self._X[kept if self._device is None else torch.from_numpy(kept)]

    def _block(self, part, buffer):
        """Return rows as a tensor in the precision of `buffer`, copied if needed."""
        rows = self._rows(part)
        if isinstance(rows, torch.Tensor):
            return rows.to(buffer.dtype)
        if rows.dtype == self._dtype and rows.flags.writeable and min(rows.strides) > 0:
            return torch.from_numpy(rows)
        # Torch takes only arrays that may be written to, in native byte order.
        own = buffer[: len(rows)]
        np.copyto(own.numpy(), rows, casting="unsafe")
        return own

    def _class_means(self):
        means = self._sum_over_parts(self._class_sums)
        with np.errstate(invalid="ignore"):
            means /= self.counts[:, None]
        return means

    def _class_sums(self, start, stop):
        on_host = self._device is None
        add = add_class_sums_on_host if on_host else add_class_sums_on_device
        step = max(self.n_classes, _BLOCK_VALUES // self.n_features)
        sums = np.zeros((self.n_classes, self.n_features))
        # Rows that are selected or converted are copied: not too many at once.
        for part in row_slices(stop, 4 * step, start):
            block = place(self._rows(part), self._device)
            weights = None if self._weights is None else self._weights[part]
            labels = self.labels[part]
            add(block, labels, weights, step, sums)
        return sums

    def _sum_over_parts(self, function):
        n_rows = len(self.labels)
        on_host = self._device is None
        return sum_over_parts(function, n_rows, n_rows * self.n_features, on_host)


def _device_of(X):
    """Return the device of a tensor that NumPy cannot read, or None."""
    on_host = isinstance(X, np.ndarray) or X.device.type == "cpu"
    return None if on_host else X.device
