"""The long-tailed data sets of the benchmarks, and synthetic rows of any size."""

import io
import os
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import numpy as np
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

from skcollapse.datasets import long_tail_counts, make_long_tailed

ROOT = Path(__file__).resolve().parents[1]


class Split(NamedTuple):
    """Training and test rows, and what groups the training rows if anything does."""

    X: np.ndarray
    y: np.ndarray
    X_test: np.ndarray
    y_test: np.ndarray
    groups: np.ndarray | None = None


def data_folder():
    return Path(os.environ.get("SKCOLLAPSE_DATA", ROOT.parent / "shared" / "data"))


def _open(name):
    path = data_folder() / f"{name}.npz"
    if not path.exists():
        raise FileNotFoundError(f"no {path.name} in the folder of SKCOLLAPSE_DATA")
    return np.load(path, allow_pickle=True)


def _class_order(draw):
    return "random" if draw else None


def digits(draw):
    """IR 30, 85 rows of the largest class; three rows in ten are for testing."""
    X, y = load_digits(return_X_y=True)
    X, X_test, y, y_test = train_test_split(
        X.astype(np.float32), y, test_size=0.3, stratify=y, random_state=0
    )
    index = make_long_tailed(
        y, 30, n_max=85, class_order=_class_order(draw), random_state=draw
    )
    return Split(X[index], y[index], X_test, y_test)


def resnet18(draw, imbalance_ratio):
    """CIFAR-10 as 100 principal components of ResNet-18 features."""
    data = _open("cifar10_resnet18_pca100")
    X, y = data["X_train"].astype(np.float32), data["y_train"].astype(int)
    if draw == 0:
        index = data[f"lt_idx_ir{imbalance_ratio}"]
    else:
        index = make_long_tailed(
            y, imbalance_ratio, class_order="random", random_state=draw
        )
    X_test, y_test = data["X_test"].astype(np.float32), data["y_test"].astype(int)
    return Split(X[index], y[index], X_test, y_test)


