"""Learning rates over the steps of a run. A new one is a function and a line."""

from torch.optim import lr_scheduler


def constant(optimizer, learning_rate_init, n_steps):
    """Keep the learning rate."""
    return lr_scheduler.ConstantLR(optimizer, factor=1.0)


def cosine(optimizer, learning_rate_init, n_steps):
    """Fall to zero along half a cosine (Loshchilov and Hutter 2017)."""
    return lr_scheduler.CosineAnnealingLR(optimizer, n_steps)


def one_cycle(optimizer, learning_rate_init, n_steps):
    """Rise to the learning rate over 30 % of the steps, then fall (Smith 2018)."""
    return lr_scheduler.OneCycleLR(
        optimizer,
        max_lr=learning_rate_init,
        # The last rate is next to zero: a step more, so that no step is spent on it.
        total_steps=n_steps + 1,
        cycle_momentum=False,
    )


SCHEDULES = {"constant": constant, "cosine": cosine, "one_cycle": one_cycle}
