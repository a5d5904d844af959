"""The estimators of scikit-learn that stand beside ours, each made fair.

All of them answer for classes of equal frequency: by class weights, uniform priors, or
post-hoc logit adjustment, which divides probabilities by the class frequencies.
"""

import numpy as np
from scipy.special import log_softmax, softmax
from sklearn.base import BaseEstimator, ClassifierMixin, TransformerMixin, clone
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.kernel_approximation import Nystroem
from sklearn.linear_model import LogisticRegression, RidgeClassifier
from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import FeatureUnion, Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

C_GRID = np.logspace(-4, 2, 7)
MAX_ITER = 1000
# Larger C are not tried once the held-out loss has risen by this factor.
HOPELESS = 1.1


class GlobalScaler(TransformerMixin, BaseEstimator):
    """Centre the features and divide them all by one number.

    The mean squared norm of a row becomes ``n_features``: None is as many as X has,
    the norm of standardised features.
    """

    def __init__(self, n_features=None):
        self.n_features = n_features

    def fit(self, X, y=None):
        self.center_ = X.mean(axis=0)
        squared_norm = np.mean((X - self.center_) ** 2) * X.shape[1]
        # A Python number, which leaves float32 as it is.
        self.factor_ = float(np.sqrt((self.n_features or X.shape[1]) / squared_norm))
        return self

    def transform(self, X):
        return (X - self.center_) * self.factor_


class LogitAdjusted(ClassifierMixin, BaseEstimator):
    """Divide the probabilities of an estimator by the class frequencies."""

    def __init__(self, estimator):
        self.estimator = estimator

    def fit(self, X, y):
        self.estimator_ = clone(self.estimator).fit(X, y)
        self.classes_, counts = np.unique(y, return_counts=True)
        self.log_prior_ = np.log(counts / counts.sum())
        return self

    def predict_log_proba(self, X):
        # The probability of a rare class may be zero in float32.
        log_proba = np.log(np.maximum(self.estimator_.predict_proba(X), 1e-30))
        return log_softmax(log_proba - self.log_prior_, axis=1)

    def predict_proba(self, X):
        return softmax(self.predict_log_proba(X), axis=1)

    def predict(self, X):
        return self.classes_[self.predict_log_proba(X).argmax(axis=1)]


def balanced_log_loss(y, log_proba, classes):
    """Mean over classes of the mean log-loss; rows of other classes do not count."""
    known = np.isin(y, classes)
    loss = -log_proba[known, np.searchsorted(classes, y[known])]
    return np.mean([loss[y[known] == k].mean() for k in np.unique(y[known])])


