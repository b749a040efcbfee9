"""What no registry takes, refused in the same words by a folder and by a server, with nothing half done."""

from __future__ import annotations

from dataclasses import replace

import pytest

from greenroom.core.errors import InvalidInput, NotFound
from greenroom.services import commands as c

LIFECYCLE = 'lifecycle = "{}"\nungated = true\napplies_to = ["{}"]\n[[stage]]\nname = "{}"\n[[stage]]\nname = "Live"\n'
TOO_LONG = "x" * 2_001


def entries(registry):
    """How many events the log holds."""
    return len(list(registry.audit_log()))


@pytest.mark.parametrize("reason", ["a\x00b", "half \ud800", TOO_LONG])
@pytest.mark.parametrize(
    ("operation", "command"),
    [
        ("delete_model", c.DeleteModel("M")),
        ("restore_model", c.RestoreModel("M gone")),
        ("register_version", c.RegisterVersion("M", source="s3://b/x")),
        ("delete_version", c.DeleteVersion("M", 1)),
        ("restore_version", c.RestoreVersion("M", 2)),
        ("promote", c.Promote("M", "Staging", 1)),
        ("rollback", c.Rollback("M")),
        ("set_alias", c.SetAlias("M", "champion", 1)),
        ("delete_alias", c.DeleteAlias("M", "champion")),
        ("apply_lifecycle", c.ApplyLifecycle(LIFECYCLE.format("reasons", "reasons-*", "None"))),
        ("use_lifecycle", c.UseLifecycle("mlflow", pattern="reasons-*")),
        ("add_stage", c.AddStage("Reasoned", lifecycle="mlflow")),
    ],
)
def test_a_reason_is_storable_text_of_at_most_2000_characters(registry, name, operation, command, reason):
    for _ in range(2):
        registry.register(name, source="s3://b/x", context=None)
    registry.delete(name, 2)
    registry.create_model(f"{name} gone")
    registry.delete_model(f"{name} gone")
    field = "name" if hasattr(command, "name") else "model"
    of_model = operation not in ("apply_lifecycle", "use_lifecycle", "add_stage")
    there = {field: getattr(command, field).replace("M", name)} if of_model else {}
    before = entries(registry)
    with pytest.raises(InvalidInput):
        registry.transport.call(operation, replace(command, **there, reason=reason))
    assert entries(registry) == before


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("version", "1"),
        ("version", True),
        ("version", 2**63),
        ("swap", "false"),
        ("dry_run", 1),
        ("if_holder", "1"),
        ("to", None),
        ("to", ["Staging"]),
        ("model", 7),
        ("model", b"m"),
        ("model", "half \ud800"),
        ("to", "half \ud800"),
    ],
)
def test_a_command_of_the_wrong_types_is_refused_before_anything_is_done(registry, name, field, value):
    registry.register(name, source="s3://b/x", context=None)
    command = replace(c.Promote(name, "Staging", 1), **{field: value})
    before = entries(registry)
    with pytest.raises(InvalidInput):
        registry.transport.call("promote", command)
    assert entries(registry) == before


@pytest.mark.parametrize("operation", ["search_models", "search_versions"])
def test_a_dialect_is_native_or_mlflow(registry, operation):
    kind = c.SearchModels if operation == "search_models" else c.SearchVersions
    with pytest.raises(InvalidInput, match="'sql' is no dialect of filters"):
        registry.transport.call(operation, kind(dialect="sql"))


@pytest.mark.parametrize(
    "rule",
    [
        {"pattern": ""},
        {"pattern": "a\x00*"},
        {"pattern": "a\u200b*"},
        {"pattern": "x" * 513},
        {"tag": "=v"},
        {"tag": "k"},
        {"tag": "k=a\x00"},
        {"tag": "../k=v"},
    ],
)
def test_a_rule_that_binds_a_lifecycle_can_match_something(registry, rule):
    before = registry.lifecycles().bindings
    with pytest.raises(InvalidInput):
        registry.use_lifecycle("mlflow", **rule)
    assert registry.lifecycles().bindings == before


def test_an_empty_name_of_a_lifecycle_is_none(registry):
    with pytest.raises(NotFound, match="there is no lifecycle ''"):
        registry.lifecycle("")
    with pytest.raises(NotFound, match="there is no lifecycle ''"):
        registry.add_stage("Reasoned", lifecycle="")


def test_an_empty_path_is_not_the_working_folder(registry, name, tmp_path, monkeypatch):
    (tmp_path / "secret").write_text("x")
    monkeypatch.chdir(tmp_path)
    for files in (registry.push, lambda path, model: registry.register(model, path)):
        with pytest.raises(InvalidInput, match="the path of the folder is empty"):
            files("", name)


def test_a_deleted_model_that_fits_no_more_says_how_to_bring_it_back(registry, name):
    document = LIFECYCLE.format("own" + str(len(name)), name, "Draft")
    registry.apply_lifecycle(document)
    registry.register(name, source="s3://b/x", context=None)
    registry.delete_model(name)
    registry.apply_lifecycle(document.replace("Draft", "Start"))
    with pytest.raises(InvalidInput, match="bring a lifecycle back that has them") as caught:
        registry.restore_model(name)
    assert "'Draft' is held by 1 version" in caught.value.message
    registry.apply_lifecycle(document)
    registry.restore_model(name)
    assert registry.get(name, 1).stage == "Draft"
