"""The page of the benchmark on images, from the lines that its runs have left."""

import numpy as np
from _report import decimals, machine, table, verdict, write

LABELS = {
    "plain_ce": "plain loop: cross-entropy",
    "plain_logit_adjusted": "plain loop: logit-adjusted cross-entropy",
    "ce": "linear head, cross-entropy",
    "logit_adjusted": "linear head, balanced softmax (logit-adjusted)",
    "cosine_ce": "cosine head, cross-entropy",
    "cosine_logit_adjusted": "cosine head, logit-adjusted",
    "ldam": "cosine head, LDAM",
    "etf_ce": "ETF, cross-entropy",
    "etf_logit_adjusted": "ETF, logit-adjusted cross-entropy",
    "etf_dr": "ETF, dot regression (paper)",
    "etf_dr_class": "ETF, dot regression (classes alike)",
    "seli_ce": "SELI, cross-entropy",
    "seli_ridge_ce": "SELI at ridge 1, cross-entropy",
    "default": "as it comes: ETF in 9 dimensions, logit-adjusted",
    "hug": "HUG, learnable proxies",
    "ntce": "ETF, NTCE",
    "nonl": "ETF, NONL",
}
EXTRAS = {
    "mixup": "mixup",
    "mixup.2": "mixup (α = .2)",
    "one_cycle": "one cycle",
    "ema": "moving average",
    "ema.995": "moving average (.995)",
    "deferred": "adjusted after 8 epochs",
    "square_root": "square-root sampler",
    "refit": "second stage",
}
# Of ours on held-out training images of Fashion-MNIST.
BEST = "default+mixup.2+one_cycle"
EPOCHS = {"fashion": 12, "cifar": 200}
MEASURES = "NC1", "NC2", "NC3", "NC4", "SELI"

# In per cent, at an imbalance of 100. CIFAR-10: arXiv:2605.20302, ResNet-18, up to 500
# epochs. Fashion-MNIST: another network of three convolutions, 12 epochs, one seed.
ELSEWHERE = {
    "cifar": {"ce": 70.2, "etf_dr": 71.3, "ntce": 77.3, "nonl": 76.3},
    "fashion": {
        "ce": 84.25,
        "etf_dr": 83.43,
        "etf_dr_class": 86.98,
        "etf_dr_class+mixup": 87.74,
        "logit_adjusted": 88.11,
        "logit_adjusted+mixup": 88.81,
    },
}

HOW = """\
# Long-tailed images

Networks and what follows them, trained end to end by `ETFClassifier` and
`HUGClassifier` with `train_extractor=True`, and the same networks in a plain loop of
torch in float32, from the same initial weights of the extractor, with the same
schedule, batches and augmentations. Top-1 is of the last epoch, never of the best one,
on the balanced test images, in per cent; ± is the standard deviation over seeds. "Many"
are the four classes with more than a sixth of the images of the largest one, "few" the
three with fewer than a thirtieth. NC1 to NC4 and the distance from SELI at the class
sizes are of the training images as they are, without augmentation, on the features that
the class vectors stand on: those of the network where the head is learned, normalised
over the batch where class vectors are fixed. "Epochs to CE" is when the test accuracy
is first at least what the linear head with cross-entropy ends at, looked at every few
epochs. Seconds are medians over epochs, evaluation apart; "× plain" compares with the
plain loop under cross-entropy with its images on the device. Runs come one after the
other and meet a machine that is busy or not; where a section has a second table of
seconds, those are of runs in turn.
The plain loop decays all parameters; ours leaves out biases and normalisations, as
everywhere in the package.

"""

