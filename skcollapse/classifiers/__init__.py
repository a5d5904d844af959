"""Classifiers: one target, loss, projector and solver put together."""

from skcollapse.classifiers.etf import ETFClassifier

__all__ = ["ETFClassifier"]
