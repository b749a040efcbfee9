"""Imported before mlflow by scripts that run over a bad line: the client asks again, at once and often, and quietly."""

from __future__ import annotations

import os
import warnings

os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "9")
os.environ.setdefault("MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR", "0")
os.environ.setdefault("MLFLOW_HTTP_REQUEST_BACKOFF_JITTER", "0")
os.environ.setdefault("MLFLOW_LOGGING_LEVEL", "ERROR")
warnings.simplefilter("ignore")
