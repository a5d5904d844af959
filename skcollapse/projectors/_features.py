"""The features that a linear projector sees: scaled rows, and a kernel beside them."""

from dataclasses import dataclass, replace

import numpy as np

from skcollapse.projectors._fitted import KernelExpansion, LinearProjection
from skcollapse.projectors._kernel import NystroemBlock, draw_landmarks, fit_nystroem
from skcollapse.projectors._scaling import fit_scaling

# Rows handled at a time: what is made on the way to features stays in the cache.
_ROWS_AT_ONCE = 1024


@dataclass(frozen=True)
class FeatureMap:
    """From rows of X to features of mean zero.

    Parameters
    ----------
    center, scale : ndarrays of shape (p,)
    kernel : NystroemBlock or None
        Kernel features that stand beside the scaled ones.
    basis : ndarray of shape (q', q) or None
        An orthonormal basis of what the training rows span, where they are fewer than
        their q' features. Nothing is learnt outside of it, and all inside.
    """

    center: np.ndarray
    scale: np.ndarray
    kernel: NystroemBlock | None = None
    basis: np.ndarray | None = None

    def __call__(self, X, order=None):
        """Return the (n, q) features of the rows of X, or of X[order].

        No copy is made of more than a few rows at a time.
        """
        n_rows = len(X) if order is None else len(order)
        features = np.empty((n_rows, self.n_features), self.center.dtype)
        for start in range(0, n_rows, _ROWS_AT_ONCE):
            part = slice(start, start + _ROWS_AT_ONCE)
            self._fill(features[part], X[part if order is None else order[part]])
        return features

    @property
    def n_features(self):
        """The number q of features."""
        if self.basis is not None:
            return self.basis.shape[1]
        kernels = 0 if self.kernel is None else self.kernel.whitening.shape[1]
        return len(self.center) + kernels

    def _fill(self, features, X):
        n_linear = len(self.center)
        if self.basis is not None:
            features[:] = replace(self, basis=None)(X) @ self.basis
            return
        scaled = features[:, :n_linear]
        np.subtract(X, self.center, out=scaled)
        scaled /= self.scale
        if self.kernel is not None:
            features[:, n_linear:] = self.kernel(scaled)

    def pull_back(self, coef, intercept):
        """Return a (q, d) map and (d,) intercept of features as a projection of X."""
        dtype, n_linear = self.center.dtype, len(self.center)
        if self.basis is not None:
            coef = self.basis @ coef
        linear = coef[:n_linear] / self.scale[:, None].astype(np.float64)
        intercept = intercept - self.center @ linear
        kernels = ()
        block = self.kernel
        if block is not None:
            intercept = intercept - block.mean @ coef[n_linear:]
            dual = (block.whitening @ coef[n_linear:]).astype(dtype)
            given = self.center, self.scale, block.landmarks, block.gamma, dual
            kernels = (KernelExpansion(*given),)
        return LinearProjection(linear.astype(dtype), intercept.astype(dtype), kernels)


def fit_feature_map(X, y, weight, *, scaling, kernel, seed):
    """Return the map to features of a scaling and, if one is given, of a `Kernel`.

    Weights have the sum 1. The seed is for the draw of the landmarks, which come from
    every class.
    """
    features = FeatureMap(*fit_scaling(X, weight, scaling))
    if kernel is not None:
        scaled = features(X)
        landmarks = scaled[draw_landmarks(X, y, seed, kernel.n_landmarks)]
        block = fit_nystroem(scaled, weight, landmarks, kernel.gamma)
        features = replace(features, kernel=block)
    if features.n_features > len(X):
        features = replace(features, basis=np.linalg.qr(features(X).T)[0])
    return features
