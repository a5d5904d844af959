"""Time, memory and agreement of the collapse report, beside a public toolkit.

    python benchmarks/collapse.py [--quick] [--threads N]

Compares with the package ``neural_collapse`` (github.com/rhubarbwu/neural-collapse)
where it can be imported, and with one matrix product and one read of the features.
"""

import argparse
import importlib.util
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from _data import ROOT
from _report import machine, table, verdict, write
from fit_speed import peak_memory
from threadpoolctl import threadpool_limits

from skcollapse import NeuralCollapseScorer
from skcollapse.moments import RowMoments

# (n, d, K) and how many times as fast as the toolkit a report should be.
SHAPES = {
    (50_000, 512, 10): 3,
    (50_000, 512, 100): 4,
    (50_000, 768, 1000): 12,
    (20_000, 2048, 100): 20,
}
QUICK = {(5_000, 128, 10): 3, (5_000, 128, 50): 4}
PRODUCT_RATIO = 3
MEMORY = 64 * 2**20
BATCH = 1000
TOLERANCE = {np.float32: 1e-4, np.float64: 1e-9}

HOW = """\
Features in memory, float32, Gaussian classes of equal size on average, {clock},
threads: {threads}; medians of {repetitions} turns, in which all take part one after
the other in one process. "Report" is `NeuralCollapseScorer.fit` with everything that
it reports by default, "with NC4" the same with a classifier; the toolkit makes its
passes over batches of {batch:,} rows: means, covariance and variances, then its
measures of NC1 (pseudo-inverse), CDNV and the distance from the ETF, and with NC4 also
its decisions, self-duality and agreement. "Product" is one product of the features with
min(d, K) columns and one sum over them all.
"""


def toolkit():
    """Return whether the toolkit can be imported."""
    return importlib.util.find_spec("neural_collapse") is not None


def draw(n, d, n_classes, dtype=np.float32, seed=0):
    rng = np.random.default_rng(seed)
    y = rng.integers(n_classes, size=n)
    y[:n_classes] = np.arange(n_classes)
    X = rng.standard_normal((n, d), dtype=np.float32)
    X += rng.standard_normal((n_classes, d), dtype=np.float32)[y]
    W = rng.standard_normal((n_classes, d), dtype=np.float32)
    return X.astype(dtype), y, W.astype(dtype)


def toolkit_report(X, y, W=None):
    """Return what the toolkit measures, with all its passes."""
    from neural_collapse import accumulate, measure

    X, labels = torch.from_numpy(X), torch.from_numpy(y)
    batches = list(zip(X.split(BATCH), labels.split(BATCH), strict=True))
    shape = int(y.max()) + 1, X.shape[1]
    options = {"dtype": X.dtype}
    mean = accumulate.MeanAccumulator(*shape, **options)
    for rows, own in batches:
        mean.accumulate(rows, own)
    means, center = mean.compute()
    covariance = accumulate.CovarAccumulator(*shape, M=means, **options)
    variance = accumulate.VarNormAccumulator(*shape, M=means, **options)
    for rows, own in batches:
        covariance.accumulate(rows, own, means)
        variance.accumulate(rows, own, means)
    found = {
        "nc1": measure.covariance_ratio(covariance.compute(), means, center),
        "cdnv": measure.variability_cdnv(variance.compute()[0], means),
        "nc2_etf_distance": measure.simplex_etf_error(means, center),
    }
    if W is None:
        return found
    W = torch.from_numpy(W)
    decisions = accumulate.DecAccumulator(*shape, M=means, W=W, **options)
    for rows, own in batches:
        decisions.accumulate(rows, own, W, means)
    measure.self_duality_error(W, means, center)
    return found | {"nc4_ncc_agreement": measure.clf_ncc_agreement(decisions)}


def our_report(X, y, W=None):
    return NeuralCollapseScorer(W).fit(X, y).report_


def engine(X, y):
    return RowMoments(X, y, int(y.max()) + 1).class_whitened_trace


def product(X, n_classes):
    X = torch.from_numpy(X)
    B = torch.ones(X.shape[1], min(X.shape[1], n_classes))
    return lambda: (X @ B, X.sum())


def clock():
    """Return seconds; with one thread the processor's, which other work leaves be."""
    alone = torch.get_num_threads() == 1
    return time.process_time() if alone else time.perf_counter()


def measure_times(shape, repetitions):
    """Return {name: median seconds}."""
    X, y, W = draw(*shape)
    calls = {
        "report": lambda: our_report(X, y),
        "moments alone": lambda: engine(X, y),
        "report with NC4": lambda: our_report(X, y, W),
        "product": product(X, shape[2]),
    }
    if toolkit():
        calls["toolkit"] = lambda: toolkit_report(X, y)
        calls["toolkit with NC4"] = lambda: toolkit_report(X, y, W)
    times = {name: [] for name in calls}
    for turn in range(repetitions + 1):
        for name, call in calls.items():
            start = clock()
            call()
            # The first turn warms up.
            if turn:
                times[name].append(clock() - start)
    found = {name: float(np.median(values)) for name, values in times.items()}
    print(shape, {name: round(value, 4) for name, value in found.items()}, flush=True)
    return found


