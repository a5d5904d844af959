"""Which layer gives the logits of a network."""

from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, is_dataclass
from difflib import get_close_matches
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.nn import Linear, Module

from skcollapse.extract._batches import call_module, split_batch, to_device
from skcollapse.extract._modules import (
    eval_mode,
    floating_dtype,
    parameters_and_buffers,
)

# Rows by which the output of a layer is known again: few, as a trace keeps those of
# every layer.
_ROWS_COMPARED = 16
# Names that an error lists.
_NAMES_LISTED = 8


# What networks do to the logits of their last layer, if anything.
_FINAL_FUNCTIONS = (
    torch.clone,
    partial(torch.softmax, dim=-1),
    partial(torch.log_softmax, dim=-1),
    torch.sigmoid,
)


def last_linear(
    module: Module, batch: Any = None, *, layer: str | Module | None = None
) -> Module:
    """Find the classification head of a network.

    One batch is run through the network. The head is the last linear layer whose output
    is what the network returns: as it is, reshaped or converted, or after softmax,
    log-softmax or a sigmoid. A head that is applied to each position of a sequence
    counts if the network returns its output at one of them.

    Parameters
    ----------
    module : torch.nn.Module
        Left as it was: modes, hooks, devices and weights.
    batch : tensor, array, pair or dict, default=None
        A batch as a loader gives it, see :func:`extract_features`. Without one, only a
        network with a single linear layer has a known head.
    layer : str or torch.nn.Module, default=None
        The qualified name of the head, or the head itself: nothing is looked for then.

    Returns
    -------
    torch.nn.Module
        The layer, of `module` itself; a :class:`torch.nn.Linear` unless `layer` is
        given.

    Raises
    ------
    ValueError
        If no linear layer gives the output, or several give several outputs, as those
        of networks with auxiliary heads; the message lists candidates for `layer`.
    TypeError
        If `module` is not a :class:`torch.nn.Module`.

    Notes
    -----
    Of outputs that have an attribute or an entry ``logits``, like those of Hugging
    Face models, nothing else is looked at.

    Examples
    --------
    >>> import torch
    >>> from skcollapse.extract import last_linear
    >>> network = torch.nn.Sequential(
    ...     torch.nn.Linear(4, 8), torch.nn.ReLU(), torch.nn.Linear(8, 3)
    ... )
    >>> last_linear(network, torch.ones(2, 4))
    Linear(in_features=8, out_features=3, bias=True)
    """
    check_module(module)
    name = layer_name(module, layer)
    if name is None and batch is None:
        name = _sole_linear(module)
    elif name is None:
        device = next((t.device for t in parameters_and_buffers(module)), None)
        inputs = to_device(split_batch(batch)[0], device, floating_dtype(module))
        name = head_name(module, inputs)
    return module.get_submodule(name)


def check_module(module: Any) -> None:
    """Raise unless there is a module."""
    if not isinstance(module, Module):
        raise TypeError(f"module must be a torch.nn.Module; got {module!r}.")


def layer_name(module: Module, layer: Any) -> str | None:
    """Return the qualified name of a layer given by name or itself; None for None."""
    if layer is None:
        return None
    names: dict[int, str] = {id(part): name for name, part in module.named_modules()}
    if id(layer) in names:
        return names[id(layer)]
    known = [name for name, _ in module.named_modules(remove_duplicate=False)]
    if isinstance(layer, str) and layer in known:
        return str(layer)
    close = get_close_matches(str(layer), known, _NAMES_LISTED, cutoff=0.5)
    listed = _listed(close or _linear_names(module)[-_NAMES_LISTED:] or known)
    raise ValueError(
        f"layer={layer!r} is not in module. Give the qualified name of one of its "
        f"layers, such as {listed}."
    )


def _listed(names: list[Any]) -> str:
    return ", ".join(map(repr, names))


def _linear_names(module: Module) -> list[str]:
    return [name for name, m in module.named_modules() if isinstance(m, Linear)]


def _sole_linear(module: Module) -> str:
    names = _linear_names(module)
    if len(names) != 1:
        last = _listed(names[-_NAMES_LISTED:]) or "none"
        raise ValueError(
            f"batch must be given to find the head among {len(names)} linear layers "
            f"(the last: {last}), or layer, its name."
        )
    return names[0]


@dataclass(frozen=True)
class Call:
    """What is remembered of one call of a layer: its name, class and output."""

    name: str
    kind: str
    shape: tuple[int, ...]
    # At most 31 of those of a linear layer, spread evenly.
    rows: Tensor | None

    def gives(self, output: Tensor) -> bool:
        """Return whether an output of the network is the output of this call."""
        if self.rows is None:
            return False
        numel = torch.Size(self.shape).numel()
        return numel == output.numel() > 0 and _known_again(self.rows, output)

    def __str__(self) -> str:
        return f"{self.name!r} ({self.kind}, output {self.shape})"


def _is_traced(layer: Module) -> bool:
    """Return whether a layer is linear or, for the error, another one with weights."""
    if isinstance(layer, Linear):
        return True
    has_weights = next(layer.parameters(recurse=False), None) is not None
    return has_weights and next(layer.children(), None) is None


