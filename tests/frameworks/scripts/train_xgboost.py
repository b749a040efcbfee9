"""Boosted trees with XGBoost, its autologging writes every round of it, and registers the model."""

from __future__ import annotations

import sys

import mlflow
import xgboost
from into_production import equal, put_into_production, served, tell
from sklearn.datasets import load_breast_cancer
from sklearn.model_selection import train_test_split

ROUNDS = 15
data, target = load_breast_cancer(return_X_y=True, as_frame=True)
x, x_test, y, y_test = train_test_split(data, target, random_state=0)


def main(name: str) -> None:
    """Train and tell."""
    mlflow.set_experiment(name)
    mlflow.xgboost.autolog(registered_model_name=name)
    train, test = xgboost.DMatrix(x, y), xgboost.DMatrix(x_test, y_test)
    how = {"max_depth": 3, "eta": 0.3, "objective": "binary:logistic", "eval_metric": "logloss", "seed": 0}
    booster = xgboost.train(
        how, train, ROUNDS, evals=[(train, "train"), (test, "valid")], verbose_eval=False, early_stopping_rounds=5
    )
    version = put_into_production(name)
    points = mlflow.MlflowClient().get_metric_history(version.run_id, "valid-logloss")
    loaded = served(name, mlflow.xgboost.load_model)
    same = equal(loaded.predict(test), booster.predict(test))
    tell(
        version,
        equal=same,
        points=len(points),
        falls=points[0].value > points[-1].value,
        by_pyfunc=equal(served(name).predict(x_test), booster.predict(test)),
    )


if __name__ == "__main__":
    main(sys.argv[1])
