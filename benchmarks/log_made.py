"""What the benchmark of the log is made of: interactions put together from sentences of this project's guides.

They are synthetic and marked so; passages, ranks, scores and settings are as the program writes them.
"""

import json
import random
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

import numpy as np
from measuring import ROOT
from sqlalchemy import insert, select

from rag.prompt import render
from rag.store import collections as collection_store
from rag.store.database import Database, now
from rag.store.log import prompts
from rag.store.log.values import shown_json
from rag.store.tables import chunks, contents, texts
from rag.store.tables.packed import packed_ranking, packed_stages
from rag.types import Hit, Passage, Place

BATCH = 10_000
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
LETTERS = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
FAILURE = "the model server is away"
TIMINGS = '{"search": 21.364, "prompt": 3.799, "generate": 310.1, "score": 41.62, "total": 380.7}'
LEFT_OUT = '{"budget": 999488, "passages": [], "turns": 0}'
Row = tuple[object, ...]


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
