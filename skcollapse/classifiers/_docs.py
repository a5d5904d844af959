"""The parameters and attributes that all classifiers share, described once."""

from inspect import cleandoc
from textwrap import indent

PARAMETERS = """\
projector : {"auto", "linear", "kernel", "mlp"}, projector object or module, \
default="auto"
    Map from features to the space of the class vectors: an affine map; an affine map of
    Gaussian-kernel features and the features themselves; or a multilayer perceptron.
    "auto" chooses between "linear" and "kernel", and is "linear" where mini-batches are
    used. Objects of :mod:`skcollapse.projectors`, such as
    ``MLP(hidden_layer_sizes=(64,))``, have parameters. A :class:`torch.nn.Module` maps
    (n, n_features) rows to (n, n_components); a copy of it is trained. Choose "mlp" or
    a module where features still have to be learnt.
n_components : int, default=None
    {n_components}
assignment : {"auto", "identity"}, default="auto"
    Which class gets which vector of a hyperspherical code, where these are not all at
    the same distance: "auto" puts classes with similar means close together, by
    :func:`~skcollapse.targets.assign_code`; "identity" leaves it to chance.
solver : {"auto", "lbfgs_path", "lbfgs", "prototypes", "closed_form", "discriminant", \
"adamw", "sgd"} or solver, default="auto"
    Algorithm. For affine maps: "lbfgs_path", iterates of L-BFGS that are stopped early;
    "lbfgs", the minimum of the loss with an L2 penalty; "closed_form", ridge regression
    onto the class means of the target with all classes weighing the same, whatever the
    loss; for class vectors of a simplex also "prototypes", softmax regression that is
    shrunk towards the scores of class means instead of zero, worth a try for many
    classes of few rows, and "discriminant", shrunk linear discriminant analysis. "auto"
    lets paths and closed forms compete, or is "lbfgs" if `alpha` is a number. For
    perceptrons, modules, trained extractors and trained proxies: "adamw" or "sgd" on
    mini-batches, and without the latter two "lbfgs" on all rows at once; "auto" is
    "adamw". An object is one of the classes of affine solvers.
alpha : float or "auto", default="auto"
    L2 penalty strength on the projector, at least 0, for features scaled as
    ``feature_scaling`` says; for "lbfgs_path" and for losses of directions, the ridge
    of the metric in which L-BFGS runs. "auto" chooses it for affine maps by held-out
    rows, and is 1e-4 for networks. Raise it against overfitting.
feature_scaling : {"auto", "global", "standard", None}, default="auto"
    Features are centred and divided by one number, or each by its own standard
    deviation; None only centres them. "auto" chooses between the first two.
class_weight : dict, "balanced" or None, default=None
    {class_weight}
cv : int, splitter or iterable, default=None
    Which rows are held out when something is chosen. None is three stratified folds, or
    one fold in ten of more than 10,000 rows, with fewer candidates.
max_iter : int, default=200
    Largest number of iterations of L-BFGS, or number of epochs, at least 1. Raise it
    if a ConvergenceWarning says so.
tol : float, default=1e-3
    Tolerance, at least 0: "lbfgs" stops when no element of the preconditioned gradient
    exceeds this share of the norm of the first; "adamw" and "sgd" when epochs do not
    gain as much.
extractor : torch.nn.Module or FeatureExtractor, default=None
    A network before the projector, from a batch of rows of any shape to (n, d)
    features, or a :class:`~skcollapse.extract.FeatureExtractor`. A copy is used. None
    takes X for features.
train_extractor : bool, default=False
    Train the extractor together with the projector, on mini-batches. Otherwise features
    are extracted once, in evaluation mode.
trainer : Trainer, default=None
    How "adamw" and "sgd" train: batch size, learning rate, early stopping, mixup,
    checkpoints and more, see :class:`~skcollapse.training.Trainer`. None is a Trainer
    with its defaults.
warm_start : bool, default=False
    Go on from the previous weights of a network. Affine maps begin anew.
memory : str or object with the joblib.Memory interface, default=None
    Where features are kept, of kernels and of an extractor that is not trained, so that
    other fits to the same rows, such as those of a search over ``loss`` or ``alpha``,
    find them. A string is the path of a folder; None keeps nothing. Kernels need an
    integer ``random_state``; an extractor is known by its class and its weights.
verbose : bool, default=False
    Print a line for each iteration, and for each strength that a search tries.
device : str or torch.device, default="auto"
    Where to train, and to run an extractor; "auto" is CUDA where there is one. NumPy
    predicts from features.
random_state : int, RandomState instance or None, default=None
    Draws the rotation of the target, landmarks, initial weights and the order of the
    rows. Pass an int for the same results at every call."""

ATTRIBUTES = """\
classes_ : ndarray of shape (n_classes,)
    Labels, sorted.
class_counts_ : ndarray of shape (n_classes,)
    Sum of the sample weights of each class.
target_ : ndarray of shape (n_classes, n_components)
    Class vectors, as they were at the end if proxies were trained.
target_means_ : ndarray of shape (n_classes, n_components)
    Where the features of each class should sit.
projection_ : callable
    From X to projected features, in NumPy; ``coef`` and ``intercept`` if it is affine.
temperature_ : float
    What scores are divided by before the softmax. Held-out rows choose it where there
    are any.
selection_results_ : dict of ndarrays or None
    What was compared, a row for each candidate: "feature_scaling", "projector",
    "solver", "alpha", "prior_adjustment", "pull", "n_iter", "log_loss" (class-balanced,
    on held-out rows), "inverse_temperature" and "weight", the share of the average.
n_iter_ : int
    Number of iterations or epochs.
loss_curve_ : list of float
    Objective after each iteration; empty for "closed_form".
validation_scores_ : list of float or None
    Balanced accuracy on the rows that early stopping held out.
extractor_ : torch.nn.Module, FeatureExtractor or None
    What gives the features, in evaluation mode and on the CPU.
n_features_in_ : int
    If the rows of X have one axis.
feature_names_in_ : ndarray of shape (`n_features_in_`,)
    If X was a data frame with names."""


def shares_docs(**differences):
    """Return a class decorator that fills in the shared part of a docstring.

    Parameters
    ----------
    **differences : str
        What only this class says, by the name of the parameter.
    """
    parameters = PARAMETERS
    for name, text in differences.items():
        text = indent(text, "    ").strip()
        parameters = parameters.replace("{" + name + "}", text)

    def fill(cls):
        # Without docstrings under python -OO.
        if cls.__doc__ is not None:
            doc = cleandoc(cls.__doc__).replace("<shared parameters>", parameters)
            cls.__doc__ = doc.replace("<shared attributes>", ATTRIBUTES)
        return cls

    return fill
