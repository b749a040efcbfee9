"""S1: the published attacks of vectors.yaml, sent byte for byte to a live server, over MLflow's wire and natively."""

from __future__ import annotations

import hashlib
import json
import stat
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.promises import promise
from tests.security.binding import BY_HAND, ELSEWHERE, VECTORS, WAITING, Attack
from tests.security.mutants import SHOWN_BY
from tests.security.replay import ALWAYS, ASSERTS, judge, replay
from tests.security.scene import FILES, MODEL_B, MODEL_DEL, MODEL_LONG, Reply, Scene, scene

REPLAYED = [name for name in VECTORS if name not in {*WAITING, *ELSEWHERE, *BY_HAND}]
HELD = len(VECTORS) - len(WAITING)


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    with scene(tmp_path_factory.mktemp("vectors")) as made:
        yield made


@promise(
    "S1",
    "{held} of {all} published attacks, over both wires",
    held=HELD,
    all=len(VECTORS),
    mutant="test_a_server_without_a_protection_is_caught",
    waiting=f"{len(WAITING)} attacks need parts that do not exist yet; each is named with its reason",
)
@pytest.mark.parametrize("name", REPLAYED)
def test_vector(stage: Scene, name: str) -> None:
    assert replay(stage, name) == []


def test_every_vector_is_replayed_or_waits_with_a_reason() -> None:
    """Nothing passes silently: an unlisted vector has no request bound to it, and a listed one is known."""
    assert set(WAITING) <= set(VECTORS)
    assert not set(WAITING) & {*ELSEWHERE, *BY_HAND}
    assert all(len(reason) > 5 for reason in WAITING.values())
    known = {*ASSERTS, "exactly_one_200", "one_holder", "no_foreign_response", "no_corrupt_200", "alert_logged"}
    known |= {"attachment", "nosniff", "csp_sandbox", "marker_absent", "no_group_other_bits", "literal_roundtrip"}
    for name in (*REPLAYED, *BY_HAND):
        assert set(VECTORS[name]["expect"].get("assert", ())) <= known, name
    for test in ELSEWHERE.values():
        path, _, function = test.partition("::")
        assert f"def {function}(" in Path(path).read_text("utf-8")


# --- vectors that need more than one request and a look at its status ---


def at_once(stage: Scene, requests: list[bytes]) -> list[Reply]:
    barrier = threading.Barrier(len(requests))
    replies: list[Reply] = []

    def ask(data: bytes) -> None:
        barrier.wait(20)
        replies.append(stage.server.send(data))

    threads = [threading.Thread(target=ask, args=(each,)) for each in requests]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return replies


@pytest.mark.parametrize("target", ["/api/2.0/mlflow/registered-models/create", "/api/v1/models"])
def test_id_08_many_creates_of_one_name(stage: Scene, target: str) -> None:
    request = stage.server.request("POST", target, {"name": f"race-{len(target)}"})
    statuses = sorted(reply.status for reply in at_once(stage, [request] * 16))
    assert statuses[0] == 200
    assert set(statuses[1:]) <= set(VECTORS["ID-08"]["expect"]["status"]) - {200}


def holders(stage: Scene, model: str) -> list[int]:
    tenures = stage.server.ask("GET", f"/api/v1/models/{model}/slots/Production").json["tenures"]
    return [each["version"] for each in tenures]


def test_gp_11_many_promotions_into_one_place(stage: Scene) -> None:
    body = {"name": MODEL_LONG, "stage": "Production", "archive_existing_versions": False}
    target = "/api/2.0/mlflow/model-versions/transition-stage"
    requests = [stage.server.request("POST", target, body | {"version": str(number)}) for number in range(1, 9)]
    statuses = sorted(reply.status for reply in at_once(stage, requests))
    assert statuses == [200] + [409] * 7
    assert len(holders(stage, MODEL_LONG)) == 1
    before = holders(stage, MODEL_LONG)
    again = [
        stage.server.request("POST", f"/api/v1/models/{MODEL_LONG}/promotions", {"to": "Production", "version": number})
        for number in range(1, 9)
        if number not in before
    ]
    assert {reply.json["status"] for reply in at_once(stage, again)} == {"rejected"}
    assert holders(stage, MODEL_LONG) == before


