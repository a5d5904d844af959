"""How far the vectors of a code are from uniform: energies of their cosines.

An energy is a function of the matrix of cosines, so that its gradient in the vectors X
is ``slope @ X`` for a symmetric matrix of slopes with a zero diagonal, the derivatives
by the cosine of each pair. Arrays may have leading dimensions, one matrix for each
start.
"""

from collections.abc import Callable

import numpy as np
from scipy.linalg import cholesky
from scipy.linalg.lapack import dpotri

# Keeps the logarithm of distances that rounding has made zero.
_TINY = 1e-30
_SMALLEST_LOG = -300.0
# Added to the diagonal of Gaussian Gram matrices, well above the rounding of a Cholesky
# factorisation and well below the eigenvalues at an optimum.
_JITTER = 1e-12


def _set_diagonal(matrices: np.ndarray, value: float) -> np.ndarray:
    """Set the diagonals, in place."""
    index = np.arange(matrices.shape[-1])
    matrices[..., index, index] = value
    return matrices


class RieszEnergy:
    r"""Power mean of the inverse distances, :math:`\log M_s(1/\lVert x - x'\rVert)`.

    That is :math:`\frac1s \log` of the mean Riesz energy of a pair for :math:`s > 0`
    and the mean logarithmic energy for :math:`s = 0`. With :math:`s \to \infty` it
    tends to the logarithm of the inverse smallest distance, without overflow.
    """

    def __init__(self, s: float) -> None:
        self.s = s

    def _pull(self, cosines: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Value, twice the share of each pair in the powers, and squared distances."""
        squares = -2 * cosines
        squares += 2
        np.maximum(squares, _TINY, out=squares)
        # Infinite ones are no pairs.
        _set_diagonal(squares, np.inf)
        n_pairs = squares.shape[-1] * (squares.shape[-1] - 1)
        closest = squares.min((-2, -1), keepdims=True)
        # Relative to the closest pair, so that no power exceeds one.
        power = _set_diagonal(np.log(squares / closest), 0)
        power *= -0.5
        if self.s == 0:
            value = power.sum((-2, -1), keepdims=True) / n_pairs
            share = np.ones_like(squares)
        elif self.s < 1:
            # The mean is near one: its logarithm, from the difference.
            power *= self.s
            excess = np.expm1(power).sum((-2, -1), keepdims=True) / n_pairs
            value = np.log1p(excess) / self.s
            share = np.exp(power)
        else:
            power *= self.s
            # Too small to matter, but not so small that arithmetic slows down.
            np.maximum(power, _SMALLEST_LOG, out=power)
            share = _set_diagonal(np.exp(power), 0)
            mean = share.sum((-2, -1), keepdims=True) / n_pairs
            value = np.log(mean) / self.s
        _set_diagonal(share, 0)
        share *= 2 / share.sum((-2, -1), keepdims=True)
        value -= 0.5 * np.log(closest)
        return value[..., 0, 0], share, squares

    def value_and_slope(self, cosines: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the energy and its derivative by the cosine of each pair."""
        value, share, squares = self._pull(cosines)
        share /= squares
        return value, share

    def slope_change(self, cosines: np.ndarray) -> Callable[[np.ndarray], np.ndarray]:
        """Return a function from a change of the cosines to that of the slopes."""
        _, share, squares = self._pull(cosines)
        slope = share / squares

        def change(cosine_change: np.ndarray) -> np.ndarray:
            relative = cosine_change / squares
            # Each pair counts twice in a sum over the matrix.
            common = self.s * np.sum(slope * cosine_change) / 2
            return slope * ((self.s + 2) * relative - common)

        return change


class GaussianLogDeterminant:
    """Minus the mean log-eigenvalue of a Gaussian Gram matrix, of rate epsilon**2."""

    def __init__(self, epsilon: float) -> None:
        self.rate = 2 * epsilon**2

    def _solve(self, cosines: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return kernel matrices, their inverses and the energies."""
        kernel = _set_diagonal(np.exp(self.rate * (cosines - 1)), 1 + _JITTER)
        inverse = np.empty_like(kernel)
        value = np.empty(kernel.shape[:-2])
        for start in np.ndindex(value.shape):
            root = cholesky(kernel[start], lower=True, check_finite=False)
            value[start] = -2 * np.log(np.diagonal(root)).mean()
            lower, _ = dpotri(root, lower=1)
            inverse[start] = np.tril(lower) + np.tril(lower, -1).T
        return kernel, inverse, value

    def value_and_slope(self, cosines: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the energy and its derivative by the cosine of each pair."""
        kernel, inverse, value = self._solve(cosines)
        factor = -2 * self.rate / cosines.shape[-1]
        return value, _set_diagonal(factor * kernel * inverse, 0)

    def slope_change(self, cosines: np.ndarray) -> Callable[[np.ndarray], np.ndarray]:
        """Return a function from a change of the cosines to that of the slopes."""
        kernel, inverse, _ = self._solve(cosines)
        factor = -2 * self.rate / cosines.shape[-1]
        kernel_slope = _set_diagonal(self.rate * kernel, 0)

        def change(cosine_change: np.ndarray) -> np.ndarray:
            kernel_change = kernel_slope * cosine_change
            inverse_change = -inverse @ kernel_change @ inverse
            slope_change = kernel_change * inverse + kernel * inverse_change
            return _set_diagonal(factor * slope_change, 0)

        return change


Energy = RieszEnergy | GaussianLogDeterminant
