"""Gram matrices from blocks, of every width."""

import numpy as np
import pytest
import torch

from skcollapse._utils.gram import gram


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_every_width(dtype):
    rows = np.random.default_rng(0).standard_normal((3, 1100))
    rows = torch.from_numpy(rows).to(dtype)
    whole = rows.T @ rows
    for width in range(1, 1101):
        found = gram(rows[:, :width])
        assert found.dtype == dtype
        assert torch.allclose(found, whole[:width, :width], atol=1e-5), width
