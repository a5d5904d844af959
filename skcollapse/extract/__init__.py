"""Features of a network: what enters the layer that gives its logits."""

from skcollapse.extract._batches import check_loader
from skcollapse.extract._frozen import (
    RowFeatures,
    extract_once,
    extract_rows,
    frozen_copy,
    row_features,
    trainable_copy,
)
from skcollapse.extract._head import last_linear
from skcollapse.extract._modules import eval_mode, floating_dtype, placed, portable
from skcollapse.extract._stream import Features, extract_features, iter_features
from skcollapse.extract._transformer import FeatureExtractor
from skcollapse.extract._without_head import WithoutHead, without_head

__all__ = [
    "FeatureExtractor",
    "Features",
    "RowFeatures",
    "WithoutHead",
    "check_loader",
    "eval_mode",
    "extract_features",
    "extract_once",
    "extract_rows",
    "floating_dtype",
    "frozen_copy",
    "iter_features",
    "last_linear",
    "placed",
    "portable",
    "row_features",
    "trainable_copy",
    "without_head",
]
