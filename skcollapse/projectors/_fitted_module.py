"""A fitted module of the user's own: the one projection that predicts with torch."""

from dataclasses import dataclass, replace

import numpy as np
import torch

# Memory for activations does not grow with n.
BATCH_SIZE = 2048


@dataclass(frozen=True)
class ModuleProjection:
    """Rows scaled, run through a module and, where there is one, through a matrix.

    The module is on the CPU and in evaluation mode already, so that projecting changes
    nothing and several threads can do so at once.

    Parameters
    ----------
    module : torch.nn.Module
    center, scale : ndarray of shape (p,)
        The input of the module is (X − center) / scale, in their precision.
    matrix : ndarray of shape (d, k) or None
    """

    module: torch.nn.Module
    center: np.ndarray
    scale: np.ndarray
    matrix: np.ndarray | None = None

    # An activation may hide NaN and infinity.
    keeps_non_finite = False

    def __call__(self, X):
        """Return the (n, d) or (n, k) projected rows of X."""
        # A batch without rows still tells the number of components.
        firsts = range(0, max(len(X), 1), BATCH_SIZE)
        projected = np.concatenate(
            [self._forward(X[first : first + BATCH_SIZE]) for first in firsts]
        )
        return projected if self.matrix is None else projected @ self.matrix

    def _forward(self, X):
        scaled = ((X - self.center) / self.scale).astype(self.center.dtype, copy=False)
        with torch.inference_mode():
            return self.module(torch.from_numpy(scaled)).numpy()

    def followed_by(self, matrix):
        """Return the projection whose output is multiplied by a (d, k) matrix."""
        matrix = matrix.astype(self.center.dtype, copy=False)
        before = self.matrix
        return replace(self, matrix=matrix if before is None else before @ matrix)
