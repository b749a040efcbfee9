"""Another process, as a server of models is: it has the model's name and nothing else."""

from __future__ import annotations

import importlib.util
import json
import sys

from into_production import served
from sklearn.datasets import load_wine


def main(name: str) -> None:
    """Load what is in Production and tell what it predicts."""
    before = importlib.util.find_spec("centres_of_wine") is not None
    model = served(name)
    print(json.dumps({"code was here": before, "guessed": model.predict(load_wine(return_X_y=True)[0]).tolist()}))


if __name__ == "__main__":
    main(sys.argv[1])
