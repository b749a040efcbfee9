"""Gate types, one file each; importing this package registers them. Third parties register by entry point."""

from __future__ import annotations

from greenroom.gates import artifact_pinned, metric, min_time_in, required_fields

__all__ = ["artifact_pinned", "metric", "min_time_in", "required_fields"]
