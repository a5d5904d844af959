"""Neural collapse of a network along its training on long-tailed Fashion-MNIST.

    python benchmarks/network_collapse.py [--epochs N] [--every K] [--threads N]

Needs the data folder that ``SKCOLLAPSE_DATA`` names.
"""

import argparse
import sys
import time

import numpy as np
import torch
from _data import ROOT, fashion
from _networks import three_convolutions
from _report import decimals, machine, table, write
from sklearn.metrics import balanced_accuracy_score
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from skcollapse import NeuralCollapseScorer
from skcollapse.extract import extract_features
from skcollapse.measures import minority_cosine, seli_distance
from skcollapse.monitor import CollapseMonitor
from skcollapse.targets import seli

COLUMNS = {
    "NC1": "nc1",
    "NC1, classes alike": "nc1_balanced",
    "CDNV": "cdnv",
    "means from ETF": "nc2_etf_distance",
    "means from SELI": "seli_distance",
    "classifier from ETF": "classifier_etf_distance",
    "classifier from SELI": "classifier_seli_distance",
    "NC3": "nc3_self_duality",
    "NC4": "nc4_ncc_agreement",
    "excess cosine, means": "minority_cosine",
    "excess cosine, classifier": "classifier_minority_cosine",
}
PATH = [0.0, 0.001, 0.01, 0.1, 1.0, 3.0, 10.0]

HOW = """\
# Collapse of a network along its training

Fashion-MNIST with {largest:,} training images of the largest class and {smallest} of
the smallest ({n:,} in all), pixels from 0 to 1; three convolutions and two
fully connected layers with batch normalisation, 128 features; cross-entropy, SGD with
momentum .9, weight decay {decay:g}, a cosine schedule from {rate:g}, batches of
{batch}, {epochs} epochs, one seed, no augmentation. `CollapseMonitor` measures the
training split by `NeuralCollapseScorer.fit_network`. The last row is the last epoch on
the test split, balanced, with the class sizes of training for SELI. "Excess
cosine" is that of the smaller half of the classes above -1/9.

"""
DECAY, RATE, BATCH = 5e-3, 0.05, 128


def train(network, X, y, epochs, monitor):
    optimizer = torch.optim.SGD(
        network.parameters(), lr=RATE, momentum=0.9, weight_decay=DECAY
    )
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, epochs)
    loader = DataLoader(TensorDataset(X, y), batch_size=1000)
    for epoch in range(epochs):
        monitor.record_network(network, loader)
        network.train()
        for rows in torch.randperm(len(y)).split(BATCH):
            optimizer.zero_grad()
            nn.functional.cross_entropy(network(X[rows]), y[rows]).backward()
            optimizer.step()
        schedule.step()
        print(f"epoch {epoch + 1} of {epochs}", flush=True)
    monitor.record_network(network, loader)


def test_row(network, X, y, counts):
    """Return the report on the test split, and the balanced accuracy."""
    loader = DataLoader(TensorDataset(X, y), batch_size=1000)
    features, logits, labels = extract_features(network, loader)
    scorer = NeuralCollapseScorer(network[-1], split="test").fit(features, labels)
    measures = scorer.report_.to_dict()
    means, coef = scorer.report_.means, scorer.report_.coef
    measures |= {
        "seli_distance": seli_distance(means, counts),
        "classifier_seli_distance": seli_distance(coef, counts, vectors="classifier"),
        "minority_cosine": minority_cosine(means, counts),
        "classifier_minority_cosine": minority_cosine(coef, counts, centred=False),
    }
    return measures, balanced_accuracy_score(labels, logits.argmax(1))


def path_table(report, counts):
    """Return the places on the SELI ridge path, and how far the end is from them."""
    rows = []
    for ridge in PATH:
        geometry = seli(counts, ridge=ridge, random_state=0)
        values = [
            minority_cosine(geometry.means, counts),
            minority_cosine(geometry.classifier, counts, centred=False),
            seli_distance(report.means, counts, ridge=ridge),
            seli_distance(report.coef, counts, ridge=ridge, vectors="classifier"),
        ]
        rows.append([f"{ridge:g}", *map(decimals, values)])
    header = ["ridge", "excess cosine, means", "excess cosine, classifier"]
    return table([*header, "means at the end from it", "classifier from it"], rows)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--epochs", type=int, default=40)
    parser.add_argument("--every", type=int, default=4)
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    try:
        data = fashion(0)
    except FileNotFoundError as error:
        sys.exit(f"{error}")
    X, X_test = (
        torch.from_numpy(rows).reshape(-1, 1, 28, 28) for rows in (data.X, data.X_test)
    )
    y, y_test = torch.from_numpy(data.y), torch.from_numpy(data.y_test)
    counts = np.bincount(data.y)
    torch.manual_seed(0)
    network = nn.Sequential(*three_convolutions(), nn.Linear(128, 10))
    monitor = CollapseMonitor(every=options.every)
    start = time.perf_counter()
    train(network, X, y, options.epochs, monitor)
    seconds = time.perf_counter() - start
    reports = {f"{epoch}": report for epoch, report in monitor.reports.items()}
    on_test, accuracy = test_row(network, X_test, y_test, counts)
    rows = [
        [epoch, *(decimals(report[name]) for name in COLUMNS.values())]
        for epoch, report in (reports | {"test": on_test}).items()
    ]
    text = HOW.format(
        largest=counts.max(),
        smallest=counts.min(),
        n=len(y),
        decay=DECAY,
        rate=RATE,
        batch=BATCH,
        epochs=options.epochs,
    )
    text += table(["epoch", *COLUMNS], rows)
    text += (
        f"\nBalanced accuracy on the test split: {decimals(accuracy)}. Training and "
        f"measuring took {seconds:.0f} s; threads: {options.threads}.\n"
        "\n## Beside the SELI ridge path\n\nRegularised cross-entropy has its optimum "
        "on this path, and its limit for small ridge is SELI.\n\n"
    )
    last = monitor.reports[max(monitor.reports)]
    text += path_table(last, counts) + "\n" + machine()
    print(text)
    write(ROOT / "docs" / "benchmarks" / "network_collapse.md", text)


if __name__ == "__main__":
    main()
