"""What a training run tells about itself."""

from dataclasses import dataclass, field


@dataclass(frozen=True)
class History:
    """The course of one training run.

    Attributes
    ----------
    loss_curve : list of float
        The objective, which is the loss plus the penalty, after each iteration.
    validation_scores : list of float or None
        Balanced accuracy on the held-out rows after each iteration; None without such.
    n_iter : int
        Number of iterations, which are epochs for mini-batches.
    best_iter : int
        The iteration whose weights the module has: ``n_iter`` without held-out rows,
        0 if none improved on the start.
    optimizer : dict or None
        State of a mini-batch optimiser after its last step, on the CPU.
    """

    loss_curve: list[float]
    validation_scores: list[float] | None
    n_iter: int
    best_iter: int
    optimizer: dict | None = field(default=None, repr=False)
