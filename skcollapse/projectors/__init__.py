"""Projectors: scaled features, kernels and perceptrons, to be fitted and fitted."""

from skcollapse.projectors._export import export
from skcollapse.projectors._features import FeatureMap, fit_feature_map
from skcollapse.projectors._fitted import KernelExpansion, LinearProjection
from skcollapse.projectors._fitted_mlp import MLPProjection
from skcollapse.projectors._fitted_module import ModuleProjection
from skcollapse.projectors._mlp import MLPProjector
from skcollapse.projectors._parameters import (
    MLP,
    PROJECTORS,
    Kernel,
    Linear,
    get_projectors,
)
from skcollapse.projectors._scaling import SCALINGS, fit_scaling

__all__ = [
    "MLP",
    "PROJECTORS",
    "SCALINGS",
    "FeatureMap",
    "Kernel",
    "KernelExpansion",
    "Linear",
    "LinearProjection",
    "MLPProjection",
    "MLPProjector",
    "ModuleProjection",
    "export",
    "fit_feature_map",
    "fit_scaling",
    "get_projectors",
]
