"""The loss of a problem on any of its rows."""

from torch import Tensor

from skcollapse.fitting._problem import Problem


class Objective:
    """The loss of projected rows of a problem.

    The class vectors and the prior are those of the whole problem, computed once, for
    every batch of it.

    Parameters
    ----------
    problem : Problem
    """

    def __init__(self, problem: Problem):
        self.loss = problem.loss
        self.class_vectors = problem.class_vectors
        self.log_prior = problem.log_prior if problem.loss.needs_prior else None

    def __call__(
        self,
        projected: Tensor,
        y: Tensor,
        weight: Tensor | None,
        class_vectors: Tensor | None = None,
    ) -> Tensor:
        """Return the loss of (n, d) projected rows of the classes y.

        Parameters
        ----------
        projected : tensor of shape (n, d)
        y : tensor of shape (n,), int64
        weight : tensor of shape (n,) or None
        class_vectors : tensor of shape (K, d), default=None
            Those that are trained, in place of those of the target.
        """
        self.check(projected, y)
        if class_vectors is None:
            class_vectors = self.class_vectors
        return self.loss(projected, y, class_vectors, weight, self.log_prior)

    def check(self, projected: Tensor, y: Tensor) -> None:
        """Raise ValueError unless rows have as many components as class vectors."""
        shape = len(y), self.class_vectors.shape[1]
        if projected.shape != shape:
            raise ValueError(
                f"projector must map {len(y)} rows to shape {shape}; it returned "
                f"{tuple(projected.shape)}."
            )

    def share(self, projected: Tensor, y: Tensor, share: Tensor) -> Tensor:
        """Return what some rows add to the loss of all, given their shares in it.

        For losses that do not contrast samples.
        """
        losses = self.loss.per_sample(projected, y, self.class_vectors, self.log_prior)
        return share @ losses
