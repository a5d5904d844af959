"""Features of a network: what enters the layer that gives its logits."""

from skcollapse.extract._frozen import Checked as RowFeatures
from skcollapse.extract._frozen import features_of as row_features
from skcollapse.extract._frozen import to_train as trainable_copy
from skcollapse.extract._head import last_linear
from skcollapse.extract._placing import evaluating as eval_mode
from skcollapse.extract._placing import floating_dtype
from skcollapse.extract._stream import Features, extract_features, iter_features
from skcollapse.extract._transformer import FeatureExtractor

__all__ = [
    "FeatureExtractor",
    "Features",
    "RowFeatures",
    "eval_mode",
    "extract_features",
    "floating_dtype",
    "iter_features",
    "last_linear",
    "row_features",
    "trainable_copy",
]
from skcollapse.extract._frozen import extract as extract_rows
from skcollapse.extract._frozen import extract_once
from skcollapse.extract._frozen import frozen as frozen_copy
from skcollapse.extract._headless import Headless as WithoutHead
from skcollapse.extract._placing import portable
