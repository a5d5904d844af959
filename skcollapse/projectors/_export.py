"""From a trained module to what is kept of it for prediction."""

from copy import deepcopy

import numpy as np
import torch

from skcollapse.projectors._fitted_mlp import MLPProjection
from skcollapse.projectors._fitted_module import ModuleProjection
from skcollapse.projectors._mlp import MLPProjector


def export(module, center, scale):
    """Return the fitted projection of a trained module, detached from it.

    Parameters
    ----------
    module : torch.nn.Module
        Trained on (X − center) / scale, on any device; it is not changed.
    center, scale : ndarray of shape (p,)

    Returns
    -------
    MLPProjection or ModuleProjection
        In the precision of the module, or float32 if that is lower. It pickles, and
        needs no device other than the CPU.
    """
    return EXPORTS.get(type(module), export_module)(module, center, scale)


def export_module(module, center, scale):
    """Return a frozen copy of any module."""
    floating = [p.dtype for p in module.parameters() if p.is_floating_point()]
    dtype = floating[0] if floating else torch.as_tensor(center).dtype
    dtype = torch.promote_types(dtype, torch.float32)
    frozen = deepcopy(module).to("cpu", dtype).eval().requires_grad_(False)
    center, scale = (array(torch.as_tensor(x), dtype) for x in (center, scale))
    return ModuleProjection(frozen, center, scale)


def export_mlp(module, center, scale):
    """Return the weights of a perceptron, everything affine folded into them."""
    layers = [*module.hidden, module.output]
    # Folded in float64: in the precision of the module each fold would cost digits.
    projection = MLPProjection(
        tuple(array(layer.weight).T for layer in layers),
        tuple(array(layer.bias) for layer in layers),
        None if module.shortcut is None else array(module.shortcut.weight).T,
    )
    if module.norm is not None:
        norm = module.norm
        factor = array(norm.weight) / np.sqrt(array(norm.running_var) + norm.eps)
        projection = projection.followed_by(np.diag(factor))
        shift = array(norm.bias) - array(norm.running_mean) * factor
        projection = projection.shifted_by(shift)
    projection = projection.preceded_by(np.asarray(center), np.asarray(scale))
    dtype = torch.promote_types(module.output.weight.dtype, torch.float32)
    return projection.astype(torch.empty(0, dtype=dtype).numpy().dtype)


# By exact type: a subclass may compute something else.
EXPORTS = {MLPProjector: export_mlp}


def array(tensor, dtype=torch.float64):
    """Return the values of a tensor as a NumPy array of its own."""
    return tensor.detach().to("cpu", dtype, copy=True).numpy()
