"""What every test may ask for: the real data, the real embedder's folder, the real PostgreSQL."""

import gc
import os
import secrets
import shutil
import signal
import sqlite3
import sys
from collections.abc import Generator, Iterator
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import hypothesis
import pytest
from sqlalchemy import create_engine, update

import rag.corpus
from rag import embedders
from rag.corpus import Corpus, open_corpus
from rag.store import database as database_store
from rag.store.database import Database
from rag.store.tables import installation
from rag.types import Embedder
from tests.compiling import Shared
from tests.reading import Pools

if TYPE_CHECKING:
    from tests.postgres import Databases

ROOT = Path(__file__).resolve().parents[1]

NEEDS_TORCH = (
    "/contracts/test_generators.py",
    "/contracts/test_rerankers.py",
    "/test_embedders.py",
    "/test_entailment.py",
    "/test_evaluate.py",
    "/test_local_models.py",
    "/test_refining.py",
    "/test_wheel.py",
)
OPENING = {"database", "app", "apps", "either", "lab"}  # fixtures that open a database, not asking how it came about

hypothesis.settings.register_profile("unhurried", deadline=None)  # how long a test takes depends on what else runs
hypothesis.settings.load_profile("unhurried")

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # as a shell starts what runs in its background
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """What is read to collect every test stays for good, a million objects: no search for garbage looks through them,
    of which `rag ingest` asks for one each time; nor need a forked child copy them."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.collect()
        gc.freeze()
        gc.enable()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What reads torch or waits for the export of the default model goes first, and so to one process of the run: the
    other need not read it too, which takes seven seconds, nor wait."""
    items.sort(key=lambda item: not item.path.as_posix().endswith(NEEDS_TORCH))


@pytest.fixture(scope="module", autouse=True)
def what_is_read_later_stays_too() -> Iterator[None]:
    """A library such as torch, which a test read."""
    before = len(sys.modules)
    yield
    if len(sys.modules) > before + 1000:
        gc.collect()
        gc.freeze()


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real data, or a skip that names it."""
    folder = Path(os.environ.get("RAG_TEST_DATA", ROOT.parent / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"real data absent: {folder} (set RAG_TEST_DATA)")
    return folder


@pytest.fixture(scope="session")
def models_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One folder of exported models for the whole run, shared by all workers."""
    base = tmp_path_factory.getbasetemp()
    shared = base.parent if os.environ.get("PYTEST_XDIST_WORKER") else base
    folder = shared / "models"
    folder.mkdir(exist_ok=True)
    return folder


@pytest.fixture(scope="session")
def lending() -> "list[Databases]":
    """The databases of this process's PostgreSQL, as soon as a test has asked for one."""
    return []


@pytest.fixture(scope="session")
def postgres(lending: "list[Databases]", models_dir: Path) -> "Iterator[Databases]":
    """A real PostgreSQL with pgvector, one for all test processes, and its databases."""
    from tests import postgres

    with postgres.started(models_dir.parent) as databases:
        lending.append(databases)
        yield databases


@pytest.fixture(scope="session")
def migrated_sqlite(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A migrated database that others are copies of: a migration takes a quarter of a second each time."""
    file = tmp_path_factory.mktemp("migrated") / "rag.db"
    opened = database_store.connect(f"sqlite:///{file}")
    database_store.upgrade(opened)
    opened.close()
    return file


@pytest.fixture(scope="session", autouse=True)
def new_installations_are_copies(migrated_sqlite: Path, lending: "list[Databases]") -> Iterator[None]:
    """An empty database that this process brings to the newest version becomes a copy of a migrated one, with a secret
    of its own; tests/test_migrations.py migrates for itself."""
    migrate = database_store.upgrade

    def upgrade(opened: Database, revision: str = "head") -> str:
        own = revision != "head" or "test_migrations" in os.environ.get("PYTEST_CURRENT_TEST", "")
        lent = opened.is_sqlite or any(opened.url.database in databases.lent for databases in lending)
        if own or not lent or database_store.current(opened) is not None:
            return migrate(opened, revision)
        if opened.is_sqlite:
            with closing(sqlite3.connect(migrated_sqlite)) as template, opened.engine.connect() as connection:
                raw = connection.connection.dbapi_connection
                assert raw is not None
                template.backup(raw)
                raw.execute("UPDATE installation SET secret = randomblob(32)")
        else:
            opened.close()
            lending[0].migrate(str(opened.url.database))
            with opened.write() as connection:
                connection.execute(update(installation).values(secret=secrets.token_bytes(32)))
        return database_store.HEAD

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(database_store, "upgrade", upgrade)
        yield


@pytest.fixture(scope="session", autouse=True)
def statements_are_compiled_once() -> Iterator[None]:
    """For all databases that this process opens one after the other."""
    shared = Shared()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            database_store, "create_engine", lambda *given, **named: shared.share(create_engine(*given, **named))
        )
        yield


@pytest.fixture(scope="session", autouse=True)
def reading_processes_are_kept() -> Iterator[None]:
    """Installations that this process opens one after the other read sources by the same children."""
    pools = Pools()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(rag.corpus, "make_pool", pools.make_pool)
        patch.setattr(rag.corpus.opening, "make_pool", pools.make_pool)
        yield
    pools.close()


@pytest.fixture
def postgres_url(postgres: "Databases", request: pytest.FixtureRequest) -> Iterator[str]:
    """The URL of a database of its own: empty, or migrated where the test asks for one of OPENING."""
    name = postgres.lend(postgres.migrated if OPENING.intersection(request.fixturenames) else postgres.empty)
    yield postgres.url(name)
    postgres.give_back(name)


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A database, empty, or migrated where the test asks for one of OPENING: every test that asks for it runs on SQLite
    and on PostgreSQL."""
    if request.param == "postgresql":
        return str(request.getfixturevalue("postgres_url"))
    if OPENING.intersection(request.fixturenames):
        shutil.copy(request.getfixturevalue("migrated_sqlite"), tmp_path / "rag.db")
    return f"sqlite:///{tmp_path / 'rag.db'}"


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    """A migrated database, SQLite and PostgreSQL in turn."""
    opened = database_store.connect(database_url)
    database_store.require_current(opened)
    yield opened
    opened.close()


@pytest.fixture(scope="session")
def embedder(tmp_path_factory: pytest.TempPathFactory) -> Embedder:
    """The embedder of tests that are not about meaning: 64 hashed dimensions, no model."""
    return embedders.load("hashing:64", models_dir=tmp_path_factory.mktemp("models"))


@pytest.fixture
def corpus(database: Database, embedder: Embedder) -> Corpus:
    """An empty collection of short chunks, open for writing, on SQLite and on PostgreSQL."""
    return open_corpus(database, "default", "default", embedder, chunk_tokens=64, overlap_tokens=0)
