"""A monitor: reports of collapse along a training run."""

from numbers import Integral

import numpy as np

from skcollapse.classifiers import ProjectionClassifier
from skcollapse.scorer import NeuralCollapseScorer

__all__ = ["CollapseMonitor"]


class CollapseMonitor:
    """Collect a report of neural collapse every so many epochs.

    In a training loop of your own, call :meth:`record` or :meth:`record_network` once
    an epoch. For a classifier of this package it is a callback instead, which needs
    scikit-learn 1.9: ``set_callbacks(CollapseMonitor())`` before ``fit`` measures the
    projected training rows, with the class vectors as the classifier.

    Parameters
    ----------
    scorer : NeuralCollapseScorer, default=None
        Says how to measure; never fitted itself. None for the defaults.
    every : int, default=1
        Epochs from one report to the next. Those in between cost nothing, or a copy of
        the estimator if the monitor is a callback.

    Attributes
    ----------
    reports : dict of int to CollapseReport
        By epoch, or by iteration. As a callback, those of the fit that began last: a
        fit begins a new dict, and ends with a report whatever `every` says.

    Raises
    ------
    ValueError
        If `every` is not a positive integer.

    See Also
    --------
    skcollapse.display.CollapseDisplay : Draws ``reports`` with ``from_history``.

    Notes
    -----
    A copy of the estimator that is cloned or pickled goes on with the monitor, or with
    a copy of it. After a grid search, ``reports`` are those of the refit, whatever
    ``n_jobs``: copies in worker processes keep what they measured to themselves.

    Iterations that can be measured are the epochs of "mlp" and of modules, and those
    that fit a linear or kernel projector if it is one candidate alone. Of an average
    of several, and of a closed form, there is the report of the end.

    Examples
    --------
    >>> import torch
    >>> from sklearn.datasets import load_iris
    >>> from torch.utils.data import DataLoader, TensorDataset
    >>> from skcollapse.monitor import CollapseMonitor
    >>> X, y = map(torch.from_numpy, load_iris(return_X_y=True))
    >>> _ = torch.manual_seed(0)
    >>> network = torch.nn.Sequential(
    ...     torch.nn.Linear(4, 16), torch.nn.ReLU(), torch.nn.Linear(16, 3)
    ... )
    >>> optimizer = torch.optim.Adam(network.parameters(), 0.01)
    >>> loader = DataLoader(TensorDataset(X.float(), y), 50, shuffle=True)
    >>> monitor = CollapseMonitor(every=20)
    >>> for epoch in range(61):
    ...     _ = monitor.record_network(network, loader)
    ...     for rows, labels in loader:
    ...         optimizer.zero_grad()
    ...         torch.nn.functional.cross_entropy(network(rows), labels).backward()
    ...         _ = optimizer.step()
    >>> epochs, nc1 = monitor.curve("nc1")
    >>> epochs
    array([ 0, 20, 40, 60])
    >>> bool(nc1[-1] < nc1[0])
    True
    """

    def __init__(self, scorer=None, *, every=1):
        if not isinstance(every, Integral) or isinstance(every, bool) or every < 1:
            raise ValueError(f"every must be an integer of at least 1, got {every!r}.")
        self.scorer = NeuralCollapseScorer() if scorer is None else scorer
        self.every = every
        self.reports = {}
        self._epoch = -1
        # By the estimator in the fit: several may be fitted at once, in threads.
        self._of_fit = {}

    def record(self, X, y, *, classifier=None, sample_weight=None, epoch=None):
        """Measure features, if it is time.

        Parameters
        ----------
        X : array-like or tensor of shape (n_samples, n_features)
        y : array-like or tensor of shape (n_samples,)
        classifier : array, tuple, torch.nn.Linear or fitted estimator, default=None
            The classifier at this epoch. None for that of `scorer`.
        sample_weight : array-like of shape (n_samples,), default=None
        epoch : int, default=None
            None for the one after that of the last call, the first being 0.

        Returns
        -------
        CollapseReport or None
            None in between.

        Raises
        ------
        ValueError
            As :meth:`NeuralCollapseScorer.fit <skcollapse.NeuralCollapseScorer.fit>`.
        """
        if not self._is_due(epoch):
            return None
        scorer = self._new_scorer(classifier).fit(X, y, sample_weight)
        return self._keep(scorer.report_)

    def record_network(
        self,
        module,
        loader,
        *,
        classes=None,
        layer=None,
        device="auto",
        autocast=None,
        epoch=None,
    ):
        """Measure a network, if it is time.

        Parameters
        ----------
        module, loader, classes, layer, device, autocast
            As in :meth:`NeuralCollapseScorer.fit_network
            <skcollapse.NeuralCollapseScorer.fit_network>`. The loader is left alone in
            between. A loader that shuffles draws random numbers.
        epoch : int, default=None
            None for the one after that of the last call, the first being 0.

        Returns
        -------
        CollapseReport or None
            None in between.

        Raises
        ------
        ValueError, TypeError
            As there.
        """
        if not self._is_due(epoch):
            return None
        scorer = self._new_scorer(None).fit_network(
            module,
            loader,
            classes=classes,
            layer=layer,
            device=device,
            autocast=autocast,
        )
        return self._keep(scorer.report_)

    def setup(self, estimator, context):
        """Begin the reports of a fit. Called by scikit-learn.

        Parameters
        ----------
        estimator : ETFClassifier or HUGClassifier
        context : sklearn.callback.CallbackContext

        Raises
        ------
        TypeError
            If it is any other estimator.
        """
        if not isinstance(estimator, ProjectionClassifier):
            raise TypeError(
                "CollapseMonitor follows ETFClassifier and HUGClassifier, not "
                f"{type(estimator).__name__}. Call set_callbacks of the classifier "
                "itself, also where it is a part of another estimator."
            )
        self.reports = self._of_fit[estimator] = {}

    def on_fit_task_begin(self, estimator, context):
        """Do nothing. Called by scikit-learn.

        Parameters
        ----------
        estimator : ETFClassifier or HUGClassifier
        context : sklearn.callback.CallbackContext
        """

    def on_fit_task_end(
        self,
        estimator,
        context,
        *,
        X=None,
        y=None,
        metadata=None,
        fitted_estimator=None,
    ):
        """Measure the projected rows, if it is time. Called by scikit-learn.

        Parameters
        ----------
        estimator : ETFClassifier or HUGClassifier
        context : sklearn.callback.CallbackContext
        X, y : arrays
            The training rows.
        metadata : dict or None
            With "sample_weight" where there are weights.
        fitted_estimator : estimator or None
            As far as it is fitted. There is none after a trial of a search.
        """
        if fitted_estimator is None:
            return
        reports, epoch = self._of_fit[estimator], fitted_estimator.n_iter_
        is_last = context.task_name == "fit"
        if epoch in reports or not (is_last or epoch % self.every == 0):
            return
        scorer = self._new_scorer(fitted_estimator.target_)
        weight = (metadata or {}).get("sample_weight")
        reports[epoch] = scorer.fit(fitted_estimator.transform(X), y, weight).report_

    def teardown(self, estimator, context):
        """End the reports of a fit. Called by scikit-learn.

        Parameters
        ----------
        estimator : ETFClassifier or HUGClassifier
        context : sklearn.callback.CallbackContext
        """
        self._of_fit.pop(estimator, None)

    def curve(self, name):
        """Return a measure along training.

        Parameters
        ----------
        name : str
            A key of ``to_dict()`` of the reports.

        Returns
        -------
        epochs : ndarray of shape (n_reports,), int
        values : ndarray of shape (n_reports,), float64

        Raises
        ------
        KeyError
            If the reports have no such measure.
        """
        epochs = np.array(list(self.reports), dtype=int)
        return epochs, np.array([report[name] for report in self.reports.values()])

    def _is_due(self, epoch):
        self._epoch = self._epoch + 1 if epoch is None else int(epoch)
        return self._epoch % self.every == 0

    def _new_scorer(self, classifier):
        parameters = self.scorer.get_params(deep=False)
        if classifier is not None:
            parameters["classifier"] = classifier
        return type(self.scorer)(**parameters)

    def _keep(self, report):
        self.reports[self._epoch] = report
        return report
