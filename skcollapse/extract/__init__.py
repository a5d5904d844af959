"""Features of a network: what enters the layer that gives its logits."""

from skcollapse.extract._head import last_linear
from skcollapse.extract._stream import Features, extract_features, iter_features
from skcollapse.extract._transformer import FeatureExtractor

__all__ = [
    "FeatureExtractor",
    "Features",
    "extract_features",
    "iter_features",
    "last_linear",
]
