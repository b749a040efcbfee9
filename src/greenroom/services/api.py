"""The table of everything the registry can do: one row is one use case, its route, its permission and its types.

The native HTTP edge makes its routes and OpenAPI from this table, the client its calls, the embedded registry its
dispatch. A use case is named by text (`module:function`) so that a client can read the table without loading the rules.
"""

from __future__ import annotations

from greenroom.core import model as m
from greenroom.core.lineage import Lineage
from greenroom.core.mlmodel import Packaging
from greenroom.services import answers as a
from greenroom.services import commands as c
from greenroom.services.api_runs import RUNS
from greenroom.services.api_tracking import TRACKING
from greenroom.services.operation import Mode, Operation

__all__ = ["BY_NAME", "INTERNAL", "OF_THE_LOG", "OPERATIONS", "TRACKING", "Mode", "Operation"]


_READ, _SEARCH, _WRITE, _SLOW, _BRIEF = Mode.READ, Mode.SEARCH, Mode.WRITE, Mode.SLOW, Mode.BRIEF
_MODEL = "/models/{name}"
_LINE = "/models/{model}"
_VERSION = "/models/{model}/versions/{version}"

OPERATIONS: tuple[Operation, ...] = (
    Operation("create_model", "POST", "/models", "register", _WRITE, c.CreateModel, m.RegisteredModel, "catalog:create_model", "Create a registered model"),
    Operation("get_model", "GET", _MODEL, "read", _READ, c.ModelNamed, m.RegisteredModel, "reading:get_model_view", "Read a registered model"),
    Operation("update_model", "PATCH", _MODEL, "register", _WRITE, c.UpdateModel, m.RegisteredModel, "catalog:update_model", "Overwrite a model's description"),
    Operation("rename_model", "POST", _MODEL + "/rename", "manage", _WRITE, c.RenameModel, m.RegisteredModel, "catalog:rename_model", "Rename a model"),
    Operation("delete_model", "DELETE", _MODEL, "manage", _WRITE, c.DeleteModel, m.RegisteredModel, "catalog:delete_model", "Delete a model (tombstone)"),
    Operation("restore_model", "POST", _MODEL + "/restore", "manage", _WRITE, c.RestoreModel, m.RegisteredModel, "catalog:restore_model", "Restore a deleted model"),
    Operation("set_model_tag", "PUT", _MODEL + "/tags", "register", _WRITE, c.SetModelTag, m.RegisteredModel, "catalog:set_model_tag", "Set a tag of a model"),
    Operation("delete_model_tag", "DELETE", _MODEL + "/tags", "register", _WRITE, c.DeleteModelTag, m.RegisteredModel, "catalog:delete_model_tag", "Remove a tag of a model"),
    Operation("search_models", "GET", "/models", "read", _SEARCH, c.SearchModels, m.Page[m.RegisteredModel], "searching:search_models", "Search models"),
    Operation("register_version", "POST", _LINE + "/versions", "register", _WRITE, c.RegisterVersion, m.Version, "versions:register_version", "Register the next version"),
    Operation("get_version", "GET", _VERSION, "read", _READ, c.VersionNamed, m.Version, "reading:get_version_view", "Read a version"),
    Operation("update_version", "PATCH", _VERSION, "register", _WRITE, c.UpdateVersion, m.Version, "versions:update_version", "Overwrite a version's description"),
    Operation("delete_version", "DELETE", _VERSION, "manage", _WRITE, c.DeleteVersion, m.Version, "versions:delete_version", "Delete a version (tombstone)"),
    Operation("restore_version", "POST", _VERSION + "/restore", "manage", _WRITE, c.RestoreVersion, m.Version, "versions:restore_version", "Restore a deleted version"),
    Operation("set_version_tag", "PUT", _VERSION + "/tags", "register", _WRITE, c.SetVersionTag, m.Version, "versions:set_version_tag", "Set a tag of a version"),
    Operation("delete_version_tag", "DELETE", _VERSION + "/tags", "register", _WRITE, c.DeleteVersionTag, m.Version, "versions:delete_version_tag", "Remove a tag of a version"),
    Operation("record_metrics", "POST", _VERSION + "/metrics", "register", _WRITE, c.RecordMetrics, m.Version, "versions:record_metrics", "Add metrics and parameters to a version"),
    Operation("pin_version", "POST", _VERSION + "/pin", "register", _WRITE, c.PinVersion, m.Version, "pinning:pin_version", "Give an unpinned version its files"),
    Operation("list_files", "GET", _VERSION + "/files", "read", _SEARCH, c.VersionNamed, a.Manifest, "reading:list_files", "List a version's files"),
    Operation("version_lineage", "GET", _VERSION + "/lineage", "read", _SEARCH, c.VersionNamed, Lineage, "lineage:version_lineage", "What a version came of, and what came of it"),
    Operation("version_packaging", "GET", _VERSION + "/packaging", "read", _BRIEF, c.VersionNamed, Packaging, "packaging:version_packaging", "What a version's own files say: environment, signature"),
    Operation("search_versions", "GET", "/versions", "read", _SEARCH, c.SearchVersions, m.Page[m.Version], "searching:search_versions", "Search versions over all models"),
    Operation("latest_versions", "GET", _LINE + "/latest", "read", _READ, c.LatestVersions, tuple[m.Version, ...], "reading:latest_versions", "The newest version in each stage"),
    Operation("compare_versions", "GET", _LINE + "/compare", "read", _SLOW, c.CompareVersions, a.Comparison, "comparing:compare_versions", "Compare two versions"),
    Operation("promote", "POST", _LINE + "/promotions", "promote", _WRITE, c.Promote, m.Promotion, "promotion:promote", "Move a version into a slot"),
    Operation("rollback", "POST", _LINE + "/rollback", "promote", _WRITE, c.Rollback, m.Promotion, "promotion:rollback", "Give a slot back to its last healthy holder"),
    Operation("list_promotions", "GET", _LINE + "/promotions", "read", _SEARCH, c.ListPromotions, m.Page[m.Promotion], "reading:list_promotions", "Promotions of a model, refused ones too"),
    Operation("set_alias", "PUT", _LINE + "/aliases/{alias}", "promote", _WRITE, c.SetAlias, m.Promotion, "promotion:set_alias", "Point an alias at a version"),
    Operation("delete_alias", "DELETE", _LINE + "/aliases/{alias}", "promote", _WRITE, c.DeleteAlias, m.RegisteredModel, "promotion:delete_alias", "Take an alias away"),
    Operation("get_holder", "GET", _LINE + "/slots/{slot}", "read", _READ, c.GetHolder, a.Holding, "reading:get_holder", "Who holds a slot, now or at a time"),
    Operation("list_history", "GET", _LINE + "/history", "read", _SEARCH, c.ListHistory, m.Page[m.Tenure], "reading:list_history", "Who held what, when and why"),
    Operation("list_lifecycles", "GET", "/lifecycles", "read", _SEARCH, c.Nothing, a.Lifecycles, "lifecycles:list_lifecycles", "All lifecycles and what they apply to"),
    Operation("get_lifecycle", "GET", "/lifecycle", "read", _SEARCH, c.LifecycleOf, a.LifecycleView, "lifecycles:get_lifecycle", "Show a lifecycle"),
    Operation("check_lifecycle", "POST", "/lifecycle/check", "read", _SEARCH, c.CheckLifecycle, a.LifecycleCheck, "lifecycles:check_lifecycle", "Check a lifecycle document"),
    Operation("apply_lifecycle", "POST", "/lifecycle/apply", "administer", _WRITE, c.ApplyLifecycle, a.LifecycleView, "lifecycles:apply_lifecycle", "Apply a lifecycle document"),
    Operation("use_lifecycle", "POST", "/lifecycle/use", "administer", _WRITE, c.UseLifecycle, a.LifecycleView, "lifecycles:use_lifecycle", "Choose which lifecycle applies"),
    Operation("lifecycle_history", "GET", "/lifecycle/history", "read", _SEARCH, c.LifecycleOf, tuple[m.LifecycleRevision, ...], "lifecycles:lifecycle_history", "Every revision of a lifecycle"),
    Operation("add_stage", "POST", "/lifecycle/stages", "administer", _WRITE, c.AddStage, a.LifecycleView, "lifecycles:add_stage", "Add a stage to a lifecycle"),
    Operation("missing_blobs", "POST", "/blobs/missing", "register", _BRIEF, c.MissingBlobs, a.Missing, "artifacts:missing_blobs", "Which blobs are not stored here yet"),
    Operation("audit_log", "GET", "/audit/entries", "audit", _SEARCH, c.AuditLog, a.AuditEntries, "auditing:audit_log", "Read the audit log"),
    Operation("audit_checkpoint", "GET", "/audit/checkpoint", "audit", _SLOW, c.AuditCheckpoint, a.Checkpoint, "auditing:audit_checkpoint", "The signed head of the audit log"),
    Operation("audit_verify", "POST", "/audit/verify", "audit", _SLOW, c.AuditVerify, a.VerifyReport, "verifying:audit_verify", "Verify log, tables and blobs"),
    Operation("collect_garbage", "POST", "/gc", "administer", _SLOW, c.CollectGarbage, a.Collected, "collecting:collect_garbage", "Take away blobs that nothing names"),
    Operation("fsck", "POST", "/fsck", "administer", _SLOW, c.Fsck, a.FsckPart, "fsck:fsck", "Check the stored blobs, and repair them"),
    Operation("verify_files", "POST", "/verify", "read", _SLOW, c.VerifyFiles, a.FilesReport, "verifying:verify_files", "Re-hash the files of versions"),
    *RUNS,
)

