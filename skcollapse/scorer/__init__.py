"""The scorer: how far features, and a classifier on them, are from neural collapse."""

from skcollapse.scorer._estimator import NeuralCollapseScorer
from skcollapse.scorer._report import CollapseReport
from skcollapse.scorer._rows import transformed

__all__ = ["CollapseReport", "NeuralCollapseScorer", "transformed"]
