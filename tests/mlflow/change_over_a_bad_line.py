"""Changes over a line that loses answers; the client asks again by itself. Inside its own environment.

    python change_over_a_bad_line.py LINE URL ROUNDS

prints how many of everything the server at URL has, and what the client was refused on the way.
"""

from __future__ import annotations

import json
import sys

import patient  # noqa: F401 - before mlflow, which reads what it sets
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException


def main(line: str, url: str, rounds: str) -> None:
    """Change over `line`, and look what is there."""
    client, refused = MlflowClient(line, line), []
    experiment = client.create_experiment("e")
    for at in range(int(rounds)):
        run = client.create_run(experiment).info.run_id
        calls = [
            (client.set_tag, run, "k", "v"),
            (client.delete_tag, run, "k"),
            (client.create_registered_model, f"m{at}"),
            (client.create_model_version, f"m{at}", f"runs:/{run}/model", run),
            (client.set_registered_model_alias, f"m{at}", "champion", "1"),
            (client.transition_model_version_stage, f"m{at}", "1", "Production"),
            (client.delete_registered_model_alias, f"m{at}", "champion"),
            (client.rename_registered_model, f"m{at}", f"n{at}"),
            (client.delete_run, run),
            (client.restore_run, run),
        ]
        for call, *given in calls:
            try:
                call(*given)
            except MlflowException as exc:
                refused.append(f"{call.__name__}: {exc}"[:200])
    there = MlflowClient(url, url)
    versions = there.search_model_versions("name LIKE 'n%'", max_results=1000)
    told = {
        "runs": len(there.search_runs([experiment], max_results=1000)),
        "models": sorted(each.name for each in there.search_registered_models(max_results=1000)),
        "versions": sorted((each.name, str(each.version), each.current_stage) for each in versions),
        "refused": refused,
    }
    print(json.dumps(told))


if __name__ == "__main__":
    main(*sys.argv[1:])