def speed_report(shapes, repetitions):
    found = {shape: measure_times(shape, repetitions) for shape in shapes}
    names = list(next(iter(found.values())))
    rows = [
        ["{:,} x {}, {} classes".format(*shape)]
        + [f"{1000 * times[name]:.1f}" for name in names]
        for shape, times in found.items()
    ]
    text = table(["milliseconds", *names], rows) + "\n"
    for shape, times in found.items():
        name = "{:,} x {}, {} classes".format(*shape)
        if "toolkit" in times:
            for extra in ("", " with NC4"):
                ratio = times["toolkit" + extra] / times["report" + extra]
                text += verdict(
                    f"{name}: the report{extra} is {ratio:.1f} times as fast as the "
                    f"toolkit, goal {shapes[shape]}.",
                    ratio >= shapes[shape],
                )
        ratio = times["report"] / times["product"]
        text += verdict(
            f"{name}: the report takes {ratio:.2f} times the product, goal "
            f"{PRODUCT_RATIO}.",
            ratio <= PRODUCT_RATIO,
        )
    return text


def agreement_report(shape):
    """Compare values with the toolkit's; it has no bias in NC4, so there is none."""
    rows, verdicts = [], ""
    for dtype, tolerance in TOLERANCE.items():
        X, y, W = draw(*shape, dtype)
        # Some of the toolkit's arrays have the default type.
        torch.set_default_dtype(torch.from_numpy(X).dtype)
        theirs = toolkit_report(X, y, W)
        torch.set_default_dtype(torch.float32)
        ours = our_report(X, y, W)
        name = np.dtype(dtype).name
        for key, value in theirs.items():
            gap = abs(ours[key] / value - 1)
            rows.append([f"{key}, {name}", repr(ours[key]), repr(value), f"{gap:.1e}"])
            verdicts += verdict(
                f"{key} agrees to {gap:.1e} in {name}, goal {tolerance:g}.",
                gap <= tolerance,
            )
    header = ["{:,} x {}, {} classes".format(*shape), "ours", "toolkit", "relative"]
    return table(header, rows) + "\n" + verdicts


def peak_of_child(folder):
    """Print the bytes that a report needs beside the data; in its own process."""
    small = draw(500, 8, 4)
    # What the libraries load at their first use is not the report's.
    our_report(*small[:2])
    X, y = np.load(folder / "X.npy"), np.load(folder / "y.npy")
    before = peak_memory()
    our_report(X, y)
    print(peak_memory() - before)


def memory_report(shapes, threads):
    rows, verdicts = [], ""
    for shape in shapes:
        with tempfile.TemporaryDirectory() as folder:
            for name, values in zip("Xy", draw(*shape)[:2], strict=True):
                np.save(Path(folder) / f"{name}.npy", values)
            command = [sys.executable, __file__, "--peak", folder]
            answer = subprocess.run(
                [*command, "--threads", str(threads)],
                check=True,
                capture_output=True,
                text=True,
            )
        peak = int(answer.stdout.split()[-1])
        limit = MEMORY + 3 * shape[1] * shape[2] * 8
        name = "{:,} x {}, {} classes".format(*shape)
        rows.append([name, f"{peak / 2**20:.1f}", f"{limit / 2**20:.1f}"])
        verdicts += verdict(
            f"{name}: {peak / 2**20:.1f} MiB beside the data, goal "
            f"{limit / 2**20:.1f} MiB.",
            peak <= limit,
        )
        print(name, f"{peak / 2**20:.1f} MiB", flush=True)
    return table(["MiB beside the data", "peak", "goal"], rows) + "\n" + verdicts


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="small shapes only")
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--repetitions", type=int, default=5)
    parser.add_argument("--peak", type=Path, help=argparse.SUPPRESS)
    parser.add_argument(
        "--output", type=Path, default=ROOT / "docs" / "benchmarks" / "collapse.md"
    )
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    # A limit that stands keeps a fit from setting its own.
    if arguments.threads < os.cpu_count():
        threadpool_limits(arguments.threads)
    if arguments.peak:
        return peak_of_child(arguments.peak)

    shapes = QUICK if arguments.quick else SHAPES
    text = "# Speed of a collapse report\n\n" + HOW.format(
        clock="processor time" if arguments.threads == 1 else "wall-clock time",
        threads=arguments.threads,
        repetitions=arguments.repetitions,
        batch=BATCH,
    )
    text += "\n## Time\n\n" + speed_report(shapes, arguments.repetitions)
    text += "\n## Memory\n\n" + memory_report(shapes, arguments.threads)
    text += "\n## Agreement\n\n"
    if toolkit():
        text += agreement_report((5_000, 64, 10))
    else:
        text += "The toolkit is not installed: nothing to compare with.\n"
        print("No package neural_collapse: left out.", flush=True)
    write(arguments.output, text + "\n" + machine())
    return None


if __name__ == "__main__":
    main()
