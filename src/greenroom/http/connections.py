"""What one connection may do, and what all connections together may: put in front of uvicorn's two protocols.

Uvicorn waits for ever for the first byte and the last header, keeps requests that are sent ahead, trailers and unread
answers of any number and size, and answers in plain text what its parser refuses. Here every wait has a clock, every
buffer a size, the number of connections an end, and every refusal the error format of its wire.
Sources: security vectors DO-16, DO-19; reliability goal S10; RFC 9112 section 9.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
import secrets
from typing import Any

import h11
from starlette.responses import Response
from uvicorn.protocols.http.h11_impl import H11Protocol

from greenroom.core.errors import GreenroomError, InvalidInput, RateLimited
from greenroom.core.limits import bound
from greenroom.http.crowd import Crowd
from greenroom.http.guards import WHOLE_BODY
from greenroom.http.one_write import OneWrite
from greenroom.http.problem import HeadTooLarge, RequestTimeout, TargetTooLong, answer_error
from greenroom.http.routing import MLFLOW_PREFIXES, Wire

HEAD_BYTES = bound("head")
HEAD_TIME_S: float = bound("head_time")
TARGET_BYTES = bound("target")
PIPELINE = bound("pipeline")
LINGER_S = 2.0  # after its last answer a client may go on sending for so long, so that it can read that answer
_START_BYTES = 64  # enough to see whose wire a broken request was meant for
_MLFLOW_START = re.compile(
    rb"[!-~]{1,32} (?:https?://[^/ ]*)?(?:%s)" % b"|".join(map(re.escape, (p.encode() for p in MLFLOW_PREFIXES)))
)
_REASONS = {400: b"Bad Request", 408: b"Request Timeout", 414: b"URI Too Long", 429: b"Too Many Requests"}


class Connection:
    """The part of a connection that both parsers share; in front of uvicorn's protocol class."""

    crowd: Crowd
    cycle: Any  # uvicorn's request and response; a new one means that a request's headers are complete
    loop: asyncio.AbstractEventLoop
    transport: asyncio.Transport
    _clock: asyncio.TimerHandle | None = None
    _head_bytes = 0
    _start = b""  # of the head that is arriving
    _parted = False  # the last answer is written; what still comes is thrown away

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Start the clock of the first head, or refuse at once when there are too many connections."""
        super().connection_made(transport)  # type: ignore[misc]
        if self.crowd.enter(self):
            self._start_clock()
        else:
            self._part(_too_many("connections", self.crowd.most))

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the connection."""
        self._stop_clock()
        self.crowd.leave(self)
        super().connection_lost(exc)  # type: ignore[misc]

    def data_received(self, data: bytes) -> None:
        """Read on, within the clock and the sizes of a head."""
        if self._parted:
            return
        before, began_in_head = self.cycle, self._in_head()
        if began_in_head and not self._head_bytes:
            self._start = data[:_START_BYTES]
        super().data_received(data)  # type: ignore[misc]
        if self.cycle is not before or self.transport.is_closing():
            self._stop_clock()
            self._head_bytes = 0
            if not self._is_answered():
                self.crowd.is_busy(self)
        elif self._in_head():
            if not began_in_head:
                return  # the end of a body; should a next head begin in the same piece, keep-alive is its clock
            self._more_of_head(len(data))
        elif self._is_answered():
            self._start_clock()

    def _more_of_head(self, count: int) -> None:
        self._head_bytes += count
        if self._head_bytes > HEAD_BYTES:
            self._part(self._too_much_head())
            return
        self._start_clock()
        if self._is_answered():
            self.crowd.is_waiting(self, begun=True)

    def on_response_complete(self) -> None:
        """Count the connection among those that wait for a request."""
        super().on_response_complete()  # type: ignore[misc]
        if self._is_answered() and not self.transport.is_closing():
            self.crowd.is_waiting(self, begun=bool(self._head_bytes))

    def pause_writing(self) -> None:
        """Note since when the client has not read its answers."""
        super().pause_writing()  # type: ignore[misc]
        self.crowd.is_behind(self, self.loop.time())

    def resume_writing(self) -> None:
        """Note that the client reads again."""
        super().resume_writing()  # type: ignore[misc]
        self.crowd.unread.pop(self, None)

    def send_400_response(self, msg: str) -> None:
        """Answer what the parser refused. Uvicorn calls this, with a text that says nothing."""
        if not self._parted:
            self._part(self._why_refused())

    def unread_bytes(self) -> int:
        """Return how many bytes of answers wait here for the client."""
        return self.transport.get_write_buffer_size()

    def make_room(self) -> None:
        """Close this connection, which waits for a request, in favour of a new one."""
        if self._head_bytes and self._is_answered():
            self.transport.write(_bytes_of(_too_many("connections", self.crowd.most), self._wire()))
        self.crowd.leave(self)
        self._parted = True
        self.transport.close()

    def _in_head(self) -> bool:
        raise NotImplementedError

    def _is_answered(self) -> bool:
        return self.cycle is None or self.cycle.response_complete

    def _why_refused(self) -> GreenroomError:
        hint = "RFC 9112 says how a request looks."
        return InvalidInput("The request cannot be read: it is not well-formed HTTP.", hint=hint)

    def _too_much_head(self) -> GreenroomError:
        if len(self._target()) > TARGET_BYTES:
            return target_too_long()
        text, hint = f"Request line and headers have more than {HEAD_BYTES} bytes.", "Send fewer or shorter headers."
        return HeadTooLarge(text, hint=hint, limit="head", maximum=HEAD_BYTES)

    def _target(self) -> bytes:
        """Return what is known of the request's target."""
        return b""

    def _start_clock(self) -> None:
        if self._clock is None:
            self._clock = self.loop.call_later(HEAD_TIME_S, self._expire)

    def _stop_clock(self) -> None:
        if self._clock is not None:
            self._clock.cancel()
            self._clock = None

    def _expire(self) -> None:
        self._clock = None
        if not self._is_answered():
            self._start_clock()  # an answer is on its way (a pipelined request follows): let it finish
        elif self._head_bytes:
            text = f"Request line and headers did not arrive within {HEAD_TIME_S:g} s."
            self._part(RequestTimeout(text, hint="Send them at once.", limit="head_time", maximum=HEAD_TIME_S))
        else:
            self.transport.close()

    def _part(self, error: GreenroomError) -> None:
        """Say `error`, unless another answer has begun, and end the connection so that the client can read it."""
        self._stop_clock()
        self._parted = True
        if self.transport.is_closing():
            return
        if not self._may_still_answer():
            self.transport.close()
            return
        self._give_up()
        self.transport.write(_bytes_of(error, self._wire()))
        if self.transport.can_write_eof():
            with contextlib.suppress(OSError, RuntimeError):
                self.transport.write_eof()
        self._clock = self.loop.call_later(LINGER_S, self.transport.close)

    def _give_up(self) -> None:
        """Tell the request at work, if there is one, that nobody waits for its answer."""
        if not self._is_answered():
            self.cycle.disconnected = True
            self.cycle.message_event.set()

    def _may_still_answer(self) -> bool:
        """Tell whether the next bytes on the wire can be the answer to what was just refused."""
        return self._is_answered()

    def _wire(self) -> Wire:
        return Wire.MLFLOW if _MLFLOW_START.match(self._start.lstrip(b"\r\n")) else Wire.NATIVE


