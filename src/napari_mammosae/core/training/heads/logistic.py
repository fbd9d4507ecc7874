"""Logistic regression in folds of patients, by scikit-learn, given back as a linear layer on the plain channels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.special import log_softmax

from ...base.progress import ignore

if TYPE_CHECKING:
    from ...base.progress import Report
    from ...stats.measures import FloatArray, IntArray

STRENGTHS = (1e-5, 1e-4, 1e-3, 1e-2, 1e-1, 1.0, 10.0)
"""Inverse weights of the penalty that are tried, on standardised channels."""
INNER_FOLDS = 3


@dataclass(frozen=True, slots=True, eq=False)
class Fitted:
    """A linear layer trained on all images, and what others like it say of images that these have not seen.

    Attributes
    ----------
    weight, bias
        (C, d) and (C,), float64; C is 1 for two classes.
    scores
        (n, C): of each image by a layer that was trained without its patient: the logit, or of several classes the
        logarithms of the probabilities.
    strength
        Inverse weight of the penalty.
    """

    weight: FloatArray
    bias: FloatArray
    scores: FloatArray
    strength: float


def fit_folds(
    features: np.ndarray,
    positions: IntArray,
    patients: np.ndarray,
    folds: int,
    seed: int = 0,
    report: Report = ignore,
    what: str = "",
) -> Fitted:
    """Train a linear layer, and measure others like it on patients that they have not seen.

    Parameters
    ----------
    features : (n, d)
        Pooled channels.
    positions, patients : (n,)
        Class of each image, from 0, and its patient.
    folds, seed
        Of the patients; inside of what each fold trains on, three more choose the strength of the penalty by the
        log loss.
    report, what
        Called with the progress; what to call the training.
    """
    splitter, search = _folds(folds, seed), _search(np.unique(positions), seed)
    x = np.asarray(features, np.float64)
    scores: FloatArray = np.zeros((len(x), 1 if positions.max() == 1 else int(positions.max()) + 1))
    for done, (train, test) in enumerate(splitter.split(x, positions, patients)):
        report(f"Training a head for {what}", done, folds + 1)
        weight, bias, _ = _fit(search, x[train], positions[train], patients[train])
        logits = x[test] @ weight.T + bias
        scores[test] = logits if logits.shape[1] == 1 else log_softmax(logits, axis=1)
    report(f"Training a head for {what}", folds, folds + 1)
    weight, bias, strength = _fit(search, x, positions, patients)
    report(f"Training a head for {what}", folds + 1, folds + 1)
    return Fitted(weight, bias, scores, strength)


def _fit(search: Any, x: FloatArray, y: IntArray, patients: np.ndarray) -> tuple[FloatArray, FloatArray, float]:
    """Weight, bias and strength; standardisation is folded in."""
    scaler, layer = search.fit(x, y, groups=patients).best_estimator_.named_steps.values()
    weight = layer.coef_ / scaler.scale_
    return weight, layer.intercept_ - weight @ scaler.mean_, float(layer.C)


def _folds(count: int, seed: int) -> Any:
    from sklearn.model_selection import StratifiedGroupKFold

    return StratifiedGroupKFold(count, shuffle=True, random_state=seed)


def _search(classes: IntArray, seed: int) -> Any:
    from sklearn.linear_model import LogisticRegression
    from sklearn.metrics import log_loss, make_scorer
    from sklearn.model_selection import GridSearchCV
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    loss = make_scorer(log_loss, greater_is_better=False, response_method="predict_proba", labels=classes)
    layer = make_pipeline(StandardScaler(), LogisticRegression(max_iter=10_000))
    choices = {"logisticregression__C": STRENGTHS}
    return GridSearchCV(layer, choices, scoring=loss, cv=_folds(INNER_FOLDS, seed), error_score="raise")
