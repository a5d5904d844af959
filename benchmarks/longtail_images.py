"""Networks trained end to end on long-tailed images, against a plain loop of torch.

    python benchmarks/longtail_images.py --data fashion --seeds 3
    python benchmarks/longtail_images.py --data fashion --held-out --rate 0.05
    python benchmarks/longtail_images.py --data cifar --losses ce+mixup etf_dr+mixup
    python benchmarks/longtail_images.py --data cifar --epochs 2 --subset 500
    python benchmarks/longtail_images.py --speed --data fashion

Needs the data folder that ``SKCOLLAPSE_DATA`` names. Every run becomes a line of the
file ``--results``, and is not repeated: a table can be filled bit by bit. The
page is written from all lines.
"""

import argparse
import json
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
import torch
from _data import ROOT, Split, cifar10_images, fashion_images
from _longtail_page import BEST, write_page
from _networks import CosineHead, Settings, resnet, three_convolutions, train_plain
from torch import nn

from skcollapse import ETFClassifier, HUGClassifier, NeuralCollapseScorer
from skcollapse._utils.devices import resolve_device
from skcollapse.datasets import make_long_tailed
from skcollapse.extract import FeatureExtractor
from skcollapse.losses import LDAM, DotRegression
from skcollapse.metrics import shot_accuracy
from skcollapse.targets import seli
from skcollapse.training import RandomCropFlip, Trainer

# Shares of the largest class. Of the ten, four classes have more images than the second
# and three fewer than the first.
SHOTS = 1 / 30, 1 / 6
SELI_RIDGE = 1.0
MEASURES = {
    "NC1": "nc1",
    "NC2": "nc2_etf_distance",
    "NC3": "nc3_self_duality",
    "NC4": "nc4_ncc_agreement",
    "SELI": "seli_distance",
}


@dataclass(frozen=True)
class Benchmark:
    """A data set, its network, and how the network is trained."""

    load: Callable
    network: Callable
    n_features: int
    settings: Settings
    augment: RandomCropFlip | None


BENCHMARKS = {
    # The rate is the best of the plain loops on training images that are held out.
    "fashion": Benchmark(
        fashion_images,
        three_convolutions,
        128,
        Settings(12, learning_rate=0.2, weight_decay=5e-4, warmup=0, milestones=()),
        None,
    ),
    # The schedule of the ETF paper.
    "cifar": Benchmark(cifar10_images, resnet, 64, Settings(200), RandomCropFlip()),
}


def learned(loss, n_features, counts):
    """A linear head: orthonormal class vectors, and a linear map onto them."""
    return ETFClassifier(np.eye(len(counts)), loss=loss, projector="linear")


def cosine(loss, n_features, counts):
    """Class vectors that are learned, and cosines with them."""
    head = CosineHead(n_features, len(counts))
    return ETFClassifier(np.eye(len(counts)), loss=loss, projector=head)


def fixed(target, loss, n_features, counts):
    """Class vectors that are fixed, on normalised features, as in the ETF paper."""
    norm = nn.BatchNorm1d(n_features)
    d = n_features if isinstance(target, str) else None
    return ETFClassifier(target, loss=loss, projector=norm, n_components=d)


def seli_path(n_features, counts):
    """The geometry of some way along the path of weight decay."""
    geometry = seli(counts, n_features, ridge=SELI_RIDGE, random_state=0)
    return fixed(geometry.classifier, "cross_entropy", n_features, counts)


def hug(n_features, counts):
    norm = nn.BatchNorm1d(n_features)
    return HUGClassifier(proxy="learnable", projector=norm, n_components=n_features)


def default(n_features, counts):
    """An affine map to the fewest dimensions of an ETF, and logit adjustment."""
    return ETFClassifier()


