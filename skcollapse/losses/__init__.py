"""Losses: what pulls features towards the class vectors of a target.

A new loss is a subclass of :class:`Loss` in a file here and one line in ``LOSSES``.
"""

from collections.abc import Callable
from functools import partial

from skcollapse._utils.checks import plain
from skcollapse.losses._base import Loss
from skcollapse.losses.cross_entropy import LDAM, CrossEntropy
from skcollapse.losses.hyperspherical import HypersphericalUniformityGap
from skcollapse.losses.normalised import NONL, NTCE
from skcollapse.losses.regression import DotRegression, SquaredError

__all__ = [
    "LDAM",
    "LOSSES",
    "NONL",
    "NTCE",
    "CrossEntropy",
    "DotRegression",
    "HypersphericalUniformityGap",
    "Loss",
    "SquaredError",
    "get_loss",
]

LOSSES: dict[str, Callable[[], Loss]] = {
    "cross_entropy": CrossEntropy,
    "logit_adjusted": partial(CrossEntropy, logit_adjustment=1.0),
    "ldam": LDAM,
    "dot_regression": DotRegression,
    "squared": SquaredError,
    "ntce": NTCE,
    "nonl": NONL,
    "hug": HypersphericalUniformityGap,
}


def get_loss(loss: str | Loss) -> Loss:
    """Return the loss of a name, or the instance itself.

    Parameters
    ----------
    loss : str or Loss
        A name in ``LOSSES``, which stands for default parameters, or an instance.

    Returns
    -------
    Loss

    Raises
    ------
    ValueError
        If ``loss`` is neither a name in ``LOSSES`` nor an instance.

    Examples
    --------
    >>> get_loss("logit_adjusted")
    CrossEntropy(scale=None, logit_adjustment=1.0)
    >>> get_loss(NTCE(temperature=0.2))
    NTCE(temperature=0.2)
    """
    if isinstance(loss, Loss):
        return loss
    if isinstance(loss, str) and loss in LOSSES:
        return LOSSES[loss]()
    names = ", ".join(map(repr, LOSSES))
    raise ValueError(f"loss must be one of {names}, or a Loss; got {plain(loss)!r}.")
