"""A folder through twenty random rounds, synced after each, killed at random points: the store is always the folder."""

import json
import os
import random
import signal
import zipfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
from sqlalchemy import select, update

from rag import doctor
from rag.app import App
from rag.config import Settings
from rag.corpus import Corpus, Origin, batches, sync
from rag.corpus.sync import Difference, Options
from rag.search import Fusion, Search, search
from rag.store import documents as document_store
from rag.store import syncs as store
from rag.store.tables import chunks, contents, document_labels, documents, installation, vectors
from rag.types import Embedder, Principal, Vectors
from tests.forking import KILLER, Forking

ROUNDS = 20
ON_POSTGRESQL = 4
FILES = 60
QUESTIONS = 30
SEED = 20
MB = 2**20
DIM = 64
FORMATS = ("md", "txt", "html", "csv", "jsonl", "rst", "eml", "zip")
COMMON = "This page is part of the handbook and may be shared within the house. Ask the office when in doubt."

READ = """
import filelock, pathspec, psutil, psycopg, selectolax, sqlalchemy.dialects.sqlite, sqlite3
import ingest.reading.pool, ingest.web, rag.app, rag.cli.sync, rag.corpus.batches, rag.corpus.sync
import rag.embedders.hashing, rag.indexes.snapshots, rag.rankings.wrapped, rag.shapes.syncs, rag.vectors.faiss
"""


# ── the folder ──────────────────────────────────────────────────────────────────────────────────────────────────────


@dataclass
class Shelf:
    """A folder of small files of several formats, and what a round of work does to it."""

    root: Path
    random: random.Random
    texts: dict[Path, tuple[str, list[str]]] = field(default_factory=dict)  # title and paragraphs of each file
    number: int = 0

    def fill(self) -> None:
        for place in ("", "reports", "reports/old", "notes"):
            (self.root / place).mkdir(parents=True, exist_ok=True)
        for _ in range(FILES):
            self.add()

    def round(self) -> None:
        """Six to twelve changes."""
        work: list[Callable[[], None]] = [
            *(self.edit,) * 4,
            *(self.rename,) * 2,
            *(self.remove,) * 2,
            *(self.add,) * 2,
            *(self.copy,) * 2,
            self.carry,
            self.rename_and_edit,
            self.replace,
            self.touch,
            self.rename_folder,
        ]
        for _ in range(self.random.randint(6, 12)):
            self.random.choice(work)()

    # What people do to folders.

    def add(self) -> None:
        paragraphs = [self.paragraph() for _ in range(self.random.randint(2, 4))]
        if self.random.random() < 0.3:
            paragraphs.append(COMMON)
        path = self.fresh(self.random.choice(self.folders()), self.random.choice(FORMATS))
        self.write(path, self.words(3).title(), paragraphs)

    def edit(self) -> None:
        path = self.any()
        title, paragraphs = self.texts[path]
        which = self.random.randrange(len(paragraphs))
        change = self.random.choice(("another", "more", "fewer"))
        if change == "another" or len(paragraphs) == 1:
            paragraphs[which] = self.paragraph()
        elif change == "more":
            paragraphs.insert(which, self.paragraph())
        else:
            del paragraphs[which]
        self.write(path, title, paragraphs)

    def rename(self) -> None:
        path = self.any()
        self.move(path, self.fresh(path.parent, path.suffix[1:]))

    def carry(self) -> None:
        path = self.any()
        folder = self.random.choice(self.folders())
        if not (folder / path.name).exists():
            self.move(path, folder / path.name)

    def rename_and_edit(self) -> None:
        self.rename()
        self.edit()

    def remove(self) -> None:
        path = self.any()
        path.unlink()
        del self.texts[path]

    def copy(self) -> None:
        path = self.any()
        twin = self.fresh(self.random.choice(self.folders()), path.suffix[1:])
        twin.write_bytes(path.read_bytes())
        title, paragraphs = self.texts[path]
        self.texts[twin] = title, list(paragraphs)

    def replace(self) -> None:
        path = self.any()
        alike = [other for other in self.texts if other.suffix == path.suffix and other != path]
        if alike:
            self.move(path, self.random.choice(sorted(alike)))

    def touch(self) -> None:
        os.utime(self.any())

    def rename_folder(self) -> None:
        folder = self.random.choice([each for each in self.folders() if each != self.root])
        self.number += 1
        target = folder.with_name(f"folder-{self.number}")
        folder.rename(target)
        for path in [path for path in self.texts if folder in path.parents]:
            self.texts[target / path.relative_to(folder)] = self.texts.pop(path)

    # How.

    def move(self, path: Path, target: Path) -> None:
        path.replace(target)
        self.texts[target] = self.texts.pop(path)

    def any(self) -> Path:
        return self.random.choice(sorted(self.texts))

    def folders(self) -> list[Path]:
        return [self.root, *sorted(path for path in self.root.rglob("*") if path.is_dir())]

    def fresh(self, folder: Path, suffix: str) -> Path:
        self.number += 1
        return folder / f"{self.words(1)}-{self.number}.{suffix}"

    def words(self, count: int) -> str:
        syllables = ("ba", "ke", "lo", "mi", "nu", "ra", "se", "to", "vi", "zan", "dor", "fel", "gim", "hup")
        return " ".join("".join(self.random.choices(syllables, k=self.random.randint(2, 4))) for _ in range(count))

    def paragraph(self) -> str:
        sentences = [f"{self.words(self.random.randint(6, 12)).capitalize()}." for _ in range(3)]
        return " ".join(sentences)

    def write(self, path: Path, title: str, paragraphs: Sequence[str]) -> None:
        self.texts[path] = title, list(paragraphs)
        written = WRITERS[path.suffix[1:]](title, paragraphs)
        path.write_bytes(written if isinstance(written, bytes) else written.encode())


