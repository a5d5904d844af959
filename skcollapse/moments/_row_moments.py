"""Moments of rows that stay where they are, by looking at them twice."""

from collections.abc import Callable
from functools import cached_property
from typing import Any

import numpy as np
import torch
from torch import Tensor

from skcollapse._utils.arrays import Rows
from skcollapse._utils.checks import check_integer
from skcollapse._utils.parallel import row_slices, sum_over_parts
from skcollapse.moments._class_moments import ClassMoments
from skcollapse.moments._rows import (
    add_class_sums,
    as_array,
    as_rows,
    check_labels,
    check_weights,
    host_device,
    need_float64,
    precision_of,
    squared_length,
    whitening,
)

# Values handled at a time: 8 MiB in float32. Of projections and scores of classes less,
# and of sums by class more, since each block costs what all classes have values.
_BLOCK_VALUES = 2**21
_PROJECTED_VALUES = 2**19
_SUMMED_VALUES = 2**22
# How many times what is left of a sum of squares that sum may be.
_CANCELLED = 64

# From rows less their centres, projected rows and class indices to a value for each.
RowFunction = Callable[[Tensor, Tensor, Tensor], Tensor]


class RowMoments:
    r"""Moments of rows in memory or in a memory map, projected on the class means.

    The first look takes the class means. The second projects the rows less their class
    means on the at most :math:`K - 1` directions between these: :math:`O(n d K)`
    operations in place of the :math:`O(n d^2)` of a scatter matrix, for each class.

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
    centres : ndarray of shape (n_classes, n_features), dtype float64
        What is taken off the rows before anything else: zeros or, where sums of squares
        would lose their digits, the class means in the precision of the rows.
    weight_sum : float
        Sum of all weights.

    Raises
    ------
    ValueError
        If shapes do not fit, `y` is not made of valid class indices, or weights are
        negative or not finite.

    Notes
    -----
    Rows are handled in blocks of some MiB, so that memory maps are never read as a
    whole. Rows are projected in float32 for float32 or shorter data and in float64
    otherwise; sums over them are accumulated in float64. The first look also tells how
    much of the squares of the rows is left without their class means. Where that is
    little, because of large offsets or nearly collapsed classes, the means are taken
    once more, in float64, and every row is centred before all else: no digits are lost.
    Where some rows are hundreds of times longer than the others, all is in float64.

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

    def __init__(
        self, X: Rows, y: Rows, n_classes: int, sample_weight: Rows | None = None
    ) -> None:
        self.n_classes = check_integer("n_classes", n_classes, 1)
        self._X: Any = X.detach() if isinstance(X, Tensor) else as_rows("X", X)
        if self._X.ndim != 2:
            raise ValueError(
                "X must have the shape (n_samples, n_features), got "
                f"{tuple(self._X.shape)}."
            )
        self.n_features = check_integer("n_features", self._X.shape[1], 1)
        self._device = host_device(self._X)
        labels = check_labels(as_array(y, None, "y"), len(self._X), self.n_classes)
        weights = as_array(sample_weight, None, "sample_weight")
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
        self._dtype = precision_of(self._X)
        self.weight_sum = float(self.counts.sum())
        self.means, self._centred = self._first_look()
        means = np.nan_to_num(self.means)
        self.centres = np.zeros_like(means)
        if self._centred:
            self.centres += means.astype(self._dtype)
        self._gaps = means - self.centres

    @property
    def class_scatter_trace(self) -> np.ndarray:
        """Weighted sum of squared distances to the class mean, for each class."""
        return self._traces[0]

    @property
    def class_whitened_trace(self) -> np.ndarray:
        """Trace of the scatter of each class after whitening the class means."""
        if self.whitening.shape[1] == 0:
            return np.full(self.n_classes, np.inf)
        return self._traces[1]

    @property
    def whitened_trace(self) -> float:
        """Sum of `class_whitened_trace`."""
        return float(self.class_whitened_trace.sum())

    @cached_property
    def scatter(self) -> np.ndarray:
        """Pooled within-class scatter, a weighted sum."""
        moments = ClassMoments(self.n_classes, self.n_features)
        step = max(1, 2 * _SUMMED_VALUES // self.n_features)
        for part in row_slices(len(self.labels), step):
            weights = None if self._weights is None else self._weights[part]
            moments.update(self._rows(part), self.labels[part], weights)
        return moments.scatter

    def sum_by_class(self, *functions: RowFunction) -> np.ndarray:
        """Sum functions of the rows over each class, all in one pass.

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
        sums = self._second_look(*functions)
        if "_traces" not in vars(self):
            vars(self)["_traces"] = self._corrected(*sums[:2])
        return sums[2:]

    @cached_property
    def whitening(self) -> np.ndarray:
        """Factor of the pseudo-inverse of the scatter of class means."""
        return whitening(self.means[self.counts > 0])

    def as_tensor(self, values: np.ndarray) -> Tensor:
        """Return an array as a tensor where the rows are, in the precision of sums."""
        values = values.astype(self._dtype, order="C")
        return torch.from_numpy(values).to(self._device or "cpu")

    @cached_property
    def _traces(self) -> tuple[np.ndarray, np.ndarray]:
        return self._corrected(*self._second_look())

    def _corrected(
        self, plain: np.ndarray, whitened: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Take off what the gaps between centres and class means have added."""
        several = self.sizes > 1
        left = plain - self.counts * np.square(self._gaps).sum(axis=1)
        lost = several & (_CANCELLED * left < plain)
        if lost.any():
            # From rows that are centred in float64.
            left[lost] = 0
            chosen = np.flatnonzero(lost[self.labels])
            step = max(1, _BLOCK_VALUES // self.n_features)
            for some in row_slices(len(chosen), step):
                part = chosen[some]
                rows = np.array(as_array(self._rows(part), None), dtype=np.float64)
                rows -= self.means[self.labels[part]]
                self._add_by_class(np.einsum("ij,ij->i", rows, rows), part, left)
        # A row alone is its class mean.
        return left * several, whitened * several

    def _first_look(self) -> tuple[np.ndarray, bool]:
        """Return the class means, and whether the rows have to be centred."""
        means, sampled, squares, wide = self._class_means()
        with np.errstate(invalid="ignore", over="ignore"):
            left = squares.sum() - sampled @ np.einsum("ij,ij->i", means, means)
        centred = not _CANCELLED * left >= squares.sum()
        if self._dtype == np.float32 and (centred or wide):
            before, self._dtype = self._dtype, np.dtype(np.float64)
            means, *_ = self._class_means()
            self._dtype = self._dtype if wide else before
        return means, centred

    def _class_means(self) -> tuple[np.ndarray, np.ndarray, np.ndarray, bool]:
        """Return means, weights and squares of a sample, and if float64 is due."""
        step = max(1, _SUMMED_VALUES // self.n_features)
        lengths = torch.empty(len(self.labels), dtype=torch.float64)

        def sums_of(start: int, stop: int) -> np.ndarray:
            sums = np.zeros((self.n_classes, self.n_features + 2))
            most = min(step, stop - start)
            own = torch.from_numpy(np.empty((most, self.n_features), self._dtype))
            for part in row_slices(stop, step, start):
                rows, labels = self._block(part, own), self.labels[part]
                weights = None if self._weights is None else self._weights[part]
                add_class_sums(rows, labels, weights, sums[:, :-2])
                lengths[part] = squared_length(rows)
                sample = slice(part.start, part.start + len(rows) // 16 + 1)
                self._add_by_class(lengths[sample].numpy(), sample, sums[:, -1])
                self._add_by_class(np.ones(len(lengths[sample])), sample, sums[:, -2])
            return sums

        sums = self._sum_over_parts(sums_of)
        means = sums[:, :-2]
        with np.errstate(invalid="ignore"):
            means /= self.counts[:, None]
        return means, sums[:, -2], sums[:, -1], need_float64(lengths)

    def _second_look(self, *functions: RowFunction) -> np.ndarray:
        """Return the sums of squared lengths, projected ones and functions by class."""
        centres, directions = map(self.as_tensor, (self.centres, self.whitening))
        projected_gaps = self.as_tensor(self._gaps @ self.whitening)
        projected_rows = _PROJECTED_VALUES // self.n_classes
        step = max(1, min(_BLOCK_VALUES // self.n_features, projected_rows))

        def sums_of(start: int, stop: int) -> np.ndarray:
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

        return self._sum_over_parts(sums_of)

    def _add_by_class(
        self, values: np.ndarray, part: slice | np.ndarray, sums: np.ndarray
    ) -> None:
        """Add values of rows to the sums of their classes."""
        if self._weights is not None:
            values = values * self._weights[part]
        sums += np.bincount(self.labels[part], values, self.n_classes)

    def _rows(self, part: slice | np.ndarray) -> Any:
        if self._kept is None:
            return self._X[part]
        kept = self._kept[part]
        return self._X[kept if self._device is None else torch.from_numpy(kept)]

    def _block(self, part: slice, buffer: Tensor) -> Tensor:
        """Return rows as a tensor in the precision of `buffer`, copied if needed."""
        rows = self._rows(part)
        if isinstance(rows, Tensor):
            return rows.to(buffer.dtype)
        own = buffer[: len(rows)]
        as_it_is = rows.dtype == own.numpy().dtype and rows.flags.writeable
        if as_it_is and min(rows.strides) > 0:
            return torch.from_numpy(rows)
        # Torch takes only arrays that may be written to, in native byte order.
        np.copyto(own.numpy(), rows, casting="unsafe")
        return own

    def _sum_over_parts(self, function: Callable[[int, int], np.ndarray]) -> np.ndarray:
        n_rows = len(self.labels)
        values, on_host = n_rows * self.n_features, self._device is None
        return np.asarray(sum_over_parts(function, n_rows, values, on_host))
