"""Affine maps of features: solvers, and the search among what they lead to."""

from skcollapse.linear._closed_form import RidgeRegression, discriminant_map
from skcollapse.linear._features import prepare
from skcollapse.linear._fit import choose_scaling, fit
from skcollapse.linear._lbfgs import lbfgs
from skcollapse.linear._objective import LinearObjective, second_moment
from skcollapse.linear._spec import FeatureSpec, LinearSpec
from skcollapse.linear.search._averaging import greedy_average
from skcollapse.linear.search._held_out import (
    FoldLogits,
    HoldOutLogits,
    LeaveOneOutLogits,
)
from skcollapse.linear.search._selection import select
from skcollapse.linear.solvers import (
    LBFGS,
    SOLVERS,
    AffineMap,
    ClosedForm,
    Discriminant,
    LBFGSPath,
    LinearSolver,
    PrototypeSoftmax,
    Solution,
    Strength,
)

__all__ = [
    "LBFGS",
    "SOLVERS",
    "AffineMap",
    "ClosedForm",
    "Discriminant",
    "FeatureSpec",
    "FoldLogits",
    "HoldOutLogits",
    "LBFGSPath",
    "LeaveOneOutLogits",
    "LinearObjective",
    "LinearSolver",
    "LinearSpec",
    "PrototypeSoftmax",
    "RidgeRegression",
    "Solution",
    "Strength",
    "choose_scaling",
    "discriminant_map",
    "fit",
    "greedy_average",
    "lbfgs",
    "prepare",
    "second_moment",
    "select",
]
