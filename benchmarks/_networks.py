"""Small networks for images, and a plain loop of torch that trains them: the peer."""

import time
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.optim import lr_scheduler
from torch.utils.data import DataLoader, Dataset


def three_convolutions():
    """Return three convolutions and 128 features of 28 × 28 images; 97,392 weights."""

    def block(n_in, n_out):
        convolution = nn.Conv2d(n_in, n_out, 3, padding=1, bias=False)
        return [convolution, nn.BatchNorm2d(n_out), nn.ReLU(), nn.MaxPool2d(2)]

    return nn.Sequential(
        *block(1, 16),
        *block(16, 32),
        *block(32, 64),
        nn.Flatten(),
        nn.Linear(576, 128, bias=False),
        nn.BatchNorm1d(128),
        nn.ReLU(),
    )


class Residual(nn.Module):
    """Two convolutions beside the identity, which pads new channels by zeros."""

    def __init__(self, n_in, n_out, stride):
        super().__init__()
        self.n_new, self.stride = n_out - n_in, stride
        self.first = nn.Conv2d(n_in, n_out, 3, stride, padding=1, bias=False)
        self.first_norm = nn.BatchNorm2d(n_out)
        self.second = nn.Conv2d(n_out, n_out, 3, padding=1, bias=False)
        self.second_norm = nn.BatchNorm2d(n_out)

    def forward(self, x):
        y = F.relu(self.first_norm(self.first(x)))
        y = self.second_norm(self.second(y))
        if self.n_new:
            # Option A of He et al. 2016: half of the new channels on either side.
            x = x[:, :, :: self.stride, :: self.stride]
            x = F.pad(x, (0, 0, 0, 0, self.n_new // 2, self.n_new // 2))
        return F.relu(x + y)


def resnet(depth=32):
    """Return the ResNet for CIFAR of 6 n + 2 layers, without its head; 64 features.

    Of 32 layers: 464,154 weights with a head for ten classes, as He et al. 2016 count
    0.46 million.
    """
    n_blocks, rest = divmod(depth - 2, 6)
    if rest:
        raise ValueError(f"depth must be 6 n + 2; got {depth}")
    layers = [nn.Conv2d(3, 16, 3, padding=1, bias=False), nn.BatchNorm2d(16), nn.ReLU()]
    n_in = 16
    for n_out in (16, 32, 64):
        for _ in range(n_blocks):
            layers.append(Residual(n_in, n_out, 1 if n_in == n_out else 2))
            n_in = n_out
    network = nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten())
    for layer in network.modules():
        if isinstance(layer, nn.Conv2d):
            nn.init.kaiming_normal_(layer.weight)
    return network


class CosineHead(nn.Module):
    """Scaled cosines with class vectors that are learned."""

    def __init__(self, n_features, n_classes, scale=30.0):
        super().__init__()
        self.scale = scale
        self.weight = nn.Parameter(torch.empty(n_classes, n_features))
        nn.init.xavier_uniform_(self.weight)

    def forward(self, features):
        return self.scale * F.linear(F.normalize(features), F.normalize(self.weight))


@dataclass(frozen=True)
class Settings:
    """How to train: SGD with Nesterov momentum, the same for everyone."""

    epochs: int
    batch_size: int = 128
    learning_rate: float = 0.1
    weight_decay: float = 2e-4
    momentum: float = 0.9
    warmup: int = 5
    milestones: tuple = (160, 180)
    gamma: float = 0.1

    def of_length(self, epochs):
        """Return the settings for another number of epochs, with steps in proportion.

        Examples
        --------
        >>> Settings(200).of_length(20).milestones
        (16, 18)
        """
        share = epochs / self.epochs
        return replace(
            self,
            epochs=epochs,
            warmup=round(self.warmup * share),
            milestones=tuple(
                sorted({max(1, round(m * share)) for m in self.milestones})
            ),
        )


@dataclass
class PlainRun:
    """A network and its head after training, and the seconds of each epoch."""

    network: nn.Module
    head: nn.Module
    seconds: list = field(default_factory=list)

    @torch.no_grad()
    def predict(self, X, batch_size=1000):
        self.network.eval()
        device = next(self.head.parameters()).device
        parts = [
            self.head(self.network(part.to(device))).argmax(1).cpu()
            for part in X.split(batch_size)
        ]
        return torch.cat(parts).numpy()


class AugmentedImages(Dataset):
    """Images that are augmented one by one, as data sets of torch usually are."""

    def __init__(self, X, y, augment):
        self.X, self.y, self.augment = X, y, augment

    def __len__(self):
        return len(self.y)

    def __getitem__(self, i):
        image = self.X[i]
        if self.augment is not None:
            image = self.augment(image[None])[0]
        return image, self.y[i]


def epoch_batches(X, y, settings, augment, device, workers):
    """Return a function that yields the batches of an epoch, on the device.

    ``workers`` is the number of processes of a DataLoader, or None to keep all images
    on the device and augment a batch at once.
    """
    if workers is not None:
        loader = DataLoader(
            AugmentedImages(X, y, augment),
            batch_size=settings.batch_size,
            shuffle=True,
            num_workers=workers,
            pin_memory=device.type == "cuda",
            persistent_workers=workers > 0,
        )

        def batches():
            for x, labels in loader:
                yield (
                    x.to(device, non_blocking=True),
                    labels.to(device, non_blocking=True),
                )

        return batches
    X, y = X.to(device), y.to(device)

    def batches():
        order = torch.randperm(len(y), device=device)
        for rows in order.split(settings.batch_size):
            x = X[rows]
            yield (x if augment is None else augment(x)), y[rows]

    return batches


def mixed_loss(model, x, y, adjustment, mixup_alpha):
    """Return the cross-entropy of a batch, mixed if asked for."""
    if not mixup_alpha:
        return F.cross_entropy(model(x) + adjustment, y)
    share = float(torch.distributions.Beta(mixup_alpha, mixup_alpha).sample())
    partner = torch.randperm(len(y), device=y.device)
    logits = model(share * x + (1 - share) * x[partner]) + adjustment
    own, other = F.cross_entropy(logits, y), F.cross_entropy(logits, y[partner])
    return share * own + (1 - share) * other


def train_plain(
    network,
    X: Tensor,
    y: Tensor,
    settings: Settings,
    *,
    logit_adjustment=0.0,
    mixup_alpha=0.0,
    augment=None,
    device="cpu",
    workers=None,
    seed=0,
    on_epoch=None,
):
    """Train a network and a linear head by cross-entropy; return a `PlainRun`.

    Float32 throughout, no compilation. ``on_epoch`` is called with the run after each
    epoch; its time does not count.
    """
    torch.manual_seed(seed)
    device = torch.device(device)
    n_classes = int(y.max()) + 1
    head = nn.Linear(network(X[:2]).shape[1], n_classes).to(device)
    network = network.to(device)
    run = PlainRun(network, head)
    model = nn.Sequential(network, head)
    counts = y.bincount(minlength=n_classes)
    adjustment = logit_adjustment * (counts / counts.sum()).log().to(device)
    optimizer = torch.optim.SGD(
        model.parameters(),
        lr=settings.learning_rate,
        momentum=settings.momentum,
        weight_decay=settings.weight_decay,
        nesterov=True,
    )
    batches = epoch_batches(X, y, settings, augment, device, workers)
    steps = -(-len(y) // settings.batch_size)
    schedule = make_schedule(optimizer, settings, steps)
    for _ in range(settings.epochs):
        start = time.perf_counter()
        model.train()
        for x, labels in batches():
            optimizer.zero_grad(set_to_none=True)
            mixed_loss(model, x, labels, adjustment, mixup_alpha).backward()
            optimizer.step()
            schedule.step()
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        run.seconds.append(time.perf_counter() - start)
        if on_epoch is not None:
            on_epoch(run)
    return run


def make_schedule(optimizer, settings, steps):
    """Return a linear warm-up, then steps down or, without any, half a cosine."""
    warmup = settings.warmup * steps
    if settings.milestones:
        milestones = [m * steps - warmup for m in settings.milestones]
        after = lr_scheduler.MultiStepLR(optimizer, milestones, settings.gamma)
    else:
        length = settings.epochs * steps - warmup
        after = lr_scheduler.CosineAnnealingLR(optimizer, length)
    if not warmup:
        return after
    rise = lr_scheduler.LinearLR(optimizer, 1 / (warmup + 1), total_iters=warmup)
    return lr_scheduler.SequentialLR(optimizer, [rise, after], [warmup])
