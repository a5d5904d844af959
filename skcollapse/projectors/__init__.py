"""What moves features: scaling, linear, kernel and MLP projectors."""

from skcollapse.projectors.features import FeatureMap, fit_feature_map
from skcollapse.projectors.fitted import KernelExpansion, LinearProjection

__all__ = ["FeatureMap", "KernelExpansion", "LinearProjection", "fit_feature_map"]