NOTES = {
    "fashion": """\
Fashion-MNIST, pixels from 0 to 1, without augmentation; three convolutions of 16, 32
and 64 channels with batch normalisation, 128 features; SGD with Nesterov momentum .9,
weight decay 5e-4, a cosine from a rate of .2, batches of 128. "Elsewhere" is an earlier
measurement with another network of three convolutions, 12 epochs, one seed. Mixup has
α = 1 where nothing else is said.
""",
    "cifar": """\
CIFAR-10, imbalance 100, from a copy whose images have been through JPEG: numbers are
near published ones, not comparable to the digit. ResNet-32 with 464,154 weights, random
crops and flips; SGD with Nesterov momentum .9, weight decay 2e-4, batches of 128, a
rate of .1 after five epochs of warm-up, times .1 at 80 % and again at 90 % of the
epochs; mixup with α = 1 for all, as in the ETF paper's code. "Elsewhere" is
arXiv:2605.20302, with ResNet-18 and up to 500 epochs. On CIFAR-100 and DenseNet the ETF
paper reports 43.08 for cross-entropy and 44.0 for its method; a reproduction with its
code over three seeds got 44.66 ± .24 and 43.02 ± .56.
""",
}


REDUCED = """\
A run of a size for a CPU: fewer images, or fewer epochs than {epochs} with the steps in
proportion. It shows that everything runs, and says little about who is ahead.
"""
NOT_YET = """\
The whole one takes a GPU, and has not been run.
"""

CHOICES = """\
## What was chosen on held-out training images of Fashion-MNIST

A thousand training images of each class are held out, and 5,000 of the largest class
are left: top-1 on the former, mean and number of seeds. The rate above, for everyone,
is the one at which the plain loops do best; the recipe, the best of ours at that rate.
Seeds differ by up to half a point, and so do most of these.

"""


def write_page(path, lines):
    """Write the page of all lines; a section for each setting."""
    groups = {}
    for line in lines:
        if not line["held_out"]:
            groups.setdefault(_setting(line), []).append(line)
    whole = {line["data"] for line in lines if _is_whole(line)}
    sections = [_section(group, whole) for _, group in sorted(groups.items())]
    tried = [line for line in lines if line["held_out"]]
    if tried:
        sections.append(_choices(tried))
    write(path, HOW + "\n".join(sections) + "\n" + machine())


def _setting(line):
    names = "data", "device", "epochs", "rate", "subset", "precision", "channels_last"
    return tuple(str(line[name]) for name in names)


def _is_whole(line):
    return line["subset"] is None and line["epochs"] >= EPOCHS[line["data"]]


def _section(lines, whole):
    """Return the section of a setting; whole are the data sets that others cover."""
    first = lines[0]
    counts = ", ".join(f"{count:,}" for count in first["counts"])
    title = {"fashion": "Fashion-MNIST", "cifar": "CIFAR-10"}[first["data"]]
    dates = sorted({line["date"] for line in lines})
    text = (
        f"## {title}: {first['epochs']} epochs, {first['device']}, "
        f"{first['precision']}\n\n{NOTES[first['data']]}\n"
        f"Training images of the classes: {counts}; {first['n_test']:,} for testing. "
        f"Run on {' to '.join(dict.fromkeys((dates[0], dates[-1])))}.\n\n"
    )
    if first["channels_last"]:
        text += "Ours in the memory format channels last.\n\n"
    if not _is_whole(first):
        text += REDUCED.format(epochs=EPOCHS[first["data"]])
        text += "" if first["data"] in whole else NOT_YET
        text += "\n"
    runs = {}
    for line in lines:
        if "name" in line:
            runs.setdefault(line["name"], []).append(line)
    if runs:
        text += _tables(runs, ELSEWHERE[first["data"]])
        if _is_whole(first):
            text += _verdicts(runs, first["data"])
    for line in lines:
        if "speeds" in line:
            text += _speed_table(line["speeds"])
    return text


def _choices(lines):
    """Return the table by which the rate and the recipe of Fashion-MNIST are chosen."""
    accuracy, rates = {}, sorted({line["rate"] for line in lines})
    for line in lines:
        of_rates = accuracy.setdefault(line["name"], {rate: [] for rate in rates})
        of_rates[line["rate"]].append(line["accuracy"])
    rows = [
        [label(name), *(_with_number(of_rates[rate]) for rate in rates)]
        for name, of_rates in sorted(accuracy.items(), key=lambda item: _place(item[0]))
    ]
    return CHOICES + table(["", *(f"rate {rate:g}" for rate in rates)], rows)


