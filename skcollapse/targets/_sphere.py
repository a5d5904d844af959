"""Points on a product of spheres: tangent steps, and the gradient of an energy there.

The arrays have the shape (..., K, d), with K unit vectors for each start. Steps are
taken in the tangent spaces and carried back by normalising, which is a retraction.
"""

import numpy as np


def tangent(points, vectors):
    """Project vectors onto the tangent spaces of the spheres at the points."""
    return vectors - row_dot(vectors, points)[..., None] * points


def retract(points, step):
    """Go a tangent step and return to the spheres."""
    moved = points + step
    moved /= np.linalg.norm(moved, axis=-1, keepdims=True)
    return moved


def row_dot(first, second):
    """Inner products of rows."""
    return np.einsum("...kd,...kd->...k", first, second)


def dot(first, second):
    """Inner products of arrays of rows, one for each start."""
    return np.einsum("...kd,...kd->...", first, second)


def cosines_of(points):
    """Return the matrices of cosines."""
    return points @ points.swapaxes(-2, -1)


def value_and_gradient(energy, points):
    """Return energies and their Riemannian gradients."""
    value, slope = energy.value_and_slope(cosines_of(points))
    return value, tangent(points, slope @ points)
