"""`create`: an installation becomes an ASGI application; routes, guards and background work are put together here."""

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from functools import partial
from importlib.metadata import version
from threading import Thread
from types import ModuleType
from typing import Any

from anyio import CapacityLimiter, move_on_after, to_thread
from fastapi import FastAPI

from rag.api import openai_errors, problems
from rag.api.guard import Authentication, BodyLimit, Hosts, Outermost
from rag.api.house import QUICK, House, answers_at_once
from rag.api.metrics import Metrics
from rag.api.models import Problem
from rag.api.models.documents import TextRequest, UploadRequest
from rag.api.pages import ask as ask_page
from rag.api.pages import compare as compare_page
from rag.api.pages import dashboard as dashboard_page
from rag.api.pages import documents as documents_page
from rag.api.pages import evaluation as evaluation_page
from rag.api.pages import jobs as jobs_page
from rag.api.pages import log as log_page
from rag.api.pages import login, refusals, rendering, static
from rag.api.pages import review as review_page
from rag.api.publisher import Publisher
from rag.api.routes import (
    ask,
    collections,
    comparisons,
    conversations,
    dashboard,
    datasets,
    documents,
    duplicates,
    evaluations,
    experiments,
    gates,
    health,
    histories,
    interactions,
    jobs,
    log,
    mcp,
    metrics,
    pages,
    prompts,
    replays,
    reviews,
    search,
    syncs,
    v1,
    why,
)
from rag.app import App
from rag.config import Settings
from rag.workers import Crew, Worker

MEBIBYTE = 2**20
LAST_WORDS_S = 5.0  # a generator that was told to stop has this long when the server ends
UPLOADS = frozenset({"/api/documents", "/documents/upload"})  # the routes that take large bodies
CONVERSATION_MB = 8  # /v1: a whole conversation, or many texts to embed

DESCRIPTION = """Documents come in, questions are answered from them, and every answer can be checked.

Requests are JSON and strict: an unknown field is refused. Errors are problem documents (RFC 9457,
`application/problem+json`) whose `type` names the error. With a live token in the installation every route but
`/api/health` needs one (`Authorization: Bearer …`); without any, the server answers its own machine only. Lists come in
pages: pass `next` as `cursor` to get the page behind; it is null on the last.

What lies under `/v1` speaks OpenAI's language: errors have its shape, and unknown fields are passed over and named. The
Model Context Protocol is spoken at `/mcp`."""


EVERYTHING = (
    search,
    why,
    ask,
    documents,
    duplicates,
    histories,
    syncs,
    jobs,
    interactions,
    log,
    replays,
    reviews,
    collections,
    conversations,
    evaluations,
    datasets,
    experiments,
    gates,
    comparisons,
    dashboard,
    prompts,
    health,
    metrics,
    v1,
    mcp,
    pages,
    static,
    login,
    ask_page,
    compare_page,
    review_page,
    jobs_page,
    documents_page,
    dashboard_page,
    log_page,
    evaluation_page,
)
TOOLS = (health, mcp)


def create(app: App | Settings, resources: Sequence[ModuleType] = EVERYTHING) -> FastAPI:
    """The application of an open installation, or of one that is opened now and closed when the application ends.

    Raises StoreNotReady when the settings name an installation that is missing or of another version.
    """
    owned = isinstance(app, Settings)
    opened = App.open(app) if isinstance(app, Settings) else app
    house = House(opened, Metrics(), CapacityLimiter(answers_at_once(opened)))
    opened.listeners.append(house.metrics.heard)
    opened.counters.append(house.metrics.counted)
    api = Api(
        title="rag",
        version=version("rag"),
        description=DESCRIPTION,
        docs_url=None,  # Swagger's page loads its scripts from elsewhere; rag.api.routes.pages serves our own
        redoc_url=None,
        openapi_url=None,
        lifespan=partial(_lifespan, house, close=opened.close if owned else lambda: None),
        separate_input_output_schemas=False,
    )
    api.state.house = house
    api.state.paths = frozenset(route.path for resource in resources for route in resource.router.routes)
    problems.register(api)
    if "/ask" in api.state.paths:
        rendering.register(api)
    openai_errors.register(api)
    for resource in resources:  # none has a prefix: FastAPI looks through an included router twice for each request
        api.router.routes.extend(resource.router.routes)
    settings = opened.settings
    names = frozenset(name.lower().rstrip(".") for name in settings.allowed_hosts)
    # The last one added is the first that a request meets.
    api.add_middleware(BodyLimit, limit=partial(body_limit, settings))
    api.add_middleware(Authentication, installation=opened)
    api.add_middleware(Hosts, allowed=names)
    if "/ask" in api.state.paths:
        api.add_middleware(refusals.Refusals)
    api.add_middleware(Outermost, measure=house.metrics.request)
    api.add_middleware(openai_errors.OpenAIErrors)
    return api


class Api(FastAPI):
    """FastAPI whose document also holds what it neither reads nor writes itself: problems, and what is uploaded."""

    def openapi(self) -> dict[str, Any]:  # as FastAPI types it
        document = super().openapi()
        for model in (Problem, TextRequest, UploadRequest):
            document["components"]["schemas"][model.__name__] = model.model_json_schema()
        return document


def body_limit(settings: Settings, path: str) -> int:
    """The longest body that a path takes, in bytes."""
    if path in UPLOADS:
        return settings.max_upload_mb * MEBIBYTE
    if path.startswith(openai_errors.PREFIX):
        return max(CONVERSATION_MB * MEBIBYTE, 12 * settings.max_question_chars)
    return max(MEBIBYTE, 12 * settings.max_question_chars)  # a character is at most 12 bytes of JSON


@asynccontextmanager
async def _lifespan(house: House, api: FastAPI, *, close: Callable[[], None]) -> AsyncIterator[None]:
    to_thread.current_default_thread_limiter().total_tokens = QUICK
    publisher = Publisher(house.app)
    publisher.start()
    crew = Crew(Worker(house.app), house.app.settings.job_workers)
    crew.start()
    preparing = Thread(target=rendering.prepare if "/ask" in api.state.paths else lambda: None, name="rag-templates")
    preparing.start()
    try:
        yield
    finally:
        await to_thread.run_sync(preparing.join)
        await to_thread.run_sync(crew.stop)  # what it is at is given back, and goes on where there is another worker
        await to_thread.run_sync(publisher.stop)
        await _answers_logged(house)
        close()


async def _answers_logged(house: House) -> None:
    """Wait until every answer that the end of the server cut short has left its thread, and so is in the log."""
    with move_on_after(LAST_WORDS_S):
        for turn in range(int(house.answers.total_tokens)):
            await house.answers.acquire_on_behalf_of(("end", turn))