def zipped(title: str, paragraphs: Sequence[str]) -> bytes:
    import io

    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for number, paragraph in enumerate(paragraphs):
            archive.writestr(zipfile.ZipInfo(f"part-{number}.txt"), f"{title} {number}\n\n{paragraph}")
    return packed.getvalue()


def rows(title: str, paragraphs: Sequence[str]) -> str:
    return "".join(json.dumps({"_id": f"{title} {n}", "text": text}) + "\n" for n, text in enumerate(paragraphs))


WRITERS: dict[str, Callable[[str, Sequence[str]], str | bytes]] = {
    "md": lambda title, texts: f"# {title}\n\n" + "\n\n".join(f"## Part {n}\n\n{t}" for n, t in enumerate(texts)),
    "txt": lambda title, texts: "\n\n".join([title, *texts]),
    "html": lambda title, texts: (
        f"<html><title>{title}</title><body><h1>{title}</h1>{''.join(f'<p>{t}</p>' for t in texts)}</body></html>"
    ),
    "csv": lambda title, texts: "number,text\n" + "".join(f'{n},"{title}: {t}"\n' for n, t in enumerate(texts)),
    "jsonl": rows,
    "rst": lambda title, texts: f"{title}\n{'=' * len(title)}\n\n" + "\n\n".join(texts) + "\n",
    "eml": lambda title, texts: (
        f"From: ann@example.org\nTo: bob@example.org\nSubject: {title}\nContent-Type: text/plain; charset=utf-8\n\n"
        + "\n\n".join(texts)
    ),
    "zip": zipped,
}


# ── the store ───────────────────────────────────────────────────────────────────────────────────────────────────────


@dataclass
class Counting:
    """An embedder that remembers what it was given to embed, and vectors from one round to the next."""

    inner: Embedder
    rows: dict[str, Vectors]
    embedded: list[str] = field(default_factory=list)

    def __getattr__(self, name: str) -> object:
        return getattr(self.inner, name)

    def embed_passages(self, texts: Sequence[str]) -> Vectors:
        self.embedded += texts
        new = [text for text in dict.fromkeys(texts) if text not in self.rows]
        self.rows.update(zip(new, self.inner.embed_passages(new), strict=True))
        return np.stack([self.rows[text] for text in texts])


