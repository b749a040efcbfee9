"""What a client shows for files whose names not every system can hold: name -> text of the error, as JSON."""

from __future__ import annotations

import json
import sys
import tempfile
import unicodedata
from pathlib import Path

import mlflow

mlflow.set_tracking_uri(sys.argv[1])
client = mlflow.MlflowClient()
run_id = client.create_run("0").info.run_id
shown = {}
for name in ("é.csv", "aux.csv", "notes."):
    file = Path(tempfile.mkdtemp(), unicodedata.normalize("NFD", name))
    file.write_text("x")
    try:
        client.log_artifact(run_id, str(file))
    except Exception as exc:
        shown[name] = str(exc)
renamed = Path(tempfile.mkdtemp(), unicodedata.normalize("NFC", "e\u0301.csv"))
renamed.write_text("x")
client.log_artifact(run_id, str(renamed))
print(json.dumps([shown, [each.path for each in client.list_artifacts(run_id)]]))
