"""Which parameters are pulled to zero, and how strongly."""


def trainable(module):
    """Return the parameters to train, those to penalise before the others.

    Matrices and kernels are penalised; vectors are biases, or the scales and shifts of
    a normalisation, and are not.

    Parameters
    ----------
    module : torch.nn.Module

    Returns
    -------
    weights, others : lists of Parameter

    Raises
    ------
    ValueError
        If no parameter of the module requires a gradient.
    """
    parameters = [p for p in module.parameters() if p.requires_grad]
    if not parameters:
        raise ValueError("No parameter of the projector requires a gradient")
    weights = [p for p in parameters if p.ndim > 1]
    others = [p for p in parameters if p.ndim <= 1]
    return weights, others


def penalty(weights, alpha):
    """Return α/2 times the squared norm of the weights.

    Parameters
    ----------
    weights : list of Parameter
    alpha : float

    Returns
    -------
    scalar tensor, or 0.0 without weights
    """
    return alpha / 2 * sum(weight.square().sum() for weight in weights)
