"""What MLflow's clients find here: the table of differences, from the one that the comparison with a stock server uses,
and what there is not.
"""

from __future__ import annotations

from greenroom.core.errors import NotImplementedHere
from greenroom.http.mlflow_service import OUT, without_text
from tests.differential.deliberate import TABLE
from tools.pages.text import code, table


def differences() -> str:
    """Return every difference from a stock server that is meant."""
    rows = [(each.what, each.mlflow, each.here, each.because) for each in TABLE]
    return table(("what", "MLflow", "here", "because"), rows)


def out() -> str:
    """Return what is answered with an error at once: the addresses, and the text that a client shows."""
    status = f"{code(NotImplementedHere.mlflow_code)} {NotImplementedHere.mlflow_status}"
    rows = [(what, ", ".join(map(code, roots)), status, without_text(what)) for what, roots in OUT.items()]
    return table(("what", "addresses, and all below them", "answer", "text"), rows)
