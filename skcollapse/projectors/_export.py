"""From a trained module to what is kept of it for prediction."""

from copy import deepcopy

import numpy as np
import torch

from skcollapse.projectors._fitted_mlp import MLPProjection
from skcollapse.projectors._fitted_module import ModuleProjection
from skcollapse.projectors._mlp import MLPProjector


def export(module, center, scale):
    """Return the fitted projection of a module trained on (X − center) / scale.

    It shares nothing with the module, pickles, and needs no device other than the CPU.
    It is in the precision of the module, or float32 if that is lower.
    """
    # By exact type: a subclass may compute something else.
    if type(module) is MLPProjector:
        return _export_mlp(module, center, scale)
    floating = [p.dtype for p in module.parameters() if p.is_floating_point()]
    dtype = floating[0] if floating else torch.as_tensor(center).dtype
    dtype = torch.promote_types(dtype, torch.float32)
    frozen = deepcopy(module).to("cpu", dtype).eval().requires_grad_(False)
    center, scale = (_array(torch.as_tensor(x), dtype) for x in (center, scale))
    return ModuleProjection(frozen, center, scale)


def _export_mlp(module, center, scale):
    """Return the weights of a perceptron, everything affine folded into them."""
    layers = [*module.hidden, module.output]
    # Folded in float64: in the precision of the module each fold would cost digits.
    projection = MLPProjection(
        tuple(_array(layer.weight).T for layer in layers),
        tuple(_array(layer.bias) for layer in layers),
        None if module.shortcut is None else _array(module.shortcut.weight).T,
    )
    if module.norm is not None:
        norm = module.norm
        factor = _array(norm.weight) / np.sqrt(_array(norm.running_var) + norm.eps)
        projection = projection.followed_by(np.diag(factor))
        shift = _array(norm.bias) - _array(norm.running_mean) * factor
        projection = projection.shifted_by(shift)
    projection = projection.preceded_by(np.asarray(center), np.asarray(scale))
    dtype = torch.promote_types(module.output.weight.dtype, torch.float32)
    return projection.astype(torch.empty(0, dtype=dtype).numpy().dtype)


def _array(tensor, dtype=torch.float64):
    """Return the values of a tensor as a NumPy array of its own."""
    return tensor.detach().to("cpu", dtype, copy=True).numpy()