class SearchedLogistic(ClassifierMixin, BaseEstimator):
    """LogisticRegression with scaling and C by class-balanced held-out log-loss.

    Three folds that keep groups whole; each C starts from the solution of the one
    before. ``kernel`` adds Nyström features of the Gaussian kernel.
    """

    def __init__(
        self, scalers=("passthrough",), *, adjust=False, kernel=False, Cs=C_GRID, seed=0
    ):
        self.scalers = scalers
        self.adjust = adjust
        self.kernel = kernel
        self.Cs = Cs
        self.seed = seed

    def _features(self, scaler, X):
        scaler = clone(scaler) if hasattr(scaler, "fit") else scaler
        if not self.kernel:
            return Pipeline([("scale", scaler)])
        nystroem = Nystroem(n_components=min(len(X) // 5, 1000), random_state=self.seed)
        # Both blocks have the same norm: the penalty leaves the choice between them.
        kernel = make_pipeline(nystroem, GlobalScaler(X.shape[1]))
        both = FeatureUnion([("linear", "passthrough"), ("kernel", kernel)])
        return Pipeline([("scale", scaler), ("both", both)])

    def _path(self, features, X, y, Cs):
        """Yield the fitted estimator of each C, from strong to weak penalty."""
        Z = features.fit_transform(X)
        model = LogisticRegression(
            class_weight=None if self.adjust else "balanced",
            max_iter=MAX_ITER,
            warm_start=True,
        )
        for C in Cs:
            yield model.set_params(C=C).fit(Z, y)

    def _log_proba(self, model, Z, log_prior):
        scores = model.decision_function(Z)
        if scores.ndim == 1:
            scores = np.column_stack([np.zeros_like(scores), scores])
        return log_softmax(scores - log_prior if self.adjust else scores, axis=1)

    def _held_out(self, scaler, X, y, train, test):
        """Return the loss of each C on a fold; those that are not tried have no end."""
        features = self._features(scaler, X[train])
        losses, log_prior = np.full(len(self.Cs), np.inf), _log_prior(y[train])
        Z_test = None
        for place, model in enumerate(
            self._path(features, X[train], y[train], self.Cs)
        ):
            Z_test = features.transform(X[test]) if Z_test is None else Z_test
            log_proba = self._log_proba(model, Z_test, log_prior)
            losses[place] = balanced_log_loss(y[test], log_proba, model.classes_)
            if losses[place] > HOPELESS * losses.min():
                break
        return losses

    def fit(self, X, y, groups=None):
        if groups is None:
            folds = StratifiedKFold(3, shuffle=True, random_state=self.seed)
        else:
            folds = StratifiedGroupKFold(3, shuffle=True, random_state=self.seed)
        losses = np.zeros((len(self.scalers), len(self.Cs)))
        for train, test in folds.split(X, y, groups):
            for row, scaler in zip(losses, self.scalers, strict=True):
                row += self._held_out(scaler, X, y, train, test)
        scaler, strength = np.unravel_index(losses.argmin(), losses.shape)
        self.C_ = self.Cs[strength]
        self.features_ = self._features(self.scalers[scaler], X)
        (self.model_,) = self._path(self.features_, X, y, [self.C_])
        self.classes_, self.log_prior_ = self.model_.classes_, _log_prior(y)
        return self

    def predict_proba(self, X):
        Z = self.features_.transform(X)
        return softmax(self._log_proba(self.model_, Z, self.log_prior_), axis=1)

    def predict(self, X):
        return self.classes_[self.predict_proba(X).argmax(axis=1)]


def _log_prior(y):
    counts = np.unique(y, return_counts=True)[1]
    return np.log(counts / counts.sum())


def standardised(estimator):
    return make_pipeline(StandardScaler(), estimator)


FAIR_PEER = "Nystroem + scaling search + LR + LA, C by CV"


def make_peers(n_classes, seed):
    """Return {name: unfitted estimator}; "LA" is post-hoc logit adjustment."""
    scaler = StandardScaler()

    def balanced(C):
        return LogisticRegression(C=C, class_weight="balanced", max_iter=MAX_ITER)

    def plain(C):
        return LogitAdjusted(LogisticRegression(C=C, max_iter=MAX_ITER))

    def lda():
        return LinearDiscriminantAnalysis(
            solver="lsqr", shrinkage="auto", priors=np.full(n_classes, 1 / n_classes)
        )

    def mlp():
        return MLPClassifier((256,), max_iter=MAX_ITER, random_state=seed)

    peers = {
        "LR balanced, raw, C=1": balanced(1),
        "LR balanced, raw, C=.01": balanced(0.01),
        "LR balanced, standardised, C=1": standardised(balanced(1)),
        "LR balanced, standardised, C=.01": standardised(balanced(0.01)),
        "LR balanced, raw, C by CV": SearchedLogistic(seed=seed),
        "LR balanced, standardised, C by CV": SearchedLogistic((scaler,), seed=seed),
        "LR + LA, raw, C=.01": plain(0.01),
        "LR + LA, standardised, C=.01": standardised(plain(0.01)),
        "LR + LA, raw, C by CV": SearchedLogistic(adjust=True, seed=seed),
        "LR + LA, standardised, C by CV": SearchedLogistic(
            (scaler,), adjust=True, seed=seed
        ),
        "LDA, uniform priors, shrinkage auto": lda(),
        "MLPClassifier(256), standardised": standardised(mlp()),
        "MLPClassifier(256) + LA, standardised": standardised(LogitAdjusted(mlp())),
        "RidgeClassifier balanced, standardised": standardised(
            RidgeClassifier(class_weight="balanced")
        ),
        "SVC balanced, standardised": standardised(SVC(class_weight="balanced")),
        FAIR_PEER: SearchedLogistic(
            (GlobalScaler(), scaler), adjust=True, kernel=True, seed=seed
        ),
    }
    return peers
