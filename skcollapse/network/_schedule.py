"""Learning rates over the steps of a run. A new one is a function and a line."""

from torch.optim import Optimizer, lr_scheduler


def constant(optimizer, trainer, n_steps, steps_per_epoch):
    """Keep the learning rate."""
    return lr_scheduler.ConstantLR(optimizer, factor=1.0)


def cosine(optimizer, trainer, n_steps, steps_per_epoch):
    """Fall to zero along half a cosine (Loshchilov and Hutter 2017)."""
    return lr_scheduler.CosineAnnealingLR(optimizer, n_steps)


def one_cycle(optimizer, trainer, n_steps, steps_per_epoch):
    """Rise to the learning rate over 30 % of the steps, then fall (Smith 2018)."""
    return lr_scheduler.OneCycleLR(
        optimizer,
        max_lr=[group["lr"] for group in optimizer.param_groups],
        # The last rate is next to zero: a step more, so that no step is spent on it.
        total_steps=n_steps + 1,
        cycle_momentum=False,
    )


def multi_step(optimizer, trainer, n_steps, steps_per_epoch):
    """Multiply by gamma after each of some epochs (He et al. 2016)."""
    # Epochs of the run, some of which may have gone by already in a warm-up.
    epochs = [epoch - trainer.warmup_epochs for epoch in trainer.milestones]
    milestones = [epoch * steps_per_epoch for epoch in epochs]
    return lr_scheduler.MultiStepLR(optimizer, milestones, trainer.gamma)


SCHEDULES = {
    "constant": constant,
    "cosine": cosine,
    "one_cycle": one_cycle,
    "multi_step": multi_step,
}


def make_schedule(
    optimizer: Optimizer, options, steps_per_epoch: int
) -> lr_scheduler.LRScheduler:
    """Return the schedule of `MiniBatchOptions`, after a warm-up if there is one."""
    trainer = options.trainer
    warmup = trainer.warmup_epochs * steps_per_epoch
    n_steps = options.max_iter * steps_per_epoch - warmup
    make = SCHEDULES[trainer.learning_rate]
    schedule = make(optimizer, trainer, n_steps, steps_per_epoch)
    if not warmup:
        return schedule
    # The rate is reached by the first step after the warm-up (Goyal et al. 2017).
    rise = lr_scheduler.LinearLR(
        optimizer, start_factor=1 / (warmup + 1), total_iters=warmup
    )
    return lr_scheduler.SequentialLR(optimizer, [rise, schedule], [warmup])
