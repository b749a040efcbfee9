"""A grid search and a forest with scikit-learn: autologging, child runs, and the formats in which models are saved."""

from __future__ import annotations

import sys

import mlflow
from into_production import equal, put_into_production, served, tell
from mlflow.exceptions import MlflowException
from mlflow.models import infer_signature
from sklearn.datasets import load_breast_cancer
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

THREE = not mlflow.__version__.startswith("2.")
TREE = "sklearn.tree._tree.Tree"
NEEDS = ["scikit-learn"]
data, target = load_breast_cancer(return_X_y=True, as_frame=True)
x, x_test, y, y_test = train_test_split(data, target, random_state=0)


def search_grid(name: str) -> dict[str, object]:
    """Autologging writes the search, a child run for each try, and the model, and registers it."""
    mlflow.set_experiment(f"{name} grid")
    mlflow.sklearn.autolog(registered_model_name=name)
    line = make_pipeline(StandardScaler(), LogisticRegression(max_iter=300))
    with mlflow.start_run(run_name="grid") as run:
        grid = GridSearchCV(line, {"logisticregression__C": [0.01, 0.1, 1.0]}, cv=3).fit(x, y)
        grid.score(x_test, y_test)
    mlflow.sklearn.autolog(disable=True)
    tried = mlflow.search_runs(
        filter_string=f"tags.mlflow.parentRunId = '{run.info.run_id}'",
        order_by=["metrics.mean_test_score DESC"],
        output_format="list",
    )
    version = put_into_production(name)
    return {
        "version": int(version.version),
        "run": version.run_id == run.info.run_id,
        "tried": [each.data.params["logisticregression__C"] for each in tried],
        "best": str(grid.best_params_["logisticregression__C"]),
        "equal": equal(served(name).predict(x_test), grid.predict(x_test)),
    }


def save_forest(name: str, **how: object) -> dict[str, object]:
    """A forest holds a type that skops does not know; MLflow 3.17 asks for a word of trust, or for another format."""
    mlflow.set_experiment(f"{name} forest")
    forest = RandomForestClassifier(20, max_depth=4, random_state=0).fit(x, y)
    where = {"name": "forest"} if THREE else {"artifact_path": "forest"}
    with mlflow.start_run():
        mlflow.log_params({"trees": 20, "depth": 4})
        mlflow.log_metric("accuracy", forest.score(x_test, y_test))
        mlflow.log_input(mlflow.data.from_pandas(x, name="cells"), context="training")
        try:
            mlflow.sklearn.log_model(
                forest, registered_model_name=name, signature=infer_signature(x, forest.predict(x)),
                pip_requirements=NEEDS, **where, **how,
            )  # fmt: skip
        except MlflowException as exc:
            return {"refused": TREE in exc.message}
    put_into_production(name)
    loaded = served(name, mlflow.sklearn.load_model)
    return {
        "equal": equal(loaded.predict_proba(x_test), forest.predict_proba(x_test)),
        "accuracy": forest.score(x_test, y_test),
    }


def main(name: str) -> None:
    """Train, save in every way, and tell."""
    told = {"grid": search_grid(name)}
    if THREE:
        told["untrusted"] = save_forest(f"{name}-untrusted")
        told["trusted"] = save_forest(f"{name}-trusted", skops_trusted_types=[TREE])
    told["pickled"] = save_forest(f"{name}-pickled", serialization_format="cloudpickle")
    tell(mlflow.MlflowClient().get_model_version(name, "1"), **told)


if __name__ == "__main__":
    main(sys.argv[1])
