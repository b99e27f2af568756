"""What the routes of one process share: the installation, its threads, its locks and its measures."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from anyio import CapacityLimiter
from fastapi import Request

from rag.api.metrics import Metrics
from rag.app import App
from rag.errors import TooMuch
from rag.store import collections as collection_store
from rag.store.collections import Collection
from rag.types import Principal

ANSWERS = 8  # questions answered at once in one process; further ones wait for their turn, unless a local model answers
WRITERS = 2  # uploads taken in at once
QUICK = 8  # every other blocking route
WATCHERS = 2  # looks at jobs that browsers watch; any number of them may watch


@dataclass(frozen=True, slots=True)
class House:
    """Made once an application. Each kind of work has threads of its own, so that none starves another."""

    app: App
    metrics: Metrics
    answers: CapacityLimiter = field(default_factory=lambda: CapacityLimiter(ANSWERS))
    writers: CapacityLimiter = field(default_factory=lambda: CapacityLimiter(WRITERS))
    watchers: CapacityLimiter = field(default_factory=lambda: CapacityLimiter(WATCHERS))
    _locks: dict[tuple[int, str], threading.Lock] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @contextmanager
    def writing(self, tenant_id: int, collection: str) -> Iterator[None]:
        """Hold the right to write to a collection from this process; other processes are kept apart by SQL."""
        with self._lock:
            lock = self._locks.setdefault((tenant_id, collection), threading.Lock())
        with lock:
            yield

    def collection(self, principal: Principal, name: str | None) -> Collection:
        """The collection of this name (the settings' when none is named) of the asker's tenant. Raises NotFound."""
        with self.app.database.read() as connection:
            return collection_store.get(connection, principal.tenant_id, name or self.app.settings.collection)

    def tenant(self, principal: Principal) -> str:
        """The name of the asker's tenant."""
        with self.app.database.read() as connection:
            return collection_store.tenant_name(connection, principal.tenant_id)

    @contextmanager
    def refusal(self, principal: Principal, asked: str, collection: str | None) -> Iterator[None]:
        """Whatever is raised within is logged as the failure of this question, and raised on."""
        from rag.ask import logged_refusal

        with logged_refusal(self.app.database, principal, asked, collection or self.app.settings.collection):
            yield

    def check_question(self, text: str) -> None:
        """Raise TooMuch for a question that is longer than the settings allow."""
        longest = self.app.settings.max_question_chars
        if len(text) > longest:
            raise TooMuch(f"the question has {len(text)} characters; at most {longest} are taken")


def answers_at_once(app: App) -> int:
    """Questions that one process works on at once. A local model takes many and has a queue of its own: one more than
    it takes is let through, to hear that it is full."""
    from rag.models import default_generator

    settings = app.settings
    local = settings.generator.startswith("transformers:")
    local = local or (settings.generator == "auto" and default_generator(settings.models) is not None)
    return max(ANSWERS, settings.generator_batch + settings.generator_queue + 1) if local else ANSWERS


def house(request: Request) -> House:
    """The house of the application that a request came to."""
    found = request.app.state.house
    assert isinstance(found, House)
    return found
