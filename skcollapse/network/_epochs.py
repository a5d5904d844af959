"""One epoch after the other: which rows, how their gradients come about, and steps."""

import warnings
from contextlib import nullcontext
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.utils import clip_grad_norm_
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from skcollapse._utils.checks import is_auto
from skcollapse.fitting import Problem
from skcollapse.network._mixing import CutMix, Mixup
from skcollapse.network._optimizer import load_state, make_optimizer
from skcollapse.network._sampling import EpochSampler, batch_sizes
from skcollapse.network._schedule import make_schedule
from skcollapse.network._spec import MiniBatchOptions
from skcollapse.network._state import NetworkModule
from skcollapse.rows import as_source

# What batch_size="auto" stands for.
_BATCH_SIZE = 256


class Problems(NamedTuple):
    """What is minimised, held-out rows, and what is minimised in the first epochs."""

    training: Problem
    validation: Problem | None = None
    before_deferral: Problem | None = None


class Epochs:
    """Runs one epoch after the other.

    There are two seeds, so that mixup leaves the order of the rows the same.
    """

    def __init__(
        self,
        module: NetworkModule,
        problems: Problems,
        options: MiniBatchOptions,
        optimizer: dict | None,
        order_seed: int,
        mixup_seed: int,
    ):
        problem, trainer = problems.training, options.trainer
        self.module, self.trainer = module, trainer
        size = _BATCH_SIZE if is_auto(trainer.batch_size) else int(trainer.batch_size)
        self.sizes = batch_sizes(len(problem.y), size)
        self.y, self.device = problem.y, problem.y.device
        self.source = as_source(problem.features)
        self.sampler = self.last_sampler = EpochSampler(problem, trainer.sampler)
        if problems.before_deferral is not None:
            self.sampler = EpochSampler(problems.before_deferral, None)
        if trainer.channels_last:
            module.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.forward = torch.compile(module) if trainer.compile else module
        self.optimizer = make_optimizer(module, options)
        if optimizer is not None:
            load_state(self.optimizer, optimizer)
        self.schedule = make_schedule(self.optimizer, options, len(self.sizes))
        # Without gradients a step does nothing, but a schedule wants to have seen one
        # before its own, and the first of half precision is often skipped.
        self.optimizer.step()
        self.parameters = [p for p in module.parameters() if p.requires_grad]
        self.freezable = [p for p in module.extractor.parameters() if p.requires_grad]
        # On the CPU, so that every device sees the rows in the same order.
        self.generator = torch.Generator().manual_seed(order_seed)
        self.mixup = Mixup(trainer.mixup_alpha, mixup_seed)
        if trainer.cutmix_alpha:
            self.mixup = CutMix(trainer.cutmix_alpha, mixup_seed)
        dtype, device = trainer.autocast_dtype, self.device.type
        self.precision = torch.autocast(device, dtype) if dtype else nullcontext()
        # Gradients too small for half precision are made larger for the way back.
        self.scaler = torch.amp.GradScaler(device, enabled=dtype is torch.float16)
        self.average = None
        if trainer.ema_decay is not None:
            average = get_ema_multi_avg_fn(trainer.ema_decay)
            self.average = AveragedModel(module, multi_avg_fn=average, use_buffers=True)
        self.n_parts = trainer.accumulate
        self.n_epochs = 0

    @property
    def kept(self) -> nn.Module:
        """The module whose weights are those to keep."""
        return self.module if self.average is None else self.average.module

    def run(self) -> float:
        """Run one epoch; return the mean loss of its batches."""
        self.n_epochs += 1
        self._set_modes()
        if self.n_epochs > self.trainer.deferred:
            self.sampler = self.last_sampler
        order = self.sampler.order(self.generator).to(self.device)
        total = torch.zeros((), device=self.device)
        for x, y, weight in zip(
            self.source.batches(order, self.sizes),
            self.y[order].split(self.sizes),
            self.sampler.weight[order].split(self.sizes),
            strict=True,
        ):
            # Kept on the device: one transfer an epoch, not one a batch.
            total = total + self._step(x, y, weight)
        return float(total / len(self.sizes))

    def skip(self, n_epochs: int) -> None:
        """Take epochs as run, whose effect on all else has been restored.

        Stepping through the learning rates gives the bits that they had.
        """
        self.n_epochs = n_epochs
        for _ in range(n_epochs * len(self.sizes)):
            self.schedule.step()

    def _set_modes(self):
        """Set training mode, but evaluation mode for what does not learn."""
        self.module.train()
        learns = self.n_epochs > self.trainer.freeze_epochs
        for parameter in self.freezable:
            parameter.requires_grad_(learns)
        for norm in self.module.extractor.train(learns).modules():
            if isinstance(norm, _BatchNorm) and norm.affine:
                norm.train(norm.weight.requires_grad)

    def _loss(self, projected: Tensor, y: Tensor, weight: Tensor) -> Tensor:
        """Return the loss of projected rows, with proxies as these rows have them."""
        objective, vectors = self.sampler.objective, None
        if self.module.proxies is not None:
            objective.check(projected, y)
            vectors = self.module.proxies.of_batch(projected, y, weight)
        return objective(projected, y, weight, vectors)

    def _step(self, x: Tensor, y: Tensor, weight: Tensor) -> Tensor:
        """Move the weights by one batch; return its loss."""
        if self.trainer.augment is not None:
            x = self.trainer.augment(x)
        if self.trainer.channels_last and x.ndim == 4:
            x = x.contiguous(memory_format=torch.channels_last)
        while True:
            try:
                loss = self._gradient(x, y, weight)
                break
            except torch.OutOfMemoryError:
                # A row alone has no statistics.
                if len(y) < 4 * self.n_parts:
                    raise
            # Here and not above, where the exception still holds what was computed.
            self._halve(len(y))
        if self.trainer.clip_norm is not None:
            self.scaler.unscale_(self.optimizer)
            clip_grad_norm_(self.parameters, self.trainer.clip_norm)
        self.scaler.step(self.optimizer)
        self.scaler.update()
        self.schedule.step()
        if self.average is not None:
            self.average.update_parameters(self.module)
        return loss

    def _gradient(self, x: Tensor, y: Tensor, weight: Tensor) -> Tensor:
        """Compute the gradient of a batch, part by part; return its loss."""
        self.optimizer.zero_grad(set_to_none=True)
        mean_weight = self.sampler.total_weight / len(self.sizes)
        total = torch.zeros((), device=self.device)
        sizes = batch_sizes(len(y), -(-len(y) // self.n_parts))
        for x_part, y_part, weight_part in zip(
            x.split(sizes), y.split(sizes), weight.split(sizes), strict=True
        ):
            with self.precision:
                part = x_part, y_part, weight_part
                loss = self.mixup.loss(self.forward, self._loss, *part)
            # The loss is normalised by the weight in the batch, which would make a
            # heavy row count less for being heavy.
            loss = loss * (weight_part.sum() / mean_weight)
            self.scaler.scale(loss).backward()
            total = total + loss.detach()
        return total

    def _halve(self, n_rows):
        """Compute batches in twice as many parts from now on."""
        self.n_parts *= 2
        self.optimizer.zero_grad(set_to_none=True)
        if self.device.type == "cuda":
            torch.cuda.empty_cache()
        warnings.warn(
            f"The device is out of memory: batches of {n_rows} rows are now computed "
            f"in {self.n_parts} parts, whose gradients add up. Lower batch_size, or "
            f"set trainer=Trainer(accumulate={self.n_parts}).",
            RuntimeWarning,
            stacklevel=2,
        )
