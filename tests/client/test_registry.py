"""The client's whole vocabulary, word for word the same against a folder and against a server."""

from __future__ import annotations

import http.client
import threading
from datetime import UTC, datetime
from urllib.parse import urlsplit

import pytest

import greenroom
from greenroom import Context, Dataset, Parent, Refused
from greenroom.client import connect
from greenroom.client.local import Local
from greenroom.client.remote import Remote
from greenroom.core.errors import AlreadyExists, InvalidInput, NotFound, Unavailable
from greenroom.core.model import PromotionStatus
from tests.client.stub import HANG_UP, Stub, answer


def add(registry, name, *aucs):
    """Register versions whose files are elsewhere, one per metric value."""
    return [registry.register(name, source=f"s3://b/{auc}", metrics={"auc": auc}, context=None) for auc in aucs]


def test_a_model_and_its_texts(registry, name):
    made = registry.create_model(name, description="why", tags={"team": "risk"})
    assert (made.name, made.description, made.tags, made.author) == (name, "why", {"team": "risk"}, "ana")
    with pytest.raises(AlreadyExists):
        registry.create_model(name)
    registry.describe(name, None)
    registry.tag(name, {"a": 1, "b": "two"})
    registry.untag(name, "team", "never-there")
    found = registry.model(name)
    assert (found.description, found.tags) == (None, {"a": "1", "b": "two"})
    assert name in [model.name for model in registry.models(f"name = '{name}'")]


def test_everything_known_about_a_version_comes_back(registry, name):
    add(registry, name, 0.5)
    context = Context(git_commit="c0ffee", packages={"numpy": "2.0"})
    data = Dataset("churn-10", digest="sha256:" + "a" * 64, source="s3://d", context="training")
    made = registry.register(
        name,
        source="s3://b/x",
        metrics={"auc": 1},
        params={"depth": 6},
        tags={"k": "v"},
        description="d",
        datasets=[data],
        parent=f"{name}@1",
        run_id="r1",
        context=context,
        reason="because",
    )
    found = registry.get(name, "2")
    assert found == made
    assert (found.metrics, found.params, found.tags, found.description) == (
        {"auc": 1.0},
        {"depth": "6"},
        {"k": "v"},
        "d",
    )
    assert (found.datasets, found.parent, found.context) == ((data,), Parent(name, 1), context)
    assert (found.run_id, found.source, found.author, found.digest) == ("r1", "s3://b/x", "ana", None)


def test_context_is_collected_unless_it_is_refused(registry, name):
    assert registry.register(name, source="s3://b/1").context.python is not None
    assert registry.register(name, source="s3://b/1", context=None).context == Context()


def test_a_model_must_be_there_when_that_is_asked(registry, name):
    with pytest.raises(NotFound):
        registry.register(name, source="s3://b/1", create_model=False)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({}, "neither files nor a source are given."),
        ({"source": "s3://b", "metrics": {"auc": float("nan")}}, "metric 'auc' is nan."),
        ({"source": "s3://b", "metrics": {"auc": "high"}}, "metric 'auc' is not a number: 'high'."),
        ({"source": "s3://b", "context": "all"}, "context 'all' is not known."),
        ({"source": "s3://b", "parent": "churn"}, "'churn' does not name a version."),
    ],
)
def test_what_cannot_be_registered(registry, name, given, message):
    with pytest.raises(InvalidInput) as caught:
        registry.register(name, **given)
    assert caught.value.message == message
    with pytest.raises(NotFound):
        registry.model(name)


