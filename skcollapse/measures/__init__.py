"""Measures: how far class means, class vectors and features are from collapse.

Pure functions from moments, class means or class vectors to a number, or to one number
for each class. Where a function takes class means, it takes moments as well; classes
without samples are then left out. All raise ValueError where fewer than two classes
have samples, shapes or sizes of classes do not fit, or a value is not finite.

A new measure is one small function in a file of this folder, one name here and one
entry of `MEASURES`, from which reports and scores are made.
"""

from skcollapse.measures._registry import MEASURES, Measure, MeasureInputs
from skcollapse.measures.agreement import batch_agreement, nc5, ncc_agreement
from skcollapse.measures.geometry import (
    cosine_std,
    equiangularity,
    equinorm,
    etf_distance,
    self_duality,
    self_duality_cosine,
    target_distance,
)
from skcollapse.measures.imbalance import (
    minority_classes,
    minority_cosine,
    norm_ratio,
    seli_distance,
    seli_grams,
)
from skcollapse.measures.uniformity import min_angle, one_vs_rest_margin, uniformity
from skcollapse.measures.variability import cdnv, class_nc1, nc1, nc1_trace_ratio, vci

__all__ = [
    "MEASURES",
    "Measure",
    "MeasureInputs",
    "batch_agreement",
    "cdnv",
    "class_nc1",
    "cosine_std",
    "equiangularity",
    "equinorm",
    "etf_distance",
    "min_angle",
    "minority_classes",
    "minority_cosine",
    "nc1",
    "nc1_trace_ratio",
    "nc5",
    "ncc_agreement",
    "norm_ratio",
    "one_vs_rest_margin",
    "self_duality",
    "self_duality_cosine",
    "seli_distance",
    "seli_grams",
    "target_distance",
    "uniformity",
    "vci",
]
