"""The base class of the losses, which is also the way to write a new one."""

from dataclasses import dataclass

import torch
from torch import Tensor

from skcollapse._utils.checks import check_choice

MaybeTensor = Tensor | None

# Stands for log 0. Being finite, it keeps the gradient of a logsumexp over nothing
# finite; beside any real term it underflows to an exact zero.
LOG_ZERO = -1e30


def safe_norms(x: Tensor) -> Tensor:
    """Return the (n,) norms of the rows to divide by: that of a zero row is ∞.

    So a zero row stays zero and gets no gradient, where the quotient of
    ``torch.nn.functional.normalize`` has a gradient of 1e12.
    """
    norms = torch.linalg.vector_norm(x, dim=1)
    return norms.masked_fill(norms == 0, torch.inf)


def unit_rows(x: Tensor) -> Tensor:
    """Divide each row by its norm; a zero row stays zero and gets no gradient."""
    return x / safe_norms(x)[:, None]


def weighted_mean(values: Tensor, weight: Tensor | None = None) -> Tensor:
    """Average with multiplicities: Σ w_i v_i / Σ w_i, or 0 if nothing has weight."""
    if weight is None:
        return values.sum() / max(len(values), 1)
    total = weight.sum()
    return (weight * values).sum() / total.masked_fill(total == 0, 1)


class Loss:
    """A pull of features towards the class vectors of a target.

    To add a loss: subclass it as a frozen dataclass whose fields are its parameters,
    declare what it needs with the attributes below, write ``per_sample`` (or, if the
    samples of a batch do not simply average, ``over_batch``, and declare
    ``contrasts_samples``) and give it one line in ``LOSSES``.

    Attributes
    ----------
    vectors : {"classifier", "means"}
        The class vectors of the target that the loss is computed against.
    unit_features : bool
        Only the direction of a feature counts, so prediction normalises features too.
    convex : bool
        Convex in the features: a quasi-Newton method reaches the one optimum.
    is_softmax : bool
        Cross-entropy of the inner products with the class vectors.
    needs_prior : bool
        ``log_prior`` must be given.
    contrasts_samples : bool
        The pull on one sample depends on the features of the others in the batch.

    Examples
    --------
    >>> from dataclasses import dataclass
    >>> import torch
    >>> @dataclass(frozen=True)
    ... class AbsoluteError(Loss):
    ...     scale: float = 1.0
    ...     vectors = "means"
    ...     convex = True
    ...
    ...     def per_sample(self, features, y, class_vectors, log_prior):
    ...         return self.scale * (features - class_vectors[y]).abs().sum(dim=1)
    >>> loss = AbsoluteError(scale=2.0)
    >>> loss(torch.zeros(2, 3), torch.tensor([0, 1]), torch.eye(3))
    tensor(2.)
    """

    vectors: str = "classifier"
    unit_features: bool = False
    convex: bool = False
    is_softmax: bool = False
    needs_prior: bool = False
    contrasts_samples: bool = False

    def unadjusted(self) -> tuple["Loss", float]:
        """Return the loss without the prior, and what of it to take off the scores.

        Returns
        -------
        loss : Loss
        strength : float
            Take this multiple of the log prior off the scores instead; 0 if the loss
            has no prior, or no scores that a constant can be taken off.
        """
        return self, 0.0

    def curvature(self, class_vectors: Tensor) -> float:
        """Return roughly the mean second derivative in the features.

        It sets the length of a solver's first step, and nothing else.
        """
        return 1.0

    def per_sample(
        self, features: Tensor, y: Tensor, class_vectors: Tensor, log_prior: MaybeTensor
    ) -> Tensor:
        """Return the (n,) losses of the samples, each computed without the others."""
        raise NotImplementedError

    def of_vectors(self, class_vectors: Tensor) -> Tensor:
        """Return what is added to the mean for the class vectors themselves."""
        return class_vectors.new_zeros(())

    def weigh(self, y: Tensor, n_classes: int, sample_weight: Tensor) -> Tensor:
        """Return the (n,) weights with which samples enter the mean of their batch."""
        return sample_weight

    def over_batch(
        self,
        features: Tensor,
        y: Tensor,
        class_vectors: Tensor,
        sample_weight: MaybeTensor,
        log_prior: MaybeTensor,
    ) -> Tensor:
        """Return the loss of the batch: the weighted mean over its samples."""
        losses = self.per_sample(features, y, class_vectors, log_prior)
        if sample_weight is None:
            sample_weight = torch.ones_like(losses)
        weight = self.weigh(y, len(class_vectors), sample_weight)
        # A batch of nothing has no loss.
        alone = self.of_vectors(class_vectors) * (weight.sum() > 0)
        return weighted_mean(losses, weight) + alone

    def __call__(
        self,
        features: Tensor,
        y: Tensor,
        class_vectors: Tensor,
        sample_weight: MaybeTensor = None,
        log_prior: MaybeTensor = None,
    ) -> Tensor:
        """Compute the loss of a batch.

        Weights are multiplicities: an integer weight is a row repeated so many times,
        a zero weight an absent row, and a batch without rows has the loss 0. Half
        precision is computed, and returned, in float32.

        Parameters
        ----------
        features : tensor of shape (n, d), floating point
        y : tensor of shape (n,), int64
            Class indices in [0, K).
        class_vectors : tensor of shape (K, d), floating point
        sample_weight : tensor of shape (n,) or None, default=None
            Non-negative weights; None weighs every row 1.
        log_prior : tensor of shape (K,) or None, default=None
            Logarithms of the class frequencies.

        Returns
        -------
        scalar tensor
            Float64 for float64 features, else float32.

        Raises
        ------
        ValueError
            If the loss needs ``log_prior`` and it is None, or if shapes do not fit.
        """
        _check_batch(features, y, class_vectors, sample_weight, log_prior)
        if self.needs_prior and log_prior is None:
            raise ValueError(f"{self!r} needs log_prior, the log class frequencies")
        dtype = torch.promote_types(features.dtype, torch.float32)
        features, class_vectors = features.to(dtype), class_vectors.to(dtype)
        optional = [
            None if values is None else values.to(dtype)
            for values in (sample_weight, log_prior)
        ]
        # Autocast would take the similarities back to half precision.
        with torch.autocast(features.device.type, enabled=False):
            return self.over_batch(features, y, class_vectors, *optional)


