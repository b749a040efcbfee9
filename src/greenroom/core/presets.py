"""The three lifecycles that every registry knows from its first day, as documents like any other.

Source: design, section 4.
"""

from __future__ import annotations

STANDARD = """\
# One version in Production, and a clear no to whoever would make it two.
lifecycle = "standard"
description = "Production is exclusive; entering it while it is held is refused unless you ask for the swap."
numbering = "continue"

[[stage]]
name = "None"

[[stage]]
name = "Staging"

[[stage]]
name = "Production"
capacity = "one"
occupied = "conflict"
protected = true
expects = "Staging"      # allowed without, but flagged
ungated = true

[[stage]]
name = "Archived"
archive = true
"""

GUARDED = """\
# Production only from Staging, or back from where it was by a rollback; with evidence.
lifecycle = "guarded"
description = "Production is entered from Staging only, through gates."
numbering = "continue"

[[stage]]
name = "None"

[[stage]]
name = "Staging"

[[stage]]
name = "Production"
capacity = "one"
occupied = "conflict"
protected = true
from = ["Staging"]
rollback_from = ["Archived"]

[[stage.gate]]
type = "artifact_pinned"
level = "hard"

[[stage.gate]]
type = "required_fields"
fields = ["description"]

[[stage]]
name = "Archived"
archive = true
"""

MLFLOW = """\
# MLflow's own behaviour: nothing is refused that MLflow accepts, several versions may be in Production.
lifecycle = "mlflow"
description = "As MLflow: no stage is exclusive, nothing is protected, numbers start again after a delete."
numbering = "restart"
ungated = true

[[stage]]
name = "None"

[[stage]]
name = "Staging"

[[stage]]
name = "Production"

[[stage]]
name = "Archived"
archive = true
"""

PRESETS = {"standard": STANDARD, "guarded": GUARDED, "mlflow": MLFLOW}
DEFAULT = "standard"