def test_promotion_conflict_swap_and_rollback(registry, name):
    add(registry, name, 0.8, 0.9)
    first = registry.promote(name, 1, to="production", reason="first")
    assert (first.status, first.slot, first.requested_by) == (PromotionStatus.SUCCEEDED, "Production", "ana")
    with pytest.raises(Refused) as caught:
        registry.promote(name, 2, to="Production")
    told = caught.value.details["promotion"]
    assert told.status is PromotionStatus.REJECTED
    assert told.refusals[0].message in caught.value.message
    assert registry.promote(name, 2, to="Production", check=False).status is PromotionStatus.REJECTED
    swapped = registry.promote(name, 2, to="Production", swap=True)
    assert [(gone.version, gone.to) for gone in swapped.displaced] == [(1, "Archived")]
    back = registry.rollback(name, reason="drift")
    assert back.version == 1
    held = registry.holder(name)
    assert held is not None
    assert (held.version, held.by, held.reason) == (1, "ana", "drift")
    statuses = [each.status.value for each in registry.promotions(name)]
    assert statuses.count("rejected") == 2


def test_a_plan_changes_nothing(registry, name):
    add(registry, name, 0.8, 0.9)
    registry.promote(name, 1, to="Production")
    plan = registry.promote(name, 2, to="Production", swap=True, dry_run=True)
    assert plan.status is PromotionStatus.PLANNED
    assert [gone.version for gone in plan.displaced] == [1]
    refused_plan = registry.promote(name, 2, to="Production", dry_run=True)
    assert refused_plan.refusals
    held = registry.holder(name)
    assert held is not None
    assert held.version == 1


def test_the_best_is_picked_and_said_why(registry, name):
    add(registry, name, 0.8, 0.95, 0.9)
    done = registry.promote(name, best="auc:max", to="Staging")
    assert done.version == 2
    assert "auc" in (done.chosen_because or "")


@pytest.mark.parametrize(("holder", "goes"), [(0, True), (1, False)])
def test_only_while_somebody_holds_it(registry, name, holder, goes):
    add(registry, name, 0.8)
    done = registry.promote(name, 1, to="Production", if_holder=holder, check=False)
    assert done.succeeded is goes


def test_who_held_it_when(registry, name):
    add(registry, name, 0.8, 0.9)
    registry.promote(name, 1, to="Production")
    one = registry.holder(name)
    registry.promote(name, 2, to="Production", swap=True)
    assert one is not None
    at = datetime.fromtimestamp(one.since_at / 1000, UTC)
    for moment in (one.since_at, at, at.isoformat()):
        then = registry.holder(name, at=moment)
        assert then is None or then.version == 1  # the swap may have come in the same millisecond
    assert registry.holder(name, at="2001-01-01") is None
    assert registry.holder(name, "Staging") is None
    slots = [(each.slot, each.version) for each in registry.history(name, "Production")]
    assert slots == [("Production", 2), ("Production", 1)]
    assert {each.slot for each in registry.history(name, version=1)} >= {"Production", "Archived"}


def test_references(registry, name):
    add(registry, name, 0.8, 0.9, 0.7)
    registry.promote(name, 1, to="Production")
    registry.set_alias(name, "champion", 2)
    named = {"production": 1, "champion": 2, "@champion": 2, "latest": 3, "3": 3}
    assert {ref: registry.get(f"{name}@{ref}").version for ref in named} == named
    assert registry.get(f"models:/{name}/Production").version == 1
    with pytest.raises(NotFound, match=r"no version of .* holds Staging"):
        registry.get(f"{name}@Staging")
    registry.promote(name, 2, to="Staging")
    registry.promote(name, 3, to="Staging")
    with pytest.raises(InvalidInput, match="several versions: "):
        registry.get(f"{name}@Staging")
    with pytest.raises(InvalidInput, match="names a model, not a version"):
        registry.get(name)
    registry.delete_alias(name, "@champion")
    assert registry.model(name).aliases == {}


def test_an_unknown_stage_is_told(registry, name):
    add(registry, name, 0.8)
    with pytest.raises(greenroom.GreenroomError, match=r"Stage 'Prod' does not exist\."):
        registry.promote(name, 1, to="Prod")


def test_search_turns_pages(registry, name):
    add(registry, name, *(0.5 + each / 1000 for each in range(103)))
    found = [version.version for version in registry.versions(name)]
    assert found == list(range(103, 0, -1))
    best = [each.version for each in registry.search(f"name = '{name}' AND metrics.auc > 0.6005")]
    assert sorted(best) == [102, 103]
    with pytest.raises(NotFound):
        next(registry.versions(f"{name}-not"))


