"""How far class vectors are from where they should be: pure functions to numbers."""

from skcollapse.measures.one_vs_rest_margin import one_vs_rest_margin
from skcollapse.measures.uniformity import min_angle, uniformity

__all__ = ["min_angle", "one_vs_rest_margin", "uniformity"]
