"""Use case `pin`: files that were elsewhere when their version was registered are here now, and stay as they are.

The server fetches nothing: whoever can reach the files sends them first, like those of any version. A version is pinned
once and never again, so what was approved under a digest cannot be exchanged.
"""

from __future__ import annotations

from greenroom.core.errors import AlreadyExists, InvalidInput
from greenroom.core.model import Actor, Version
from greenroom.services import commands as c
from greenroom.services.finding import get_model, get_version
from greenroom.services.limits import check_count, check_short_text
from greenroom.services.ports import WriteTx
from greenroom.services.versions import pin_files
from greenroom.services.views import version_view


def pin_version(tx: WriteTx, ask: c.PinVersion, actor: Actor) -> Version:
    """Give an unpinned version its files, every blob of which must be here; source, stage and numbers stay.

    Raises NotFound, AlreadyExists for a version that is pinned, InvalidInput (no files, blobs that are not here, a
    source that is not the one the files were fetched from), Conflict (a blob is just being deleted).
    """
    check_count("files", ask.files)
    check_short_text("reason", ask.reason)
    model = get_model(tx, ask.model)
    row = get_version(tx, model, ask.version)
    if row.manifest is not None:
        raise AlreadyExists(
            f"version {row.version} of {model.name!r} is pinned already, as {row.manifest}.",
            hint="What is pinned never changes; register other files as a new version.",
            digest=row.manifest,
            model=model.name,
            version=row.version,
        )
    if ask.source is not None and ask.source != row.source:
        raise InvalidInput(f"the source of version {row.version} is {row.source!r}, not {ask.source!r}.")
    manifest = pin_files(tx, ask.files)
    tx.update(
        "version",
        {"model_id": model.id, "version": row.version},
        {
            "manifest": manifest.digest,
            "size_bytes": manifest.size_bytes,
            "file_count": len(manifest.entries),
            "updated_at": tx.now,
        },
    )
    body = {"digest": manifest.digest, "reason": ask.reason}
    tx.record("version_pinned", actor, model=model.name, version=row.version, body=body)
    return version_view(tx, model, get_version(tx, model, row.version))
