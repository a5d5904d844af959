"""The classifier that learns by the hyperspherical uniformity gap."""

import numpy as np

from skcollapse.classifiers._base import ProjectionClassifier
from skcollapse.classifiers._target import ASSIGNMENTS, assigned, components_of
from skcollapse._utils.checks import check_choice
from skcollapse.losses import HypersphericalUniformityGap
from skcollapse.targets import ClassGeometry, hyperspherical_code
from skcollapse.training.proxies import PROXIES


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
    projector : {"auto", "linear", "kernel", "mlp"} or torch.nn.Module, default="auto"
        What moves. "kernel" is linear on Nyström features of the Gaussian kernel and
        on the features themselves; "auto" chooses between "linear" and "kernel",
        and is "linear" where proxies are trained. A module maps (n, n_features) rows to
        (n, n_components); a copy is trained.
    hidden_layer_sizes : tuple of int, default=(512,)
        Of "mlp".
    n_components : int, default=None
        Dimension d of the features, at least 2: on a line directions cannot turn. The
        default is the number of classes less one, which holds a simplex, or 2 for two
        classes. 1 stands for the default too.
    assignment : {"auto", "identity"}, default="auto"
        Which class gets which proxy to begin with, where they are not all alike:
        "auto" puts classes with similar means close together, by
        :func:`~skcollapse.targets.assign_code`; "identity" leaves it to chance.
    solver : {"auto", "lbfgs", "closed_form", "adamw", "sgd"}, default="auto"
        "auto" is "adamw" for "mlp" and modules; for linear and kernel projectors it
        is "lbfgs" if ``proxy="fixed"``, and "adamw" otherwise.
        "closed_form" is ridge regression onto the class means of the target with all
        classes weighing the same.
    alpha : float or "auto", default="auto"
        Strength of the L2 penalty on the projector, for features scaled as
        ``feature_scaling`` says; for "lbfgs", the ridge of its metric. With "auto",
        "lbfgs" stops early, in a metric whose ridge is chosen; "closed_form" chooses by
        leave-one-out error; "adamw" and "sgd" use 1e-4, as all networks do.
    feature_scaling : {"auto", "global", "standard", None}, default="auto"
        Features are centred and divided by one number, or each by its own standard
        deviation; None only centres them.
    cv : int, splitter or iterable, default=None
        How rows are held out when something is chosen. None is three stratified folds,
        or one fold in ten of more than 10,000 rows, with fewer candidates.
    class_weight : dict, "balanced" or None, default=None
        Costs of the classes, which weigh the same otherwise: "balanced" is the same as
        None.
    mixup_alpha : float, default=0.0
        Mix rows in shares drawn from Beta(α, α); "adamw" and "sgd" only.
    dropout : float, default=0.0
        Of the hidden layers of "mlp".
    residual : bool, default=False
        Add a linear path beside the hidden layers of "mlp".
    batch_norm : bool, default=False
        Normalise the output of "mlp" over the batch, as the head of some networks does.
    batch_size : int or "auto", default="auto"
        Of "adamw" and "sgd"; "auto" is 256, or all rows if there are fewer.
    learning_rate : {"cosine", "constant", "one_cycle", "multi_step"}, default="cosine"
        Schedule of "adamw" and "sgd"; the steps are the milestones of ``trainer``.
    learning_rate_init : float, default=1e-3
    momentum : float, default=0.9
        Of "sgd", which uses Nesterov's.
    max_iter : int, default=200
        Iterations of "lbfgs", or epochs.
    tol : float, default=1e-3
        "lbfgs" stops when no element of the preconditioned gradient exceeds this share
        of the norm of the first; the others when an epoch does not gain as much.
    early_stopping : bool, default=False
        Hold out rows from "adamw" and "sgd", and keep the weights that were best there.
    validation_fraction : float, default=0.1
    n_iter_no_change : int, default=10
        Epochs without gain before "adamw" and "sgd" stop.
    warm_start : bool, default=False
        Go on from the previous weights of "mlp" or a module. The other projectors
        start from a closed form.
    extractor : torch.nn.Module or FeatureExtractor, default=None
        A network before the projector, from a batch of rows of any shape to (n, d)
        features, or a :class:`~skcollapse.extract.FeatureExtractor`. A copy is used.
    train_extractor : bool, default=False
        Train the extractor together with the projector, on mini-batches; "auto" and
        "linear" are one affine map then. Otherwise features are extracted once, in
        evaluation mode, and all goes on with them.
    augment : callable, default=None
        From a batch of rows on the device, a tensor, to one that is trained with, such
        as :class:`~skcollapse.training.RandomCropFlip`. It draws from torch's global
        generators, which the fit seeds; ``train_extractor=True`` only.
    trainer : Trainer, default=None
        The rest of what "adamw" and "sgd" can do: warm-up, samplers, averages of the
        weights, mixed precision and more, see :class:`~skcollapse.training.Trainer`.
    checkpoint : str or path-like, default=None
        A .safetensors file for the state of "adamw" and "sgd" after every epoch. A fit
        to the same rows with the same parameters goes on from it, or is as it was at
        once if it was over. Needs an integer ``random_state``.
    verbose : bool, default=False
        Print a line for each iteration, and for each strength that a search tries.
    memory : str or object with the joblib.Memory interface, default=None
        Where features are kept, of kernels and of an extractor that is not trained, so
        that other fits to the same rows, such as those of a search over ``loss`` or
        ``alpha``, find them. A string is the path of a folder; None keeps nothing.
        Kernels need an integer ``random_state``; an extractor is known by its class and
        its weights.
    device : str or torch.device, default="auto"
        Where to train, and to run an extractor; "auto" is CUDA where there is one.
        NumPy predicts from features.
    random_state : int, RandomState instance or None, default=None
        Draws the rotation of the target, landmarks, initial weights and the order of
        the rows.

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
    class_counts_ : ndarray of shape (n_classes,)
        Sum of the sample weights of each class.
    target_ : ndarray of shape (n_classes, n_components)
        Class vectors, of unit length: the proxies as they were at the end.
    target_means_ : ndarray of shape (n_classes, n_components)
        The same.
    projection_ : callable
        From X to projected features, in NumPy; ``coef`` and ``intercept`` if linear.
    temperature_ : float
        What cosines are divided by before the softmax. Held-out rows choose it where
        there are any.
    selection_results_ : dict of ndarrays or None
        What was compared: "feature_scaling", "projector", "solver", "alpha",
        "n_iter", "log_loss", "inverse_temperature" and "weight", the share of the
        average.
    n_iter_ : int
    loss_curve_ : list of float
        Loss after each iteration; empty for "closed_form".
    validation_scores_ : list of float or None
        Balanced accuracy on the rows that early stopping held out.
    extractor_ : torch.nn.Module, FeatureExtractor or None
        What gives the features, in evaluation mode and on the CPU.
    n_features_in_ : int
        If the rows of X have one axis.
    feature_names_in_ : ndarray of shape (`n_features_in_`,)

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
        criterion="mhe",
        *,
        s=1.0,
        proxy="fixed",
        inter_weight=1.0,
        intra_weight=1.0,
        projector="auto",
        hidden_layer_sizes=(512,),
        n_components=None,
        assignment="auto",
        solver="auto",
        alpha="auto",
        feature_scaling="auto",
        cv=None,
        class_weight=None,
        mixup_alpha=0.0,
        dropout=0.0,
        residual=False,
        batch_norm=False,
        batch_size="auto",
        learning_rate="cosine",
        learning_rate_init=1e-3,
        momentum=0.9,
        max_iter=200,
        tol=1e-3,
        early_stopping=False,
        validation_fraction=0.1,
        n_iter_no_change=10,
        warm_start=False,
        extractor=None,
        train_extractor=False,
        augment=None,
        trainer=None,
        checkpoint=None,
        verbose=False,
        memory=None,
        device="auto",
        random_state=None,
    ):
        self.criterion = criterion
        self.s = s
        self.proxy = proxy
        self.inter_weight = inter_weight
        self.intra_weight = intra_weight
        self.projector = projector
        self.hidden_layer_sizes = hidden_layer_sizes
        self.n_components = n_components
        self.assignment = assignment
        self.solver = solver
        self.alpha = alpha
        self.feature_scaling = feature_scaling
        self.cv = cv
        self.class_weight = class_weight
        self.mixup_alpha = mixup_alpha
        self.dropout = dropout
        self.residual = residual
        self.batch_norm = batch_norm
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.learning_rate_init = learning_rate_init
        self.momentum = momentum
        self.max_iter = max_iter
        self.tol = tol
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.n_iter_no_change = n_iter_no_change
        self.warm_start = warm_start
        self.extractor = extractor
        self.train_extractor = train_extractor
        self.augment = augment
        self.trainer = trainer
        self.checkpoint = checkpoint
        self.verbose = verbose
        self.memory = memory
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

    def _make_target(self, class_counts, rows, random_state):
        check_choice("assignment", self.assignment, ASSIGNMENTS)
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
        code = assigned(code, self.assignment, rows, scaling, random_state)
        return ClassGeometry(code, code)