def test_gp_10_a_promotion_that_knows_an_older_holder(stage: Scene) -> None:
    path = f"/api/v1/models/{MODEL_B}/promotions"
    assert (
        stage.server.ask("POST", path, {"to": "Production", "version": 1, "if_holder": 0}).json["status"] == "succeeded"
    )
    late = stage.server.ask("POST", path, {"to": "Production", "version": 2, "swap": True, "if_holder": 0}).json
    assert (late["status"], late["refusals"][0]["code"]) == ("rejected", "holder_changed")
    assert holders(stage, MODEL_B) == [1]


def test_gp_13_somebody_elses_idempotency_key(stage: Scene) -> None:
    def create(actor: str, name: str) -> Reply:
        return stage.server.ask(
            "POST", "/api/v1/models", {"name": name}, X_Greenroom_Actor=actor, Idempotency_Key="bobs"
        )

    assert create("bob", "keyed-1").json["name"] == "keyed-1"
    foreign = create("carol", "keyed-2")
    assert foreign.status in VECTORS["GP-13"]["expect"]["status"]
    assert b"keyed-1" not in foreign.raw


def test_it_04_a_stored_blob_with_a_flipped_bit(stage: Scene) -> None:
    data = b"sound " * 500
    digest = hashlib.sha256(data).hexdigest()
    stage.do("PUT", f"/api/v1/blobs/sha256/{digest}", data, ok=201)
    files = [{"path": "flipped.bin", "digest": f"sha256:{digest}", "size_bytes": len(data)}]
    stage.do("POST", "/api/v1/models", {"name": "flipped"})
    stage.do("POST", "/api/v1/models/flipped/versions", {"files": files})
    file = stage.blob_file(data)
    file.chmod(0o600)
    file.write_bytes(bytes([data[0] ^ 1]) + data[1:])
    expected = tuple(VECTORS["IT-04"]["expect"]["status"])
    for target, status in (
        # MLflow's clients repeat a 500 for minutes: its wire says 410, ours says what the vector asks for.
        ("/model-versions/get-artifact?name=flipped&version=1&path=flipped.bin", (410,)),
        ("/api/v1/models/flipped/versions/1/files/flipped.bin", expected),
        (f"/api/v1/blobs/sha256/{digest}", expected),
    ):
        reply = stage.server.ask("GET", target)
        assert reply.status in status, target
        assert b"ound sound" not in reply.raw
    assert digest in stage.server.log.read_text()


def test_it_05_nobody_changes_the_log(stage: Scene) -> None:
    before = stage.server.ask("GET", "/api/v1/audit/entries").json["entries"]
    for path in ("entries", "entries/1", "checkpoint", "verify", "export", "log", ""):
        for method in ("DELETE", "PUT", "PATCH"):
            reply = stage.server.ask(method, f"/api/v1/audit/{path}".rstrip("/"))
            assert reply.status in VECTORS["IT-05"]["expect"]["status"], (method, path)
    for path in ("entries", "checkpoint"):  # they exist, and do not take it
        assert stage.server.ask("POST", f"/api/v1/audit/{path}", {}).status == 405
    assert stage.server.ask("GET", "/api/v1/audit/entries").json["entries"][: len(before)] == before


def test_fm_04_nothing_of_the_data_folder_is_open_to_others(stage: Scene) -> None:
    size = 2 << 20
    with stage.server.connect() as half:
        head = f"PUT /api/v1/blobs/sha256/{'1' * 64}?upload=half&size={size} HTTP/1.1\r\nHost: localhost\r\n"
        half.sendall(f"{head}Content-Length: {size}\r\n\r\n".encode() + bytes(size - 1))
        while not stage.server.ask("GET", "/api/v1/uploads/half").json["received"]:
            pass
        found = [each for each in (stage.data, *stage.data.rglob("*")) if not each.is_symlink()]
        inside = stat.S_IMODE(stage.data.stat().st_mode) & 0o077 == 0
        opened = [str(each) for each in found if stat.S_IMODE(each.stat().st_mode) & 0o022]
    assert inside
    assert opened == []


