"""Class counts, class means and within-class scatter in one pass over the data."""

from typing import Any

import numpy as np
import torch

from skcollapse._utils.arrays import Rows
from skcollapse._utils.parallel import row_slices
from skcollapse.moments._rows import (
    as_array,
    as_rows,
    check_labels,
    check_weights,
    host_device,
    whitening,
)
from skcollapse.moments._state import MomentState

# Values copied at a time: 32 MiB in float32.
_CHUNK_VALUES = 2**23


class ClassMoments(MomentState):
    r"""Weighted counts, means and within-class scatter of labelled features.

    All that closed-form classifiers and collapse measures need to know of the data,
    gathered in one pass: batches are added with :meth:`update`, and moments gathered
    elsewhere with :meth:`merge`. In what order does not matter, up to rounding.

    Parameters
    ----------
    n_classes : int
        Number of classes, :math:`K`, at least 1.
    n_features : int
        Number of features, :math:`d`, at least 1.
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

    Notes
    -----
    Rows are handled in chunks of 32 MiB, whatever the size of the data: memory maps are
    never read as a whole. Means are accumulated in float64. The scatter of a chunk is
    one matrix product of its centred rows, in float32 for float32 or shorter data and
    in float64 otherwise and where some rows are hundreds of times longer than the
    others, added up in float64. Chunks are merged by the formula of [1]_, each centred
    by its own class means: large offsets and nearly collapsed classes do not lose
    accuracy.

    Torch tensors on an accelerator are summarised there, in float64; the moments stay
    on the device of the latest batch and cross to the host when an attribute is
    read. Pickles hold NumPy arrays and load on any machine.

    References
    ----------
    .. [1] Chan, Golub and LeVeque, "Updating Formulae and a Pairwise Algorithm for
       Computing Sample Variances", STAN-CS-79-773, 1979, equation 2.1.

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

    @property
    def counts(self) -> np.ndarray:
        """Sum of the weights of each class."""
        return np.array(as_array(self._counts, None))

    @property
    def means(self) -> np.ndarray:
        """Weighted class means; NaN for classes without samples."""
        means = np.array(as_array(self._means, None))
        means[self.counts == 0] = np.nan
        return means

    @property
    def scatter(self) -> np.ndarray:
        """Pooled within-class scatter, a weighted sum."""
        scatter = self._gathered(True)
        return _symmetric(scatter.sum(axis=0) if scatter.ndim == 3 else scatter)

    @property
    def class_scatter(self) -> np.ndarray:
        """Within-class scatter of each class, a weighted sum."""
        return _symmetric(self._gathered("class"))

    @property
    def whitened_trace(self) -> float:
        """Trace of the scatter after whitening the class means."""
        directions = whitening(self.means[self.counts > 0])
        if directions.shape[1] == 0:
            return np.inf
        return float((directions * (self.scatter @ directions)).sum())

    @property
    def class_whitened_trace(self) -> np.ndarray:
        """Trace of the scatter of each class after whitening the class means."""
        directions = whitening(self.means[self.counts > 0])
        if directions.shape[1] == 0:
            return np.full(self.n_classes, np.inf)
        products = ((own @ directions) * directions for own in self.class_scatter)
        return np.array([product.sum() for product in products])

    @property
    def class_scatter_trace(self) -> np.ndarray:
        """Weighted sum of squared distances to the class mean, for each class."""
        return np.array(as_array(self._trace, None))

    @property
    def weight_sum(self) -> float:
        """Sum of all weights."""
        return float(self._counts.sum())

    @torch.no_grad()
    def update(
        self, X: Rows, y: Rows, sample_weight: Rows | None = None
    ) -> "ClassMoments":
        """Add a batch of rows, all of them or, if that fails or is interrupted, none.

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

        Raises
        ------
        ValueError
            If shapes do not fit, `y` is not made of valid class indices, or weights
            are negative or not finite.
        """
        rows: Any = X.detach() if isinstance(X, torch.Tensor) else as_rows("X", X)
        if rows.ndim != 2 or rows.shape[1] != self.n_features:
            raise ValueError(
                f"X must have the shape (n_samples, {self.n_features}), got "
                f"{tuple(rows.shape)}."
            )
        device = host_device(rows)
        labels = check_labels(as_array(y, device, "y"), len(rows), self.n_classes)
        weights = as_array(sample_weight, device, "sample_weight")
        if weights is not None:
            weights = check_weights(weights, len(rows))

        # The state goes to the data, not the data to the state.
        self._move(device)
        with self._all_or_nothing(labels):
            for part in row_slices(len(rows), max(1, _CHUNK_VALUES // self.n_features)):
                chunk = as_array(rows[part], device), labels[part]
                if weights is None:
                    self._update_chunk(*chunk, None)
                    continue
                kept = weights[part] > 0
                if not kept.all():
                    chunk = tuple(values[kept] for values in chunk)
                self._update_chunk(*chunk, weights[part][kept])
        return self

    @torch.no_grad()
    def merge(self, other: "ClassMoments") -> "ClassMoments":
        """Add the moments of other rows.

        Parameters
        ----------
        other : ClassMoments
            Moments with the same classes and features, and the same value of
            ``scatter``. Left unchanged.

        Returns
        -------
        self : ClassMoments

        Raises
        ------
        TypeError
            If `other` is not a `ClassMoments`.
        ValueError
            If it does not fit.
        """
        if not isinstance(other, ClassMoments):
            raise TypeError(f"other must be ClassMoments; got {other!r}.")
        for name in ("n_classes", "n_features"):
            ours, theirs = getattr(self, name), getattr(other, name)
            if ours != theirs:
                raise ValueError(
                    f"Moments with different {name} cannot be merged: {ours} and, in "
                    f"other, {theirs}."
                )
        if self.gathers != other.gathers:
            raise ValueError(
                "Moments with and without a scatter matrix cannot be merged: construct "
                "both with the same value of scatter."
            )
        counts, means, trace, scatter = (
            as_array(getattr(other, name), self._device) for name in self._STATE
        )
        present = as_array(np.flatnonzero(other.counts), self._device)
        with self._all_or_nothing(present):
            if scatter is not None and scatter.ndim == 2:
                self._scatter = self._scatter + scatter
            elif scatter is not None:
                self._scatter[present] += scatter[present]
            classes, between = self._merge_classes(
                present, counts[present], means[present], trace[present]
            )
            self._add_scatter(classes, between)
        return self

    def __repr__(self) -> str:
        without = "" if self.gathers is True else f", scatter={self.gathers!r}"
        return (
            f"ClassMoments(n_classes={self.n_classes}, n_features={self.n_features}"
            f"{without}, weight_sum={self.weight_sum:g})"
        )

    def _gathered(self, scatter: bool | str) -> np.ndarray:
        """Return the scatter as it is, or raise if it does not tell what is asked."""
        if self._scatter is None or scatter == "class" != self.gathers:
            each = " for each class" if scatter == "class" else ""
            value = '"class"' if scatter == "class" else "True"
            raise AttributeError(
                f"These moments were gathered without a scatter matrix{each}. "
                f"Construct ClassMoments with scatter={value}."
            )
        return np.asarray(as_array(self._scatter, None))


def _symmetric(scatter: np.ndarray) -> np.ndarray:
    """Return matrices without the rounding that makes a product not symmetric."""
    return np.asarray((scatter + scatter.swapaxes(-1, -2)) / 2)
