"""Where the classes should sit: fixed geometries of class vectors and class means.

A target is a function from class sizes to a `ClassGeometry`. To add one, write it in a
file of its own with a ``build(class_counts, n_components, random_state)`` and enter
that in `TARGETS`: the conformance tests go through the registry.
"""

from skcollapse.targets import _etf, _hyperspherical, _seli
from skcollapse.targets._assignment import assign_code, class_similarity
from skcollapse.targets._etf import simplex_etf
from skcollapse.targets._geometry import ClassGeometry
from skcollapse.targets._hyperspherical import hyperspherical_code
from skcollapse.targets._procrustes import nearest_etf
from skcollapse.targets._seli import seli

__all__ = [
    "TARGETS",
    "ClassGeometry",
    "assign_code",
    "class_similarity",
    "hyperspherical_code",
    "nearest_etf",
    "seli",
    "simplex_etf",
]

TARGETS = {
    "etf": _etf.build,
    "seli": _seli.build,
    "hyperspherical": _hyperspherical.build,
}
class _T:
    def __init__(self, build, assignable): self.build=build; self.assignable=assignable
TARGETS = {k: _T(v, k=="hyperspherical") for k,v in TARGETS.items()}
