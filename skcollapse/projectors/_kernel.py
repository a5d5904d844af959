"""Nyström features of the Gaussian kernel, with landmarks from every class.

Of the order of √n landmarks lose nothing of the accuracy of the whole kernel: Rudi,
Camoriano and Rosasco, "Less is more: Nyström computational regularization", NeurIPS
2015, arXiv:1507.04717.
"""

from dataclasses import dataclass

import numpy as np

from skcollapse._utils.arrays import first_of_equal_rows
from skcollapse.projectors._fitted import rbf

# One landmark for so many distinct rows, and no more than this times √n, or in all.
_ROWS_PER_LANDMARK = 5
_LANDMARKS_PER_ROOT = 10
_MOST_LANDMARKS = 1000
# Eigenvalues of the landmarks' kernel below this share of the largest are noise.
_RANK_TOLERANCE = 1e-6
# Wavelengths in the spread of a feature: neighbours are drawn independently.
_WAVES = 1024


@dataclass(frozen=True)
class NystroemBlock:
    """Gaussian-kernel features of scaled rows, centred and of a given size.

    Parameters
    ----------
    landmarks : ndarray of shape (m, p)
        Scaled rows.
    whitening : ndarray of shape (m, r)
        Maps kernel values to features, so that features of landmarks have their
        kernel as inner products.
    mean : ndarray of shape (r,)
        Mean of the features in training.
    """

    landmarks: np.ndarray
    gamma: float
    whitening: np.ndarray
    mean: np.ndarray

    def __call__(self, scaled):
        """Return the (n, r) features of scaled rows."""
        features = rbf(scaled, self.landmarks, self.gamma) @ self.whitening
        features -= self.mean
        return features


def draw_landmarks(X, y, seed, n_landmarks="auto"):
    """Draw indices of distinct rows, as evenly from the classes as their sizes allow.

    Neither the order of the rows nor repetitions matter, so that a row of weight two
    counts as one that stands twice, nor does the unit of the features.
    """
    distinct, of_row = first_of_equal_rows(X)
    label = np.full(len(distinct), y.max())
    np.minimum.at(label, of_row, y)
    keys = _phases(X[distinct].astype(np.float64), seed)
    # The place of each row within its class: taking rows by it is taking turns.
    by_class = distinct[np.lexsort([keys, label])]
    sizes = np.unique(label, return_counts=True)[1]
    turn = np.concatenate([np.arange(size) for size in sizes])
    if n_landmarks == "auto":
        n_rows = len(distinct)
        root = int(_LANDMARKS_PER_ROOT * n_rows**0.5)
        n_landmarks = max(1, min(n_rows // _ROWS_PER_LANDMARK, root, _MOST_LANDMARKS))
    return by_class[np.argsort(turn, kind="stable")][:n_landmarks]


def _phases(rows, seed):
    """Return numbers in [0, 1) as if drawn at random, which only the rows determine.

    They are the phases of a plane wave, many of whose lengths the rows span. Medians
    have the same bits in any order, and are multiplied by two where the rows are.
    """
    rows -= np.median(rows, axis=0)
    spread = np.median(np.abs(rows), axis=0)
    spread = np.where(spread > 0, spread, np.abs(rows).max(axis=0))
    direction = np.random.RandomState(seed).standard_normal(rows.shape[1])
    rows /= np.where(spread > 0, spread, 1)
    return (_WAVES * (rows @ direction)) % 1


def fit_nystroem(scaled, weight, landmarks, gamma="auto"):
    """Fit the features so that their mean squared norm is that of the scaled rows."""
    size = float(weight @ np.einsum("ij,ij->i", scaled, scaled))
    if gamma == "auto":
        # Two rows drawn at random are at the squared distance 2 · size on average.
        gamma = 0.5 / size if size else 1.0
    exact = landmarks.astype(np.float64)
    values, vectors = np.linalg.eigh(rbf(exact, exact, gamma))
    kept = values > _RANK_TOLERANCE * values[-1]
    whitening = (vectors[:, kept] / np.sqrt(values[kept])).astype(scaled.dtype)
    features = rbf(scaled, landmarks, gamma) @ whitening
    mean = weight @ features
    features -= mean
    spread = float(weight @ np.einsum("ij,ij->i", features, features))
    ratio = np.sqrt(size / spread) if spread else 1.0
    whitening, mean = ((ratio * x).astype(scaled.dtype) for x in (whitening, mean))
    return NystroemBlock(landmarks, gamma, whitening, mean)