class HTTPToolsConnection(Connection):
    """In front of uvicorn's protocol over httptools."""

    _in_body = False
    _barren_bytes = 0  # since the last byte of a body: chunk sizes, their extensions, trailers
    _overrun = False
    _much = False  # what is being parsed may hold a head over the limit
    _too_large = False
    url: bytes
    headers: list[tuple[bytes, bytes]]
    parser: Any
    pipeline: Any

    def on_message_begin(self) -> None:
        """Forget how the request before this one began."""
        super().on_message_begin()  # type: ignore[misc]
        if self._in_body or self.cycle is not None:
            self._start = b""

    def on_url(self, url: bytes) -> None:
        """Keep the beginning of a target that came behind another request."""
        super().on_url(url)  # type: ignore[misc]
        if len(self._start) < _START_BYTES and not self._head_bytes:
            self._start = b"GET " + self.url[:_START_BYTES]  # a pipelined request: only the target tells

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a header, and no trailer."""
        if not self._in_body:  # a trailer is nothing that we read, and must not pass for a header
            super().on_header(name, value)  # type: ignore[misc]

    def on_headers_complete(self) -> None:
        """Start the request, unless a limit was passed.

        Raises:
            OverflowError: too much was sent ahead or the head is too large; the parser then refuses the bytes.
        """
        if len(self.pipeline) >= PIPELINE:
            self._overrun = True
            raise OverflowError("too many requests were sent ahead")
        if len(self.url) > 65_535:
            raise OverflowError("httptools cannot count so far")
        if self._much and self._size_of_head() > HEAD_BYTES:
            self._too_large = True
            raise OverflowError("a head that came in one piece is too large")
        super().on_headers_complete()  # type: ignore[misc]
        self.cycle.transport = OneWrite(self.transport, self.loop)
        self._in_body, self._barren_bytes = True, 0  # not before: what is refused in there has no body

    def on_body(self, body: bytes) -> None:
        """Pass a piece of the body on: the bytes are of use."""
        self._barren_bytes = -1
        super().on_body(body)  # type: ignore[misc]

    def on_message_complete(self) -> None:
        """Note that a head is next."""
        self._in_body = False
        self.cycle.scope[WHOLE_BODY] = True
        super().on_message_complete()  # type: ignore[misc]

    def _size_of_head(self) -> int:
        line = len(self.parser.get_method()) + len(self.url) + len(b"  HTTP/1.1\r\n\r\n")
        return line + sum(len(name) + len(value) + len(b": \r\n") for name, value in self.headers)

    def data_received(self, data: bytes) -> None:
        """Read on, and refuse bytes of chunks that never hold a byte of body."""
        self._much = self._head_bytes + len(data) > HEAD_BYTES
        super().data_received(data)
        if self._barren_bytes < 0 or not self._in_body:
            self._barren_bytes = 0
        else:
            self._barren_bytes += len(data)
            if self._barren_bytes > HEAD_BYTES and not self._parted:
                self._part(self._too_much_head())

    def _in_head(self) -> bool:
        return not self._in_body

    def _target(self) -> bytes:
        return self.url if hasattr(self, "url") else b""

    def _why_refused(self) -> GreenroomError:
        if not self._in_body and len(self._target()) > TARGET_BYTES:
            return target_too_long()
        return self._too_much_head() if self._too_large else super()._why_refused()

    def send_400_response(self, msg: str) -> None:
        """Answer what the parser refused, once the requests before it have their answers."""
        if self._parted:
            return
        if self._may_still_answer() or (self._in_body and not self.pipeline and not self._overrun):
            self._part(self._why_refused())
        else:
            self._finish_those_before()

    def _may_still_answer(self) -> bool:
        if self._is_answered():
            return True
        # The body of the request at work is malformed or has no end: that request gets this answer.
        return self._in_body and not self.pipeline and not self._overrun and not self.cycle.response_started

    def _finish_those_before(self) -> None:
        """Let the requests that came before a refused one be answered, then end the connection."""
        self._parted = True
        last = self.pipeline[0][0] if self.pipeline else self.cycle
        last.keep_alive = False
        if self._in_body and not self._overrun:  # it is the last one itself whose body is malformed: it must not run
            self._give_up()
        self._stop_clock()
        self._clock = self.loop.call_later(HEAD_TIME_S, self._close_when_answered)

    def _close_when_answered(self) -> None:
        if self._is_answered() or self.cycle.disconnected:
            self.transport.close()


class H11Connection(Connection):
    """In front of uvicorn's protocol over h11, which has limits of its own for lines, trailers and pipelines."""

    conn: Any

    def _in_head(self) -> bool:
        return self.conn.their_state is h11.IDLE

    def _why_refused(self) -> GreenroomError:
        too_much = len(self.conn.trailing_data[0]) > HEAD_BYTES
        return self._too_much_head() if too_much else super()._why_refused()

    def _target(self) -> bytes:
        line: bytes = self.conn.trailing_data[0].partition(b"\n")[0]
        return line

    def _may_still_answer(self) -> bool:
        return self._is_answered() or not self.cycle.response_started


