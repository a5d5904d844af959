"""Which device computes."""

import torch


def resolve_device(device):
    """Return the torch device that a ``device`` parameter stands for.

    Parameters
    ----------
    device : str or torch.device
        "auto" is the current CUDA device where there is one, and the CPU elsewhere.

    Returns
    -------
    torch.device

    Raises
    ------
    ValueError
        If torch knows no such device, or it is not there.

    Examples
    --------
    >>> resolve_device("cpu")
    device(type='cpu')
    """
    if isinstance(device, str) and device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        resolved = torch.device(device)
        # Only an allocation tells whether the device is really there.
        torch.empty(0, device=resolved)
    except (RuntimeError, TypeError, AssertionError, NotImplementedError) as error:
        reason = str(error).splitlines()[0]
        raise ValueError(
            f"device={device!r} cannot be used here ({reason}). Use device='auto' or "
            "'cpu'."
        ) from error
    return resolved
