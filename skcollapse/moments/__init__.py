"""Moments: what closed forms and collapse measures need to know of labelled features.

:class:`ClassMoments` streams and merges; :class:`RowMoments` looks twice at rows that
stay where they are, which takes less time and knows more. Measures read the attributes
that both share.
"""

from skcollapse.moments._class_moments import ClassMoments
from skcollapse.moments._row_moments import RowMoments
from skcollapse.moments._rows import whitening

__all__ = ["ClassMoments", "RowMoments", "whitening"]
