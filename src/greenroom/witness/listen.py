"""Being asked: the HTTP interface of a C2SP witness.

    POST /add-checkpoint            tlog-witness: old size, proof, checkpoint; answered with our signature line
    GET  /key                       the witness's verifier key
    GET  /checkpoint/<sha256>       the last checkpoint cosigned of the log whose name has this SHA-256 (hex)

Source: C2SP tlog-witness.
"""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from greenroom.core.errors import InvalidInput, Unavailable
from greenroom.core.names import shown
from greenroom.core.witness import MAX_REQUEST_BYTES, Answer, origin_of, parse_add_checkpoint
from greenroom.witness.folder import Witness

PATIENCE_S = 10.0
MOST_AT_ONCE = 64
_PLAIN = "text/plain; charset=utf-8"

Say = Callable[[str], None]


class WitnessServer(ThreadingHTTPServer):
    """Answers for a witness at `host`:`port` (0 takes a free one) until `shutdown`."""

    daemon_threads = True
    request_queue_size = 128  # the base's 5 lets a handful of silent callers delay all others by seconds
    block_on_close = False

    def __init__(self, witness: Witness, host: str, port: int, say: Say) -> None:
        super().__init__((host, port), _Handler)
        self.witness, self.say = witness, say
        self._room = threading.BoundedSemaphore(MOST_AT_ONCE)

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://{self.server_address[0]!s}:{self.server_address[1]}"

    def process_request(self, request: Any, client_address: Any) -> None:
        """Answer in a thread of its own; who comes while all are busy is not served."""
        if not self._room.acquire(blocking=False):
            self.shutdown_request(request)
            return
        try:
            super().process_request(request, client_address)
        except BaseException:
            self._room.release()
            raise

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """See the base; gives the place back."""
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._room.release()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Tell of what went wrong; a caller that goes away or stops talking is nothing to tell about."""
        if not isinstance(sys.exception(), OSError):
            super().handle_error(request, client_address)


class _Handler(BaseHTTPRequestHandler):
    server: WitnessServer
    timeout = PATIENCE_S  # of each read, see StreamRequestHandler
    server_version = "greenroom-witness"
    sys_version = ""

    def do_POST(self) -> None:
        if self.path != "/add-checkpoint":
            self._answer(404, "There is nothing here; POST /add-checkpoint.\n")
            return
        length = self.headers.get("Content-Length", "")
        if not length.isascii() or not length.isdigit() or self.headers.get("Transfer-Encoding"):
            self._answer(411, "Send the request with its Content-Length.\n")
        elif len(length) > 9 or int(length) > MAX_REQUEST_BYTES:
            self._answer(413, f"At most {MAX_REQUEST_BYTES} bytes are taken.\n")
        else:
            self._add(self.rfile.read(int(length)))

    def _add(self, body: bytes) -> None:
        try:
            ask = parse_add_checkpoint(body)
            judged, line = self.server.witness.add(ask, int(time.time()))
        except InvalidInput as exc:
            self._answer(400, f"{exc}\n")
            return
        except (Unavailable, OSError) as exc:
            self.server.say(f"Error: {exc}")
            self._answer(503, "The witness cannot write.\n")
            return
        if judged.evidence:
            self.server.say(f"{shown(origin_of(ask.note))}: {judged.message}")
        if judged.answer is Answer.COSIGNED:
            self._answer(200, line)
        elif judged.answer is Answer.OTHER_SIZE:
            self._answer(409, f"{judged.size}\n", "text/x.tlog.size")
        else:
            self._answer(judged.answer.value, f"{judged.message}\n")

    def do_GET(self) -> None:
        what, _, given = self.path.strip("/").partition("/")
        found = None
        if self.path == "/key":
            found = self.server.witness.verifier_key + "\n"
        elif what == "checkpoint":
            found = self.server.witness.cosigned_note(given)
        self._answer(404 if found is None else 200, found or "There is nothing here.\n")

    def _answer(self, status: int, text: str, kind: str = _PLAIN) -> None:
        data = text.encode()
        self.close_connection = True
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(data)))
        self.send_header("X-Content-Type-Options", "nosniff")
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing: what matters is told by `say`."""


def serve(witness: Witness, host: str, port: int, say: Say) -> WitnessServer:
    """Listen in a thread of its own. Raises Unavailable when the address cannot be had."""
    try:
        server = WitnessServer(witness, host, port, say)
    except OSError as exc:
        raise Unavailable(f"the witness cannot listen on {host}:{port}: {exc.strerror or exc}.") from exc
    threading.Thread(target=server.serve_forever, daemon=True, name="greenroom-witness").start()
    return server
