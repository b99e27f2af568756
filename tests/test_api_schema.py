"""Requests that nobody thought of, made from the OpenAPI document: never a 5xx, always what the document says."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import schemathesis
from hypothesis import Phase, given, settings
from schemathesis import GenerationMode
from schemathesis.checks import load_all_checks, not_a_server_error
from schemathesis.schemas import APIOperation
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from rag.api.application import create
from rag.app import App, opening
from tests.api import OTTERS, TIDES, client, make_token, small

load_all_checks()
EXAMPLES = {"sqlite": 20, "postgresql": 5}  # a route and mode; what a route takes and says is the same on both


CHECKS = (not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance)


@pytest.fixture
def token(app: App) -> str:
    return make_token(app)


@pytest.fixture
def app(tmp_path: Path, database_url: str) -> Iterator[App]:
    """An installation with a little in it."""
    with opening(small(tmp_path, database=database_url), create=True) as opened:
        filling = client(create(opened))
        for text in (OTTERS, TIDES):
            assert filling.post("/api/documents", json={"text": text}).status_code == 201
        assert filling.post("/api/ask", json={"question": "Who holds hands?"}).status_code == 200
        yield opened


@pytest.mark.parametrize("mode", list(GenerationMode))
def test_no_request_is_answered_with_5xx(app: App, token: str, mode: GenerationMode) -> None:
    """Requests that fit the document, and requests that do not, against every route."""
    headers = {"authorization": f"Bearer {token}", "host": "localhost"}
    schema = schemathesis.openapi.from_asgi("/openapi.json", create(app), headers=headers)
    operations = [found.ok() for found in schema.get_all_operations()]
    examples = EXAMPLES[app.database.engine.dialect.name]
    assert len(operations) >= 13
    for operation in operations:
        if operation.path.endswith("/events"):
            continue  # a job that waits is watched for ever; tests/test_api_jobs.py asks this route
        if mode is GenerationMode.NEGATIVE and not can_be_wrong(operation):
            continue

        @settings(max_examples=examples, deadline=None, derandomize=True, database=None, phases=[Phase.generate])
        @given(case=operation.as_strategy(generation_mode=mode))
        def check(case: schemathesis.Case) -> None:
            case.call_and_validate(headers=headers, checks=CHECKS)

        check()


def can_be_wrong(operation: APIOperation) -> bool:
    """Whether a route takes anything that could be wrong."""
    return bool(operation.body or operation.query or operation.path_parameters)
