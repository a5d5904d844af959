"""Points on a product of spheres: tangent steps, and the gradient of an energy there.

The arrays have the shape (..., K, d), with K unit vectors for each start. Steps are
taken in the tangent spaces and carried back by normalising, which is a retraction.
"""

import numpy as np

from skcollapse.targets._energies import Energy


def tangent(points: np.ndarray, vectors: np.ndarray) -> np.ndarray:
    """Project vectors onto the tangent spaces of the spheres at the points."""
    return vectors - row_dot(vectors, points)[..., None] * points


def retract(points: np.ndarray, step: np.ndarray) -> np.ndarray:
    """Go a tangent step and return to the spheres."""
    moved = points + step
    moved /= np.linalg.norm(moved, axis=-1, keepdims=True)
    return moved


def row_dot(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Inner products of rows."""
    return np.einsum("...kd,...kd->...k", first, second)


def dot(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Inner products of arrays of rows, one for each start."""
    return np.einsum("...kd,...kd->...", first, second)


def cosines_of(points: np.ndarray) -> np.ndarray:
    """Return the matrices of cosines."""
    return points @ points.swapaxes(-2, -1)


def value_and_gradient(
    energy: Energy, points: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return energies and their Riemannian gradients."""
    value, slope = energy.value_and_slope(cosines_of(points))
    return value, tangent(points, slope @ points)