def test_metrics_are_added(registry, name):
    add(registry, name, 0.8)
    registry.record(name, 1, metrics={"f1": 0.7}, params={"depth": 3})
    assert registry.record(name, 1, metrics={"auc": 0.81}).metrics == {"auc": 0.81, "f1": 0.7}
    registry.describe(name, "text", version=1)
    registry.tag(name, {"ok": "yes"}, version=1)
    found = registry.get(name, 1)
    assert (found.description, found.tags, found.params) == ("text", {"ok": "yes"}, {"depth": "3"})


def test_delete_and_restore(registry, name):
    add(registry, name, 0.8, 0.9)
    assert registry.delete(name, 1, reason="bad").deleted
    with pytest.raises(NotFound):
        registry.get(name, 1)
    assert registry.restore(name, 1).stage == "None"
    registry.promote(name, 2, to="Production")
    with pytest.raises(greenroom.GreenroomError):
        registry.delete(name, 2)
    registry.archive(name, 2)
    registry.delete_model(name)
    with pytest.raises(NotFound):
        registry.model(name)
    assert registry.restore_model(name).name == name
    renamed = registry.rename_model(name, f"{name}-new")
    assert renamed.name == f"{name}-new"


def test_bytes_go_in_and_come_out(registry, name, model_folder, tmp_path):
    one = registry.push(model_folder, name, metrics={"auc": 0.9})
    assert one.digest is not None
    assert one.digest.startswith("sha256:")
    assert (one.file_count, dict(one.context.packages)) == (3, {"numpy": "2.0.0"})
    (model_folder / "model.pkl").write_bytes(b"weights two")
    (model_folder / "requirements.txt").write_text("numpy==2.1.0\n")
    two = registry.register(name, model_folder)
    registry.promote(name, 1, to="Production")
    pulled = registry.pull(f"{name}@Production", tmp_path / "out")
    assert pulled.version.version == 1
    assert (tmp_path / "out" / "model.pkl").read_bytes() == b"weights one"
    assert (tmp_path / "out" / "sub" / "notes ü.txt").read_text() == "hello"
    with pytest.raises(AlreadyExists):
        registry.pull(f"{name}@2", tmp_path / "out")
    registry.pull(f"{name}@2", tmp_path / "out", replace=True)
    assert (tmp_path / "out" / "model.pkl").read_bytes() == b"weights two"
    found = registry.diff(name, 1, 2)
    assert {each.path for each in found.files} == {"model.pkl", "requirements.txt"}
    assert [(each.name, each.left, each.right) for each in found.requirements or ()] == [
        ("numpy", "==2.0.0", "==2.1.0")
    ]
    report = registry.verify(name)
    assert (report.versions, report.files, report.findings) == (2, 6, ())
    copied = registry.register(name, registry.files(name, two.version).files)
    assert copied.digest == two.digest


