"""The fixed queries about experiments, runs and logged models; see `store.statements`."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Select, bindparam, func, select, tuple_

from greenroom.store import tracking_schema as t

_e, _r, _l, _d, _p = t.experiment.c, t.run.c, t.logged_model.c, t.dataset.c, t.metric_point.c


def _b(name: str) -> Any:
    return bindparam(name)


_experiment = select(_e.id, _e.name, _e.artifact_location, _e.created_at, _e.updated_at, _e.deleted_at)
_run = select(
    _r.no, _r.id, _r.experiment_id, _r.name, _r.user_id, _r.status, _r.start_time, _r.end_time, _r.deleted_at,
    _e.artifact_location,
).join_from(t.run, t.experiment, _e.id == _r.experiment_id)  # fmt: skip
_model = select(
    _l.id, _l.experiment_id, _l.name, _l.status, _l.status_message, _l.model_type, _l.source_run_id, _l.created_at,
    _l.updated_at, _l.deleted_at, _e.artifact_location,
).join_from(t.logged_model, t.experiment, _e.id == _l.experiment_id)  # fmt: skip
_point = (_p.timestamp, _p.step, _p.value, _p.is_nan)
_history = select(*_point).where(_p.run_no == _b("run_no"), _p.key == _b("key")).order_by(*_point).limit(_b("limit"))

TRACKING: dict[str, Select[Any]] = {
    "experiment": _experiment.where(_e.id == _b("id")),
    "experiment_called": _experiment.where(_e.name == _b("name")),
    "run": _run.where(_r.id == _b("id")),
    "run_tag": select(t.run_tag.c.value).where(t.run_tag.c.run_no == _b("run_no"), t.run_tag.c.key == _b("key")),
    "metric_history": _history,
    "metric_history_after": _history.where(
        tuple_(*_point) > tuple_(_b("after_timestamp"), _b("after_step"), _b("after_value"), _b("after_is_nan"))
    ),
    "dataset": select(_d.no).where(
        _d.experiment_id == _b("experiment_id"), _d.name == _b("name"), _d.digest == _b("digest")
    ),
    "run_datasets_count": select(func.count()).select_from(t.run_dataset).where(t.run_dataset.c.run_no == _b("run_no")),
    "run_models_count": select(func.count()).select_from(t.run_model).where(t.run_model.c.run_no == _b("run_no")),
    "logged_model": _model.where(_l.id == _b("id")),
    "logged_model_of_run": _model.where(
        _l.source_run_id == _b("run_id"), _l.name == _b("name"), _l.deleted_at.is_(None)
    )
    .order_by(_l.created_at.desc(), _l.id)
    .limit(1),
    "last_experiment": select(func.max(_e.id)),
    "last_run": select(func.max(_r.no)),
    "last_dataset": select(func.max(_d.no)),
}
