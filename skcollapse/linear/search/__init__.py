"""The choice of what is "auto", by the log-loss of held-out rows."""

from skcollapse.linear.search._averaging import first_lowest, greedy_average
from skcollapse.linear.search._held_out import (
    FoldLogits,
    HeldOut,
    HoldOutLogits,
    LeaveOneOutLogits,
)
from skcollapse.linear.search._selection import Selection, select

__all__ = [
    "FoldLogits",
    "HeldOut",
    "HoldOutLogits",
    "LeaveOneOutLogits",
    "Selection",
    "first_lowest",
    "greedy_average",
    "select",
]
