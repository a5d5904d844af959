"""Whether a scatter matrix is worth its time and memory."""

# Multiplications for which a scatter matrix takes some hundredths of a second.
_CHEAP_SCATTER = 2**30
# Values of the scatter matrices of all classes: 128 MiB.
_CHEAP_CLASS_SCATTER = 2**24


def wants_scatter(scatter, metric, n_samples, n_features):
    """Return whether to gather the scatter matrix of rows that may be seen twice."""
    if scatter != "auto":
        return scatter
    cheap = n_samples * n_features**2 <= _CHEAP_SCATTER and n_features <= 1024
    return cheap or metric == "vci"


def streamed_scatter(scatter, n_classes, n_features):
    """Return the value of ``scatter`` for moments of rows that are seen once."""
    if scatter is False:
        return False
    return "class" if n_classes * n_features**2 <= _CHEAP_CLASS_SCATTER else True
