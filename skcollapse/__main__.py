"""The command line: ``python -m skcollapse score FEATURES.npz``.

What takes its time to import is imported once it is needed: help comes at once.
"""

import argparse
import json
import math
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from skcollapse import __version__
from skcollapse._utils.checks import plain

if TYPE_CHECKING:
    import numpy as np

_EPILOG = """\
KEY is the name of an array in FEATURES, or a file of its own with one array. Files are
.npz, .npy or .safetensors; what they hold is mapped into memory where that is possible,
and never unpickled.
"""


def main(argv: list[str] | None = None) -> int:
    """Run a command.

    Parameters
    ----------
    argv : list of str, default=None
        Arguments; None for those of the process.

    Returns
    -------
    int
        Exit status: 2 if a file or an option is not valid, with one line on standard
        error that says why.

    Examples
    --------
    >>> import tempfile
    >>> import numpy as np
    >>> from skcollapse.__main__ import main
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     np.savez(f"{folder}/data.npz", X=np.eye(4), y=[0, 0, 1, 1])
    ...     main(["score", f"{folder}/data.npz"])  # doctest: +ELLIPSIS
    Neural collapse on the train split: 4 samples, 2 classes of 2 to 2, 4 features
    ...
    0
    """
    options = _parser().parse_args(argv)
    try:
        text = _score(options)
    except (ValueError, ImportError, OSError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        print(f"skcollapse: error: {reason}", file=sys.stderr)
        return 2
    print(text)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="skcollapse", description="Neural collapse, measured."
    )
    parser.add_argument("--version", action="version", version=__version__)
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    score = commands.add_parser(
        "score",
        help="report how far features in a file are from neural collapse",
        description="Report how far features in a file are from neural collapse.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    score.add_argument("file", metavar="FEATURES", help="a file with features")
    score.add_argument(
        "--features",
        metavar="KEY",
        help='features, (n, d); default: "X", or the array of a .npy file',
    )
    score.add_argument(
        "--labels", metavar="KEY", default="y", help='labels, (n,); default: "y"'
    )
    score.add_argument(
        "--weights", metavar="KEY", help="class vectors of a classifier, (K, d)"
    )
    score.add_argument("--bias", metavar="KEY", help="its biases, (K,)")
    score.add_argument(
        "--split", default="train", help='what the rows are; default: "train"'
    )
    score.add_argument(
        "--ridge",
        type=float,
        default=0.0,
        help="strength of the regularisation in the SELI geometry; default: 0",
    )
    score.add_argument(
        "--plot", metavar="IMAGE", help="also draw the report into a .png, .pdf or .svg"
    )
    score.add_argument("--json", action="store_true", help="print the report as JSON")
    score.add_argument(
        "--no-verify",
        action="store_true",
        help="do not compare the checksums of arrays that are mapped from a .npz, for "
        "which each is read once more",
    )
    return parser


def _score(options: argparse.Namespace) -> str:
    """Return what the command prints."""
    if options.bias is not None and options.weights is None:
        raise ValueError("--bias belongs to a classifier: give --weights as well.")
    features = _array(options, options.features or _default_key(options.file), 2)
    labels = _array(options, options.labels, 1)
    classifier: Any = None
    if options.weights is not None:
        classifier = _array(options, options.weights, 2)
        if options.bias is not None:
            classifier = classifier, _array(options, options.bias, 1)
    if len(features) != len(labels):
        raise ValueError(
            f"{options.file}: has {len(features)} rows of features and {len(labels)} "
            "labels"
        )
    from skcollapse.scorer import NeuralCollapseScorer

    scorer = NeuralCollapseScorer(classifier, split=options.split, ridge=options.ridge)
    report = scorer.fit(features, labels).report_
    if options.plot is not None:
        _draw(report, options.plot)
    return json.dumps(_plain(report), indent=2) if options.json else repr(report)


def _default_key(path: str) -> str | None:
    return None if Path(path).suffix.lower() == ".npy" else "X"


def _array(options: argparse.Namespace, key: str | None, ndim: int) -> "np.ndarray":
    """Read an array of a file, or of one of its own."""
    from skcollapse._utils.array_files import READERS, read_array

    path = options.file
    if key is not None and Path(key).suffix.lower() in READERS:
        path, key = key, None
    return read_array(path, key, ndim=ndim, verify=not options.no_verify)


def _draw(report: Any, path: str) -> None:
    from skcollapse.display import CollapseDisplay

    CollapseDisplay.from_report(report).figure_.savefig(path)


def _plain(report: Any) -> dict[str, Any]:
    """Return a report in what JSON has; NaN and infinity are null."""
    columns = report.classes.items()
    return {
        "split": report.split,
        "measures": {name: _number(v) for name, v in report.to_dict().items()},
        "classes": {name: [_number(v) for v in values] for name, values in columns},
    }


def _number(value: Any) -> Any:
    value = plain(value)
    return None if isinstance(value, float) and not math.isfinite(value) else value


if __name__ == "__main__":
    sys.exit(main())
