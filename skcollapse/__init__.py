"""Classifiers with a fixed geometry and measures of neural collapse.

Where should the classes sit, how are features brought there, and how far are they
from it?
"""

from skcollapse.classifiers import ETFClassifier, HUGClassifier
from skcollapse.scorer import NeuralCollapseScorer

__all__ = ["ETFClassifier", "HUGClassifier", "NeuralCollapseScorer", "__version__"]

__version__ = "0.1.0.dev0"
