"""What a fit calls on at every step."""

from dataclasses import dataclass, field

import numpy as np
import torch

from skcollapse.fitting._progress import NullProgress, Progress


@dataclass(frozen=True)
class FitContext:
    """Where a fit computes, what it draws from, and whom it tells."""

    device: torch.device
    rng: np.random.RandomState
    progress: Progress = field(default_factory=NullProgress)

    def to_device(self, array: np.ndarray) -> torch.Tensor:
        """Return a NumPy array as a tensor on the device."""
        return torch.as_tensor(array).to(self.device)
