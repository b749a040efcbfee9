"""The client's view of the rules and of the proof: lifecycles, stages and the audit log."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from greenroom.client.calls import Calls
from greenroom.core.model import LifecycleRevision
from greenroom.services import answers as a
from greenroom.services import commands as c

_BATCH = 1000


class Governance(Calls):
    """Lifecycles and audit."""

    def lifecycles(self) -> a.Lifecycles:
        """Return every lifecycle and which models each applies to."""
        return self._ask("list_lifecycles", c.Nothing(), a.Lifecycles)

    def lifecycle(
        self, name: str | None = None, *, model: str | None = None, revision: int | None = None
    ) -> a.LifecycleView:
        """Return a lifecycle by name, or the one that applies to `model`; neither: the default."""
        return self._ask("get_lifecycle", c.LifecycleOf(name, model, revision), a.LifecycleView)

    def check_lifecycle(self, document: str) -> a.LifecycleCheck:
        """Check a TOML document without applying it; what is wrong comes back with line numbers."""
        return self._ask("check_lifecycle", c.CheckLifecycle(document), a.LifecycleCheck)

    def apply_lifecycle(self, document: str, *, reason: str | None = None) -> a.LifecycleView:
        """Apply a TOML document as the next revision of the lifecycle it names. Raises InvalidInput, Refused."""
        return self._ask("apply_lifecycle", c.ApplyLifecycle(document, reason), a.LifecycleView)

    def use_lifecycle(
        self, name: str, *, pattern: str | None = None, tag: str | None = None, reason: str | None = None
    ) -> a.LifecycleView:
        """Make a lifecycle the default, or bind it to models by name `pattern` or by `tag` (`key=value`)."""
        return self._ask("use_lifecycle", c.UseLifecycle(name, pattern, tag, reason), a.LifecycleView)

    def lifecycle_history(self, name: str | None = None, *, model: str | None = None) -> tuple[LifecycleRevision, ...]:
        """Return every revision of a lifecycle."""
        command = c.LifecycleOf(name, model)
        found: tuple[LifecycleRevision, ...] = self.transport.call("lifecycle_history", command)
        return found

    def add_stage(
        self,
        name: str,
        *,
        after: str | None = None,
        capacity: str = "many",
        lifecycle: str | None = None,
        reason: str | None = None,
    ) -> a.LifecycleView:
        """Add a stage to a lifecycle (None: the default one); `capacity` is `one` or `many`."""
        return self._ask("add_stage", c.AddStage(name, after, capacity, lifecycle, reason), a.LifecycleView)

    def audit_log(self, *, after: int = 0, model: str | None = None) -> Iterator[a.AuditEntry]:
        """Yield the entries of the audit log after sequence number `after`, oldest first; of one model if given."""
        next_after: int | None = after
        while next_after is not None:
            page = self._ask("audit_log", c.AuditLog(next_after, _BATCH, model), a.AuditEntries)
            yield from page.entries
            next_after = page.next_after

    def audit_checkpoint(self) -> a.Checkpoint:
        """Return the signed head of the log; keep it elsewhere, it proves later that nothing was rewritten."""
        return self._ask("audit_checkpoint", c.AuditCheckpoint(), a.Checkpoint)

    def audit_verify(self, *, checkpoints: Iterable[str] = (), deep: bool = True) -> a.VerifyReport:
        """Verify log, tables and blobs; against older signed `checkpoints` if given. `deep` re-hashes every blob."""
        return self._ask("audit_verify", c.AuditVerify(tuple(checkpoints), deep), a.VerifyReport)