@pytest.mark.parametrize("name", ["model.pkl", "MLmodel"])
def test_ex_01_a_pickle_is_bytes(stage: Scene, name: str, tmp_path: Path) -> None:
    marker = tmp_path / "marker"
    data = f"cposix\nsystem\n(S'touch {marker}'\ntR.".encode()
    digest = hashlib.sha256(data).hexdigest()
    stage.do("PUT", f"/api/v1/blobs/sha256/{digest}", data, ok=201)
    files = [{"path": name, "digest": f"sha256:{digest}", "size_bytes": len(data)}]
    version = stage.do("POST", f"/api/v1/models/{MODEL_B}/versions", {"files": files}).json["version"]
    stage.do("GET", f"/api/v1/models/{MODEL_B}/versions/{version}")
    stage.do("POST", f"/api/v1/models/{MODEL_B}/promotions", {"to": "Staging", "version": version})
    assert not marker.exists()


def test_ex_05_a_description_is_text(stage: Scene) -> None:
    given = VECTORS["EX-05"]["request"]["json"]["description"]
    for target, method, body in (
        ("/api/2.0/mlflow/registered-models/update", "PATCH", {"name": MODEL_B, "description": given}),
        (f"/api/v1/models/{MODEL_B}", "PATCH", {"description": given}),
    ):
        reply = stage.do(method, target, body)
        assert given in json.dumps(reply.json)
        assert b"1337" not in reply.body.replace(given.encode(), b"")


@pytest.mark.parametrize(
    "target",
    [
        f"/model-versions/get-artifact?name={MODEL_B}&version=1&path=page.html",
        f"/api/v1/models/{MODEL_B}/versions/1/files/page.html",
        f"/api/v1/blobs/sha256/{hashlib.sha256(FILES['page.html']).hexdigest()}",
    ],
)
def test_br_10_a_page_among_the_files_is_no_page(stage: Scene, target: str) -> None:
    reply = stage.do("GET", target)
    assert (reply.header("content-disposition") or "").startswith("attachment")
    assert reply.header("x-content-type-options") == "nosniff"
    assert (reply.header("content-security-policy") or "").startswith("sandbox")


@pytest.mark.parametrize("target", ["/api/2.0/mlflow/registered-models/create", "/api/v1/models"])
@pytest.mark.parametrize(
    ("name", "kind", "body"),
    [
        ("DO-07", "multipart/form-data; boundary=b", b"--b\r\nContent-Disposition: form-data\r\n\r\n" * 100_000),
        ("DO-08", "application/x-www-form-urlencoded", b"a=1;" * 1_000_000),
        ("DO-08", "application/x-www-form-urlencoded", b"a=1&" * 1_000_000),
    ],
)  # fmt: skip
def test_forms_are_refused_before_they_are_taken_apart(
    stage: Scene, target: str, name: str, kind: str, body: bytes
) -> None:
    """The vectors aim at a log-in form. There is none; the same bytes go where a body is read."""
    vector = VECTORS[name]
    status = tuple(set(vector["expect"]["status"]) - {401, 404, 405})
    assert judge(stage, Attack("POST", target, status, body, {"Content-Type": kind}), vector) == []


def test_gp_14_a_deleted_version_is_gone_for_every_reader(stage: Scene) -> None:
    assert replay(stage, "GP-14") == []
    for target in (f"/api/v1/models/{MODEL_DEL}/versions/1/files/model.bin",):
        assert stage.server.ask("GET", target).status == 404
    promoted = stage.server.ask("POST", f"/api/v1/models/{MODEL_DEL}/promotions", {"to": "Staging", "version": 1})
    assert promoted.status == 404


# --- and the checker itself ---


@pytest.mark.parametrize("mutant", list(SHOWN_BY))
def test_a_server_without_a_protection_is_caught(mutant: str, tmp_path: Path) -> None:
    with scene(tmp_path, mutant=mutant) as weak:
        for name in SHOWN_BY[mutant]:
            assert replay(weak, name) != [], f"{name} did not notice {mutant}"


def test_the_checks_that_hold_always_are_there() -> None:
    assert set(ALWAYS) <= set(ASSERTS)
