"""Ordinary training code: scikit-learn and mlflow, nothing else. Where it logs to, MLFLOW_TRACKING_URI says.

MLFLOW_TRACKING_URI=http://127.0.0.1:5000 python train.py tumour
"""

from __future__ import annotations

import sys

import mlflow
from sklearn.datasets import load_breast_cancer
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import accuracy_score, roc_auc_score
from sklearn.model_selection import train_test_split
from sklearn.naive_bayes import GaussianNB
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

SEED = 7
# A tree inside a forest is a type that skops does not know; MLflow 3.17 saves with skops and asks for a word of trust.
TRUSTED = ["sklearn.tree._tree.Tree"]
MODELS = (
    ("naive Bayes", GaussianNB(), {}, None),
    (
        "random forest",
        RandomForestClassifier(12, max_depth=3, random_state=SEED),
        {"trees": 12, "depth": 3},
        TRUSTED,
    ),
    ("logistic regression", make_pipeline(StandardScaler(), LogisticRegression(C=0.5)), {"C": 0.5}, None),
)


def main(name: str) -> None:
    """Train three models, log what they are and how good, and register each."""
    mlflow.set_experiment(name)
    cells, kinds = load_breast_cancer(return_X_y=True)
    train_x, test_x, train_y, test_y = train_test_split(cells, kinds, test_size=0.3, random_state=SEED)
    for what, model, params, trusted in MODELS:
        with mlflow.start_run(run_name=what):
            mlflow.log_params({"model": what, "seed": SEED, **params})
            mlflow.log_input(mlflow.data.from_numpy(train_x, targets=train_y, name="cells"), context="training")
            model.fit(train_x, train_y)
            mlflow.log_metric("accuracy", round(accuracy_score(test_y, model.predict(test_x)), 4))
            mlflow.log_metric("auc", round(roc_auc_score(test_y, model.predict_proba(test_x)[:, 1]), 4))
            mlflow.sklearn.log_model(
                model,
                name="classifier",
                registered_model_name=name,
                signature=mlflow.models.infer_signature(train_x, model.predict(train_x)),
                pip_requirements=["scikit-learn", "skops"],
                skops_trusted_types=trusted,
            )


if __name__ == "__main__":
    main(sys.argv[1])
