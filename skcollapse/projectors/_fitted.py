"""Fitted projections: plain NumPy, so that predicting needs no torch and no device."""

from dataclasses import dataclass, replace

import numpy as np


@dataclass(frozen=True)
class KernelExpansion:
    r"""A sum of Gaussian bumps, :math:`\sum_j \exp(-\gamma \|s(x) - l_j\|^2) a_j`.

    Parameters
    ----------
    center, scale : ndarray of shape (p,)
        s(x) = (x − center) / scale.
    landmarks : ndarray of shape (m, p)
        The centres of the bumps, scaled in the same way.
    gamma : float
    dual_coef : ndarray of shape (m, d)
    """

    center: np.ndarray
    scale: np.ndarray
    landmarks: np.ndarray
    gamma: float
    dual_coef: np.ndarray

    def __call__(self, X):
        """Return the (n, d) values at the rows of X."""
        scaled = (X - self.center) / self.scale
        return rbf(scaled, self.landmarks, self.gamma) @ self.dual_coef


@dataclass(frozen=True)
class LinearProjection:
    """An affine map of X, plus kernel expansions where there are any.

    Parameters
    ----------
    coef : ndarray of shape (p, d)
    intercept : ndarray of shape (d,)
    kernels : tuple of KernelExpansion
    """

    coef: np.ndarray
    intercept: np.ndarray
    kernels: tuple[KernelExpansion, ...] = ()
    # NaN and infinity in X are still there in the result: nothing bounds them.
    keeps_non_finite = True

    def __call__(self, X):
        """Return the (n, d) projected rows of X."""
        projected = X @ self.coef
        projected += self.intercept
        for kernel in self.kernels:
            projected += kernel(X)
        return projected

    def __add__(self, other):
        """Return the projection to the sum of both projections."""
        return LinearProjection(
            self.coef + other.coef,
            self.intercept + other.intercept,
            self.kernels + other.kernels,
        )

    def followed_by(self, matrix):
        """Return the projection whose output is multiplied by a (d, k) matrix."""
        matrix = matrix.astype(self.coef.dtype, copy=False)
        return LinearProjection(
            self.coef @ matrix,
            self.intercept @ matrix,
            tuple(replace(k, dual_coef=k.dual_coef @ matrix) for k in self.kernels),
        )


def rbf(rows, landmarks, gamma):
    """Return the (n, m) Gaussian kernel of rows and landmarks."""
    kernel = rows @ landmarks.T
    kernel *= 2 * gamma
    kernel -= gamma * np.einsum("ij,ij->i", rows, rows)[:, None]
    kernel -= gamma * np.einsum("ij,ij->i", landmarks, landmarks)
    # Rounding can leave a squared distance just below zero.
    np.minimum(kernel, 0, out=kernel)
    return np.exp(kernel, out=kernel)