def gives(logits: Tensor, output: Tensor) -> bool:
    """Return whether an output of the network is the output of a layer."""
    if logits.numel() != output.numel() or not logits.numel():
        return False
    return _known_again(_some_rows(logits, logits.shape[-1]), output)


def _known_again(rows: Tensor, output: Tensor) -> bool:
    found = _some_rows(output, rows.shape[-1])
    dtype = torch.promote_types(found.dtype, rows.dtype)
    found, rows = found.to(dtype), rows.to(dtype)
    return any(
        torch.allclose(found, final(rows), equal_nan=True) for final in _FINAL_FUNCTIONS
    )


def _some_rows(output: Tensor, width: int) -> Tensor:
    rows = output.detach().reshape(-1, width)
    return rows[:: max(1, len(rows) // _ROWS_COMPARED)].clone()


def head_name(network: Module, inputs: Any) -> str:
    """Return the qualified name of the head, found by one call, or raise.

    The inputs are a tensor, tuple or dict where the network is.
    """
    calls, scores, outputs = _trace(network, inputs)
    linear = [c for c in calls if c.rows is not None]
    heads = {}
    for i, output in enumerate(outputs):
        giving = [c for c in linear if c.gives(output)]
        # Sequence classifiers score all positions and keep the scores of one.
        if not giving and picked_positions(scores, output) is not None:
            giving = linear
        if giving:
            heads[i] = giving[-1].name
    names = list(dict.fromkeys(heads.values()))
    if len(names) == 1:
        return names[0]
    if names:
        raise ValueError(
            f"module has several heads: {_listed(names)}. Choose one with layer=..."
        )
    raise ValueError(_no_head(calls, outputs))


def _trace(
    network: Module, inputs: Any
) -> tuple[list[Call], Tensor | None, list[Tensor]]:
    """Return calls of layers with weights, the last linear output, and the outputs."""
    calls: list[Call] = []
    scores: Tensor | None = None

    def remember(layer: Module, output: Any, name: str) -> None:
        nonlocal scores
        if not isinstance(output, Tensor):
            return
        rows = None
        if isinstance(layer, Linear):
            rows = _some_rows(output, output.shape[-1])
            scores = output
        calls.append(Call(name, type(layer).__name__, tuple(output.shape), rows))

    with ExitStack() as stack:
        stack.enter_context(eval_mode(network))
        stack.enter_context(torch.no_grad())
        for name, layer in network.named_modules():
            if _is_traced(layer):
                handle = layer.register_forward_hook(
                    lambda layer, _, output, name=name: remember(layer, output, name)
                )
                stack.callback(handle.remove)
        outputs = network_outputs(call_module(network, inputs))
    return calls, scores, outputs


def _no_head(calls: list[Call], outputs: list[Tensor]) -> str:
    """Return the message that says what was seen instead of a head."""
    message = "module has no linear layer whose output is what it returns"
    if outputs:
        message += f", of shape {_listed([tuple(o.shape) for o in outputs[:3]])}"
    if not calls:
        return f"{message}: it has no layers with weights."
    widths = {output.shape[-1] for output in outputs if output.ndim}
    linear = {c.name: c for c in calls if c.rows is not None}
    likely = [c for c in linear.values() if c.shape[-1] in widths]
    listed = (likely or list(linear.values()))[-_NAMES_LISTED:]
    candidates = ", ".join(map(str, listed)) or "none"
    return (
        f"{message}. The last layer with weights was {calls[-1]}; candidates among "
        f"the linear layers: {candidates}. Name the layer that takes the features in "
        "layer=...; if they are the output of the module, append torch.nn.Identity() "
        "and name that."
    )


def network_outputs(output: Any) -> list[Tensor]:
    """Return the tensors among the outputs of a network; its logits if it says so."""
    if isinstance(output, Mapping) and "logits" in output:
        return network_outputs(output["logits"])
    if getattr(output, "logits", None) is not None:
        return network_outputs(output.logits)
    if isinstance(output, Tensor):
        return [output] if output.is_floating_point() else []
    parts: Any
    if isinstance(output, Mapping):
        parts = output.values()
    elif isinstance(output, list | tuple):
        parts = output
    else:
        parts = vars(output).values() if is_dataclass(output) else ()
    return [tensor for part in parts for tensor in network_outputs(part)]


def picked_positions(scores: Tensor | None, logits: Tensor) -> Tensor | None:
    """Return the (n,) positions at which (n, T, K) scores are the (n, K) logits.

    None if the shapes are others, or a row of logits is nowhere among the scores.
    """
    if (
        scores is None
        or scores.ndim != 3
        or logits.shape != (len(scores), scores.shape[2])
    ):
        return None
    equal = (scores == logits[:, None]).all(2)
    # The last: of equal scores that of the end of the sequence, not of padding.
    last = equal.shape[1] - 1 - equal.flip(1).int().argmax(1)
    return last if equal.any(1).all() else None
