"""Boosted trees with LightGBM; its autologging writes metrics of every round, importances, the data and the model."""

from __future__ import annotations

import sys

import lightgbm
import mlflow
from into_production import equal, put_into_production, served, tell
from sklearn.datasets import load_diabetes
from sklearn.model_selection import train_test_split

ROUNDS = 15
data, target = load_diabetes(return_X_y=True, as_frame=True)
x, x_test, y, y_test = train_test_split(data, target, random_state=0)


def main(name: str) -> None:
    """Train and tell."""
    mlflow.set_experiment(name)
    mlflow.lightgbm.autolog(registered_model_name=name)
    train = lightgbm.Dataset(x, y)
    how = {"objective": "regression", "metric": "l2", "num_leaves": 7, "verbosity": -1, "seed": 0, "num_threads": 1}
    booster = lightgbm.train(
        how, train, ROUNDS, valid_sets=[train, lightgbm.Dataset(x_test, y_test, reference=train)],
        valid_names=["train", "valid"],
    )  # fmt: skip
    version = put_into_production(name)
    client = mlflow.MlflowClient()
    points = client.get_metric_history(version.run_id, "train-l2")
    files = {each.path for each in client.list_artifacts(version.run_id)}
    tell(
        version,
        equal=equal(served(name, mlflow.lightgbm.load_model).predict(x_test), booster.predict(x_test)),
        by_pyfunc=equal(served(name).predict(x_test), booster.predict(x_test)),
        points=[each.step for each in points] == list(range(ROUNDS)),
        importance="feature_importance_gain.json" in files,
    )


if __name__ == "__main__":
    main(sys.argv[1])
