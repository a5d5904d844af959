"""Solvers for affine maps of features. A new one is a class and a line in `SOLVERS`."""

from skcollapse.linear.solvers._base import AffineMap, LinearSolver, Solution, Strength
from skcollapse.linear.solvers._closed_form import ClosedForm
from skcollapse.linear.solvers._discriminant import Discriminant
from skcollapse.linear.solvers._lbfgs import LBFGS, LBFGSPath
from skcollapse.linear.solvers._prototypes import PrototypeSoftmax

__all__ = [
    "LBFGS",
    "SOLVERS",
    "AffineMap",
    "ClosedForm",
    "Discriminant",
    "LBFGSPath",
    "LinearSolver",
    "PrototypeSoftmax",
    "Solution",
    "Strength",
]

SOLVERS: dict[str, type[LinearSolver]] = {
    solver.name: solver
    for solver in (LBFGSPath, LBFGS, ClosedForm, Discriminant, PrototypeSoftmax)
}
