"""A small network that reads digits, trained by an ordinary PyTorch loop and logged epoch by epoch."""

from __future__ import annotations

import sys

import mlflow
import numpy as np
import torch
from into_production import equal, put_into_production, served, tell
from mlflow.models import infer_signature
from sklearn.datasets import load_digits

EPOCHS = 12


def train(x: torch.Tensor, y: torch.Tensor) -> torch.nn.Module:
    """Train and log the loss of every epoch."""
    torch.manual_seed(0)
    net = torch.nn.Sequential(torch.nn.Linear(64, 32), torch.nn.ReLU(), torch.nn.Linear(32, 10))
    optimizer = torch.optim.Adam(net.parameters(), lr=0.01)
    for epoch in range(EPOCHS):
        for at in range(0, len(x), 128):
            optimizer.zero_grad()
            loss = torch.nn.functional.cross_entropy(net(x[at : at + 128]), y[at : at + 128])
            loss.backward()
            optimizer.step()
        mlflow.log_metric("loss", loss.item(), step=epoch)
        mlflow.log_metric("accuracy", (net(x).argmax(1) == y).float().mean().item(), step=epoch)
    return net.eval()


def main(name: str, form: str) -> None:
    """Train, save in one of the two formats, load what is in Production, and tell."""
    mlflow.set_experiment(name)
    pixels, digits = load_digits(return_X_y=True)
    pixels = (pixels / 16).astype(np.float32)
    with mlflow.start_run() as run:
        mlflow.log_params({"epochs": EPOCHS, "optimizer": "Adam", "lr": 0.01})
        mlflow.log_input(mlflow.data.from_numpy(pixels, targets=digits, name="digits"), context="training")
        net = train(torch.from_numpy(pixels), torch.from_numpy(digits))
        guessed = net(torch.from_numpy(pixels)).detach().numpy()
        more = {} if mlflow.__version__.startswith("2.") else {"serialization_format": form}
        mlflow.pytorch.log_model(
            net, name="net", registered_model_name=name, signature=infer_signature(pixels, guessed),
            input_example=pixels[:4] if form == "pt2" else None, pip_requirements=["torch", "numpy"], **more,
        )  # fmt: skip
    version = put_into_production(name)
    loaded = served(name, mlflow.pytorch.load_model)(torch.from_numpy(pixels)).detach().numpy()
    losses = mlflow.MlflowClient().get_metric_history(run.info.run_id, "loss")
    tell(
        version,
        equal=equal(loaded, guessed) if form == "pickle" else bool(np.allclose(loaded, guessed, atol=1e-5)),
        by_pyfunc=bool(np.allclose(served(name).predict(pixels), guessed, atol=1e-5)),
        steps=[each.step for each in losses] == list(range(EPOCHS)),
        loss=losses[-1].value,
        good=bool((guessed.argmax(1) == digits).mean() > 0.95),
    )


if __name__ == "__main__":
    main(*sys.argv[1:])
