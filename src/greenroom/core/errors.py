"""The errors a caller can act on, with everything an edge needs to translate them.

One class is one reaction: correct the input, ask for the right, look elsewhere, try again, call for help. Codes are
append-only: they are part of the API. Source: design, section 11.
"""

from __future__ import annotations

from typing import Any, ClassVar


class GreenroomError(Exception):
    """Base of all errors meant for a caller.

    `message` says what was wrong, with the value; `hint` what to do about it; `details` holds the same facts as fields.
    """

    code: ClassVar[str] = "error"
    http_status: ClassVar[int] = 500
    mlflow_code: ClassVar[str] = "INTERNAL_ERROR"
    mlflow_status: ClassVar[int] = 500
    exit_code: ClassVar[int] = 1
    retryable: ClassVar[bool] = False

    def __init__(self, message: str, *, hint: str | None = None, **details: Any) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.details = details

    def __str__(self) -> str:
        if not self.hint:
            return self.message
        return f"{self.message}{' ' if self.message.endswith(('.', '!', '?', ':')) else '. '}{self.hint}"


class InvalidInput(GreenroomError):
    """The request itself is wrong; sending it again cannot help."""

    code = "invalid_input"
    http_status = 400
    mlflow_code = "INVALID_PARAMETER_VALUE"
    mlflow_status = 400
    exit_code = 2


class TooLarge(InvalidInput):
    """A body, name, page or list is over a stated limit; `details["limit"]` names it."""

    code = "too_large"
    http_status = 413
    mlflow_status = 413


class Unauthenticated(GreenroomError):
    """Nobody knows who asks."""

    code = "unauthenticated"
    http_status = 401
    mlflow_code = "UNAUTHENTICATED"
    mlflow_status = 401
    exit_code = 3


class Forbidden(GreenroomError):
    """The actor is known and may not do this."""

    code = "forbidden"
    http_status = 403
    mlflow_code = "PERMISSION_DENIED"
    mlflow_status = 403
    exit_code = 3


class NotFound(GreenroomError):
    """What the request names does not exist (any more)."""

    code = "not_found"
    http_status = 404
    mlflow_code = "RESOURCE_DOES_NOT_EXIST"
    mlflow_status = 404
    exit_code = 4


class UnknownStage(NotFound):
    """The lifecycle has no stage of that name. Scripts look for its first sentence and for exit code 1."""

    code = "unknown_stage"
    mlflow_code = "INVALID_PARAMETER_VALUE"
    mlflow_status = 400
    exit_code = 1


class AlreadyExists(GreenroomError):
    """The name is taken."""

    code = "already_exists"
    http_status = 409
    mlflow_code = "RESOURCE_ALREADY_EXISTS"
    mlflow_status = 400
    exit_code = 5


class Conflict(GreenroomError):
    """A race was lost or the store is busy; the same request may succeed in a moment."""

    code = "conflict"
    http_status = 409
    mlflow_code = "TEMPORARILY_UNAVAILABLE"
    mlflow_status = 503
    exit_code = 6
    retryable = True


class RequestReused(GreenroomError):
    """An `Idempotency-Key` came back with another request than the one it was first used for."""

    code = "request_reused"
    http_status = 422
    mlflow_code = "INVALID_PARAMETER_VALUE"
    mlflow_status = 400
    exit_code = 2


class RateLimited(GreenroomError):
    """Too many requests at once; `details["limit"]` names the limit."""

    code = "rate_limited"
    http_status = 429
    mlflow_code = "REQUEST_LIMIT_EXCEEDED"
    mlflow_status = 429
    exit_code = 6
    retryable = True


class StorageFull(GreenroomError):
    """The disk is full: reads go on, nothing was written."""

    code = "storage_full"
    http_status = 507
    mlflow_code = "RESOURCE_EXHAUSTED"
    mlflow_status = 507
    exit_code = 6


class Unavailable(GreenroomError):
    """The store cannot be used now (not reachable, read-only, stopping)."""

    code = "unavailable"
    http_status = 503
    mlflow_code = "TEMPORARILY_UNAVAILABLE"
    mlflow_status = 503
    exit_code = 6
    retryable = True


class NotImplementedHere(GreenroomError):
    """A known request of the field that this server does not answer."""

    code = "not_implemented"
    http_status = 501
    mlflow_code = "NOT_IMPLEMENTED"
    mlflow_status = 501
    exit_code = 2


class IntegrityFailure(GreenroomError):
    """Stored bytes or rows are not what they were: never answered as if they were good."""

    code = "integrity_failure"
    http_status = 500
    mlflow_code = "DATA_LOSS"
    mlflow_status = 500
    exit_code = 7


class BytesLost(IntegrityFailure):
    """The bytes of a file are gone, or other bytes.

    MLflow's clients repeat a 500 for minutes and then say only that there were too many; at a 410 they stop and show
    what it says.
    """

    mlflow_status = 410


class Refused(GreenroomError):
    """The lifecycle said no. Raised only by the client and the edges; inside, a refusal is a recorded value.

    `details["promotion"]` is the recorded promotion.
    """

    code = "refused"
    http_status = 409
    mlflow_code = "RESOURCE_CONFLICT"
    mlflow_status = 409
    exit_code = 1


def error_classes() -> dict[str, type[GreenroomError]]:
    """Return every error class by its code; the client uses it to raise what the server answered."""
    known: dict[str, type[GreenroomError]] = {}
    waiting: list[type[GreenroomError]] = [GreenroomError]
    while waiting:
        cls = waiting.pop()
        if "code" in vars(cls):  # a subclass without a code of its own is a special case of its parent
            known[cls.code] = cls
        waiting.extend(cls.__subclasses__())
    return known
