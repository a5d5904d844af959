"""Linear projectors in closed form, from moments alone."""

from functools import cached_property

import numpy as np
import torch

from skcollapse.moments import ClassMoments

# An eigenvalue below this share of the sum is a direction in which nothing varies.
_RANK_TOLERANCE = 1e-15
# With a greater penalty no direction is lost, and a Cholesky factor will do.
_SMALLEST_PENALTY = 1e-12


def balanced_moments(problem):
    """Return the moments of the features when all classes weigh the same."""
    moments = ClassMoments(len(problem.target.classifier), problem.features.shape[1])
    return moments.update(problem.features, problem.y, problem.balanced_weight)


def _centred_means(moments):
    """Return shares and centred means of the classes present, and their mean."""
    present = moments.counts > 0
    share = moments.counts[present] / moments.weight_sum
    means = moments.means[present]
    mean = share @ means
    return present, share, means - mean, mean


class RidgeRegression:
    r"""Ridge regression of a vector for each class on the features, for all penalties.

    .. math::

        \min_{A, b} \sum_i w_i \|A^\top x_i + b - t_{y_i}\|^2 + \alpha \|A\|^2
        \operatorname{tr} T, \qquad \sum_i w_i = 1

    with the total covariance T, so that α does not depend on the scale of the features.
    Onto the vertices of a simplex ETF, its decisions are those of ridge regression on
    one-hot vectors. The moments are gathered with the weights w.
    """

    def __init__(self, moments, vectors):
        present, share, means, self.mean = _centred_means(moments)
        within = moments.scatter / moments.weight_sum
        self.target_mean = share @ vectors[present]
        self._total = within + (means.T * share) @ means
        self._cross = (means.T * share) @ (vectors[present] - self.target_mean)

    @cached_property
    def _eigen(self):
        # Torch takes half the time of SciPy.
        values, basis = torch.linalg.eigh(torch.from_numpy(self._total))
        return values.clamp_(min=0).numpy(), basis.numpy()

    @property
    def values(self):
        """Eigenvalues of the total covariance, of shape (p,)."""
        return self._eigen[0]

    @property
    def basis(self):
        """Its eigenvectors, as the columns of a (p, p) matrix."""
        return self._eigen[1]

    @property
    def rotated_cross(self):
        """The (p, d) covariance of features and vectors, in that basis."""
        return self.basis.T @ self._cross

    def inverse(self, alpha):
        """Return the (p,) eigenvalues of the inverse of T + α tr T · I."""
        total = self.values.sum()
        shrunk = self.values + alpha * total
        # Nothing is regressed on a direction without variance.
        kept = shrunk > _RANK_TOLERANCE * max(total, np.finfo(float).tiny)
        return np.where(kept, 1, 0) / np.where(kept, shrunk, 1)

    def solve(self, alpha):
        """Return coef (p, d) and intercept (d,) for a penalty."""
        trace = np.trace(self._total)
        if alpha > _SMALLEST_PENALTY and trace:
            shrunk = torch.from_numpy(self._total).clone()
            shrunk.diagonal().add_(alpha * trace)
            factor = torch.linalg.cholesky(shrunk)
            cross = torch.from_numpy(self._cross)
            coef = torch.cholesky_solve(cross, factor).numpy()
        else:
            coef = self.basis @ (self.inverse(alpha)[:, None] * self.rotated_cross)
        return coef, self.target_mean - self.mean @ coef


def discriminant_map(moments, vectors, shrinkage):
    r"""Carry the scores of linear discriminant analysis onto given class vectors.

    With the within-class covariance shrunk, Σ, and the shares π of the classes in the
    weights, the scores of a row are :math:`z_k = \mu_k^\top \Sigma^{-1} x - \tfrac12
    \mu_k^\top \Sigma^{-1} \mu_k + \log \pi_k`. The map :math:`h = \sum_k z_k v_k` has,
    on the vectors of a simplex ETF, the scores z again, up to their scale and mean.

    Parameters
    ----------
    moments : ClassMoments
    vectors : ndarray of shape (n_classes, d)
    shrinkage : float
        Multiple of the sum of the variances of all features that is added to each.

    Returns
    -------
    coef : ndarray of shape (p, d)
    intercept : ndarray of shape (d,)
        Scaled so that class means have the mean squared norm 1.

    Examples
    --------
    >>> import numpy as np
    >>> from skcollapse.moments import ClassMoments
    >>> moments = ClassMoments(2, 1).update([[0.0], [1.0], [4.0], [5.0]], [0, 0, 1, 1])
    >>> coef, intercept = discriminant_map(moments, np.array([[-1.0], [1.0]]), 0.1)
    >>> coef, intercept
    (array([[0.5]]), array([-1.25]))
    """
    present, share, means, mean = _centred_means(moments)
    within = moments.scatter / moments.weight_sum
    variance = np.trace(within) + share @ (means**2).sum(1)
    within.flat[:: len(within) + 1] += shrinkage * variance if variance else 1.0
    weights = np.linalg.solve(within, means.T)
    offsets = np.log(share) - 0.5 * np.einsum("kp,pk->k", means, weights)
    coef, intercept = weights @ vectors[present], offsets @ vectors[present]
    projected = means @ coef + intercept
    length = np.sqrt(share @ (projected**2).sum(1)) or 1.0
    coef, intercept = coef / length, intercept / length
    return coef, intercept - mean @ coef
