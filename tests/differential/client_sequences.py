"""Random sequences of calls of a real client; runs inside the client's own environment, 2.x and 3.x alike.

    python client_sequences.py URL PREFIX SEED COUNT

prints one JSON list: [call, what the client got, as Python shows it] for each call. The same seed makes the same calls,
whatever the answers are: ids are named by labels, and those that differ from server to server are written as labels.
"""

from __future__ import annotations

import json
import os
import random
import re
import sys
import warnings
from collections.abc import Callable
from typing import Any

os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")  # a 5xx shows at once, not after minutes
os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
os.environ.setdefault("MLFLOW_LOGGING_LEVEL", "ERROR")
warnings.simplefilter("ignore")

from mlflow import MlflowClient  # noqa: E402
from mlflow.entities import Metric, Param, RunTag, ViewType  # noqa: E402
from mlflow.exceptions import MlflowException  # noqa: E402

_ID = re.compile(r"\bm-[0-9a-f]{32}\b|\b[0-9a-f]{64}\b|\b[0-9a-f]{32}\b")
_TIME = re.compile(r"(creation_time|last_update_time|creation_timestamp|last_updated_timestamp)=\d+")
_RANDOM = re.compile(r"'[a-z]+-[a-z]+-\d{1,4}'")
_AUTHOR = re.compile(r"user_id='anonymous'")
_EXPERIMENT = re.compile(r"(experiment_id='|artifacts:/|ids?=|experiment |ID[= ])(\d+)\b")
KEYS, TEXTS = ("a", "b", "loss", "a b", "x/y"), ("", "v", "V", "it's", "ä", "10", "a\nb")
STAGES = ("None", "Staging", "Production", "Archived", "production", "Nonsense")


