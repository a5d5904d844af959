"""Long-tailed class counts, subsamples of labelled data, and folds for rare classes."""

from skcollapse.datasets._long_tail import long_tail_counts, make_long_tailed
from skcollapse.datasets._long_tail_split import LongTailSplit

__all__ = ["LongTailSplit", "long_tail_counts", "make_long_tailed"]
