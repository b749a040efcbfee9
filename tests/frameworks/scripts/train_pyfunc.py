"""A model of one's own with a package of one's own and a file of data: it must be served where neither is."""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path

import mlflow
import numpy as np
from into_production import put_into_production, tell
from sklearn.datasets import load_wine

CODE = '''
"""Classifies by the nearest centre; knows nothing of MLflow."""
import json

import numpy as np


def nearest(centres, rows):
    return np.argmin(((rows[:, None, :] - centres[None]) ** 2).sum(2), axis=1)


def read(path):
    with open(path) as file:
        found = json.load(file)
    return np.array(found["centres"]), np.array(found["scale"])
'''
INIT = '"""A package that exists in the training\'s folder only."""\n'


class ByCentre(mlflow.pyfunc.PythonModel):
    """Loads its data when it is loaded, and its code from the package that came along."""

    def load_context(self, context):
        from centres_of_wine.classify import read

        self.centres, self.scale = read(context.artifacts["centres"])

    def predict(self, context, model_input, params=None):
        from centres_of_wine.classify import nearest

        return nearest(self.centres, np.asarray(model_input) / self.scale)


def main(name: str) -> None:
    """Fit, log with code and data, promote, and tell what it predicted here."""
    mlflow.set_experiment(name)
    rows, kinds = load_wine(return_X_y=True)
    scale = rows.std(0)
    with tempfile.TemporaryDirectory() as folder, mlflow.start_run():
        package = Path(folder, "centres_of_wine")
        package.mkdir()
        (package / "__init__.py").write_text(INIT)
        (package / "classify.py").write_text(CODE)
        centres = [((rows / scale)[kinds == kind].mean(0)).tolist() for kind in range(3)]
        Path(folder, "centres.json").write_text(json.dumps({"centres": centres, "scale": scale.tolist()}))
        sys.path.insert(0, folder)
        model = ByCentre()
        context = mlflow.pyfunc.PythonModelContext({"centres": f"{folder}/centres.json"}, {})
        model.load_context(context)
        guessed = model.predict(context, rows)
        del model.centres, model.scale
        mlflow.log_param("classes", 3)
        mlflow.log_metric("accuracy", float((guessed == kinds).mean()))
        mlflow.log_input(mlflow.data.from_numpy(rows, name="wine"), context="training")
        mlflow.pyfunc.log_model(
            name="centres", python_model=model, artifacts={"centres": f"{folder}/centres.json"},
            code_paths=[str(package)], registered_model_name=name, pip_requirements=["numpy"],
            signature=mlflow.models.infer_signature(rows, guessed),
        )  # fmt: skip
        sys.path.remove(folder)
    tell(put_into_production(name), guessed=guessed.tolist())


if __name__ == "__main__":
    main(sys.argv[1])
