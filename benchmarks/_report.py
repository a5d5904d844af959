"""Scores, tables and the machine they were measured on."""

import os
import platform
import subprocess
from datetime import date
from pathlib import Path

import numpy as np
import scipy
import sklearn
import torch
from sklearn.metrics import balanced_accuracy_score

import skcollapse

BINS = 15


def balanced_ece(y, proba, classes):
    """Expected calibration error in equal bins of confidence, all classes alike."""
    weight = 1 / np.bincount(np.searchsorted(classes, y))[np.searchsorted(classes, y)]
    weight = weight / weight.sum()
    confidence = proba.max(axis=1)
    hit = classes[proba.argmax(axis=1)] == y
    place = np.minimum((confidence * BINS).astype(int), BINS - 1)
    gap = np.bincount(place, weight * (hit - confidence), minlength=BINS)
    return np.abs(gap).sum()


def scores(model, X, y):
    """Return balanced accuracy, log-loss and ECE; NaN without probabilities."""
    accuracy = balanced_accuracy_score(y, model.predict(X))
    if not hasattr(model, "predict_proba"):
        return accuracy, np.nan, np.nan
    proba, classes = model.predict_proba(X).astype(np.float64), model.classes_
    # A probability of zero would be an infinite loss.
    loss = -np.log(
        np.maximum(proba[np.arange(len(y)), np.searchsorted(classes, y)], 1e-15)
    )
    by_class = [loss[y == k].mean() for k in np.unique(y)]
    return accuracy, np.mean(by_class), balanced_ece(y, proba, classes)


def decimals(value, digits=3):
    """Return a number without a leading zero, and NaN as nothing."""
    if np.isnan(value):
        return ""
    text = f"{value:.{digits}f}"
    return text.replace("0.", ".", 1) if abs(value) < 1 else text


def table(header, rows):
    """Return a table in Markdown; the first column is text."""
    lines = [header, ["---"] + ["---:"] * (len(header) - 1), *rows]
    return "\n".join("| " + " | ".join(map(str, line)) + " |" for line in lines) + "\n"


def verdict(claim, met):
    return f"- {'Met' if met else '**Missed**'}: {claim}\n"


def _processor():
    try:
        text = subprocess.run(
            ["lscpu"], capture_output=True, text=True, check=True
        ).stdout
    except (OSError, subprocess.CalledProcessError):
        return platform.processor() or platform.machine()
    names = [
        line.partition(":")[2] for line in text.splitlines() if "Model name" in line
    ]
    return names[0].strip() if names else platform.machine()


def machine():
    """Return a sentence on where and with what the numbers were measured."""
    load = f", load {os.getloadavg()[0]:.1f}" if hasattr(os, "getloadavg") else ""
    return (
        f"Measured on {date.today():%Y-%m-%d}: {_processor()}, {os.cpu_count()} cores"
        f"{load} at the end; Python {platform.python_version()}, "
        f"scikit-learn {sklearn.__version__}, NumPy {np.__version__}, "
        f"SciPy {scipy.__version__}, torch {torch.__version__}, "
        f"skcollapse {skcollapse.__version__}.\n"
    )


def write(path, text):
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    print(f"Wrote {path}.", flush=True)
