"""Hyperparameters sought by Optuna, each trial a nested run by its own MLflow callback; the best becomes a version."""

from __future__ import annotations

import sys

import mlflow
import optuna
from into_production import equal, put_into_production, served, tell
from optuna_integration.mlflow import MLflowCallback
from sklearn.datasets import load_wine
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

TRIALS = 6
optuna.logging.set_verbosity(optuna.logging.ERROR)
x, y = load_wine(return_X_y=True)


def model_with(strength: float) -> object:
    """Return the model that is tuned."""
    return make_pipeline(StandardScaler(), LogisticRegression(C=strength, max_iter=300))


def main(name: str) -> None:
    """Tune, train the best, log it under the parent run, promote, and tell."""
    mlflow.set_experiment(name)
    callback = MLflowCallback(metric_name="accuracy", create_experiment=False, mlflow_kwargs={"nested": True})

    def objective(trial: optuna.Trial) -> float:
        strength = trial.suggest_float("C", 1e-3, 1e2, log=True)
        return float(cross_val_score(model_with(strength), x, y, cv=3).mean())

    with mlflow.start_run(run_name="study") as parent:
        study = optuna.create_study(study_name=name, direction="maximize", sampler=optuna.samplers.TPESampler(seed=0))
        study.optimize(objective, n_trials=TRIALS, callbacks=[callback])
        best = model_with(study.best_params["C"]).fit(x, y)
        mlflow.log_params(study.best_params)
        mlflow.log_metric("accuracy", study.best_value)
        mlflow.log_input(mlflow.data.from_numpy(x, targets=y, name="wine"), context="training")
        mlflow.sklearn.log_model(best, name="best", registered_model_name=name, pip_requirements=["scikit-learn"])
    version = put_into_production(name)
    children = mlflow.search_runs(
        filter_string=f"tags.mlflow.parentRunId = '{parent.info.run_id}'",
        order_by=["metrics.accuracy DESC"],
        output_format="list",
    )
    tell(
        version,
        trials=len(children),
        best=children[0].data.metrics["accuracy"] == study.best_value,
        params=[float(each.data.params["C"]) for each in children] != [],
        equal=equal(served(name).predict(x), best.predict(x)),
        distributions=children[0].data.tags["C_distribution"].startswith("FloatDistribution"),
    )


if __name__ == "__main__":
    main(sys.argv[1])
