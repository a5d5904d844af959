"""Affine maps of features: solvers, and the search among what they lead to."""

from skcollapse.linear._closed_form import RidgeRegression, discriminant_map
from skcollapse.linear._features import FeatureProblem, prepare
from skcollapse.linear._fit import choose_scaling, fit
from skcollapse.linear._lbfgs import lbfgs
from skcollapse.linear._objective import LinearObjective, second_moment
from skcollapse.linear._spec import Candidate, FeatureSpec, LinearSpec
from skcollapse.linear.search import (
    FoldLogits,
    HoldOutLogits,
    LeaveOneOutLogits,
    greedy_average,
    select,
)
from skcollapse.linear.solvers import (
    LBFGS,
    SOLVERS,
    AffineMap,
    ClosedForm,
    LBFGSPath,
    LinearSolver,
    Solution,
    Strength,
)

__all__ = [
    "LBFGS",
    "SOLVERS",
    "AffineMap",
    "Candidate",
    "ClosedForm",
    "FeatureProblem",
    "FeatureSpec",
    "FoldLogits",
    "HoldOutLogits",
    "LBFGSPath",
    "LeaveOneOutLogits",
    "LinearObjective",
    "LinearSolver",
    "LinearSpec",
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
