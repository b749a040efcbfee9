"""The log over HTTP as C2SP tlog-tiles: what is served is what is exported, and nothing else."""

from __future__ import annotations

import http.client
from contextlib import closing
from pathlib import Path

from greenroom.services import commands as c
from tests.audit.exports import export
from tests.races.kit import Client, Server, serving
from tests.tamper.scene import copy

_AT = "/api/v1/audit/tlog/"


def get(server: Server, path: str) -> tuple[int, bytes, str]:
    with closing(http.client.HTTPConnection(*server.address, timeout=20)) as connection:
        connection.request("GET", _AT + path)
        answer = connection.getresponse()
        return answer.status, answer.read(), answer.getheader("cache-control", "")


def test_what_is_served_is_what_is_exported(data: Path, exported: Path, place: Path) -> None:
    folder = copy(data, place / "data", link_blobs=True)
    with serving(folder) as server:
        files = [path for path in exported.rglob("*") if path.is_file() and path.name != "entries.jsonl"]
        assert len(files) >= 6
        for path in files:
            name = str(path.relative_to(exported))
            status, content, caching = get(server, name)
            assert (status, content) == (200, path.read_bytes()), name
            assert ("immutable" in caching) is (name.startswith("tile/") and ".p/" not in name)
        size = len((exported / "entries.jsonl").read_bytes().splitlines())
        for name, status in (
            ("tile/0/001", 404),
            (f"tile/0/001.p/{size - 256 + 1}", 404),
            ("tile/entries/002.p/1", 404),
            ("tile/1/000.p/2", 404),
            ("tile/9/000", 404),
            ("tile/0/000.p/256", 400),
            ("tile/0/000.p/0", 400),
            ("tile/64/000", 400),
            ("tile/0/x000/000", 400),
            ("tile/0/../0/000", 400),
            ("tile/" + "x999/" * 7 + "999", 400),
            ("tile/0/" + "x999/" * 6 + "999", 404),
            ("tile/entries", 400),
            ("entries.jsonl", 404),
        ):
            assert get(server, name)[0] == status, name
        assert get(server, "tile/0/000.p/3")[1] == (exported / "tile/0/000").read_bytes()[:96]  # an older size's
        with Client(server.address) as client:
            for number in range(512 - size):
                client.do("set_model_tag", c.SetModelTag("model-1", "k", str(number)))
        assert get(server, "tile/0/001")[0] == get(server, "tile/entries/001")[0] == 200
        assert len(get(server, "tile/1/000.p/2")[1]) == 64
    again = export(folder, place / "again")
    assert (again / "tile/entries/001").is_file()
