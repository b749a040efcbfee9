"""A registry behind HTTP.

Writes carry an `Idempotency-Key`, so a request may be repeated after a lost connection and still has one effect. What
is repeated, how often and how long is bounded: nobody waits for a server that is not there.
"""

from __future__ import annotations

import base64
import http.client
import os
import random
import socket
import time
from collections.abc import Callable
from typing import Any
from urllib.parse import quote

from greenroom._version import __version__
from greenroom.client.pool import READ_S, Pool
from greenroom.client.resolve import ServerAddress
from greenroom.client.transport import actor_name, checked
from greenroom.client.wire import API, Answer, answer_of, may_retry, plain_answer, request_of, retry_after
from greenroom.core.errors import InvalidInput, Unavailable
from greenroom.services.api import BY_NAME, Mode

ATTEMPTS = 6
PATIENCE_S = 20.0  # all pauses of one call together
_FIRST_PAUSE_S = 0.1
_LONGEST_PAUSE_S = 5.0
_SLOW_READ_S = 3600.0  # verifying re-hashes every blob: the server is busy, not gone
_MAX_ANSWER = 256 << 20


class Remote:
    """Runs operations on the server at `address`. Thread safe; safe to use in a forked child.

    `pause` and `chance` stand for sleeping and for the random number in [0, 1) that spreads repeated requests.
    """

    is_local = False

    def __init__(
        self,
        address: ServerAddress,
        *,
        actor: str | None = None,
        pause: Callable[[float], None] = time.sleep,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self.address = address
        self.pool = Pool(address)
        self._actor = actor or actor_name()
        self._pause, self._chance = pause, chance
        self._seen = False  # it has answered before

    @property
    def where(self) -> str:
        """The server's URL, without credentials."""
        return self.address.url

    def close(self) -> None:
        """Close idle connections; a later call opens new ones."""
        self.pool.close()

    def call(self, operation: str, command: Any) -> Any:
        """Run one operation. Raises what the server says, Unavailable when it is not there."""
        row = BY_NAME[operation]
        target, body = request_of(row, checked(command))
        headers = self.headers()
        if body is not None:
            headers["Content-Type"] = "application/json"
        if row.mode is Mode.WRITE:
            headers["Idempotency-Key"] = os.urandom(16).hex()
        read_s = _SLOW_READ_S if row.mode is Mode.SLOW else READ_S
        answer = self.exchange(row.method, target, body, headers, read_s=read_s)
        return answer_of(row, answer, self.where)

    def info(self) -> dict[str, str]:
        """Return what the server says about itself. Raises Unavailable when it is no Greenroom server."""
        answer = self.exchange("GET", f"{API}/info", None, self.headers())
        return {str(name): str(value) for name, value in plain_answer(answer, self.where).items()}

    def headers(self) -> dict[str, str]:
        """Return the headers of every request: who asks, with what credentials, and what for."""
        headers = {
            "Accept": "application/json",
            "User-Agent": f"greenroom/{__version__}",
            "X-Greenroom-Actor": quote(self._actor, safe="@.+:-_~"),
        }
        address = self.address
        if address.token is not None:
            headers["Authorization"] = f"Bearer {_header_safe(address.token)}"
        elif address.user is not None:
            pair = f"{address.user}:{address.password or ''}".encode()
            headers["Authorization"] = f"Basic {base64.b64encode(pair).decode('ascii')}"
        return headers

    def exchange(
        self, method: str, target: str, body: bytes | None, headers: dict[str, str], *, read_s: float = READ_S
    ) -> Answer:
        """Send a request that may be repeated and return the answer, whatever its status.

        `target` is under the server's prefix. Repeats after a lost connection, 429, 502, 503, 504 and a 409 with
        Retry-After, at most ATTEMPTS times. Raises Unavailable when no answer can be had.
        """
        waited, attempt = 0.0, 0
        while True:
            attempt += 1
            asked: float | None = None
            try:
                answer = self._once(method, self.address.prefix + target, body, headers, read_s)
            except _Lost as lost:
                if not lost.worth_repeating or attempt >= ATTEMPTS or waited >= PATIENCE_S:
                    raise Unavailable(lost.message, hint=lost.hint, url=self.where) from lost.__cause__
            else:
                self._seen = True
                if not may_retry(answer) or attempt >= ATTEMPTS or waited >= PATIENCE_S:
                    return answer
                asked = retry_after(answer)
            waited += self._wait(attempt, asked)

    def _wait(self, attempt: int, asked_s: float | None) -> float:
        """Pause before the next attempt, longer each time, spread so that a crowd does not come back together."""
        planned: float = _FIRST_PAUSE_S * 2 ** (attempt - 1) * (0.5 + self._chance())
        seconds = min(max(planned, asked_s or 0.0), _LONGEST_PAUSE_S)
        self._pause(seconds)
        return seconds

    def _once(self, method: str, target: str, body: bytes | None, headers: dict[str, str], read_s: float) -> Answer:
        while True:
            connection, used = self._take(read_s)
            try:
                connection.request(method, target, body, headers)
                answer = _read(connection)
            except TimeoutError as exc:
                connection.close()
                raise _Lost(
                    f"{self.where} did not answer within {read_s:g} s; whether it did what was asked is not known.",
                    worth_repeating=False, hint="Look before you repeat it.",
                ) from exc  # fmt: skip
            except (OSError, http.client.HTTPException) as exc:
                connection.close()
                if used and not isinstance(exc, http.client.LineTooLong):
                    continue  # a kept connection had been closed at the other end: no attempt of ours was made
                raise self._lost(exc) from exc
            except BaseException:  # Ctrl-C between request and answer: the connection is out of step
                connection.close()
                raise
            self.pool.give_back(connection)
            return answer

    def _take(self, read_s: float) -> tuple[http.client.HTTPConnection, bool]:
        try:
            return self.pool.take(read_s=read_s)
        except OSError as exc:
            raise self._unreached(exc) from exc

    def _unreached(self, exc: OSError) -> _Lost:
        hint = "Is the server running? `greenroom server --data DIR` starts one."
        if isinstance(exc, socket.gaierror):
            return _Lost(f"the host of {self.where} is not known.", worth_repeating=False, hint="Check the address.")
        if type(exc).__module__ == "ssl":
            why = getattr(exc, "verify_message", "") or getattr(exc, "reason", "") or str(exc)
            return _Lost(
                f"no secure connection to {self.where}: {why}.", worth_repeating=False,
                hint="Check the scheme (http or https), the port and the certificate (SSL_CERT_FILE adds trust).",
            )  # fmt: skip
        why = "no answer to the connection" if isinstance(exc, TimeoutError) else exc.strerror or str(exc)
        message = f"{self.where} ({self.address.why}) cannot be reached: {why}."
        # A server that answered a moment ago is most likely restarting; one that never did is not there.
        return _Lost(message, worth_repeating=self._seen and not isinstance(exc, TimeoutError), hint=hint)

    def _lost(self, exc: Exception) -> _Lost:
        if isinstance(exc, OSError | http.client.IncompleteRead):
            return _Lost(f"the connection to {self.where} was lost ({type(exc).__name__}).", worth_repeating=True)
        return _Lost(
            f"{self.where} does not speak HTTP ({type(exc).__name__}).", worth_repeating=False,
            hint="Check the port, and whether it should be https.",
        )  # fmt: skip


class _Lost(Exception):
    """No answer was had. `worth_repeating`: the next attempt may get one."""

    def __init__(self, message: str, *, worth_repeating: bool, hint: str | None = None) -> None:
        super().__init__(message)
        self.message, self.worth_repeating, self.hint = message, worth_repeating, hint


def _read(connection: http.client.HTTPConnection) -> Answer:
    response = connection.getresponse()
    body = response.read(_MAX_ANSWER + 1)
    if len(body) > _MAX_ANSWER:
        raise http.client.LineTooLong("answer")
    if not response.isclosed():
        body += response.read()
    if response.will_close:
        connection.close()
    return Answer(response.status, {name.lower(): value for name, value in response.getheaders()}, body)


def _header_safe(token: str) -> str:
    if not token.isascii() or not token.isprintable() or " " in token:
        raise InvalidInput("the token in GREENROOM_TOKEN has characters that no token has.", hint="Copy it again.")
    return token
