"""Requests that nobody thought of, made from the OpenAPI document: never a 5xx, always what the document says."""

import json
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
import schemathesis
from fastapi import FastAPI
from hypothesis import Phase, given, settings
from schemathesis import GenerationMode
from schemathesis.checks import load_all_checks, not_a_server_error
from schemathesis.python.asgi import ASGIClient, shutdown_lifespans
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
EXAMPLES = 40  # a route and mode; each is sent to both databases
PARTS = 4  # in which the routes are gone through, beside one another
CHECKS = (not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance)


@pytest.fixture(scope="module")
def document(tmp_path_factory: pytest.TempPathFactory) -> str:
    """What /openapi.json says, which takes an application a second to make."""
    with opening(small(tmp_path_factory.mktemp("document")), create=True) as app:
        return client(create(app)).get("/openapi.json").text


@pytest.fixture
def apps(tmp_path: Path, postgres_url: str) -> Iterator[tuple[App, App]]:
    """Installations with a little in them, on SQLite and on PostgreSQL."""
    with ExitStack() as stack:
        opened = [small(tmp_path / name, database=url) for name, url in (("here", ""), ("there", postgres_url))]
        sqlite, postgres = (stack.enter_context(opening(settings, create=True)) for settings in opened)
        for app in (sqlite, postgres):
            filling = client(create(app))
            for text in (OTTERS, TIDES):
                assert filling.post("/api/documents", json={"text": text}).status_code == 201
            assert filling.post("/api/ask", json={"question": "Who holds hands?"}).status_code == 200
        yield sqlite, postgres
        shutdown_lifespans()  # else their workers go on asking databases that are gone until the last test has ended


@pytest.mark.parametrize("part", range(PARTS))
@pytest.mark.parametrize("mode", list(GenerationMode))
def test_no_request_is_answered_with_5xx(apps: tuple[App, App], document: str, mode: GenerationMode, part: int) -> None:
    """Requests that fit the document, and requests that do not, against every route; each is sent to both."""
    asked = [(create(app), {"authorization": f"Bearer {make_token(app)}", "host": "localhost"}) for app in apps]
    schema = schemathesis.openapi.from_dict(json.loads(document))
    schema.app = asked[0][0]  # so that a case knows that it goes to an application, not over the network
    sessions = [quick(api) for api, _ in asked]
    operations = [found.ok() for found in schema.get_all_operations()]
    assert len(operations) >= 13
    for operation in operations[part::PARTS]:
        if operation.path.endswith("/events"):
            continue  # a job that waits is watched for ever; tests/test_api_jobs.py asks this route
        if mode is GenerationMode.NEGATIVE and not can_be_wrong(operation):
            continue

        @settings(max_examples=EXAMPLES, deadline=None, derandomize=True, database=None, phases=[Phase.generate])
        @given(case=operation.as_strategy(generation_mode=mode))
        def check(case: schemathesis.Case) -> None:
            for (api, headers), session in zip(asked, sessions, strict=True):
                with session:
                    session.cookies.clear()  # as a new one for every case has none
                    case.call_and_validate(headers=headers, checks=CHECKS, app=api, session=session)

        check()


def can_be_wrong(operation: APIOperation) -> bool:
    """Whether a route takes anything that could be wrong."""
    return bool(operation.body or operation.query or operation.path_parameters)


def quick(api: FastAPI) -> ASGIClient:
    """A session that serves all cases, and looks for no proxy in the environment: a tenth of the time of a request."""
    session = ASGIClient(api)  # type: ignore[arg-type]
    session.trust_env = False
    return session
