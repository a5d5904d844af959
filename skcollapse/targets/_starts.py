"""Codes from which to optimise: symmetric ones, well spread ones and random ones."""

import numpy as np
from numpy.random import RandomState

from skcollapse.targets._known_codes import symmetric_code

# Symmetric codes are stationary: turned off course a little, they leave a saddle point.
_NUDGE = 1e-3


def _unit(rows: np.ndarray) -> np.ndarray:
    return rows / np.linalg.norm(rows, axis=-1, keepdims=True)


def random_codes(
    n_starts: int, n_classes: int, n_components: int, random_state: RandomState
) -> np.ndarray:
    """Draw codes of independent points, uniform on the sphere."""
    return _unit(random_state.standard_normal((n_starts, n_classes, n_components)))


def _spiral(n_classes: int) -> np.ndarray:
    """Return the Fibonacci lattice, a spiral of equal steps in height on the sphere."""
    index = np.arange(n_classes)
    height = 1 - (2 * index + 1) / n_classes
    angle = np.pi * (3 - np.sqrt(5)) * index
    radius = np.sqrt(1 - height**2)
    return np.stack([radius * np.cos(angle), radius * np.sin(angle), height], axis=1)


def _cross_polytope_and_more(
    n_classes: int, n_components: int, random_state: RandomState
) -> np.ndarray:
    """Return both ends of each axis, and after them the farthest of random points."""
    code = np.empty((n_classes, n_components))
    n_axes = min(n_classes, 2 * n_components)
    code[:n_axes] = np.vstack([np.eye(n_components), -np.eye(n_components)])[:n_axes]
    pool = random_codes(1, 4 * n_classes, n_components, random_state)[0]
    nearest = (pool @ code[:n_axes].T).max(axis=1)
    for row in range(n_axes, n_classes):
        code[row] = pool[nearest.argmin()]
        np.maximum(nearest, pool @ code[row], out=nearest)
    return code


def starts(
    n_starts: int, n_classes: int, n_components: int, random_state: RandomState
) -> np.ndarray:
    """Return codes to start from, of shape (n_starts, n_classes, n_components).

    The structured ones come first. With more points than ``n_components + 1``.
    """
    codes = random_codes(n_starts, n_classes, n_components, random_state)
    structured = [symmetric_code(n_classes, n_components)]
    if n_components == 3:
        structured.append(_spiral(n_classes))
    structured.append(_cross_polytope_and_more(n_classes, n_components, random_state))
    known = [code for code in structured if code is not None][:n_starts]
    noise = random_codes(len(known), n_classes, n_components, random_state)
    codes[: len(known)] = _unit(np.stack(known) + _NUDGE * noise)
    return codes