def settings(folder: Path, database: str = "") -> Settings:
    return Settings(
        data=folder / "data",
        database=database,
        models=folder / "models",
        embedder=f"hashing:{DIM}",
        chunk_tokens=48,
        parse_processes=1,
        generator="extractive",
    )


def variables(chosen: Settings) -> dict[str, str]:
    """The same settings for another process."""
    outside = {name: value for name, value in os.environ.items() if not name.startswith("RAG_")}
    return {
        **outside,
        "RAG_MODELS": str(chosen.models),
        "RAG_EMBEDDER": chosen.embedder,
        "RAG_CHUNK_TOKENS": str(chosen.chunk_tokens),
        "RAG_PARSE_PROCESSES": "1",
        **({"RAG_DATABASE": chosen.database} if chosen.database else {}),
        "OPENBLAS_NUM_THREADS": "1",
        "OMP_NUM_THREADS": "1",
    }


@dataclass(frozen=True)
class State:
    """What is alive, without ids and positions."""

    documents: list[str]
    contents: list[str]
    chunks: list[str]


def state(corpus: Corpus) -> State:
    alive = documents.c.removed_position.is_(None)
    texts = contents.c.title, contents.c.text, contents.c.outline, contents.c.language
    with corpus.database.read() as connection:
        places = connection.execute(
            select(
                documents.c.uri,
                documents.c.external_id,
                documents.c.name,
                documents.c.media_type,
                documents.c.metadata,
                documents.c.owner,
                document_labels.c.label,
                *texts,
            )
            .join(contents, contents.c.id == documents.c.content_id)
            .outerjoin(document_labels, document_labels.c.document_id == documents.c.id)
            .where(alive)
        ).all()
        shown = connection.execute(
            select(*texts).where(contents.c.id.in_(select(documents.c.content_id).where(alive)))
        ).all()
        pieces = connection.execute(
            select(
                contents.c.text,
                chunks.c.ordinal,
                chunks.c.start,
                chunks.c.end,
                chunks.c.headings,
                chunks.c.page,
                chunks.c.digest,  # of the string that is embedded: both stores have one secret
            )
            .join(contents, contents.c.id == chunks.c.content_id)
            .where(chunks.c.removed_position.is_(None))
        ).all()
    return State(*(sorted(shown_row(row) for row in rows) for rows in (places, shown, pieces)))


def shown_row(row: Sequence[object]) -> str:
    """A row as text; JSON objects keep no order everywhere."""
    return repr([sorted(value.items()) if isinstance(value, dict) else value for value in row])


def digests(corpus: Corpus) -> set[bytes]:
    """Of the strings whose vectors are kept."""
    with corpus.database.read() as connection:
        return {bytes(row[0]) for row in connection.execute(select(vectors.c.digest))}


def needed(corpus: Corpus) -> set[bytes]:
    """Of the strings that the chunks which are alive are embedded as."""
    with corpus.database.read() as connection:
        return {
            bytes(row[0])
            for row in connection.execute(select(chunks.c.digest).where(chunks.c.removed_position.is_(None)))
        }


def template(folder: Path) -> tuple[bytes, bytes]:
    """An installation with an empty collection, as a file to copy, and its secret: digests of all are comparable."""
    app = App.open(settings(folder), create=True)
    app.corpus()
    with app.database.read() as connection:
        secret = bytes(connection.execute(select(installation.c.secret)).scalar_one())
    with app.database.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")
    app.close()
    return (folder / "data" / "rag.db").read_bytes(), secret