@dataclass(frozen=True)
class WeightedLoss(Loss):
    """A loss that averages over samples or over the classes present in the batch."""

    weighting: str = "sample"

    def __post_init__(self) -> None:
        """Check the parameters."""
        check_choice("weighting", self.weighting, ("sample", "class"))

    def weigh(self, y: Tensor, n_classes: int, sample_weight: Tensor) -> Tensor:
        """Return the weights, or share one unit among the rows of every class."""
        if self.weighting == "sample":
            return sample_weight
        counts = sample_weight.new_zeros(n_classes).index_add(0, y, sample_weight)[y]
        return sample_weight / counts.masked_fill(counts == 0, 1)


def _check_batch(
    features: Tensor,
    y: Tensor,
    class_vectors: Tensor,
    sample_weight: MaybeTensor,
    log_prior: MaybeTensor,
) -> None:
    """Raise unless the shapes, dtypes and classes of a batch fit together.

    Classes are not looked at on a CUDA device, which would be waited for.
    """

    def check(name: str, tensor: Tensor, must: str, fits: bool) -> None:
        if not fits:
            seen = f"the shape {tuple(tensor.shape)} and {tensor.dtype}"
            raise ValueError(f"{name} must have {must}; got {seen}.")

    given = {"features": features, "y": y, "class_vectors": class_vectors}
    optional = {"sample_weight": sample_weight, "log_prior": log_prior}
    given |= {name: value for name, value in optional.items() if value is not None}
    for name, value in given.items():
        if not isinstance(value, Tensor):
            raise TypeError(f"{name} must be a tensor; got {value!r}.")
        check(name, value, "real numbers", not value.is_complex())
    for name, matrix in (("features", features), ("class_vectors", class_vectors)):
        fits = matrix.ndim == 2 and matrix.is_floating_point()
        check(name, matrix, "two axes and a floating-point dtype", fits)
    (n, d), n_classes = features.shape, len(class_vectors)
    fits = class_vectors.shape[1] == d
    check("class_vectors", class_vectors, f"{d} columns, as features", fits)
    fits = y.shape == (n,) and y.dtype == torch.int64
    check("y", y, f"the shape ({n},) and dtype int64, class indices", fits)
    if n and y.device.type == "cpu":
        low, high = (bound.item() for bound in y.aminmax())
        if low < 0 or high >= n_classes:
            raise ValueError(
                f"y must hold class indices from 0 to {n_classes - 1}, as there are "
                f"{n_classes} class_vectors; got values from {low} to {high}."
            )
    vectors = ("sample_weight", sample_weight, n), ("log_prior", log_prior, n_classes)
    for name, vector, size in vectors:
        if vector is not None:
            check(name, vector, f"the shape ({size},)", vector.shape == (size,))
