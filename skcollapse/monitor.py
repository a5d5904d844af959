"""A monitor: reports of collapse along a training run."""

from numbers import Integral

import numpy as np

from skcollapse.scorer import NeuralCollapseScorer

__all__ = ["CollapseMonitor"]


class CollapseMonitor:
    """Collect a report of neural collapse every so many epochs.

    Parameters
    ----------
    scorer : NeuralCollapseScorer, default=None
        Says how to measure; never fitted itself. None for the defaults.
    every : int, default=1
        Epochs from one report to the next. Those in between cost nothing.

    Attributes
    ----------
    reports : dict of int to CollapseReport
        By epoch.

    Raises
    ------
    ValueError
        If `every` is not a positive integer.

    See Also
    --------
    skcollapse.display.CollapseDisplay : Draws ``reports`` with ``from_history``.

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