BY_NAME = {operation.name: operation for operation in OPERATIONS}

# What edges need besides: no native route of their own.
INTERNAL: tuple[Operation, ...] = (
    Operation("latest_of_models", "", "", "read", _SEARCH, c.LatestOfModels, tuple[tuple[m.Version, ...], ...], "reading:latest_of_models", "The newest versions of several models"),
    Operation("audit_tile", "", "", "audit", _SEARCH, c.AuditTile, bytes, "auditing:audit_tile", "One file of the log"),
    Operation("blob_stored", "", "", "register", _WRITE, c.BlobStored, None, "artifacts:blob_stored", "A blob is on disk" ),
    Operation("declare_blob", "", "", "register", _BRIEF, c.BlobStored, None, "artifacts:declare_blob", "A blob was published just now"),
    Operation("note_damage", "", "", "read", _BRIEF, c.NoteDamage, bool, "damage:note_damage", "A blob could not be read" ),
    Operation("snapshot_file", "", "", "read", _READ, c.SnapshotFile, m.File, "artifacts:snapshot_file", "One file of a snapshot"),
    Operation("snapshot_folder", "", "", "read", _SEARCH, c.SnapshotFolder, a.Folder, "artifacts:snapshot_folder", "A folder of a snapshot"),
    Operation("put_upload", "", "", "register", _WRITE, c.PutUpload, None, "artifacts:put_upload", "Put a file into the upload tree"),
    Operation("check_place", "", "", "register", _READ, c.UploadPath, None, "artifacts:check_place", "May a file be put there"),
    Operation("address_key", "", "", "read", _READ, c.Nothing, bytes, "artifacts:address_key_of", "What seals presigned addresses"),
    Operation("get_upload", "", "", "read", _READ, c.UploadPath, m.File, "artifacts:get_upload", "One file of the upload tree" ),
    Operation("list_uploads", "", "", "read", _SEARCH, c.UploadPath, a.Folder, "artifacts:list_uploads", "A folder of the upload tree"),
    Operation("delete_uploads", "", "", "register", _WRITE, c.UploadPath, None, "artifacts:delete_uploads", "Delete from the upload tree"),
)

# Reads of audited rows alone: their answers stay as long as the log's head does.
OF_THE_LOG = frozenset({"get_model", "get_version", "latest_versions", "get_holder"})

BY_NAME |= {operation.name: operation for operation in (*INTERNAL, *TRACKING)}
