"""The benchmark runs, measures what it says and reports it. No test here asserts a time: machines differ."""

from __future__ import annotations

import contextlib
import json
import socket
import socketserver
import sys
import threading
import xml.etree.ElementTree as ET

import pytest

from benchmarks import load, logging_load, report, run

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="the benchmark reads /proc")


class _Answers(socketserver.StreamRequestHandler):
    """Answers every request with its server's status, in two pieces."""

    def handle(self) -> None:
        with contextlib.suppress(ConnectionError):  # the load ends while an answer is under way
            self._answer_all()

    def _answer_all(self) -> None:
        while (line := self.rfile.readline()) and line.strip():
            while self.rfile.readline().strip():
                pass
            self.server.asked.append(line.split()[1])
            self.wfile.write(b"HTTP/1.1 %d X\r\ncontent-le" % self.server.status)
            self.wfile.flush()
            self.wfile.write(b"ngth: 2\r\n\r\nOK")


@pytest.fixture
def server():
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), _Answers) as listener:
        listener.daemon_threads, listener.status, listener.asked = True, 200, []
        thread = threading.Thread(target=listener.serve_forever)
        thread.start()
        yield listener
        listener.shutdown()
        thread.join()


def _spec(server, *clients):
    host, port = server.server_address
    return {"host": host, "port": port, "seconds": 0.1, "warm_s": 0.0, "clients": clients}


def test_each_client_sends_its_requests_in_turn(server):
    requests = ["GET /a HTTP/1.1\r\n\r\n", "GET /b HTTP/1.1\r\n\r\n"]
    found = load.run(_spec(server, requests))
    assert found["errors"] == 0
    assert found["calls"] in (len(server.asked), len(server.asked) - 1)  # the last one may be under way
    assert server.asked[:4] == [b"/a", b"/b", b"/a", b"/b"]
    assert 0 < found["p50_ms"] <= found["p90_ms"] <= found["p99_ms"] <= found["max_ms"]


def test_a_pace_is_kept_and_requests_are_numbered(server):
    spec = _spec(server, ["GET /@@@@@@@@@ HTTP/1.1\r\n\r\n"]) | {"every_s": 0.02}
    load.run(spec)
    assert server.asked == [b"/%09d" % at for at in range(len(server.asked))]
    assert 2 <= len(server.asked) <= 7


def test_wrong_answers_are_counted(server):
    server.status = 500
    found = load.run(_spec(server, ["GET / HTTP/1.1\r\n\r\n"], ["GET / HTTP/1.1\r\n\r\n"]))
    assert found["errors"] == found["calls"] > 0
    assert found["first_error"].startswith("HTTP/1.1 500")


def test_server_that_hangs_up_is_an_error():
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def hang_up():
            connection, _ = listener.accept()
            connection.recv(100)
            connection.close()

        thread = threading.Thread(target=hang_up)
        thread.start()
        spec = {
            "host": "127.0.0.1",
            "port": listener.getsockname()[1],
            "seconds": 5,
            "clients": [["GET / HTTP/1.1\r\n\r\n"]],
        }
        with pytest.raises(ConnectionError, match="closed"):
            load.run(spec)
        thread.join()


@pytest.mark.parametrize(
    ("times", "part", "value"), [([], 0.5, None), ([0.001], 0.99, 1.0), ([0.001, 0.002, 0.003, 0.004], 0.5, 3.0)]
)
def test_quantile(times, part, value):
    assert load._quantile(times, part) == value


def test_tiny_run_of_our_server(tmp_path):
    out = tmp_path / "results"
    size = ["--quick", "--no-mlflow", "--clients", "1,2", "--seconds", "0.1", "--only", "P1,P3,P6,P12,A3"]
    assert run.main([*size, "--out", str(out)]) == 0
    found = json.loads((out / "quick.json").read_text("utf-8"))
    for part, kind in (("P1", "holder of Production"), ("P1 own", "constant JSON"), ("P3", "promotion with swap")):
        for clients in ("1", "2"):
            assert found[part][kind][clients]["greenroom"]["per_s"] > 0
    for kind in logging_load.KINDS:
        assert found["P6"][kind]["greenroom"]["logged_per_s"] > 0
    assert found["P12"]["greenroom"]["promotion"]["median_s"] > 0
    assert all(0 < each["share"] < 1 for each in found["A3"].values())
    table = (out / "quick.md").read_text("utf-8")
    assert "## P3" in table
    assert "not for quoting" in table
    assert ET.fromstring((out / "quick.svg").read_text("utf-8")).tag.endswith("svg")


def test_ratios_are_ours_to_theirs():
    side = {"p50_ms": 1.0, "p99_ms": 2.0, "server_cpu_us": 50}
    both = {"greenroom": side | {"per_s": 5000.0}, "mlflow": side | {"per_s": 20.0, "p99_ms": 90.0}}
    rows = list(report._calls({"get version": {"8": both}}))
    assert [cell.strip() for cell in rows[-1].strip("|").split("|")][-2:] == ["250x", "1/45"]
    assert report._part_of(35.0, 1400.0) == "1/40.0"
    assert report._part_of(35.0, None) == "-"
