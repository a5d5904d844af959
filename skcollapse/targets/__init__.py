"""Where the classes should sit: fixed geometries of class vectors and class means.

A new target is one file with a subclass of :class:`Target` and one line in `TARGETS`.
"""

from skcollapse.targets._assignment import assign_code, class_similarity
from skcollapse.targets._etf import SimplexETF, nearest_etf, simplex_etf
from skcollapse.targets._hyperspherical import HypersphericalCode, hyperspherical_code
from skcollapse.targets._seli import SELI, seli
from skcollapse.targets._target import ClassGeometry, Target

__all__ = [
    "TARGETS",
    "ClassGeometry",
    "Target",
    "assign_code",
    "class_similarity",
    "hyperspherical_code",
    "nearest_etf",
    "seli",
    "simplex_etf",
]

TARGETS: dict[str, Target] = {
    "etf": SimplexETF(),
    "seli": SELI(),
    "hyperspherical": HypersphericalCode(),
}
