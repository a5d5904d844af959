"""Classifiers with a fixed geometry and measures of neural collapse.

Where should the classes sit, how are features brought there, and how far are they
from it?
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from skcollapse.classifiers import ETFClassifier, HUGClassifier
    from skcollapse.scorer import NeuralCollapseScorer

__all__ = ["ETFClassifier", "HUGClassifier", "NeuralCollapseScorer", "__version__"]

__version__ = "0.1.0.dev0"

_CLASSES = {
    "ETFClassifier": "classifiers",
    "HUGClassifier": "classifiers",
    "NeuralCollapseScorer": "scorer",
}
_SUBMODULES = {
    "classifiers",
    "datasets",
    "display",
    "extract",
    "losses",
    "measures",
    "metrics",
    "moments",
    "monitor",
    "projectors",
    "scorer",
    "targets",
    "training",
}


def __getattr__(name: str) -> Any:
    """Import a class or a submodule when it is asked for: torch takes its time."""
    if name in _CLASSES:
        return getattr(import_module(f"{__name__}.{_CLASSES[name]}"), name)
    if name in _SUBMODULES:
        return import_module(f"{__name__}.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *_CLASSES, *_SUBMODULES})
