"""Moments of rows that stay where they are, by looking at them twice."""

from functools import cached_property

import numpy as np
import torch

from skcollapse._utils.parallel import row_slices, sum_over_parts
from skcollapse.moments._centring import add_class_sums
from skcollapse.moments._checks import check_labels, check_size, check_weights
from skcollapse.moments._class_moments import ClassMoments
from skcollapse.moments._rows import place
from skcollapse.moments._whitening import squared_length, whitening

__all__ = ["RowMoments"]

# Values handled at a time: 8 MiB in float32. Of projections and of scores of classes
# less, and of sums by class more, since each block costs what all classes have values.
_BLOCK_VALUES = 2**21
_PROJECTED_VALUES = 2**19
_SUMMED_VALUES = 2**22
# How many times what is left of a sum of squares that sum may be.
_CANCELLED = 64
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
    whole. Rows are projected in float32 for float32 or shorter data and in float64
    otherwise; sums over them are accumulated in float64. The first look also tells how
    much of the squares of the rows is left without their class means. Where that is
    little, because of large offsets or nearly collapsed classes, the means are taken
    once more, in float64, and every row is centred before all else: no digits are lost.

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
        self.means, self._centred = self._first_look()

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
        if self.whitening.shape[1] == 0:
            return np.full(self.n_classes, np.inf)
        return self._traces[1]

    @property
    def whitened_trace(self):
        """Sum of `class_whitened_trace`."""
        return float(self.class_whitened_trace.sum())

    @cached_property
    def scatter(self):
        """Pooled within-class scatter, a weighted sum."""
        moments = ClassMoments(self.n_classes, self.n_features)
        step = max(1, 2 * _SUMMED_VALUES // self.n_features)
        for part in row_slices(len(self.labels), step):
            weights = None if self._weights is None else self._weights[part]
            moments.update(self._rows(part), self.labels[part], weights)
        return moments.scatter

    def sum_by_class(self, *functions):
        """Sum functions of the rows over each class, all in one pass.

        The traces above come from the first such pass, whoever asks for it.

        Parameters
        ----------
        *functions : callables
            Each takes a (m, n_features) tensor, rows less the `centres` of their
            classes; a (m, rank) tensor, rows less their class means times `whitening`;
            and the (m,) tensor of their class indices. It returns a tensor of m values.

        Returns
        -------
        sums : ndarray of shape (len(functions), n_classes), dtype float64
        """
        *traces, sums = self._second_look(*functions)
        if "_traces" not in vars(self):
            vars(self)["_traces"] = self._corrected(*traces)
        return sums

    @cached_property
    def centres(self):
        """What is taken off the rows of each class before anything else.

        Zeros, unless sums of squares would lose their digits: then the class means,
        rounded to the precision of the rows.
        """
        if not self._centred:
            return np.zeros_like(self.means)
        return np.nan_to_num(self.means).astype(self._dtype).astype(np.float64)

    @cached_property
    def whitening(self):
        """Factor of the pseudo-inverse of the scatter of class means."""
        return whitening(self.means[self.counts > 0])

    def as_tensor(self, values):
        """Return an array as a tensor where the rows are, in the precision of sums."""
        values = values.astype(self._dtype, order="C")
        return torch.from_numpy(values).to(self._device or "cpu")

    @property
    def _gaps(self):
        return np.nan_to_num(self.means) - self.centres

    @cached_property
    def _traces(self):
        *traces, _ = self._second_look()
        return self._corrected(*traces)

    def _corrected(self, plain, whitened):
        """Take off what the gaps between centres and class means have added."""
        several = self.sizes > 1
        left = plain - self.counts * np.square(self._gaps).sum(axis=1)
        lost = several & (_CANCELLED * left < plain)
        if lost.any():
            left[lost] = self._exact_traces(lost)[lost]
        # A row alone is its class mean.
        return left * several, whitened * several

    def _exact_traces(self, classes):
        """Return the traces of some classes from rows that are centred in float64."""
        traces = np.zeros(self.n_classes)
        chosen = np.flatnonzero(classes[self.labels])
        for some in row_slices(len(chosen), max(1, _BLOCK_VALUES // self.n_features)):
            part = chosen[some]
            rows = np.array(place(self._rows(part), None), dtype=np.float64)
            rows -= self.means[self.labels[part]]
            self._add_by_class(np.einsum("ij,ij->i", rows, rows), part, traces)
        return traces

    @cached_property
    def _dtype(self):
        if isinstance(self._X, torch.Tensor):
            wide = torch.promote_types(self._X.dtype, torch.float32)
            exact = wide == torch.float32 and self._X.dtype not in _WIDE_INTEGERS
        else:
            exact = np.can_cast(self._X.dtype, np.float32)
        return np.dtype(np.float32 if exact else np.float64)

    def _first_look(self):
        """Return the class means, and whether the rows have to be centred."""
        means, sampled, squares = self._class_means(self._dtype)
        with np.errstate(invalid="ignore", over="ignore"):
            left = squares.sum() - sampled @ np.einsum("ij,ij->i", means, means)
        centred = not _CANCELLED * left >= squares.sum()
        if centred and self._dtype == np.float32:
            means, *_ = self._class_means(np.dtype(np.float64))
        return means, centred

    def _class_means(self, dtype):
        """Return the class means, and weights and squares of a sample of the rows."""
        step = max(1, _SUMMED_VALUES // self.n_features)

        def sums_of(start, stop):
            sums = np.zeros((self.n_classes, self.n_features + 2))
            most = min(step, stop - start)
            own = torch.from_numpy(np.empty((most, self.n_features), dtype))
            for part in row_slices(stop, step, start):
                rows, labels = self._block(part, own), self.labels[part]
                weights = None if self._weights is None else self._weights[part]
                add_class_sums(rows, labels, weights, sums[:, :-2])
                sample = slice(part.start, part.start + len(rows) // 16 + 1)
                squares = squared_length(rows[: len(rows) // 16 + 1])
                self._add_by_class(squares.cpu().double().numpy(), sample, sums[:, -1])
                self._add_by_class(np.ones(len(squares)), sample, sums[:, -2])
            return sums

        sums = self._sum_over_parts(sums_of)
        means = sums[:, :-2]
        with np.errstate(invalid="ignore"):
            means /= self.counts[:, None]
        return means, sums[:, -2], sums[:, -1]

    def _second_look(self, *functions):
        """Return the sums of squared lengths, projected ones and functions by class."""
        centres, directions = map(self.as_tensor, (self.centres, self.whitening))
        projected_gaps = self.as_tensor(self._gaps @ self.whitening)
        step = min(
            _BLOCK_VALUES // self.n_features, _PROJECTED_VALUES // self.n_classes
        )
        step = max(1, step)

        def sums_of(start, stop):
            sums = np.zeros((2 + len(functions), self.n_classes))
            most = min(step, stop - start)
            own, others = (centres.new_empty(most, self.n_features) for _ in range(2))
            buffer = centres.new_empty(most, directions.shape[1])
            for part in row_slices(stop, step, start):
                rows = self._block(part, own)
                labels = torch.from_numpy(self.labels[part]).to(rows.device)
                if self._centred:
                    centre = torch.index_select(
                        centres, 0, labels, out=others[: len(rows)]
                    )
                    rows = torch.sub(rows, centre, out=centre)
                # Before the product, for which they are in the cache then.
                plain = squared_length(rows)
                projected = torch.index_select(
                    projected_gaps, 0, labels, out=buffer[: len(rows)]
                ).addmm_(rows, directions, beta=-1)
                found = [plain, squared_length(projected)]
                found += (function(rows, projected, labels) for function in functions)
                for total, values in zip(sums, found, strict=True):
                    self._add_by_class(values.cpu().double().numpy(), part, total)
            return sums

        plain, whitened, *sums = self._sum_over_parts(sums_of)
        return plain, whitened, sums

    def _add_by_class(self, values, part, sums):
        """Add values of rows to the sums of their classes."""
        if self._weights is not None:
            values = values * self._weights[part]
        sums += np.bincount(self.labels[part], values, self.n_classes)

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
        own = buffer[: len(rows)]
        as_it_is = rows.dtype == own.numpy().dtype and rows.flags.writeable
        if as_it_is and min(rows.strides) > 0:
            return torch.from_numpy(rows)
        # Torch takes only arrays that may be written to, in native byte order.
        np.copyto(own.numpy(), rows, casting="unsafe")
        return own

    def _sum_over_parts(self, function):
        n_rows = len(self.labels)
        on_host = self._device is None
        return sum_over_parts(function, n_rows, n_rows * self.n_features, on_host)


def _device_of(X):
    """Return the device of a tensor that NumPy cannot read, or None."""
    on_host = isinstance(X, np.ndarray) or X.device.type == "cpu"
    return None if on_host else X.device
