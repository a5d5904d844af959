"""What a linear fit is asked for: parameters that were checked, and objects."""

from dataclasses import dataclass
from typing import Any, NamedTuple

from joblib import Memory

from skcollapse.linear.solvers import LinearSolver, Strength
from skcollapse.losses import Loss
from skcollapse.targets import ClassGeometry


class FeatureSpec(NamedTuple):
    """Which features a map is fitted to: a scaling, and an affine projector."""

    scaling: str | None
    projector: Any


class Candidate(NamedTuple):
    """What a search compares; of a path one of its maps, and None is the last."""

    features: FeatureSpec
    solver: LinearSolver
    strength: Strength
    n_iter: int | None = None


@dataclass(frozen=True)
class LinearSpec:
    """How an affine map of features is fitted, and what is chosen by held-out rows.

    Parameters
    ----------
    features : tuple of FeatureSpec
        Those among which to choose.
    solvers : tuple of LinearSolver
        The main one, and those that compete with it at a few strengths.
    alpha : float or None
        Strength of the main solver; None is chosen.
    cv : int, splitter, iterable of splits, or None
    memory : joblib.Memory
        Keeps kernel features for other fits to the same rows.
    seed : int
        Draws the landmarks of kernels; filled in by the fit.
    """

    loss: Loss
    features: tuple[FeatureSpec, ...]
    solvers: tuple[LinearSolver, ...]
    alpha: float | None
    cv: Any
    max_iter: int
    tol: float
    memory: Memory
    target: ClassGeometry
    seed: int = 0

    def strengths(self, many: bool) -> dict[LinearSolver, tuple[Strength, ...]]:
        """Return solvers and strengths, the main first; fits to many rows are dear."""
        main, *others = self.solvers
        if self.alpha is not None:
            return {main: (Strength(self.alpha, main.alphas[0].prior_adjustment),)}
        few = many and not main.leaves_one_out
        strengths = {main: main.few_alphas if few else main.alphas}
        return strengths | {solver: solver.few_alphas for solver in others}
