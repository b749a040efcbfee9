"""Points of metrics as clients send them, read quickly: look-ups wait for the time that it takes.

Trainings send points by the thousand, one by one or in batches, and all in one form. That form is read here; the rest
(another spelling, a number as text, NaN, what is wrong) is left to `mlflow_wire` and `mlflow_tracking_in`, which say
what to do about it. Reading quickly must never mean reading differently: what both can read they read alike.
"""

from __future__ import annotations

from typing import Annotated, Final

import msgspec

from greenroom.core.tracking_names import is_run_id
from greenroom.services.commands.tracking import LogToRun

QUICK_BYTES: Final = 256 << 10  # what takes a millisecond; a larger body is read on a thread
_JSON: Final = ("application/json", "application/json; charset=utf-8")
_INT64 = Annotated[int, msgspec.Meta(ge=-(2**63), le=2**63 - 1)]
_Name = Annotated[str, msgspec.Meta(min_length=1)]


class _Point(msgspec.Struct, frozen=True, gc=False, forbid_unknown_fields=True):
    """`core.tracking.Metric` as it comes; it has the same attributes."""

    key: _Name
    value: float
    timestamp: _INT64
    step: _INT64
    model_id: _Name | None = None
    dataset_name: _Name | None = None
    dataset_digest: _Name | None = None


class _Pair(msgspec.Struct, frozen=True, gc=False, forbid_unknown_fields=True):
    key: _Name
    value: str


class _Batch(msgspec.Struct, frozen=True, gc=False, forbid_unknown_fields=True):
    run_id: str
    metrics: tuple[_Point, ...] | msgspec.UnsetType = msgspec.UNSET
    params: tuple[_Pair, ...] | msgspec.UnsetType = msgspec.UNSET
    tags: tuple[_Pair, ...] | msgspec.UnsetType = msgspec.UNSET


class _Single(_Point, frozen=True, gc=False, forbid_unknown_fields=True, kw_only=True):
    """A point that comes alone; clients name the run twice."""

    run_id: str
    run_uuid: str | None = None


_BATCH = msgspec.json.Decoder(_Batch)
_SINGLE = msgspec.json.Decoder(_Single)


def read_batch(content_type: str | None, body: bytes) -> LogToRun | None:
    """Return what a batch asks for, or None where it has to be read with care."""
    if content_type not in _JSON or len(body) > QUICK_BYTES or b"\\" in body:
        return None
    try:
        batch = _BATCH.decode(body)
    except ValueError:  # not JSON, not UTF-8, or not in this form
        return None
    if not is_run_id(batch.run_id) or body.count(b'"') != 2 * _texts_of(batch):
        return None
    pairs = tuple((each.key, each.value) for each in batch.params or ())
    return LogToRun(batch.run_id, batch.metrics or (), pairs, {each.key: each.value for each in batch.tags or ()})


def read_point(content_type: str | None, body: bytes) -> LogToRun | None:
    """Return what one point asks for, or None where it has to be read with care."""
    if content_type not in _JSON or b"\\" in body:
        return None
    try:
        point = _SINGLE.decode(body)
    except ValueError:
        return None
    texts = 7 + 2 * (4 - (point.model_id, point.dataset_name, point.dataset_digest, point.run_uuid).count(None))
    if not is_run_id(point.run_id) or body.count(b'"') != 2 * texts:
        return None
    return LogToRun(point.run_id, (point,), batch=False)


def _texts_of(batch: _Batch) -> int:
    """Return how many texts a batch without a key that comes twice is written with."""
    points, params, tags = batch.metrics or (), batch.params or (), batch.tags or ()
    count = 2 + sum(each is not msgspec.UNSET for each in (batch.metrics, batch.params, batch.tags))
    more = sum((each.model_id, each.dataset_name, each.dataset_digest).count(None) for each in points)
    return count + 5 * len(points) + 2 * (3 * len(points) - more) + 4 * (len(params) + len(tags))
