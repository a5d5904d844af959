"""A monitor: reports of collapse along a training run."""

from collections.abc import Iterable
from typing import Any

import numpy as np
import torch

from skcollapse._utils.arrays import Rows
from skcollapse._utils.checks import check_integer
from skcollapse.classifiers import ProjectionClassifier
from skcollapse.scorer import CollapseReport, NeuralCollapseScorer

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
    TypeError
        If `scorer` is something else.

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

    def __init__(
        self, scorer: NeuralCollapseScorer | None = None, *, every: int = 1
    ) -> None:
        if not (scorer is None or isinstance(scorer, NeuralCollapseScorer)):
            raise TypeError(
                f"scorer must be a NeuralCollapseScorer or None; got {scorer!r}."
            )
        self.scorer = NeuralCollapseScorer() if scorer is None else scorer
        self.every = check_integer("every", every, 1)
        self.reports: dict[int, CollapseReport] = {}
        self._epoch = -1
        # By the estimator in the fit: several may be fitted at once, in threads.
        self._of_fit: dict[Any, dict[int, CollapseReport]] = {}

    def record(
        self,
        X: Rows,
        y: Rows,
        *,
        classifier: Any = None,
        sample_weight: Rows | None = None,
        epoch: int | None = None,
    ) -> CollapseReport | None:
        """Measure features, if it is time.

        Parameters
        ----------
        X : array-like or tensor of shape (n_samples, n_features)
            Features.
        y : array-like or tensor of shape (n_samples,)
            Labels.
        classifier : array, tuple, torch.nn.Linear or fitted estimator, default=None
            The classifier at this epoch. None for that of `scorer`.
        sample_weight : array-like of shape (n_samples,), default=None
            Weights of the rows; None stands for ones.
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
        module: torch.nn.Module,
        loader: Iterable[Any],
        *,
        epoch: int | None = None,
        **options: Any,
    ) -> CollapseReport | None:
        """Measure a network, if it is time.

        Parameters
        ----------
        module : torch.nn.Module
            Left as it was.
        loader : iterable
            Batches with labels, left alone in between. One that shuffles draws random
            numbers.
        epoch : int, default=None
            None for the one after that of the last call, the first being 0.
        **options : keyword arguments
            As for :meth:`NeuralCollapseScorer.fit_network
            <skcollapse.NeuralCollapseScorer.fit_network>`.

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
        scorer = self._new_scorer(None).fit_network(module, loader, **options)
        return self._keep(scorer.report_)

    def setup(self, estimator: Any, context: Any) -> None:
        """Begin the reports of a fit, or raise TypeError. Called by scikit-learn."""
        if not isinstance(estimator, ProjectionClassifier):
            raise TypeError(
                "CollapseMonitor follows ETFClassifier and HUGClassifier, not "
                f"{type(estimator).__name__}. Call set_callbacks of the classifier "
                "itself, also where it is a part of another estimator."
            )
        self.reports = self._of_fit[estimator] = {}

    def on_fit_task_begin(self, estimator: Any, context: Any) -> None:
        """Do nothing. Called by scikit-learn."""

    def on_fit_task_end(
        self,
        estimator: Any,
        context: Any,
        *,
        X: Any = None,
        y: Any = None,
        metadata: dict[str, Any] | None = None,
        fitted_estimator: Any = None,
    ) -> None:
        """Measure the projected rows, if it is time. Called by scikit-learn.

        A trial of a search ends without a fitted estimator.
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

    def teardown(self, estimator: Any, context: Any) -> None:
        """End the reports of a fit. Called by scikit-learn."""
        self._of_fit.pop(estimator, None)

    def curve(self, name: str) -> tuple[np.ndarray, np.ndarray]:
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

    def _is_due(self, epoch: int | None) -> bool:
        following = self._epoch + 1
        self._epoch = following if epoch is None else check_integer("epoch", epoch, 0)
        return self._epoch % self.every == 0

    def _new_scorer(self, classifier: Any) -> NeuralCollapseScorer:
        parameters = self.scorer.get_params(deep=False)
        if classifier is not None:
            parameters["classifier"] = classifier
        return type(self.scorer)(**parameters)

    def _keep(self, report: CollapseReport) -> CollapseReport:
        self.reports[self._epoch] = report
        return report