# From the number of features and the class counts to an estimator. Where class vectors
# are learned with the network, they stand on the features before the head.
METHODS = {
    "default": default,
    "ce": partial(learned, "cross_entropy"),
    "logit_adjusted": partial(learned, "logit_adjusted"),
    "cosine_ce": partial(cosine, "cross_entropy"),
    "cosine_logit_adjusted": partial(cosine, "logit_adjusted"),
    # The margin .5 of cosines that are scaled by 30 already.
    "ldam": partial(cosine, LDAM(None, 15.0)),
    "etf_ce": partial(fixed, "etf", "cross_entropy"),
    "etf_logit_adjusted": partial(fixed, "etf", "logit_adjusted"),
    "etf_dr": partial(fixed, "etf", "dot_regression"),
    "etf_dr_class": partial(fixed, "etf", DotRegression("class")),
    "seli_ce": partial(fixed, "seli", "cross_entropy"),
    "seli_ridge_ce": seli_path,
    "hug": hug,
    "ntce": partial(fixed, "etf", "ntce"),
    "nonl": partial(fixed, "etf", "nonl"),
}
# What may follow a method, after a plus; the shares of mixup are the plain loop's too.
MIXUP = {"mixup": 1.0, "mixup.2": 0.2}
EXTRAS = {
    **{name: {"trainer__mixup_alpha": alpha} for name, alpha in MIXUP.items()},
    "one_cycle": {"trainer__learning_rate": "one_cycle"},
    "ema": {"trainer__ema_decay": 0.99},
    "ema.995": {"trainer__ema_decay": 0.995},
    "deferred": {"trainer__deferred": 8},
    "square_root": {"trainer__sampler": "square_root"},
    "refit": {"trainer__refit": "lbfgs"},
}
HEADS_LEARNED = {"ce", "logit_adjusted", "cosine_ce", "cosine_logit_adjusted", "ldam"}
PLAIN = {"plain_ce": 0.0, "plain_logit_adjusted": 1.0}


class Clock:
    """Notes the seconds of each epoch. Comes before callbacks that take their time."""

    def __init__(self):
        self.seconds = []

    def setup(self, estimator, context): ...

    def on_fit_task_begin(self, estimator, context):
        self.start = time.perf_counter()

    def on_fit_task_end(self, estimator, context):
        if context.task_name == "iteration":
            self.seconds.append(time.perf_counter() - self.start)

    def teardown(self, estimator, context): ...


class Curve:
    """Notes the accuracy on the test images every few epochs."""

    def __init__(self, data, every):
        self.data, self.every, self.epoch, self.accuracy = data, every, 0, {}

    def note(self, predict):
        self.epoch += 1
        if self.every and self.epoch % self.every == 0:
            hits = predict() == self.data.y_test
            self.accuracy[self.epoch] = float(hits.mean())

    def setup(self, estimator, context): ...

    def on_fit_task_begin(self, estimator, context): ...

    def on_fit_task_end(self, estimator, context, *, fitted_estimator=None):
        if context.task_name == "iteration":
            self.note(lambda: fitted_estimator.predict(self.data.X_test))

    def teardown(self, estimator, context): ...


def subset_of(data, n_max):
    """Return a data set with so many images of the largest class, test images alike."""
    if n_max is None:
        return data
    share = n_max / np.bincount(data.y).max()
    index = make_long_tailed(data.y, 100, n_max=n_max, random_state=0)
    n_test = round(share * np.bincount(data.y_test).min())
    test = make_long_tailed(data.y_test, 1, n_max=n_test, random_state=0)
    return Split(data.X[index], data.y[index], data.X_test[test], data.y_test[test])


def estimator_of(name, benchmark, settings, counts, seed, options):
    """Return the estimator of a method, and how it is to be trained. The one call."""
    method, *extras = name.split("+")
    torch.manual_seed(seed)  # the initial weights
    network = benchmark.network()
    trainer = Trainer(
        batch_size=settings.batch_size,
        learning_rate_init=settings.learning_rate,
        learning_rate="multi_step" if settings.milestones else "cosine",
        momentum=settings.momentum,
        # To the last epoch, whatever the loss does.
        n_iter_no_change=settings.epochs,
        augment=benchmark.augment,
        warmup_epochs=settings.warmup,
        milestones=settings.milestones,
        gamma=settings.gamma,
        autocast=options.autocast,
        channels_last=options.channels_last,
    )
    estimator = METHODS[method](benchmark.n_features, counts).set_params(
        extractor=network,
        train_extractor=True,
        solver="sgd",
        feature_scaling=None,
        alpha=settings.weight_decay,
        max_iter=settings.epochs,
        tol=0.0,
        trainer=trainer,
        device=options.device,
        random_state=seed,
    )
    for extra in extras:
        estimator.set_params(**EXTRAS[extra])
    return estimator


