"""The classifier that learns by the hyperspherical uniformity gap."""

from typing import Any

import numpy as np
import torch

from skcollapse._utils.checks import check_choice
from skcollapse.classifiers._base import ProjectionClassifier
from skcollapse.classifiers._docs import shares_docs
from skcollapse.classifiers._target import assigned, check_assignment, components_of
from skcollapse.extract import FeatureExtractor
from skcollapse.linear import LinearSolver
from skcollapse.losses import HypersphericalUniformityGap
from skcollapse.network import PROXIES, Trainer
from skcollapse.targets import hyperspherical_code


@shares_docs(
    n_components=(
        "Dimension d of the features, at least 2: on a line directions cannot turn. "
        "None is\nthe number of classes less one, which holds a simplex, or 2 for two "
        "classes. 1\nstands for the default too."
    ),
    class_weight=(
        'Costs of the classes, which weigh the same otherwise: "balanced" is the '
        "same as\nNone."
    ),
)
class HUGClassifier(ProjectionClassifier):
    r"""Classify by directions spread over the sphere, as uniformly as can be.

    Features x are projected to :math:`h(x) \in \mathbb R^d`, and the score of class k
    is the cosine of :math:`h(x)` with its proxy :math:`w_k`. The hyperspherical
    uniformity gap [1]_ keeps apart what neural collapse does at once: a term between
    classes spreads the proxies, in any number of dimensions, and a term within classes
    pulls features to the proxy of their class. All classes count the same in both.

    Parameters
    ----------
    criterion : {"mhe", "mhs", "mgd"}, default="mhe"
        What uniform means: minimum hyperspherical energy, maximum hyperspherical
        separation or maximum Gram determinant; see
        :class:`~skcollapse.losses.HypersphericalUniformityGap`.
    s : float, default=1.0
        Exponent of the energy of "mhe", at least 0.
    proxy : {"fixed", "learnable", "orthogonal", "class_mean"}, default="fixed"
        The class vectors: the code of :func:`~skcollapse.targets.hyperspherical_code`;
        free directions, which learn from the term between classes alone; that code,
        turned as a whole; or the class means of the projected features, through which
        the term between classes pulls on the features. All but "fixed" are trained on
        mini-batches.
    inter_weight : float, default=1.0
        Weight of the term between classes; of no effect on "fixed" and "orthogonal".
    intra_weight : float, default=1.0
        Weight of the term within classes.
    <shared parameters>

    Attributes
    ----------
    <shared attributes>

    See Also
    --------
    ETFClassifier : Other losses, onto fixed class vectors.

    References
    ----------
    .. [1] Liu, Yu, Weller and Schölkopf, "Generalizing and Decoupling Neural Collapse
       via Hyperspherical Uniformity Gap", ICLR 2023, arXiv:2303.06484.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from skcollapse import HUGClassifier
    >>> X, y = load_digits(return_X_y=True)
    >>> classifier = HUGClassifier(n_components=3, random_state=0).fit(X[:500], y[:500])
    >>> classifier.target_.shape
    (10, 3)
    >>> classifier.transform(X).shape
    (1797, 3)
    """

    _balances_classes = True

    def __init__(
        self,
        criterion: str = "mhe",
        *,
        s: float = 1.0,
        proxy: str = "fixed",
        inter_weight: float = 1.0,
        intra_weight: float = 1.0,
        projector: Any = "auto",
        n_components: int | None = None,
        assignment: str = "auto",
        solver: str | LinearSolver = "auto",
        alpha: float | str = "auto",
        feature_scaling: str | None = "auto",
        class_weight: dict[Any, float] | str | None = None,
        cv: Any = None,
        max_iter: int = 200,
        tol: float = 1e-3,
        extractor: torch.nn.Module | FeatureExtractor | None = None,
        train_extractor: bool = False,
        trainer: Trainer | None = None,
        warm_start: bool = False,
        memory: Any = None,
        verbose: bool = False,
        device: str | torch.device = "auto",
        random_state: int | np.random.RandomState | None = None,
    ) -> None:
        self.criterion = criterion
        self.s = s
        self.proxy = proxy
        self.inter_weight = inter_weight
        self.intra_weight = intra_weight
        self.projector = projector
        self.n_components = n_components
        self.assignment = assignment
        self.solver = solver
        self.alpha = alpha
        self.feature_scaling = feature_scaling
        self.class_weight = class_weight
        self.cv = cv
        self.max_iter = max_iter
        self.tol = tol
        self.extractor = extractor
        self.train_extractor = train_extractor
        self.trainer = trainer
        self.warm_start = warm_start
        self.memory = memory
        self.verbose = verbose
        self.device = device
        self.random_state = random_state

    @property
    def _proxies(self):
        check_choice("proxy", self.proxy, ("fixed", *PROXIES))
        return PROXIES.get(self.proxy)

    def _make_loss(self):
        return HypersphericalUniformityGap(
            self.criterion,
            s=self.s,
            inter_weight=self.inter_weight,
            intra_weight=self.intra_weight,
            decoupled=self._proxies is None or self._proxies.decoupled,
            # The rows are balanced already, but for the costs of the classes.
            weighting="sample",
        )

    def _make_target(self, class_counts, data, random_state):
        check_assignment(self.assignment)
        n_classes = len(class_counts)
        n_components = components_of(self.n_components) or max(n_classes - 1, 2)
        if self._proxies is None or self._proxies.starts_at_code:
            code = hyperspherical_code(
                n_classes,
                n_components,
                criterion=self.criterion,
                s=self.s,
                random_state=random_state,
            )
        else:
            code = random_state.standard_normal((n_classes, n_components))
            code /= np.linalg.norm(code, axis=1, keepdims=True)
        scaling = self.feature_scaling
        return assigned(code, data, self.assignment, scaling, random_state)
