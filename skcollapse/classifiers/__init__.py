"""Classifiers that project features onto the class vectors of a fixed geometry."""

from skcollapse.classifiers._base import ProjectionClassifier
from skcollapse.classifiers._etf import ETFClassifier
from skcollapse.classifiers._hug import HUGClassifier

__all__ = ["ETFClassifier", "HUGClassifier", "ProjectionClassifier"]
