"""Real models on data sets that ship with scikit-learn: small, quick, and the same on every run."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from sklearn import datasets
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LinearRegression, LogisticRegression, Ridge
from sklearn.metrics import accuracy_score, mean_squared_error, r2_score, roc_auc_score
from sklearn.model_selection import train_test_split
from sklearn.naive_bayes import GaussianNB
from sklearn.neighbors import KNeighborsClassifier, KNeighborsRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

from greenroom import Dataset

SEED = 7


@dataclass(frozen=True)
class Data:
    """A data set, split once, with the digests of what was trained on and judged by."""

    name: str
    train: tuple[Any, Any]
    test: tuple[Any, Any]
    recorded: tuple[Dataset, ...]


@dataclass(frozen=True)
class Candidate:
    """A trained model with what is worth recording about it."""

    what: str
    model: Any
    metrics: Mapping[str, float]
    params: Mapping[str, str]
    data: Data
    seconds: float


Recipe = tuple[str, Callable[[], Any], Mapping[str, object]]
Judge = Callable[[Any, Any, Any], Mapping[str, float]]


def train_all() -> dict[str, list[Candidate]]:
    """Train every candidate; the candidates of each data set in the order in which they will be versions."""
    return {
        "breast_cancer": list(_train("breast_cancer", datasets.load_breast_cancer, _judge_binary, _tumours())),
        "digits": list(_train("digits", datasets.load_digits, _judge_classes, _digits())),
        "diabetes": list(_train("diabetes", datasets.load_diabetes, _judge_numbers, _diabetes())),
        "wine": list(_train("wine", datasets.load_wine, _judge_classes, _wines())),
    }


def _tumours() -> Sequence[Recipe]:
    return (
        ("naive Bayes", GaussianNB, {}),
        (
            "random forest",
            lambda: RandomForestClassifier(12, max_depth=3, random_state=SEED),
            {"trees": 12, "depth": 3},
        ),
        ("logistic regression", lambda: make_pipeline(StandardScaler(), LogisticRegression(C=0.5)), {"C": 0.5}),
    )


def _digits() -> Sequence[Recipe]:
    return (
        ("logistic regression", lambda: make_pipeline(StandardScaler(), LogisticRegression(C=0.01)), {"C": 0.01}),
        ("support vectors", lambda: SVC(gamma=0.001), {"gamma": 0.001}),
        ("5 nearest neighbours", lambda: KNeighborsClassifier(5), {"k": 5}),
    )


def _diabetes() -> Sequence[Recipe]:
    return (
        ("5 nearest neighbours", lambda: KNeighborsRegressor(5), {"k": 5}),
        ("least squares", LinearRegression, {}),
        ("ridge", lambda: Ridge(alpha=0.1), {"alpha": 0.1}),
    )


def _wines() -> Sequence[Recipe]:
    return (
        ("3 nearest neighbours", lambda: KNeighborsClassifier(3), {"k": 3}),
        ("naive Bayes", GaussianNB, {}),
    )


def _train(name: str, load: Callable[..., Any], judge: Judge, recipes: Sequence[Recipe]) -> Iterator[Candidate]:
    data = _split(name, load)
    for what, make, params in recipes:
        began = time.perf_counter()
        model = make().fit(*data.train)
        seconds = time.perf_counter() - began
        metrics = {key: round(float(value), 4) for key, value in judge(model, *data.test).items()}
        texts = {"model": what, "seed": str(SEED), **{key: str(value) for key, value in params.items()}}
        yield Candidate(what, model, metrics, texts, data, seconds)


def _split(name: str, load: Callable[..., Any]) -> Data:
    features, targets = load(return_X_y=True)
    train_x, test_x, train_y, test_y = train_test_split(features, targets, test_size=0.3, random_state=SEED)
    source = f"sklearn.datasets.load_{name}"
    recorded = (
        Dataset(f"{name}-train", digest_of(train_x, train_y), source, "training"),
        Dataset(f"{name}-test", digest_of(test_x, test_y), source, "evaluation"),
    )
    return Data(name, (train_x, train_y), (test_x, test_y), recorded)


def digest_of(*arrays: Any) -> str:
    """Return the digest of the arrays' bytes: the same data, the same digest."""
    digest = hashlib.sha256()
    for each in arrays:
        digest.update(np.ascontiguousarray(each).tobytes())
    return f"sha256:{digest.hexdigest()}"


def _judge_binary(model: Any, features: Any, targets: Any) -> Mapping[str, float]:
    return {
        "accuracy": accuracy_score(targets, model.predict(features)),
        "auc": roc_auc_score(targets, model.predict_proba(features)[:, 1]),
    }


def _judge_classes(model: Any, features: Any, targets: Any) -> Mapping[str, float]:
    return {"accuracy": accuracy_score(targets, model.predict(features))}


def _judge_numbers(model: Any, features: Any, targets: Any) -> Mapping[str, float]:
    guessed = model.predict(features)
    return {"rmse": mean_squared_error(targets, guessed) ** 0.5, "r2": r2_score(targets, guessed)}
