"""Displays: collapse, Gram matrices and recalls of classes, drawn with matplotlib."""

from skcollapse.display._collapse import CollapseDisplay
from skcollapse.display._gram import GramDisplay
from skcollapse.display._shot_accuracy import ShotAccuracyDisplay

__all__ = ["CollapseDisplay", "GramDisplay", "ShotAccuracyDisplay"]