class Sequence:
    """One sequence: what it made so far, by label, and the calls that it may make next."""

    def __init__(self, url: str, prefix: str, seed: int) -> None:
        self.client, self.prefix, self.rand = MlflowClient(url, url), prefix, random.Random(seed)
        self.url = url
        self.exps: list[str] = []
        self.runs: list[str] = []
        self.at = 0

    def name(self, what: str) -> str:
        """Return one of a few names."""
        return f"{self.prefix}-{what}{self.rand.randrange(3)}"

    def exp(self) -> str:
        """Return the id of an experiment, mostly one that is there."""
        place = self.rand.randrange(4)
        return self.exps[place] if place < len(self.exps) else "987654321"

    def run(self) -> str:
        """Return the id of a run, mostly one that is there."""
        place = self.rand.randrange(5)
        return self.runs[place] if place < len(self.runs) else "f" * 32

    def key(self) -> str:
        return self.rand.choice(KEYS)

    def text(self) -> str:
        return self.rand.choice(TEXTS)

    def shown(self, value: Any) -> str:
        """Return what Python shows of a value, without what differs from server to server by nature."""
        if isinstance(value, MlflowException):
            return f"{value.error_code}: {self.plain(str(value))}"
        if isinstance(value, (list, tuple)):
            return f"[{', '.join(map(self.shown, value))}] {'more' if getattr(value, 'token', None) else ''}"
        if hasattr(value, "latest_versions"):  # in no order that is said
            value.latest_versions.sort(key=lambda each: int(each.version))
        if hasattr(value, "data") and hasattr(value, "info"):
            return self.plain(f"{value.info} {_sorted(value.data.to_dictionary())}")
        return self.plain(repr(value))

    def plain(self, text: str) -> str:
        """Return a text without ids and times."""
        names = {run: f"run {at}" for at, run in enumerate(self.runs)}
        text = text.replace(self.url, "URL").replace(self.prefix, "P")
        text = _ID.sub(lambda found: names.get(found[0], "an id"), text)
        text = _TIME.sub(r"\1=T", _RANDOM.sub("'random'", _AUTHOR.sub("user_id=''", text)))
        known = {exp: f"exp {at}" for at, exp in enumerate(self.exps)}
        return _EXPERIMENT.sub(lambda found: found[1] + known.get(found[2], found[2]), text)

    # --- calls ---

    def create_experiment(self) -> Any:
        made = self.client.create_experiment(self.name("e"), tags={self.key(): self.text()})
        self.exps.append(made)
        return "made"

    def get_experiment_by_name(self) -> Any:
        return self.client.get_experiment_by_name(self.name("e"))

    def search_experiments(self) -> Any:
        text = f"name LIKE '{self.prefix}%' AND tags.`{self.key()}` {self.rand.choice(('=', '!=', 'LIKE'))} 'v'"
        return self.client.search_experiments(filter_string=text, order_by=["name"], max_results=2)

    def delete_experiment(self) -> Any:
        exp = self.exp()
        return self.client.delete_experiment(exp) if self.rand.random() < 0.5 else self.client.restore_experiment(exp)

    def create_run(self) -> Any:
        self.at += 1
        tags = {self.key(): self.text()}
        made = self.client.create_run(
            self.exp(), start_time=1000 * self.at, tags=tags, run_name=self.rand.choice("xyz")
        )
        self.runs.append(made.info.run_id)
        return made

    def get_run(self) -> Any:
        return self.client.get_run(self.run())

    def log_metric(self) -> Any:
        value = self.rand.choice((0.5, -1.0, float("nan"), float("inf"), 3))
        return self.client.log_metric(self.run(), self.key(), value, self.rand.randrange(5), self.rand.randrange(3))

    def log_param(self) -> Any:
        return self.client.log_param(self.run(), self.key(), self.text())

    def log_batch(self) -> Any:
        metrics = [Metric(self.key(), self.rand.random(), self.rand.randrange(4), at) for at in range(3)]
        tags, params = [RunTag(self.key(), self.text())], [Param(self.key(), self.text())]
        return self.client.log_batch(self.run(), metrics, params, tags)

    def tag(self) -> Any:
        run, key = self.run(), self.key()
        return (
            self.client.set_tag(run, key, self.text()) if self.rand.random() < 0.7 else self.client.delete_tag(run, key)
        )

    def history(self) -> Any:
        return self.client.get_metric_history(self.run(), self.key())

    def end_run(self) -> Any:
        self.at += 1
        run, status = self.run(), self.rand.choice(("FINISHED", "FAILED", "KILLED"))
        return self.client.set_terminated(run, status, 1000 * self.at)

    def delete_run(self) -> Any:
        run = self.run()
        return self.client.delete_run(run) if self.rand.random() < 0.5 else self.client.restore_run(run)

    def search_runs(self) -> Any:
        text = self.rand.choice(
            ("", f"metrics.`{self.key()}` > 0.1", f"tags.`{self.key()}` LIKE '%v%'", "status = 'FINISHED'",
             "params.a != 'v'", "attributes.run_name = 'x'", "nonsense", "metrics.a = 'x'")
        )  # fmt: skip
        order = self.rand.choice(
            (None, ["metrics.a DESC"], ["params.b"], ["attributes.start_time ASC"], ["tags.a DESC"])
        )
        view = self.rand.choice((ViewType.ACTIVE_ONLY, ViewType.ALL, ViewType.DELETED_ONLY))
        return self.client.search_runs(self.exps[:4] or ["987654321"], text, view, 3, order)

    def create_model(self) -> Any:
        return self.client.create_registered_model(self.name("m"), {self.key(): self.text()}, self.text())

    def create_version(self) -> Any:
        return self.client.create_model_version(self.name("m"), "s3://b/x", tags={self.key(): self.text()})

    def version(self) -> tuple[str, str]:
        return self.name("m"), self.rand.choice(("1", "1", "2", "3", "x"))

    def get_version(self) -> Any:
        return self.client.get_model_version(*self.version())

    def transition(self) -> Any:
        archive = self.rand.random() < 0.3
        return self.client.transition_model_version_stage(*self.version(), self.rand.choice(STAGES), archive)

    def alias(self) -> Any:
        name, version = self.version()
        alias = self.rand.choice(("champion", "best", "latest"))
        what = self.rand.randrange(3)
        if what == 0:
            return self.client.set_registered_model_alias(name, alias, version)
        if what == 1:
            return self.client.delete_registered_model_alias(name, alias)
        return self.client.get_model_version_by_alias(name, alias)

    def get_model(self) -> Any:
        return self.client.get_registered_model(self.name("m"))

    def latest(self) -> Any:
        found = self.client.get_latest_versions(self.name("m"), [self.rand.choice(STAGES)])
        return sorted(found, key=lambda each: int(each.version))

    def search_models(self) -> Any:
        return self.client.search_registered_models(
            f"name LIKE '{self.prefix}%'", order_by=["name DESC"], max_results=2
        )

    def search_versions(self) -> Any:
        return [(each.name, each.version) for each in self.client.search_model_versions(f"name = '{self.name('m')}'")]

    def copy_version(self) -> Any:
        name, version = self.version()
        return self.client.copy_model_version(f"models:/{name}/{version}", self.name("m"))

    def rename(self) -> Any:
        old, new = self.name("m"), self.name("m")
        return self.client.rename_registered_model(old, f"{new}-2" if new == old else new)

    def delete(self) -> Any:
        return self.client.delete_model_version(*self.version())


def _sorted(value: Any) -> Any:
    return {key: _sorted(each) for key, each in sorted(value.items())} if isinstance(value, dict) else value


def calls_of(sequence: Sequence) -> list[Callable[[], Any]]:
    """Return the calls that a sequence may make, in the order of their names."""
    skip = {"name", "exp", "run", "key", "text", "shown", "plain", "version"}
    names = sorted(name for name in vars(Sequence) if not name.startswith("_") and name not in skip)
    return [getattr(sequence, name) for name in names]


def main() -> None:
    """Make the calls and print what came of each."""
    url, prefix, seed, count = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
    sequence = Sequence(url, prefix, seed)
    calls = calls_of(sequence)
    first = [sequence.create_experiment, sequence.create_experiment, sequence.create_run, sequence.create_model]
    found = []
    for at in range(count):
        call = first[at] if at < len(first) else sequence.rand.choice(calls)
        try:
            value: Any = call()
        except MlflowException as exc:
            value = exc
        found.append([call.__name__, sequence.shown(value)])
    print(json.dumps(found))


if __name__ == "__main__":
    main()
