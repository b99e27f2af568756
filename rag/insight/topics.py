"""What to write next: questions that were not answered well, and questions of topics that are new, by topic."""

import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

import numpy as np

from rag.errors import WrongUsage
from rag.insight.clusters import Cluster, clusters
from rag.insight.drift import Drift, Near, drift
from rag.insight.figures import FIRST
from rag.search import OpenCollection, Search, search
from rag.store.dashboard import Counted
from rag.store.database import Database
from rag.store.log import asked as store
from rag.store.log.asked import Found, Question
from rag.types import Embedder, Passage, Principal, Vectors

SAMPLED = 2000  # questions of a period that drift is told from
READ = 1000  # questions that are brought together
OLDER = 2000  # questions that the new ones are held against
KEPT = 8000  # vectors of questions that are remembered: 12 MB at 384 dimensions
SMALLEST = 3  # questions of a topic
SHOWN = 12  # topics
EXAMPLES = 3
SCORE, BELOW = "faithfulness", 0.5  # what counts as a low score
INSIDE = 0.95  # of older questions are as near to another one
ENOUGH = 50  # older questions that say what is near


@dataclass(frozen=True, slots=True)
class Reasons:
    """Why questions of a topic count as not answered well; one may have several."""

    refused: int
    bad: int  # rated
    low: int  # score


@dataclass(frozen=True, slots=True)
class Topic:
    label: tuple[str, ...]
    size: int  # questions
    reasons: Reasons
    examples: tuple[Question, ...]  # the most typical first
    others: tuple[Question, ...]  # all further ones
    first: datetime  # when it was asked first, and last
    last: datetime
    closest: Passage | None  # to the most typical question, as the collection stands; None: it has none


@dataclass(frozen=True, slots=True)
class Topics:
    topics: tuple[Topic, ...]  # the largest first
    counted: Counted
    questions: int  # that there are
    others: int  # that there are besides, and that do not count
    read: int  # that were brought together
    alone: int  # of these, in no topic


@dataclass(frozen=True, slots=True)
class NewTopics:
    topics: Topics
    older: int  # questions that they were held against
    limit: float | None  # a question whose nearest older one has a lower cosine is new; None: too few older ones


@dataclass(frozen=True, slots=True)
class QuestionVectors:
    """Vectors of questions, remembered. Safe to share between threads."""

    _held: dict[tuple[str, str], Vectors] = field(default_factory=dict)  # (fingerprint, text) → (d,)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def of(self, embedder: Embedder, texts: Sequence[str]) -> Vectors:
        """The vectors of the texts, (n, d), embedding those that are not remembered."""
        with self._lock:
            mark = embedder.fingerprint
            missing = [text for text in dict.fromkeys(texts) if (mark, text) not in self._held]
            rows = dict(zip(missing, embedder.embed_queries(missing), strict=True)) if missing else {}
            rows |= {text: self._held[mark, text] for text in texts if (mark, text) in self._held}
            self._held.update({(mark, text): rows[text] for text in missing})
            for old in list(self._held)[:-KEPT]:
                del self._held[old]
        return np.stack([rows[text] for text in texts]) if texts else np.empty((0, embedder.dim), dtype=np.float32)


@dataclass(frozen=True, slots=True)
class Drifted:
    """Drift, with how much of the log it was told from."""

    drift: Drift | None  # None: too few questions
    counted: Counted
    questions: int  # of now
    others: int  # of now, that do not count
    read: int
    measured: int  # of these, with a cosine in the log
    read_before: int
    measured_before: int


def reference(since: datetime, until: datetime, before: datetime | None) -> datetime:
    """The begin of the period that ends at `since`: as given, else as long as what follows, as far as there are logs.
    Raises WrongUsage."""
    earlier = max(FIRST, since - min(until - since, since - FIRST)) if before is None else before
    if not FIRST <= earlier < since:
        raise WrongUsage(f"the period to compare with begins after {FIRST:%Y} and before the period, not {earlier}")
    return earlier


