"""Projectors as parameters: what moves features, before anything is fitted.

A projector declares which of the two kinds of fits can move it: ``is_affine`` if it is
an affine map of some features, which solvers of :mod:`skcollapse.linear` fit, and
``is_module`` if it is a torch module, which :mod:`skcollapse.network` trains.
"""

from copy import deepcopy
from typing import Any

import numpy as np
import torch
from sklearn.base import BaseEstimator

from skcollapse._utils.checks import check_choice, check_integer, check_number, is_auto
from skcollapse.projectors._mlp import MLPProjector


class Linear(BaseEstimator):
    """Affine map of the scaled features.

    Examples
    --------
    >>> from skcollapse import ETFClassifier
    >>> from skcollapse.projectors import Linear
    >>> ETFClassifier(projector=Linear()).get_params()["projector"]
    Linear()
    """

    name = "linear"
    is_affine = True
    is_module = True

    def check(self) -> None:
        """Raise ValueError unless all parameters are valid: there are none."""

    def build(
        self, n_features: int, n_components: int, rng: np.random.RandomState
    ) -> torch.nn.Module:
        """Return the untrained module."""
        return MLPProjector(n_features, [], n_components, generator=_generator(rng))


class Kernel(BaseEstimator):
    """Affine map of the scaled features and of Gaussian-kernel features beside them.

    The kernel features are a Nyström approximation with landmarks from every class, in
    the order of √n of them [1]_.

    Parameters
    ----------
    n_landmarks : int or "auto", default="auto"
        Number of training rows that the kernel is approximated by, at most the number
        of distinct rows. "auto" is 10 √n, at most a fifth of the rows, and at most
        1000. Raise it for accuracy on many rows; time grows with its square.
    gamma : float or "auto", default="auto"
        The kernel is exp(−γ ‖x − l‖²) of scaled rows. "auto" takes the inverse of the
        mean squared distance of two rows.

    References
    ----------
    .. [1] Rudi, Camoriano and Rosasco, "Less is more: Nyström computational
       regularization", NeurIPS 2015, arXiv:1507.04717.

    Examples
    --------
    >>> from skcollapse import ETFClassifier
    >>> from skcollapse.projectors import Kernel
    >>> ETFClassifier(projector=Kernel(n_landmarks=200)).get_params()[
    ...     "projector__n_landmarks"
    ... ]
    200
    """

    name = "kernel"
    is_affine = True
    is_module = False

    def __init__(self, n_landmarks="auto", gamma="auto"):
        self.n_landmarks = n_landmarks
        self.gamma = gamma

    def check(self) -> None:
        """Raise ValueError unless all parameters are valid."""
        if not is_auto(self.n_landmarks):
            check_integer("projector: n_landmarks", self.n_landmarks, 1, also=("auto",))
        if not is_auto(self.gamma):
            check_number(
                "projector: gamma", self.gamma, 0, open_ends="low", also=("auto",)
            )


class MLP(BaseEstimator):
    """Multilayer perceptron with GELU activations.

    Parameters
    ----------
    hidden_layer_sizes : tuple of int, default=(512,)
        Hidden layer sizes; an empty tuple is one affine map.
    dropout : float, default=0.0
        Fraction of the hidden activations that are dropped in training, below 1.
    residual : bool, default=False
        Add a linear map of the input to the output. The perceptron then starts as that
        linear map.
    batch_norm : bool, default=False
        Normalise the output over the batch, as the head of some networks does.

    Examples
    --------
    >>> from skcollapse import ETFClassifier
    >>> from skcollapse.projectors import MLP
    >>> classifier = ETFClassifier(projector=MLP((64,), dropout=0.1))
    >>> classifier.get_params()["projector__dropout"]
    0.1
    """

    name = "mlp"
    is_affine = False
    is_module = True

    def __init__(
        self, hidden_layer_sizes=(512,), dropout=0.0, residual=False, batch_norm=False
    ):
        self.hidden_layer_sizes = hidden_layer_sizes
        self.dropout = dropout
        self.residual = residual
        self.batch_norm = batch_norm

    def check(self) -> None:
        """Raise ValueError unless all parameters are valid."""
        for size in self._sizes():
            check_integer("projector: hidden_layer_sizes", size, 1)
        check_number("projector: dropout", self.dropout, 0, 1, open_ends="high")
        for name in ("residual", "batch_norm"):
            check_choice(f"projector: {name}", getattr(self, name), (False, True))

    def _sizes(self):
        sizes = self.hidden_layer_sizes
        if isinstance(sizes, str | bytes) or not np.iterable(sizes):
            return [sizes]
        return list(sizes)

    def build(
        self, n_features: int, n_components: int, rng: np.random.RandomState
    ) -> torch.nn.Module:
        """Return the untrained module."""
        return MLPProjector(
            n_features,
            [int(size) for size in self._sizes()],
            n_components,
            generator=_generator(rng),
            dropout=self.dropout,
            residual=bool(self.residual),
            batch_norm=bool(self.batch_norm),
        )


class ModuleProjector:
    """A torch module of the user's own.

    Parameters
    ----------
    module : torch.nn.Module
        Maps (n, n_features) rows to (n, n_components); a copy is trained.
    """

    name = "module"
    is_affine = False
    is_module = True

    def __init__(self, module: torch.nn.Module):
        self.module = module

    def check(self) -> None:
        """Accept any module: what it returns is checked when it is trained."""

    def build(
        self, n_features: int, n_components: int, rng: np.random.RandomState
    ) -> torch.nn.Module:
        """Return a copy of the module; nothing is drawn."""
        return deepcopy(self.module)


# A new projector is a class in this room and a line here.
PROJECTORS = {kind.name: kind for kind in (Linear, Kernel, MLP)}


def get_projectors(projector: Any) -> tuple[Any, ...]:
    """Return the projectors that a ``projector`` parameter stands for.

    Parameters
    ----------
    projector : str, projector or torch.nn.Module
        "auto" stands for all affine ones, among which a search chooses.

    Raises
    ------
    ValueError
        If there is no such projector, or one of its parameters is not valid.
    """
    if is_auto(projector):
        return tuple(kind() for kind in PROJECTORS.values() if kind.is_affine)
    if isinstance(projector, torch.nn.Module):
        return (ModuleProjector(projector),)
    if isinstance(projector, str):
        check_choice("projector", projector, ("auto", *PROJECTORS))
        projector = PROJECTORS[projector]()
    if isinstance(projector, type) or not hasattr(projector, "is_affine"):
        raise ValueError(
            f"projector must be one of {', '.join(map(repr, ('auto', *PROJECTORS)))}, "
            "an object of skcollapse.projectors or a torch.nn.Module; got "
            f"{projector!r}."
        )
    projector.check()
    return (projector,)


def _generator(rng):
    return torch.Generator().manual_seed(int(rng.randint(2**31)))
