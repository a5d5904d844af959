"""All that a run on mini-batches needs to go on as if nothing had been."""

from dataclasses import dataclass
from os import PathLike

import torch

from skcollapse._utils.tensor_files import read_checkpoint, write_checkpoint
from skcollapse.training.optimizer import export_state
from skcollapse.training.snapshot import tensors

# Of what a checkpoint holds, by the beginning of its name.
_MODULE, _AVERAGE, _BEST, _OPTIMIZER = "module.", "average.", "best.", "optimizer."


@dataclass(frozen=True)
class Checkpoints:
    """Where a run leaves its state, how often, and by what to tell it from others.

    Parameters
    ----------
    path : str or path-like
    every : int
        Epochs from one to the next.
    fingerprint : dict of str to str
        What the data and the parameters are, by name.
    """

    path: str | PathLike
    every: int
    fingerprint: dict[str, str]

    def read(self):
        """Return what was left by an earlier run of the same, or None.

        Raises
        ------
        ValueError
            If another run has left it.
        """
        found = read_checkpoint(self.path)
        if found is None:
            return None
        before = found.meta.get("fingerprint", {})
        names = {**before, **self.fingerprint}
        other = [n for n in names if before.get(n) != self.fingerprint.get(n)]
        if other:
            raise ValueError(
                f"checkpoint={str(self.path)!r} was left by a fit with other "
                f"{', '.join(other)}. Choose another path to begin anew, or remove the "
                "file and the one with .previous added."
            )
        return found

    def write(self, run, *, done):
        """Leave the state of a run, if it is time or the run is over."""
        if done or run.n_iter % self.every == 0:
            values, meta = run.state()
            meta = {**meta, "done": done, "fingerprint": self.fingerprint}
            write_checkpoint(self.path, values, meta)


class Run:
    """A run as it is after an epoch.

    Parameters
    ----------
    epochs : Epochs
    watch : HeldOut or TrainingLoss
    patience : Patience
    loss_curve : list of float
    """

    def __init__(self, epochs, watch, patience, loss_curve):
        self.epochs, self.watch, self.patience = epochs, watch, patience
        self.loss_curve = loss_curve

    @property
    def n_iter(self):
        """The number of epochs so far."""
        return len(self.loss_curve)

    def state(self):
        """Return tensors by name, and what else JSON can say."""
        epochs, optimizer = self.epochs, export_state(self.epochs.optimizer)
        values = {
            **_named(_MODULE, tensors(epochs.module)),
            **_named(_BEST, self.watch.best_values),
            **{
                f"{_OPTIMIZER}{position}.{name}": value
                for position, of_parameter in optimizer.items()
                for name, value in of_parameter.items()
            },
            "order": epochs.generator.get_state(),
            "random": torch.get_rng_state(),
        }
        if epochs.average is not None:
            values |= _named(_AVERAGE, tensors(epochs.average))
        if epochs.device.type == "cuda":
            values["random_cuda"] = torch.cuda.get_rng_state(epochs.device)
        meta = {
            "loss_curve": self.loss_curve,
            "n_idle": self.patience.n_idle,
            "n_parts": epochs.n_parts,
            "mixup": epochs.mixup.rng.bit_generator.state,
            "scaler": epochs.scaler.state_dict(),
            "watch": self.watch.state(),
        }
        return values, meta

    def restore(self, checkpoint):
        """Go back to where a checkpoint was left; return whether that run was over."""
        epochs, values, meta = self.epochs, checkpoint.tensors, checkpoint.meta
        _write(tensors(epochs.module), _of(_MODULE, values))
        self.watch.restore(meta["watch"], _of(_BEST, values))
        optimizer = {}
        for name, value in _of(_OPTIMIZER, values).items():
            position, _, name = name.partition(".")
            optimizer.setdefault(int(position), {})[name] = value
        own = epochs.optimizer.state_dict()
        epochs.optimizer.load_state_dict({**own, "state": optimizer})
        if epochs.average is not None:
            _write(tensors(epochs.average), _of(_AVERAGE, values))
        epochs.generator.set_state(values["order"])
        torch.set_rng_state(values["random"])
        if epochs.device.type == "cuda":
            torch.cuda.set_rng_state(values["random_cuda"], epochs.device)
        epochs.mixup.rng.bit_generator.state = meta["mixup"]
        epochs.scaler.load_state_dict(meta["scaler"])
        epochs.n_parts = meta["n_parts"]
        self.loss_curve[:] = meta["loss_curve"]
        self.patience.n_idle = meta["n_idle"]
        epochs.skip(self.n_iter)
        return meta["done"]


def resumed(checkpoints, run):
    """Go on from a checkpoint if there is one; return whether there is no more to do.

    Parameters
    ----------
    checkpoints : Checkpoints or None
    run : Run
        At its beginning.
    """
    found = None if checkpoints is None else checkpoints.read()
    return found is not None and run.restore(found)


def _named(prefix, values):
    return {prefix + name: value for name, value in values.items()}


def _of(prefix, values):
    return {
        name.removeprefix(prefix): value
        for name, value in values.items()
        if name.startswith(prefix)
    }


@torch.no_grad()
def _write(present, values):
    for name, tensor in present.items():
        tensor.copy_(values[name])
