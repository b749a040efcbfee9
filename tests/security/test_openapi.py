"""S4: requests made from our own OpenAPI document: no failure, no status that the document does not know."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import hypothesis
import pytest
import requests
import schemathesis
from schemathesis import GenerationMode
from schemathesis.checks import load_all_checks
from schemathesis.specs.openapi.checks import content_type_conformance, response_schema_conformance

from greenroom.http import openapi
from greenroom.http.openapi_by_hand import ERRORS
from greenroom.http.problem import HeadTooLarge
from tests.promises import promise, sized
from tests.races.kit import SEED
from tests.security.scene import Live, Scene, live, scene

EXAMPLES = sized(50, 2_000)
_MODES = (GenerationMode.POSITIVE, GenerationMode.NEGATIVE)
load_all_checks()


@functools.cache
def _schema() -> Any:
    return schemathesis.openapi.from_dict(openapi.document())


def _labels() -> list[str]:
    return [
        f"{method.upper()} {path}"
        for path, item in openapi.document()["paths"].items()
        for method in item
        if method in ("get", "put", "post", "patch", "delete")
    ]


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    with scene(tmp_path_factory.mktemp("openapi")) as made:
        yield made


@pytest.fixture(scope="module")
def session() -> Iterator[requests.Session]:
    with requests.Session() as kept:
        kept.trust_env = False
        yield kept


def explore(server: Live, session: requests.Session, label: str, examples: int) -> None:
    """Ask one operation what its description allows, then what it does not; AssertionError for a wrong answer."""
    method, path = label.split(" ")
    operation = _schema()[path][method]
    documented = set(openapi.document()["paths"][path][method.lower()]["responses"])

    def ask(case: Any) -> None:
        answer = case.call(base_url=server.url, session=session, timeout=30)
        assert answer.status_code < 500 or answer.status_code == 501, (answer.status_code, answer.text)
        assert str(answer.status_code) in documented, (answer.status_code, answer.text)
        case.validate_response(answer, checks=[content_type_conformance, response_schema_conformance])

    for mode in _MODES:
        try:
            strategy = operation.as_strategy(generation_mode=mode)
            test = hypothesis.given(case=strategy)(ask)
            _settings(max(1, examples // len(_MODES)))(hypothesis.seed(SEED)(test))()
        except (hypothesis.errors.Unsatisfiable, schemathesis.errors.SchemathesisError) as exc:
            if mode is GenerationMode.POSITIVE:
                raise
            del exc  # an operation that takes nothing cannot be asked wrongly


def _settings(examples: int) -> hypothesis.settings:
    return hypothesis.settings(
        max_examples=examples,
        deadline=None,
        database=None,
        phases=(hypothesis.Phase.explicit, hypothesis.Phase.generate),
        suppress_health_check=list(hypothesis.HealthCheck),
        print_blob=False,
    )


@promise(
    "S4",
    "{examples} requests for each of {operations} operations",
    examples=EXAMPLES,
    operations=len(_labels()),
    mutant="test_a_failure_is_found",
)
@pytest.mark.parametrize("label", _labels())
def test_operation(stage: Scene, session: requests.Session, label: str) -> None:
    print(f"seed {SEED}")
    explore(stage.server, session, label, EXAMPLES)


def test_a_failure_is_found(tmp_path: Path, session: requests.Session) -> None:
    with live(tmp_path / "registry", mutant="always_fails") as server, pytest.raises(AssertionError):
        explore(server, session, "GET /api/v1/models", 4)


def test_the_document_knows_every_status_of_an_error() -> None:
    from greenroom.core.errors import error_classes

    assert HeadTooLarge.http_status == 431
    assert {str(kind.http_status) for kind in error_classes().values()} <= set(ERRORS)