class Rounds:
    """A shelf, the store that follows it, and what a fresh ingest makes of it each time."""

    def __init__(self, folder: Path, seed: int, database: str = "") -> None:
        self.folder = folder
        self.empty, secret = template(folder / "template")
        self.random = random.Random(seed)
        self.shelf = Shelf(folder / "docs", random.Random(seed))
        self.shelf.fill()
        self.settings = settings(folder, database)
        self.app = App.open(self.settings, create=True)
        with self.app.database.write() as connection:
            connection.execute(update(installation).values(secret=secret))
        self.corpus = self.app.corpus()
        follows = store.Follows((store.Location("path", str(self.shelf.root)),))
        with self.app.database.write() as connection:
            store.register(connection, self.corpus.collection, "docs", follows, actor="local")
        self.killed_at: list[str] = []
        self.rows: dict[str, Vectors] = {}

    def close(self) -> None:
        self.app.close()

    def stored(self) -> store.StoredSync:
        with self.app.database.read() as connection:
            return store.get(connection, self.corpus.collection.tenant_id, "docs", "default")

    def preview(self) -> Difference:
        return sync.preview(self.corpus, self.stored(), Options(MB))

    def kill(self, forking: Forking) -> None:
        """Run the sync in another process that dies at one of its commits."""
        foreseen, size = self.preview(), self.random.choice((1, 2, 4))
        came = len(foreseen.added) + len(foreseen.updated) + len(foreseen.moved)
        went = len(foreseen.removed) + len(foreseen.moved)
        surely = -(-came // size) + -(-went // size) + 1  # so many commits there are at least
        commits, moment = self.random.randint(1, surely), "before" if self.random.random() < 0.5 else "after"
        command = [KILLER, str(commits), moment, str(size), "--data", str(self.settings.data), "sync", "docs"]
        died = forking.run(["-c", *command], env=variables(self.settings))
        assert died.returncode == -signal.SIGKILL, died.stderr
        self.killed_at.append(f"{moment} {commits} of {surely}")

    def finish(self) -> tuple[Difference, list[str]]:
        """Run the sync to its end; the difference, and what was embedded."""
        counting = Counting(self.corpus.embedder, self.rows)
        corpus = Corpus(self.app.database, self.corpus.collection, counting, self.corpus.pool)  # type: ignore[arg-type]
        return sync.run(corpus, self.stored(), Options(MB)), counting.embedded

    def fresh(self, name: str) -> App:
        """A new data folder with a fresh ingest of the shelf; its parsing is done by the same processes."""
        chosen = settings(self.folder / name)
        chosen.data.mkdir(parents=True)
        (chosen.data / "rag.db").write_bytes(self.empty)
        app = App.open(chosen)
        counting = Counting(self.corpus.embedder, self.rows)
        corpus = Corpus(app.database, app.collection(), counting, self.corpus.pool)  # type: ignore[arg-type]
        report = corpus.add_paths([self.shelf.root], Origin("local"), max_bytes=MB)
        assert report.failed == 0, report.failures
        assert report.documents >= len(self.shelf.texts)
        return app

    def check(self, name: str) -> App:
        """Finish the sync; the store is what a fresh ingest makes, and nothing was embedded that need not be."""
        before = digests(self.corpus)
        difference, embedded = self.finish()
        app = self.fresh(name)
        there = Corpus(app.database, app.collection(), self.corpus.embedder, self.corpus.pool)
        assert difference.failures == []
        assert state(self.corpus) == state(there), "the store is not the folder"
        wanted = needed(there) - before
        assert {self.app.database.digest(text) for text in embedded} == wanted, "embedded was not what was new"
        assert len(embedded) == len(set(embedded)) == difference.embedded
        return app


@pytest.fixture(scope="module")
def forking() -> Iterator[Forking]:
    """A process that has read all modules: a round need not wait for imports."""
    opened = Forking(READ)
    yield opened
    opened.close()


@pytest.fixture
def rounds(tmp_path: Path) -> Iterator[Rounds]:
    opened = Rounds(tmp_path, SEED)
    yield opened
    opened.close()


# ── the rounds ──────────────────────────────────────────────────────────────────────────────────────────────────────


def test_after_every_round_the_store_is_the_folder(rounds: Rounds, forking: Forking) -> None:
    moved = 0
    rounds.kill(forking)
    rounds.check("fresh").close()
    for number in range(1, ROUNDS + 1):
        rounds.shelf.round()
        rounds.kill(forking)
        known = digests(rounds.corpus)
        fresh = rounds.check(f"fresh-{number}")
        if number < ROUNDS:
            fresh.close()
        moved += sum(1 for change in previous(rounds.corpus) if change)
        assert known <= digests(rounds.corpus)
        assert number % 5 or not rounds.preview().changed
    try:
        assert len(set(rounds.killed_at)) > ROUNDS / 2, rounds.killed_at
        assert moved
        compare_searches(rounds, fresh)
        checks = doctor.examine(rounds.app)
        assert [check for check in checks if not check.ok] == []
    finally:
        fresh.close()


def test_on_postgresql_too(tmp_path: Path, forking: Forking, postgres_url: str) -> None:
    rounds = Rounds(tmp_path, SEED + 1, postgres_url)
    try:
        for number in range(ON_POSTGRESQL):
            rounds.kill(forking)
            rounds.check(f"fresh-{number}").close()
            rounds.shelf.round()
        assert [check for check in doctor.examine(rounds.app) if not check.ok] == []
    finally:
        rounds.close()


def previous(corpus: Corpus) -> list[bool]:
    """Of every document that is the next revision of another: whether it stands elsewhere than that one."""
    one, other = documents.alias(), documents.alias()
    with corpus.database.read() as connection:
        rows = connection.execute(select(one.c.uri, other.c.uri).join(other, other.c.id == one.c.previous_id)).all()
    return [row[0] != row[1] for row in rows]


def compare_searches(rounds: Rounds, fresh: App) -> None:
    """Both stores, their indexes built from nothing, give the same answers."""
    questions = [rounds.shelf.words(4) for _ in range(QUESTIONS // 2)]
    for _ in range(QUESTIONS - len(questions)):
        text = rounds.random.choice(rounds.shelf.texts[rounds.shelf.any()][1]).split()
        start = rounds.random.randrange(len(text))
        questions.append(" ".join(text[start : start + 6]))
    for app in (rounds.app, fresh):
        assert app.indexes(app.collection()).publish(rebuild=True)
    for mode in ("hybrid", "semantic", "keyword"):
        found = [[answer(app, question, mode) for question in questions] for app in (rounds.app, fresh)]
        assert found[0] == found[1]
        assert sum(map(bool, found[0])) >= QUESTIONS / 2


def answer(app: App, question: str, mode: str) -> list[tuple[float, str, list[str]]]:
    """Scores, texts and places, those of equal scores in the order of their texts."""
    wanted = Search(question, k=1000, mode=mode, fusion=Fusion(depth=1000))  # type: ignore[arg-type]
    opened = app.opened()
    found = search(opened, wanted, Principal(app.tenant_id, "local"))
    lines = [
        (-round(passage.hit.score, 5), passage.text, sorted(place.uri for place in passage.places))
        for passage in found.passages
    ]
    assert found.generation
    return sorted(lines)


# ── that it can go red ──────────────────────────────────────────────────────────────────────────────────────────────


def test_what_is_not_retired_is_noticed(rounds: Rounds, monkeypatch: pytest.MonkeyPatch) -> None:
    rounds.check("fresh").close()
    rounds.shelf.remove()
    with monkeypatch.context() as broken:
        broken.setattr(sync, "retire", lambda *_arguments, **_named: 0)
        with pytest.raises(AssertionError, match="the store is not the folder"):
            rounds.check("red")


def test_what_is_embedded_again_is_noticed(rounds: Rounds, monkeypatch: pytest.MonkeyPatch) -> None:
    rounds.check("fresh").close()
    rounds.shelf.edit()
    with monkeypatch.context() as broken:
        broken.setattr(batches, "known", lambda *_arguments: set())
        broken.setattr(document_store, "cut_as", lambda *_arguments: False)
        with pytest.raises(AssertionError, match="embedded was not what was new"):
            rounds.check("red")