def _with_number(values):
    if not values:
        return ""
    return f"{100 * np.mean(values):.2f} ({len(values)})"


def label(name):
    method, *extras = name.split("+")
    return " + ".join([LABELS[method], *map(EXTRAS.get, extras)])


def _mean(runs, key):
    values = [run[key] for run in runs if key in run]
    return np.mean(values) if values else np.nan


def _spread(runs):
    return (
        100 * np.std([run["accuracy"] for run in runs], ddof=1) if runs[1:] else np.nan
    )


def _tables(runs, elsewhere):
    rows, collapse = [], []
    for name in sorted(runs, key=_place):
        own, (method, *mixup) = runs[name], name.split("+")
        plain = runs.get("+".join(["plain_ce", *mixup]), runs.get("plain_ce", ()))
        ratio = _mean(own, "seconds") / _mean(plain, "seconds")
        # On CIFAR everyone has mixup.
        ce = runs.get("ce", runs.get("ce+mixup", ()))
        found = elsewhere.get(name if "ce" in runs else method, np.nan)
        rows.append(
            [
                label(name),
                len(own),
                decimals(100 * _mean(own, "accuracy"), 2),
                decimals(_spread(own), 2),
                *(
                    decimals(100 * _mean(own, shot), 1)
                    for shot in ("many", "medium", "few")
                ),
                _epochs_to(own, _mean(ce, "accuracy")),
                decimals(_mean(own, "seconds"), 2),
                decimals(ratio, 2),
                decimals(found, 2),
            ]
        )
        collapse.append([label(name), *(decimals(_mean(own, m)) for m in MEASURES)])
    header = ["", "seeds", "top-1", "±", "many", "medium", "few", "epochs to CE"]
    header += ["s per epoch", "× plain", "elsewhere"]
    return table(header, rows) + "\n" + table(["", *MEASURES], collapse) + "\n"


def _place(name):
    method, *extras = name.split("+")
    return extras, list(LABELS).index(method)


def _epochs_to(runs, accuracy):
    """Return the mean epoch of reaching an accuracy; a dash if not all runs do."""
    reached = [
        min((int(e) for e, a in run["curve"].items() if a >= accuracy), default=None)
        for run in runs
    ]
    if None in reached or np.isnan(accuracy):
        return "–"
    return decimals(np.mean(reached), 1)


def _verdicts(runs, data):
    accuracy = {name: 100 * _mean(own, "accuracy") for name, own in runs.items()}

    def at_least(name, bound, words):
        if name not in accuracy or np.isnan(bound):
            return ""
        got = accuracy[name]
        claim = f"{label(name)} {got:.2f}, at least {words} {bound:.2f}.".split()
        return verdict(" ".join(claim), got >= bound)

    of = accuracy.get
    if data == "fashion":
        peer = "that of the plain loop with logit adjustment and mixup"
        return (
            at_least(BEST, of("plain_logit_adjusted+mixup", np.nan), f"{peer},")
            + at_least(
                BEST,
                of("plain_logit_adjusted+mixup.2", np.nan),
                f"{peer} of α = .2,",
            )
            + at_least(
                "etf_dr_class",
                of("ce", np.nan) + 2,
                "that of the linear head with cross-entropy and two points,",
            )
        )
    best = max((name for name in accuracy if "plain" not in name), key=of)
    return (
        at_least("etf_dr+mixup", 71.0, "")
        + at_least("etf_dr_class+mixup", 71.0, "")
        + at_least(best, 77.0, "")
    )


def _speed_table(speeds):
    plain = next(iter(speeds.values()))
    rows = [
        [name, decimals(seconds, 3), decimals(seconds / plain, 2)]
        for name, seconds in speeds.items()
    ]
    return "\n" + table(["cross-entropy", "s per epoch", "× the first"], rows)
