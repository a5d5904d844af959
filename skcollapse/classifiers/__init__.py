"""Classifiers: one target, loss, projector and solver put together."""

from skcollapse.classifiers.etf import ETFClassifier
from skcollapse.classifiers.hug import HUGClassifier

__all__ = ["ETFClassifier", "HUGClassifier"]
