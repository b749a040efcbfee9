"""The house rules' exceptions, each with its reason. An exception that is no longer needed fails the tests."""

from __future__ import annotations

# path -> why this file may have more than 400 lines
LONG_FILES: dict[str, str] = {
    "src/greenroom/auditor.py": "an auditor is handed this one file; it stands alone and shares no code",
}

# "path::qualified name" -> why this function may have more than 40 lines
LONG_FUNCTIONS: dict[str, str] = {}

# path -> why this file may catch everything and go on without a word
SILENT_CATCHES: dict[str, str] = {
    "src/greenroom/mlflow_plugin.py": "`import mlflow` must never fail because of us, whatever MLflow has become",
}
