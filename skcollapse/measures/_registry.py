"""What a report holds: every measure, what it needs and which way it points.

To add a measure, write it in a file of this folder and give it one entry of `MEASURES`:
reports and scores have it then, and the conformance tests go through the registry.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any

import numpy as np

from skcollapse._utils.numbers import as_float64
from skcollapse.measures._inputs import Moments, centre
from skcollapse.measures.agreement import ncc_agreement
from skcollapse.measures.geometry import (
    cosine_std,
    equiangularity,
    equinorm,
    etf_distance,
    self_duality,
    self_duality_cosine,
    target_distance,
)
from skcollapse.measures.imbalance import minority_cosine, norm_ratio, seli_distance
from skcollapse.measures.uniformity import min_angle, uniformity
from skcollapse.measures.variability import cdnv, nc1, nc1_trace_ratio, vci
from skcollapse.moments import RowMoments
from skcollapse.targets import TARGETS, assign_code, class_similarity

_SIMILARITIES = ("rotation", "translation", "scaling")


@dataclass
class MeasureInputs:
    """What measures are computed from: moments, a classifier, and a target.

    Parameters
    ----------
    moments : ClassMoments or RowMoments
    has : frozenset of str
        What can be asked for: "classifier", "rows" (to look at once more), "scatter",
        "spread" (along the class means, for NC1) and "class spread".
    head : tuple of ndarrays of shape (n_classes, n_features) and (n_classes,), or None
        Class vectors and biases of the classifier.
    target : str or array-like of shape (n_classes, n_components), default="etf"
        Where the class means should sit.
    ridge : float, default=0.0
        Strength of the regularisation in the SELI geometry.
    agreement_by_class : ndarray of shape (n_classes,), default=None
        Given where the moments have no rows to look at again.
    """

    moments: Moments
    has: frozenset[str]
    head: tuple[np.ndarray, np.ndarray] | None = None
    target: object = "etf"
    ridge: float = 0.0
    agreement_by_class: np.ndarray | None = None

    def __post_init__(self) -> None:
        """Leave out the classes without samples."""
        self.present = self.moments.counts > 0
        self.counts = self.moments.counts[self.present]
        # A slice does not copy.
        rows = slice(None) if self.present.all() else self.present
        self.means = self.moments.means[rows]

    @cached_property
    def coef(self) -> np.ndarray:
        """The class vectors of the classes with samples."""
        assert self.head is not None
        return np.asarray(self.head[0][self.present])

    def agreement(self) -> np.ndarray:
        """Return the agreement of each class; the rows are looked at once."""
        if self.agreement_by_class is None:
            assert isinstance(self.moments, RowMoments)
            assert self.head is not None
            coef, intercept = self.head
            self.agreement_by_class = ncc_agreement(
                self.moments, coef, intercept, by_class=True
            )
        return self.agreement_by_class

    @cached_property
    def arrangement(self) -> np.ndarray:
        """The class means, moved into as few dimensions as there are classes."""
        n_classes, n_features = self.means.shape
        if n_features <= n_classes:
            return self.means
        triangle: Any = np.linalg.qr(centre(self.means).T, mode="r")
        return np.asarray(triangle.T)

    @cached_property
    def centred(self) -> np.ndarray:
        """The same less their unweighted mean."""
        return centre(self.arrangement)

    @cached_property
    def etf_distance(self) -> float:
        """The distance of the class means from the ETF, which may be the target too."""
        return etf_distance(self.arrangement)

    def target_distance(self) -> float:
        """Return the distance of the class means from the target."""
        if not isinstance(self.target, str):
            means = as_float64("target", self.target)
            if means.ndim != 2 or len(means) != len(self.present):
                raise ValueError(
                    "target must be the name of a geometry, or an array with a row for "
                    f"each of the {len(self.present)} classes; got the shape "
                    f"{means.shape}."
                )
            return target_distance(self.arrangement, means[self.present])
        if self.target == "etf":
            return self.etf_distance
        if self.target == "seli":
            return seli_distance(self.arrangement, self.counts)
        n_classes, n_features = self.means.shape
        target = TARGETS[self.target]
        n_components = min(n_classes - 1, n_features)
        if n_components < target.min_components(n_classes):
            return np.nan
        means = target.build(self.counts, n_components, 0).means
        if target.assignable and n_components < n_classes - 1:
            # Which class has which vector of a code is not a matter of its geometry.
            similarity = class_similarity(self.means)
            means = assign_code(means, similarity, random_state=0)
        return target_distance(self.arrangement, means)


@dataclass(frozen=True)
class Measure:
    """A measure of the report.

    Parameters
    ----------
    title : str
        A few words for the report.
    compute : callable
        From `MeasureInputs` to a float.
    section : {"NC1", "NC2", "sizes", "NC3", "NC4", "classifier"}
        Where it stands in the report.
    needs : tuple of str, default=()
        What the inputs must have, see `MeasureInputs`; the value is NaN otherwise.
    collapsed : float or None, default=0.0
        Its value at collapse, None where that depends on the classes.
    rising : bool, default=False
        Whether more is more collapsed.
    invariant : tuple of str, default=("rotation", "translation", "scaling")
        Which maps of the features, and of a classifier along with them, leave it as it
        is; "linear" stands for every invertible map.
    """

    title: str
    compute: Callable[[MeasureInputs], float]
    section: str
    needs: tuple[str, ...] = ()
    collapsed: float | None = 0.0
    rising: bool = False
    invariant: tuple[str, ...] = _SIMILARITIES

    def __call__(self, inputs: MeasureInputs) -> float:
        """Return the value, NaN where the inputs lack what it needs."""
        if not inputs.has.issuperset(self.needs):
            return np.nan
        return float(self.compute(inputs))


_NC1 = partial(Measure, section="NC1")
_NC2 = partial(Measure, section="NC2")
_SIZES = partial(Measure, section="sizes")
_NC3 = partial(Measure, section="NC3", needs=("classifier",))
_NC4 = partial(Measure, section="NC4", needs=("classifier", "rows"))
_HEAD = partial(Measure, section="classifier", needs=("classifier",))

MEASURES: dict[str, Measure] = {
    "nc1": _NC1(
        "tr(Σ_W Σ_B⁺) / K, pooled", lambda i: nc1(i.moments), needs=("spread",)
    ),
    "nc1_balanced": _NC1(
        "the same, classes alike",
        lambda i: nc1(i.moments, balanced=True),
        needs=("class spread",),
    ),
    "nc1_trace_ratio": _NC1("tr Σ_W / tr Σ_B", lambda i: nc1_trace_ratio(i.moments)),
    "cdnv": _NC1("class-distance normalised variance", lambda i: cdnv(i.moments)),
    "vci": _NC1(
        "variability collapse index",
        lambda i: vci(i.moments),
        needs=("scatter",),
        invariant=(*_SIMILARITIES, "linear"),
    ),
    "nc2_equinorm": _NC2("variation of lengths", lambda i: equinorm(i.arrangement)),
    "nc2_equiangularity": _NC2(
        "mean |cos + 1/(K − 1)|", lambda i: equiangularity(i.arrangement)
    ),
    "nc2_cosine_std": _NC2("deviation of cosines", lambda i: cosine_std(i.arrangement)),
    "nc2_etf_distance": _NC2("distance from the ETF", lambda i: i.etf_distance),
    "target_distance": _NC2("distance from the target", lambda i: i.target_distance()),
    "min_angle": _NC2(
        "smallest angle, degrees",
        lambda i: min_angle(i.centred),
        collapsed=None,
        rising=True,
    ),
    "uniformity": _NC2(
        "mean log 1 / distance", lambda i: uniformity(i.centred), collapsed=None
    ),
    "seli_distance": _SIZES(
        "distance from SELI",
        lambda i: seli_distance(i.arrangement, i.counts, ridge=i.ridge),
    ),
    "minority_cosine": _SIZES(
        "cosine of small classes, excess",
        lambda i: minority_cosine(i.arrangement, i.counts),
        collapsed=None,
    ),
    "norm_ratio": _SIZES(
        "length of large classes over small",
        lambda i: norm_ratio(i.arrangement, i.counts),
        collapsed=None,
    ),
    "nc3_self_duality": _NC3(
        "distance of classifier and means", lambda i: self_duality(i.coef, i.means)
    ),
    "nc3_cosine": _NC3(
        "mean 1 − cos of both", lambda i: self_duality_cosine(i.coef, i.means)
    ),
    "nc4_ncc_agreement": _NC4(
        "decides for the nearest centre",
        lambda i: np.average(i.agreement()[i.present], weights=i.counts),
        collapsed=1.0,
        rising=True,
    ),
    "classifier_equinorm": _HEAD(
        "variation of lengths", lambda i: equinorm(i.coef, centred=False)
    ),
    "classifier_equiangularity": _HEAD(
        "mean |cos + 1/(K − 1)|", lambda i: equiangularity(i.coef, centred=False)
    ),
    "classifier_etf_distance": _HEAD(
        "distance from the ETF", lambda i: etf_distance(i.coef, centred=False)
    ),
    "classifier_seli_distance": _HEAD(
        "distance from SELI",
        lambda i: seli_distance(i.coef, i.counts, ridge=i.ridge, vectors="classifier"),
    ),
    "classifier_minority_cosine": _HEAD(
        "cosine of small classes, excess",
        lambda i: minority_cosine(i.coef, i.counts, centred=False),
        collapsed=None,
    ),
}