def representation(model, method, X):
    """Return features and the class vectors on them, learned or fixed."""
    if method not in HEADS_LEARNED:
        return model.transform(X), model.target_
    features = FeatureExtractor(model.extractor_.forward).transform(X)
    # An affine map, or cosines, of the unit vectors and of zero.
    units = np.eye(features.shape[1], dtype=features.dtype)
    intercept = model.projection_(0 * units[:1])[0]
    return features, ((model.projection_(units) - intercept).T, intercept)


def plain_representation(run, X):
    features = FeatureExtractor(run.network.forward).transform(X)
    head = run.head.cpu()
    return features, (head.weight.detach().numpy(), head.bias.detach().numpy())


def run_ours(name, benchmark, settings, data, seed, options):
    counts = np.bincount(data.y)
    model = estimator_of(name, benchmark, settings, counts, seed, options)
    clock, curve = Clock(), Curve(data, options.every)
    # An estimator along the way takes its time, also where no one looks at it.
    callbacks = (clock, curve) if options.every else (clock,)
    model.set_callbacks(*callbacks).fit(data.X, data.y)
    features, head = representation(model, name.partition("+")[0], data.X)
    told = {"curve": curve.accuracy, "seconds": float(np.median(clock.seconds))}
    return model.predict(data.X_test), features, head, told


def run_plain(name, benchmark, settings, data, seed, options):
    method, *extras = name.split("+")
    torch.manual_seed(seed)
    X, y, X_test = (torch.from_numpy(a) for a in (data.X, data.y, data.X_test))
    curve = Curve(data, options.every)
    run = train_plain(
        benchmark.network(),
        X,
        y,
        settings,
        logit_adjustment=PLAIN[method],
        mixup_alpha=sum(MIXUP[extra] for extra in extras),
        augment=benchmark.augment,
        device=resolve_device(options.device),
        seed=seed,
        on_epoch=lambda run: curve.note(lambda: run.predict(X_test)),
    )
    predicted = run.predict(X_test)
    features, head = plain_representation(run, data.X)
    told = {"curve": curve.accuracy, "seconds": float(np.median(run.seconds))}
    return predicted, features, head, told


def measured(name, benchmark, settings, data, seed, options):
    """Train once; return what is to be told of it."""
    train = run_plain if name.partition("+")[0] in PLAIN else run_ours
    predicted, features, head, told = train(
        name, benchmark, settings, data, seed, options
    )
    counts = np.bincount(data.y)
    shots = shot_accuracy(
        data.y_test,
        predicted,
        class_counts=counts,
        thresholds=counts.max() * np.array(SHOTS),
    )
    report = NeuralCollapseScorer(head).fit(features, data.y).report_
    return {
        "accuracy": float((predicted == data.y_test).mean()),
        **shots,
        **{title: float(report[key]) for title, key in MEASURES.items()},
        **told,
    }


def speeds(benchmark, settings, data, options):
    """Return the median seconds per epoch of the plain loops and ours, side by side."""
    device = resolve_device(options.device)
    X, y = torch.from_numpy(data.X), torch.from_numpy(data.y)
    counts = np.bincount(data.y)

    def plain(workers):
        return train_plain(
            benchmark.network(),
            X,
            y,
            settings,
            augment=benchmark.augment,
            device=device,
            workers=workers,
        ).seconds

    def ours(autocast, channels_last):
        how = argparse.Namespace(**vars(options))
        how.autocast, how.channels_last = autocast, channels_last
        model = estimator_of("ce", benchmark, settings, counts, 0, how)
        clock = Clock()
        model.set_callbacks(clock).fit(data.X, data.y)
        return clock.seconds

    contenders = {
        "plain loop, images on the device": lambda: plain(None),
        f"plain loop, DataLoader, {options.workers} workers": lambda: plain(
            options.workers
        ),
        "ours": lambda: ours(None, False),
    }
    if device.type == "cuda":
        contenders["ours, bfloat16, channels last"] = lambda: ours("bfloat16", True)
    seconds = {name: [] for name in contenders}
    for _ in range(options.repeats):
        # In turn, so that a busy moment is everyone's.
        for name, train in contenders.items():
            # The first epoch warms up.
            seconds[name] += train()[1:]
            print(f"{name}: {np.median(seconds[name]):.3f} s per epoch", flush=True)
    return {name: float(np.median(values)) for name, values in seconds.items()}