def protocol_class(crowd: Crowd, *, pure_python: bool = False) -> type[asyncio.Protocol]:
    """Return uvicorn's HTTP protocol with our limits: over httptools if it is there, else (or `pure_python`) h11."""
    if not pure_python:
        with contextlib.suppress(ImportError):
            from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

            return type("PatientHTTPTools", (HTTPToolsConnection, HttpToolsProtocol), {"crowd": crowd})
    return type("PatientH11", (H11Connection, H11Protocol), {"crowd": crowd})


def target_too_long() -> TargetTooLong:
    """Return the error for a path and query over the limit."""
    text, hint = f"The request target has more than {TARGET_BYTES} bytes.", "Send long values in the body."
    return TargetTooLong(text, hint=hint, limit="target", maximum=TARGET_BYTES)


def _too_many(limit: str, most: int) -> RateLimited:
    text = f"More than {most} connections are open, and this one was waiting longest."
    return RateLimited(text, hint="Try again in a moment.", limit=limit, maximum=most)


def _bytes_of(error: GreenroomError, wire: Wire) -> bytes:
    """Return the whole answer that says `error`, for a request that no application saw."""
    request_id = secrets.token_hex(16)
    answer: Response = answer_error(error, wire, request_id)
    status = answer.status_code
    lines = [b"HTTP/1.1 %d %s" % (status, _REASONS.get(status, b"Refused")), b"server: greenroom"]
    lines += [name + b": " + value for name, value in answer.raw_headers]
    lines += [b"x-content-type-options: nosniff", b"x-request-id: " + request_id.encode(), b"connection: close"]
    return b"\r\n".join(lines) + b"\r\n\r\n" + bytes(answer.body)
