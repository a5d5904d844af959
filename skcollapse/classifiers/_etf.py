"""The classifier onto a fixed target."""

from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike

from skcollapse.classifiers._base import ProjectionClassifier
from skcollapse.classifiers._docs import shares_docs
from skcollapse.classifiers._target import assigned, check_assignment, resolve_target
from skcollapse.extract import FeatureExtractor
from skcollapse.linear import LinearSolver
from skcollapse.losses import Loss, get_loss
from skcollapse.network import Trainer
from skcollapse.targets import TARGETS


@shares_docs(
    n_components=(
        "Dimension d of the target; None is the number of classes less one, the fewest "
        'that\n"etf" and "seli" can have. 1 stands for the default too.'
    ),
    class_weight=(
        "Costs of the classes, which multiply the weights of their rows but do not "
        'count\nfor the class prior. "balanced" makes classes equally frequent '
        'instead:\n"logit_adjusted" has nothing left to adjust then.'
    ),
)
class ETFClassifier(ProjectionClassifier):
    r"""Classify by a projection onto fixed class vectors, such as a simplex ETF.

    Features x are projected to :math:`h(x) \in \mathbb R^d`; the score of class k is
    :math:`w_k^\top h(x)`. The class vectors :math:`w_k` are fixed beforehand, at the
    equal angles that the classifiers of balanced networks collapse to [1]_, or at those
    of imbalanced ones [2]_. Only the projection learns.

    The default is made for long-tailed classes: logit-adjusted cross-entropy [3]_, on
    scaled features, with Gaussian-kernel features beside them. How they are scaled,
    whether the kernel helps, and the regularisation are chosen by the class-balanced
    log-loss of held-out rows, and the best candidates are averaged. With a linear
    projector this is no more expressive than softmax regression; what it gains, it
    gains from these choices, not from the geometry.

    Parameters
    ----------
    target : {"etf", "seli", "hyperspherical"} or array, default="etf"
        Class vectors: a simplex equiangular tight frame, the geometry of
        [2]_ for the class counts seen in ``fit``, the code of
        :func:`~skcollapse.targets.hyperspherical_code`, which fits into any number of
        dimensions, or vectors of shape (n_classes, n_components) in the order of the
        sorted labels.
    loss : str or Loss, default="logit_adjusted"
        Loss function: "logit_adjusted", "cross_entropy", "ldam", "dot_regression",
        "squared", "ntce", "nonl", or a :class:`~skcollapse.losses.Loss` of other
        parameters.
        ``solver="closed_form"`` regresses by least squares whatever the loss.
    <shared parameters>

    Attributes
    ----------
    <shared attributes>

    See Also
    --------
    HUGClassifier : Class vectors spread over the sphere, and scores that are cosines.
    sklearn.linear_model.LogisticRegression : Learns the class vectors instead.

    Notes
    -----
    Probabilities are for classes of equal frequency. For another prior p, add
    ``log(p)`` to :meth:`predict_log_proba` and normalise.

    References
    ----------
    .. [1] Yang et al., "Inducing neural collapse in imbalanced learning: do we really
       need a learnable classifier at the end of deep neural network?", NeurIPS 2022,
       arXiv:2203.09081.
    .. [2] Thrampoulidis et al., "Imbalance trouble: revisiting neural-collapse
       geometry", NeurIPS 2022, arXiv:2208.05512.
    .. [3] Menon et al., "Long-tail learning via logit adjustment", ICLR 2021,
       arXiv:2007.07314.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from skcollapse import ETFClassifier
    >>> X, y = load_iris(return_X_y=True)
    >>> classifier = ETFClassifier(random_state=0).fit(X[:110], y[:110])
    >>> classifier.class_counts_
    array([50., 50., 10.])
    >>> classifier.predict(X[[0, 60, 120]])
    array([0, 1, 2])
    >>> classifier.transform(X).shape
    (150, 2)
    """

    def __init__(
        self,
        target: str | ArrayLike = "etf",
        *,
        loss: str | Loss = "logit_adjusted",
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
        self.target = target
        self.loss = loss
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

    def _make_loss(self):
        return get_loss(self.loss)

    def _make_target(self, class_counts, data, random_state):
        check_assignment(self.assignment)
        geometry = resolve_target(
            self.target, class_counts, self.n_components, random_state
        )
        # Vectors that are given, or made for the class counts, have their classes.
        if not (isinstance(self.target, str) and TARGETS[self.target].assignable):
            return geometry
        code, scaling = geometry.classifier, self.feature_scaling
        return assigned(code, data, self.assignment, scaling, random_state)
