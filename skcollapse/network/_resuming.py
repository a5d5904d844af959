"""All that a run on mini-batches needs to go on as if nothing had been."""

from dataclasses import dataclass
from os import PathLike
from typing import Any, NamedTuple

import joblib
import numpy as np
import torch
from torch import Tensor, nn

from skcollapse._utils.checks import check_integer
from skcollapse._utils.tensor_files import (
    Checkpoint,
    read_checkpoint,
    write_checkpoint,
)
from skcollapse.fitting import TrainingData
from skcollapse.network._early_stopping import TrainingLoss
from skcollapse.network._epochs import Epochs
from skcollapse.network._optimizer import export_state, load_state
from skcollapse.network._snapshot import tensors, write

# Of what a checkpoint holds, by the beginning of its name.
_MODULE, _AVERAGE, _BEST, _OPTIMIZER = "module.", "average.", "best.", "optimizer."
# Rows that stand for all: the whole set may not fit into memory.
_ROWS = 64


class Run(NamedTuple):
    """A run as it is after an epoch."""

    epochs: Epochs
    watch: TrainingLoss
    loss_curve: list[float]

    def state(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
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
            "n_parts": epochs.n_parts,
            "mixup": epochs.mixup.rng.bit_generator.state,
            "scaler": epochs.scaler.state_dict(),
            "watch": self.watch.state(),
        }
        return values, meta

    def restore(self, checkpoint: Checkpoint) -> bool:
        """Go back to where a checkpoint was left; return whether that run was over."""
        epochs, values, meta = self.epochs, checkpoint.tensors, checkpoint.meta
        self._check(values, meta)
        write(epochs.module, _of(_MODULE, values))
        self.watch.restore(meta["watch"], _of(_BEST, values))
        optimizer: dict[int, dict[str, Tensor]] = {}
        for name, value in _of(_OPTIMIZER, values).items():
            position, _, name = name.partition(".")
            optimizer.setdefault(int(position), {})[name] = value
        load_state(epochs.optimizer, optimizer)
        if epochs.average is not None:
            write(epochs.average, _of(_AVERAGE, values))
        epochs.generator.set_state(values["order"])
        torch.set_rng_state(values["random"])
        if epochs.device.type == "cuda":
            torch.cuda.set_rng_state(values["random_cuda"], epochs.device)
        epochs.mixup.rng.bit_generator.state = meta["mixup"]
        epochs.scaler.load_state_dict(meta["scaler"])
        epochs.n_parts = meta["n_parts"]
        self.loss_curve[:] = meta["loss_curve"]
        epochs.skip(len(self.loss_curve))
        return meta["done"]

    def _check(self, values: dict[str, Tensor], meta: dict[str, Any]) -> None:
        """Raise ValueError unless all is there, in the shapes that it will take."""
        own, like = self.state()
        groups = self.epochs.optimizer.param_groups
        parameters = dict(enumerate(p for group in groups for p in group["params"]))
        # A new optimiser has no state yet; all parameters have the same kinds of it.
        kinds: dict[int, set[str]] = {}
        for name, value in _of(_OPTIMIZER, values).items():
            position, _, kind = name.partition(".")
            kinds.setdefault(int(position), set()).add(kind)
            of_step = kind == "step" and not value.ndim
            own[_OPTIMIZER + name] = value if of_step else parameters[int(position)]
        alike = all(kind == min(kinds.values(), key=len) for kind in kinds.values())
        shapes, others = ({n: v.shape for n, v in x.items()} for x in (own, values))
        if not alike or shapes != others:
            raise ValueError("its tensors are not those of this fit")
        expected, found = (
            [_types(m["watch"]), _types(m["scaler"])] for m in (like, meta)
        )
        curve = [*meta["loss_curve"], *(meta["watch"].get("scores") or [])]
        numbers = meta["loss_curve"] and all(type(number) is float for number in curve)
        if expected != found or not numbers or type(meta["done"]) is not bool:
            raise ValueError("its numbers are not those of this fit")
        check_integer("n_parts", meta["n_parts"], 1)


def _types(state):
    return {name: type(value) for name, value in state.items()}


@dataclass(frozen=True)
class Checkpoints:
    """Where a run leaves its state, after how many epochs, and how it is known."""

    path: str | PathLike[str]
    every: int
    fingerprint: dict[str, str]

    def resume(self, run: Run) -> bool:
        """Go on from a checkpoint if there is one; return whether all is done.

        Others may have written the file: what cannot be gone on from is a ValueError.
        """
        found = read_checkpoint(self.path)
        if found is None:
            return False
        try:
            before = dict(found.meta["fingerprint"])
        except (TypeError, ValueError, KeyError) as error:
            raise ValueError(self._foreign("it has no fingerprint")) from error
        names = {**before, **self.fingerprint}
        other = [n for n in names if before.get(n) != self.fingerprint.get(n)]
        if other:
            raise ValueError(
                f"checkpoint={str(self.path)!r} was left by a fit with other "
                f"{', '.join(other)}. Choose another path to begin anew, or remove the "
                "file and the one with .previous added."
            )
        try:
            return run.restore(found)
        except (ArithmeticError, AttributeError, LookupError) as error:
            raise ValueError(self._foreign(repr(error))) from error
        except (RuntimeError, TypeError, ValueError) as error:
            raise ValueError(self._foreign(str(error).partition("\n")[0])) from error

    def _foreign(self, reason: str) -> str:
        return f"checkpoint={str(self.path)!r} holds no such fit: {reason}."

    def write(self, run: Run, *, done: bool) -> None:
        """Leave the state of a run, if it is time or the run is over."""
        if done or len(run.loss_curve) % self.every == 0:
            values, meta = run.state()
            meta = {**meta, "done": done, "fingerprint": self.fingerprint}
            write_checkpoint(self.path, values, meta)


def fingerprint(data: TrainingData, module: nn.Module) -> dict[str, str]:
    """Return what a fit learns from, as short texts by name.

    The values of the weights of the module do not matter.
    """
    chosen = np.unique(np.linspace(0, len(data) - 1, _ROWS).astype(int))
    return {
        "X": joblib.hash((len(data), _sample(data.X, chosen))),
        "y": joblib.hash(data.y),
        "weights": joblib.hash((data.row_cost, data.sample_weight)),
        "network": joblib.hash([(n, p.shape) for n, p in module.named_parameters()]),
    }


def _sample(X, chosen):
    if isinstance(X, np.ndarray):
        return X[chosen]
    if X.is_random:
        return None
    return next(X.batches([torch.from_numpy(chosen)])).numpy()


def _named(prefix, values):
    return {prefix + name: value for name, value in values.items()}


def _of(prefix, values):
    return {
        name.removeprefix(prefix): value
        for name, value in values.items()
        if name.startswith(prefix)
    }