def test_unpinned_bytes_cannot_be_pulled(registry, name, tmp_path):
    add(registry, name, 0.5)
    with pytest.raises(InvalidInput, match="unpinned"):
        registry.pull(f"{name}@1", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_mlflows_word(registry, name):
    add(registry, name, 0.8, 0.9)
    assert registry.transition_model_version_stage(name, "1", "production").stage == "Production"
    with pytest.raises(Refused):
        registry.transition_model_version_stage(name, 2, "Production")
    assert registry.transition_model_version_stage(name, 2, "Production", True).stage == "Production"
    assert registry.get(name, 1).stage == "Archived"


def test_mlflows_word_without_a_registry(server, name, monkeypatch):
    monkeypatch.delenv("GREENROOM_URL", raising=False)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", server.url)
    with connect() as registry:
        add(registry, name, 0.8)
    assert greenroom.transition_model_version_stage(name, 1, "Staging").stage == "Staging"


def test_lifecycles(registry, name):
    add(registry, name, 0.8)
    view = registry.lifecycle(model=name)
    assert [stage.name for stage in view.stages] == ["None", "Staging", "Production", "Archived"]
    assert view.name in {each.name for each in registry.lifecycles().lifecycles}
    assert registry.check_lifecycle(view.revision.document).problems == ()
    broken = registry.check_lifecycle("name = 'x'\n[[stages]\n")
    assert broken.problems[0].line == 2
    registry.use_lifecycle("mlflow", pattern=f"{name}*", reason="legacy")
    assert registry.lifecycle(model=name).name == "mlflow"
    stage = f"Extra{len(registry.lifecycle_history('standard'))}"
    changed = registry.add_stage(stage, after="Staging", capacity="one", lifecycle="standard")
    assert stage in [each.name for each in changed.stages]


def test_the_log(registry, name):
    add(registry, name, 0.8)
    registry.promote(name, 1, to="Staging")
    entries = list(registry.audit_log(model=name))
    assert {entry.actor for entry in entries} == {"ana"}
    assert list(registry.audit_log(after=entries[0].seq, model=name)) == entries[1:]
    head = registry.audit_checkpoint()
    assert head.size >= entries[-1].seq
    report = registry.audit_verify(checkpoints=[head.note])
    assert (report.status, report.findings) == ("ok", ())


def test_a_served_folder_is_reached_through_its_server(server, tmp_path):
    with connect(server.url) as registry:
        assert isinstance(registry.transport, Remote)
        assert registry.info()["name"] == "greenroom"
    command = server.process.args
    folder = command[command.index("--data") + 1]
    with connect(data=folder) as registry:
        assert isinstance(registry.transport, Remote)
        assert registry.where == server.url


def test_a_lost_reply_has_one_effect(server, name):
    """The server does what is asked and the reply is lost on the way: repeating it must not do it twice."""
    target = urlsplit(server.url)

    def forward(seen):
        connection = http.client.HTTPConnection(target.hostname, target.port, timeout=10)
        headers = {key: value for key, value in seen.headers.items() if key not in ("host", "content-length")}
        connection.request(seen.method, seen.target, seen.body, headers)
        reply = connection.getresponse()
        body = reply.read()
        connection.close()
        return answer(reply.status, body)

    def lose(seen):
        forward(seen)
        return HANG_UP

    with Stub([lose, lose, forward] * 2) as proxy, connect(proxy.url) as registry:
        assert isinstance(registry.transport, Remote)
        registry.transport._pause = lambda seconds: None
        assert registry.register(name, source="s3://b", context=None).version == 1
        assert registry.promote(name, 1, to="Production").succeeded
    with connect(server.url) as registry:
        assert [version.version for version in registry.versions(name)] == [1]
        assert len([p for p in registry.promotions(name) if p.slot == "Production"]) == 1


def test_a_folder_without_a_registry_is_not_made_in_passing(tmp_path):
    with pytest.raises(NotFound):
        connect(tmp_path / "typo")
    assert not (tmp_path / "typo").exists()
    with connect(tmp_path / "new", create=True) as registry:
        assert isinstance(registry.transport, Local)
    with pytest.raises(InvalidInput, match="was closed"):
        registry.model("m")


def test_a_server_that_ends_is_told(tmp_path):
    from tests.client.conftest import Server

    running = Server(tmp_path / "r")
    registry = connect(running.url)
    registry.create_model("m")
    running.stop()
    assert isinstance(registry.transport, Remote)
    registry.transport._pause = lambda seconds: None
    with pytest.raises(Unavailable):
        registry.create_model("n")


def test_many_threads(registry, name):
    add(registry, name, 0.1, 0.2, 0.3, 0.4)
    done = []

    def work(version):
        done.append(registry.promote(name, version, to="Production", swap=True, check=False).succeeded)

    threads = [threading.Thread(target=work, args=(version,)) for version in (1, 2, 3, 4)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert done == [True] * 4
    assert len(registry.holders(name, "Production")) == 1
