"""What all parts of the client share: typed calls, pages turned by themselves, refusals raised."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any, TypeVar

from greenroom.client.transport import Transport
from greenroom.core.errors import InvalidInput, Refused
from greenroom.core.model import Page, Promotion
from greenroom.core.names import check_version

T = TypeVar("T")


class Calls:
    """A transport and how to call through it."""

    def __init__(self, transport: Transport) -> None:
        self.transport = transport

    def _ask(self, operation: str, command: Any, kind: type[T]) -> T:
        """Run an operation whose answer is a `kind`, as the table of operations says."""
        answer: T = self.transport.call(operation, command)
        return answer

    def _pages(self, operation: str, command: Any, kind: type[T]) -> Iterator[T]:
        """Yield every item of a paged answer, fetching pages as they are needed."""
        while True:
            page: Page[T] = self.transport.call(operation, command)
            yield from page.items
            if page.next_page_token is None:
                return
            command = replace(command, page_token=page.next_page_token)

    def _promotion(self, operation: str, command: Any, *, check: bool) -> Promotion:
        """Run a move; with `check`, one that did not succeed raises Refused, which carries it. A plan never raises."""
        promotion = self._ask(operation, command, Promotion)
        if check and not promotion.succeeded and promotion.id is not None:
            raise refused(promotion)
        return promotion


def refused(promotion: Promotion) -> Refused:
    """Return the error that says why a promotion did not succeed and what would be accepted."""
    reasons = " ".join(refusal.message for refusal in promotion.refusals)
    ways = [way for refusal in promotion.refusals for way in refusal.ways_out]
    message = (
        reasons or f"{promotion.model} version {promotion.version} into {promotion.slot}: {promotion.status.value}."
    )
    return Refused(message, hint=f"Ways out: {'; '.join(ways)}." if ways else None, promotion=promotion)


def version_number(value: int | str) -> int:
    """Return a version as a number; text is accepted because MLflow's users have it. Raises InvalidInput."""
    return check_version(value)


def optional_version(value: int | str | None) -> int | None:
    """Return a version as a number, or None for None."""
    return None if value is None else check_version(value)


def texts(values: Mapping[str, object] | None) -> dict[str, str]:
    """Return tags or parameters with every value as text."""
    return {key: str(value) for key, value in (values or {}).items()}


def finite(metrics: dict[str, float]) -> dict[str, float]:
    """Return metrics as floats; numpy's numbers are fine. Raises InvalidInput for NaN and what is no number."""
    checked: dict[str, float] = {}
    for name, value in metrics.items():
        try:
            number = float(value)
        except (TypeError, ValueError, OverflowError):
            raise InvalidInput(f"metric {name!r} is not a number: {str(value)[:60]!r}.", metric=name) from None
        if number - number != 0:
            raise InvalidInput(
                f"metric {name!r} is {number}.", hint="Record a finite number, or leave it out.", metric=name
            )
        checked[name] = number
    return checked
