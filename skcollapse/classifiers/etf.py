"""The classifier onto a fixed target."""

from skcollapse.classifiers._base import ProjectionClassifier
from skcollapse.classifiers._target import resolve_target
from skcollapse.losses import get_loss


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
        What pulls: "logit_adjusted", "cross_entropy", "ldam", "dot_regression",
        "squared", "ntce", "nonl", or a :class:`~skcollapse.losses.Loss` of other
        parameters.
        ``solver="closed_form"`` regresses by least squares whatever the loss.
    projector : {"auto", "linear", "kernel", "mlp"} or torch.nn.Module, default="auto"
        What moves. "kernel" is linear on Nyström features of the Gaussian kernel and
        on the features themselves; "auto" chooses between "linear" and "kernel". A
        module maps (n, n_features) rows to (n, n_components); a copy is trained.
    hidden_layer_sizes : tuple of int, default=(512,)
        Of "mlp".
    n_components : int, default=None
        Dimension d of the target; the default is the number of classes less one, the
        fewest that "etf" and "seli" can have. 1 stands for the default too.
    assignment : {"auto", "identity"}, default="auto"
        Which class gets which vector of "hyperspherical", where they are not all alike:
        "auto" puts classes with similar means close together, by
        :func:`~skcollapse.targets.assign_code`; "identity" leaves it to chance.
    solver : {"auto", "lbfgs", "closed_form", "adamw", "sgd"}, default="auto"
        "auto" is "adamw" for "mlp" and modules; for linear and kernel projectors it
        is "lbfgs", with which "closed_form" competes if ``alpha="auto"``.
        "closed_form" is ridge regression onto the class means of the target with all
        classes weighing the same.
    alpha : float or "auto", default="auto"
        Strength of the L2 penalty on the projector, for features scaled as
        ``feature_scaling`` says; "lbfgs" does not penalise losses of directions, such
        as "dot_regression". With "auto", "lbfgs" does not penalise but stops early, in
        a metric whose ridge is chosen; "closed_form" chooses by leave-one-out error;
        "mlp" and modules use 1e-4.
    feature_scaling : {"auto", "global", "standard", None}, default="auto"
        Features are centred and divided by one number, or each by its own standard
        deviation; None only centres them.
    cv : int, splitter or iterable, default=None
        How rows are held out when something is chosen. None is three stratified folds,
        or one fold in ten of more than 10,000 rows, with fewer candidates.
    class_weight : dict, "balanced" or None, default=None
        Costs of the classes, which multiply the weights of their rows but do not count
        for the class prior. "balanced" makes classes equally frequent instead:
        "logit_adjusted" has nothing left to adjust then.
    mixup_alpha : float, default=0.0
        Mix rows in shares drawn from Beta(α, α); "adamw" and "sgd" only.
    dropout : float, default=0.0
        Of the hidden layers of "mlp".
    residual : bool, default=False
        Add a linear path beside the hidden layers of "mlp".
    batch_norm : bool, default=False
        Normalise the output of "mlp" over the batch, as the head of [1]_ does.
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
        Class vectors.
    target_means_ : ndarray of shape (n_classes, n_components)
        Where the target has the class means; the class vectors again for an ETF.
    projection_ : callable
        From X to projected features, in NumPy; ``coef`` and ``intercept`` if linear.
    temperature_ : float
        What scores are divided by before the softmax. Held-out rows choose it where
        there are any, together with all else; scores hold it then and it is 1.
    selection_results_ : dict of ndarrays or None
        What was compared: "feature_scaling", "projector", "solver", "alpha",
        "n_iter", "log_loss", "inverse_temperature" and "weight", the share of the
        average.
    n_iter_ : int
    loss_curve_ : list of float
        Loss after each iteration; of the longest path if several were averaged, and
        empty if only closed forms were.
    validation_scores_ : list of float or None
        Balanced accuracy on the rows that early stopping held out.
    extractor_ : torch.nn.Module, FeatureExtractor or None
        What gives the features, in evaluation mode and on the CPU.
    n_features_in_ : int
        If the rows of X have one axis.
    feature_names_in_ : ndarray of shape (`n_features_in_`,)

    See Also
    --------
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
        target="etf",
        *,
        loss="logit_adjusted",
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
        self.target = target
        self.loss = loss
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

    def _make_loss(self):
        return get_loss(self.loss)

    def _make_target(self, class_counts, rows, random_state):
        return resolve_target(
            self.target,
            class_counts,
            self.n_components,
            self.assignment,
            rows,
            self.feature_scaling,
            random_state,
        )