def known(name):
    """Return a name as it is: a method, and what may follow it, or raise."""
    method, *extras = name.split("+")
    possible = MIXUP if method in PLAIN else EXTRAS
    if method in (*PLAIN, *METHODS) and all(extra in possible for extra in extras):
        return name
    raise argparse.ArgumentTypeError(
        f"{name!r}: one of {', '.join((*PLAIN, *METHODS))}, and any of "
        f"{', '.join(possible)} after a plus each"
    )


def parse():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", choices=BENCHMARKS, default="fashion")
    parser.add_argument("--epochs", type=int, help="instead of those of the schedule")
    parser.add_argument("--rate", type=float, help="learning rate, instead of its own")
    parser.add_argument(
        "--held-out", action="store_true", help="choose: test on training images"
    )
    parser.add_argument(
        "--subset", type=int, help="images of the largest class, and the rest alike"
    )
    parser.add_argument("--losses", nargs="*", type=known, metavar="NAME")
    parser.add_argument("--seeds", type=int, default=1, help="seeds 0, 1, ...")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument(
        "--every", type=int, help="epochs between looks at the test images; 0 for none"
    )
    parser.add_argument("--autocast", choices=["bfloat16", "float16"])
    parser.add_argument("--channels-last", action="store_true")
    parser.add_argument(
        "--results", default=ROOT / "build/longtail_images.jsonl", type=Path
    )
    parser.add_argument("--speed", action="store_true", help="only time the epochs")
    parser.add_argument("--workers", type=int, default=0, help="of the DataLoader")
    parser.add_argument("--repeats", type=int, default=3, help="with --speed")
    options = parser.parse_args()
    if options.held_out and options.data != "fashion":
        parser.error("--held-out: only Fashion-MNIST has training images to spare.")
    return options


def default_names(data):
    """Return what is compared; mixup for everyone on CIFAR, as in the ETF paper."""
    both = [*PLAIN, *METHODS]
    if data == "cifar":
        return [name + "+mixup" for name in both]
    mixed = (*PLAIN, "ce", "logit_adjusted", "etf_logit_adjusted", "etf_dr_class")
    milder = ("plain_logit_adjusted", "logit_adjusted", "default")
    return [
        *both,
        *(name + "+mixup" for name in mixed),
        *(name + "+mixup.2" for name in milder),
        BEST,
    ]


def main():
    options = parse()
    torch.set_num_threads(options.threads)
    benchmark = BENCHMARKS[options.data]
    settings = benchmark.settings
    if options.epochs:
        settings = settings.of_length(options.epochs)
    if options.rate:
        settings = replace(settings, learning_rate=options.rate)
    if options.every is None:
        options.every = max(1, settings.epochs // 20)
    try:
        data = benchmark.load(held_out=True) if options.held_out else benchmark.load()
        data = subset_of(data, options.subset)
    except FileNotFoundError as error:
        sys.exit(f"{error}")
    device = resolve_device(options.device)
    setting = {
        "data": options.data,
        "held_out": options.held_out,
        "epochs": settings.epochs,
        "rate": settings.learning_rate,
        "subset": options.subset,
        "device": torch.cuda.get_device_name(device)
        if device.type == "cuda"
        else "CPU",
        "precision": options.autocast or "float32",
        "channels_last": options.channels_last,
        "counts": np.bincount(data.y).tolist(),
        "n_test": len(data.y_test),
    }
    lines = []
    if options.results.exists():
        lines = list(map(json.loads, options.results.read_text().splitlines()))

    def keep(line):
        line = {**setting, "date": f"{np.datetime64('today')}", **line}
        lines.append(line)
        options.results.parent.mkdir(parents=True, exist_ok=True)
        with options.results.open("a") as file:
            file.write(json.dumps(line) + "\n")

    if options.speed:
        keep({"speeds": speeds(benchmark, settings, data, options)})
    else:
        done = {
            (line["name"], line["seed"])
            for line in lines
            if "name" in line and all(line[key] == setting[key] for key in setting)
        }
        for seed in range(options.seeds):
            for name in options.losses or default_names(options.data):
                if (name, seed) in done:
                    continue
                row = measured(name, benchmark, settings, data, seed, options)
                print(f"{name}, seed {seed}: {row['accuracy']:.4f}", flush=True)
                keep({"name": name, "seed": seed, **row})
    write_page(ROOT / "docs/benchmarks/longtail_images.md", lines)


if __name__ == "__main__":
    main()