def drifted(
    database: Database,
    tenant_id: int,
    collection: str,
    before: datetime,
    since: datetime,
    until: datetime,
    counted: Counted = "human",
) -> Drifted:
    """The drift from the period `before` … `since` to the period `since` … `until`. Embeds nothing. Raises NotFound."""
    with database.read() as connection:
        earlier = store.sample(connection, tenant_id, collection, before, since, counted=counted, limit=SAMPLED)
        later = store.sample(connection, tenant_id, collection, since, until, counted=counted, limit=SAMPLED)
        cosines = store.nearest(connection, [one.id for one in (*earlier.questions, *later.questions)])
    sides = [
        [
            Near(one.id, one.at, one.text, cosines[one.id], not (one.refused or one.failed or one.bad))
            for one in side.questions
            if one.id in cosines
        ]
        for side in (earlier, later)
    ]
    found = drift(sides[0], sides[1], since, until)
    return Drifted(
        found,
        counted,
        later.count,
        later.others,
        len(later.questions),
        len(sides[1]),
        len(earlier.questions),
        len(sides[0]),
    )


def unanswered(
    opened: OpenCollection,
    vectors: QuestionVectors,
    asker: Principal,
    since: datetime,
    until: datetime,
    counted: Counted = "human",
) -> Topics:
    """The questions of the period that were refused, rated bad or scored low, by topic."""
    with opened.database.read() as connection:
        found = store.unanswered(
            connection,
            asker.tenant_id,
            opened.collection.name,
            since,
            until,
            counted=counted,
            score=SCORE,
            below=BELOW,
            limit=READ,
        )
    return _topics(opened, vectors, asker, found.questions, found, counted)


def new_topics(
    opened: OpenCollection,
    vectors: QuestionVectors,
    asker: Principal,
    before: datetime,
    since: datetime,
    until: datetime,
    counted: Counted = "human",
) -> NewTopics:
    """The questions of the period that are farther from every question of the period before than 95 of 100 of those are
    from one another, by topic."""
    name = opened.collection.name
    with opened.database.read() as connection:
        earlier = store.sample(connection, asker.tenant_id, name, before, since, counted=counted, limit=OLDER)
        found = store.sample(connection, asker.tenant_id, name, since, until, counted=counted, limit=READ)
    older, later = earlier.questions, found.questions
    known = list(dict.fromkeys(one.searched for one in older))
    if len(known) < ENOUGH:
        return NewTopics(Topics((), counted, found.count, found.others, len(later), 0), len(older), None)
    embedder = opened.embedder()
    old = vectors.of(embedder, known)  # (m, d)
    limit = float(np.quantile(_nearest_other(old), 1 - INSIDE))
    near = (vectors.of(embedder, [one.searched for one in later]) @ old.T).max(axis=1, initial=-1)  # (n,)
    fresh = [one for one, cosine in zip(later, near, strict=True) if cosine < limit]
    return NewTopics(_topics(opened, vectors, asker, fresh, found, counted), len(older), limit)


def _nearest_other(rows: Vectors) -> Vectors:
    """The cosine of each row with the nearest of the others.  (m, d) → (m,)"""
    alike = rows @ rows.T
    np.fill_diagonal(alike, -1)
    nearest: Vectors = alike.max(axis=1)
    return nearest


def _topics(
    opened: OpenCollection,
    vectors: QuestionVectors,
    asker: Principal,
    questions: Sequence[Question],
    among: Found,
    counted: Counted,
) -> Topics:
    by_text: dict[str, list[Question]] = {}
    for one in sorted(questions, key=lambda one: one.id):
        by_text.setdefault(one.searched, []).append(one)
    texts = list(by_text)
    rows = vectors.of(opened.embedder(), texts)
    weights = [len(by_text[text]) for text in texts]
    grouped = clusters(rows, texts, weights=weights, smallest=SMALLEST)
    inside = sum(weights[row] for one in grouped for row in one.members)
    told = tuple(_topic(opened, asker, one, [by_text[texts[row]] for row in one.members]) for one in grouped[:SHOWN])
    return Topics(told, counted, among.count, among.others, len(questions), len(questions) - inside)


def _topic(opened: OpenCollection, asker: Principal, cluster: Cluster, members: Sequence[Sequence[Question]]) -> Topic:
    every = [one for same in members for one in same]
    examples = tuple(same[-1] for same in members[:EXAMPLES])
    nearest = search(opened, Search(members[0][0].searched, k=1, mode="semantic"), asker).passages
    return Topic(
        cluster.label,
        len(every),
        Reasons(
            sum(one.refused for one in every),
            sum(one.bad for one in every),
            sum(one.low for one in every),
        ),
        examples,
        tuple(one for one in every if one not in examples),
        min(one.at for one in every),
        max(one.at for one in every),
        nearest[0] if nearest else None,
    )
