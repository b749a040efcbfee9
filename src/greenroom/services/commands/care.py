"""Commands that keep the stored bytes in order."""

from __future__ import annotations

from dataclasses import dataclass

GRACE_S = 24 * 3600


@dataclass(frozen=True)
class CollectGarbage:
    """Take away blobs that nothing names and that nobody stored or was promised within `grace_s` seconds."""

    grace_s: float = GRACE_S
    dry_run: bool = False


@dataclass(frozen=True)
class Fsck:
    """Check the blobs behind the digest `after` ("": from the first on), as many as one answer takes.

    `quick` looks at sizes and does not re-hash; `repair` sets right what can be set right.
    """

    repair: bool = False
    quick: bool = False
    after: str = ""


@dataclass(frozen=True)
class NoteDamage:
    """Somebody could not read the right bytes of a blob: look again, and remember what is found."""

    digest: str
