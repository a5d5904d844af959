"""All that a fit leaves on a classifier, in one step."""


def fitted_attributes(state, classes, counts, extractor):
    """Return all attributes of a fitted classifier.

    Parameters
    ----------
    state : dict
        What `fit_projection` returns.
    classes : ndarray of shape (n_classes,)
    counts : ndarray of shape (n_classes,)
    extractor : torch.nn.Module, FeatureExtractor or None
        The one whose features these are; a trained one is in the state.

    Returns
    -------
    dict
    """
    scores = state["target_"].T / state["temperature_"]
    return {
        "extractor_": extractor,
        **state,
        "classes_": classes,
        "class_counts_": counts,
        "_scorer": state["projection_"].followed_by(scores),
    }