def anuran(draw):
    """Frog calls with their own tail; no recording is in training and in test.

    First the split that comes with the data, then half of the recordings of each
    species for training, and of an odd number the larger part.
    """
    data = _open("anuran_mfcc_species")
    X, y, record = data["X"], data["y"].astype(int), data["record_id"]
    train, test = data["group_train_idx"], data["group_test_idx"]
    if draw:
        rng = np.random.default_rng(draw)
        recordings = [rng.permutation(np.unique(record[y == k])) for k in np.unique(y)]
        halves = [of_one[: (len(of_one) + 1) // 2] for of_one in recordings]
        chosen = np.isin(record, np.concatenate(halves))
        train, test = np.flatnonzero(chosen), np.flatnonzero(~chosen)
    return Split(X[train], y[train], X[test], y[test], record[train])


def dry_bean(draw):
    """IR 50, 1000 rows of the largest class; classes keep the order of their sizes."""
    data = _open("dry_bean")
    X, y = data["X"], data["y"].astype(int)
    train, test = data["train_idx"], data["test_idx"]
    rng = np.random.default_rng(draw)
    available = np.bincount(y[train])
    order = np.argsort(-available, kind="stable")
    counts = np.minimum(long_tail_counts(len(order), 1000, 50), available[order])
    index = np.concatenate(
        [
            rng.permutation(train[y[train] == k])[:count]
            for k, count in zip(order, counts, strict=True)
        ]
    )
    return Split(X[index], y[index], X[test], y[test])


def fashion(draw):
    """IR 100, 2000 rows of the largest class; pixels from 0 to 1."""
    data = _open("fashion_mnist")
    y, y_test = data["y_train"].astype(int), data["y_test"].astype(int)
    index = make_long_tailed(
        y, 100, n_max=2000, class_order=_class_order(draw), random_state=draw
    )
    X, X_test = (
        images.reshape(len(images), -1).astype(np.float32) / 255
        for images in (data["X_train"][index], data["X_test"])
    )
    return Split(X, y[index], X_test, y_test)


def fashion_images(held_out=False):
    """IR 100, 6000 images of the largest class; (n, 1, 28, 28) pixels from 0 to 1.

    To choose by: 1000 training images of each class are held out and take the place of
    the test images; 5000 of the largest class are left.
    """
    data = _open("fashion_mnist")
    X, y = data["X_train"], data["y_train"].astype(int)
    X_test, y_test = data["X_test"], data["y_test"].astype(int)
    if held_out:
        rng = np.random.RandomState(1)
        chosen = [rng.permutation(np.flatnonzero(y == k))[:1000] for k in np.unique(y)]
        chosen = np.concatenate(chosen)
        left = np.setdiff1d(np.arange(len(y)), chosen)
        X, y, X_test, y_test = X[left], y[left], X[chosen], y[chosen]
    index = make_long_tailed(y, 100, n_max=np.bincount(y).max(), random_state=0)
    X, X_test = (
        images[:, None].astype(np.float32) / 255 for images in (X[index], X_test)
    )
    return Split(X, y[index], X_test, y_test)


def cifar10_images():
    """IR 100, 5000 images of the largest class; (n, 3, 32, 32), standardised channels.

    The images have been through JPEG: near those of CIFAR-10, not the same.
    """
    from PIL import Image

    data = _open("cifar10_lt_ir100_jpeg")

    def decode(part):
        stream, offsets = data[f"jpeg_{part}"], data[f"offsets_{part}"]
        files = (stream[start:stop] for start, stop in pairwise(offsets))
        images = [
            Image.open(io.BytesIO(file.tobytes())).convert("RGB") for file in files
        ]
        return (
            np.stack([np.asarray(image) for image in images]).astype(np.float32) / 255
        )

    X, X_test = decode("train"), decode("test")
    center, scale = X.mean(axis=(0, 1, 2)), X.std(axis=(0, 1, 2))
    X, X_test = (
        np.ascontiguousarray(((images - center) / scale).transpose(0, 3, 1, 2))
        for images in (X, X_test)
    )
    return Split(X, data["y_train"].astype(int), X_test, data["y_test"].astype(int))


SETS = {
    "digits IR 30": digits,
    "r18 IR 100": lambda draw: resnet18(draw, 100),
    "r18 IR 50": lambda draw: resnet18(draw, 50),
    "anuran": anuran,
    "bean IR 50": dry_bean,
    "Fashion IR 100": fashion,
}


def load_sets(names, draws):
    """Return {name: [Split of each draw]}; say why if a set is left out."""
    sets = {}
    for name in names:
        try:
            sets[name] = [SETS[name](draw) for draw in range(draws)]
        except FileNotFoundError as error:
            print(f"Left out {name}: {error}.", flush=True)
    return sets


def gaussian_classes(
    separation, *, n=50_000, p=768, n_classes=100, imbalance_ratio=100, seed=0
):
    """Draw long-tailed Gaussian classes of one covariance, with a power-law spectrum.

    Returns X, y, X_test, y_test; each class has 100 test rows, or ten if there are
    more than 100 classes.
    """
    rng = np.random.default_rng(seed)
    share = long_tail_counts(n_classes, 10**6, imbalance_ratio)
    counts = np.maximum(1, share * n // share.sum())
    counts[0] += n - counts.sum()
    spectrum = (1 + np.arange(p)) ** -0.5
    rotation = np.linalg.qr(rng.standard_normal((p, p)))[0].astype(np.float32)
    means = rng.standard_normal((n_classes, p)) * separation * spectrum

    def rows(y):
        noise = rng.standard_normal((len(y), p), dtype=np.float32)
        return (means[y].astype(np.float32) + noise * spectrum.astype(np.float32)) @ (
            rotation
        )

    y = rng.permutation(np.repeat(np.arange(n_classes), counts))
    y_test = np.repeat(np.arange(n_classes), 100 if n_classes <= 100 else 10)
    return rows(y), y, rows(y_test), y_test
