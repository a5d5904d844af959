"""A fitted multilayer perceptron: plain NumPy, as every fitted projection here."""

from dataclasses import dataclass

import numpy as np
from scipy.special import ndtr

# Hidden activations of so many rows at once: in cache, and memory does not grow with n.
BATCH_SIZE = 2048


@dataclass(frozen=True)
class MLPProjection:
    """Affine maps with GELU between them, plus a linear map of X where there is one.

    Whatever is affine before the first layer or after the last one is folded into
    them: the scaling of X, batch normalisation, a further matrix.

    Parameters
    ----------
    coefs : tuple of ndarray of shape (n_in, n_out)
    intercepts : tuple of ndarray of shape (n_out,)
    shortcut : ndarray of shape (p, d) or None
        Linear map of X that is added to the output.
    """

    coefs: tuple[np.ndarray, ...]
    intercepts: tuple[np.ndarray, ...]
    shortcut: np.ndarray | None = None

    # An activation may hide infinity.
    keeps_non_finite = False

    def __call__(self, X):
        """Return the (n, d) projected rows of X, in the common precision."""
        coef = self.coefs[-1]
        projected = np.empty((len(X), coef.shape[1]), np.result_type(X, coef))
        for first in range(0, len(X), BATCH_SIZE):
            rows = slice(first, first + BATCH_SIZE)
            projected[rows] = self._forward(X[rows])
        return projected

    def _forward(self, X):
        hidden = X
        *before, last = zip(self.coefs, self.intercepts, strict=True)
        for coef, intercept in before:
            hidden = hidden @ coef
            hidden += intercept
            hidden *= ndtr(hidden)  # GELU: x Φ(x)
        coef, intercept = last
        projected = hidden @ coef
        projected += intercept
        if self.shortcut is not None:
            projected += X @ self.shortcut
        return projected

    def preceded_by(self, center, scale):
        """Return the projection of X whose input is (X − center) / scale."""
        first = self.coefs[0] / scale[:, None]
        shortcut, shift = self.shortcut, -center @ first
        intercepts = [self.intercepts[0] + shift, *self.intercepts[1:]]
        if shortcut is not None:
            shortcut = shortcut / scale[:, None]
            intercepts[-1] = intercepts[-1] - center @ shortcut
        return MLPProjection((first, *self.coefs[1:]), tuple(intercepts), shortcut)

    def followed_by(self, matrix):
        """Return the projection whose output is multiplied by a (d, k) matrix."""
        matrix = matrix.astype(self.coefs[-1].dtype, copy=False)
        return MLPProjection(
            (*self.coefs[:-1], self.coefs[-1] @ matrix),
            (*self.intercepts[:-1], self.intercepts[-1] @ matrix),
            None if self.shortcut is None else self.shortcut @ matrix,
        )

    def shifted_by(self, shift):
        """Return the projection to whose output a (d,) vector is added."""
        intercepts = (*self.intercepts[:-1], self.intercepts[-1] + shift)
        return MLPProjection(self.coefs, intercepts, self.shortcut)

    def astype(self, dtype):
        """Return the projection in another precision."""
        return MLPProjection(
            tuple(x.astype(dtype) for x in self.coefs),
            tuple(x.astype(dtype) for x in self.intercepts),
            None if self.shortcut is None else self.shortcut.astype(dtype),
        )
