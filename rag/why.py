"""Why a document is, or is not, among the passages of a question: the stage that lost it, with its true ranks.

Whoever may not see a document is told what is told of one that does not exist.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from rag.errors import NotFound
from rag.indexes.views import View
from rag.keywords.asked import Asked
from rag.keywords.asked import asked as question_asked
from rag.rankings.stages import Stage
from rag.search import Found, OpenCollection, Search, check, deep, holding, search
from rag.store import whereabouts
from rag.store.database import Connection
from rag.store.filters.tree import Filter
from rag.store.permitted import Predicate
from rag.store.whereabouts import StandIn, Whereabouts
from rag.types import Ids, Part, Passage, Permitted, Principal, Prompt, Reranker, Vectors

Cause = Literal[
    "found",
    "not_permitted",
    "removed",
    "merged",
    "filtered",
    "empty",
    "phrase",
    "retrieval",
    "fused",
    "rerank",
    "diverse",
    "cut",
    "budget",
]
Pack = Callable[[Sequence[Passage]], Prompt]
"""The prompt of the passages that it has room for."""

BLOCK = 4096  # vectors compared at once
STAGES: Mapping[Literal["fused", "rerank", "per_document", "diverse"], str] = {
    "fused": "fusion",
    "rerank": "the reranker",
    "per_document": "the limit per document",
    "diverse": "diversity",
}
"""The stages behind the rankings in their order, and what people call them."""


@dataclass(frozen=True, slots=True)
class TrueRank:
    """Where a ranking of everything that may be seen has the best chunk of a document."""

    arm: Literal["dense", "bm25"]
    rank: int | None  # None: no word of the question is in it
    score: float | None
    among: int  # chunks that may be seen
    depth: int  # candidates that the ranking brings


@dataclass(frozen=True, slots=True)
class Why:
    """The answer. `stage` is the stage that lost the document, or found."""

    document_id: int | None
    uri: str
    external_id: str | None
    title: str
    stage: Cause
    explanation: str
    rank: int | None = None  # of the passage that shows it, from 1
    chunk_id: int | None = None  # its best placed chunk
    start: int | None = None  # of that chunk, in the document's text
    end: int | None = None
    stands_for_it: StandIn | None = None
    conditions: tuple[Filter, ...] = ()  # of the filter, that it does not pass
    arms: tuple[TrueRank, ...] = ()
    parts: Mapping[str, Part] = field(default_factory=dict)  # where the stages placed that chunk
    stages: tuple[Stage, ...] = ()


def why(
    opened: OpenCollection,
    asked: Search,
    named: str,
    asker: Principal,
    *,
    told: Principal | None = None,
    reranker: Reranker | None = None,
    pack: Pack | None = None,
) -> Why:
    """What became of the document `named` (an id, uri or external id) when `asker` searches.

    `told` is who reads the answer, else the asker. With `pack` the passage must be in the prompt as well. Raises
    NotFound for a document that is not there or that `told` may not see, and what `search` raises.
    """
    check(asked)
    seen = Predicate(opened.collection.id, (told or asker).labels)
    with opened.database.read() as connection:
        at = opened.access.permitted(connection, asker, opened.collection.id).position
        one = _named(connection, seen, at, named)
        answer = Why(one.id, one.uri, one.external_id, one.title, "found", "")
        lost = _outside(connection, one, answer, asker, seen, at, asked)
        if lost is not None:
            if lost.stage == "filtered":  # a field that no document has is an error here as well
                opened.access.permitted(connection, asker, opened.collection.id, asked.where)
            return lost
        mine = whereabouts.chunks_at(connection, one.content_id, at)
        if one.own_content_id is not None:
            answer = replace(answer, stands_for_it=whereabouts.stand_in(connection, seen, at, one))
    if not mine:
        return replace(answer, stage="empty", explanation="it holds no text that could be searched")
    found = search(opened, asked, asker, reranker)
    view = opened.indexes.view()
    with opened.database.read() as connection:  # as of the view: what went since then has no rank in it
        permitted = opened.access.permitted(connection, asker, opened.collection.id, asked.where, view.position)
        question = question_asked(asked.query, view.languages)
        among = holding(question, view, permitted)
        if not among.bitmap().mask(np.array(mine)).any() and permitted.bitmap().mask(np.array(mine)).any():
            said = "none of its chunks holds the phrase in double quotes"
            return replace(answer, stage="phrase", explanation=said, stages=found.stages)
        arms = _arms(opened, asked, _brought(asked, reranker), question, mine, among, view)
        answer = replace(answer, stages=found.stages, arms=tuple(arm.told for arm in arms))
        answer = _inside(answer, asked, mine, found, arms, pack)
        if answer.stage != "found" and answer.stands_for_it is not None:
            other = answer.stands_for_it
            said = f"its own text is not searched, {_other(other)} stands for it, and there {answer.explanation}"
            answer = replace(answer, stage="merged", explanation=said)
        if answer.chunk_id is None:
            return answer
        start, end = whereabouts.span(connection, answer.chunk_id)
    return replace(answer, start=start, end=end)


# ── before the search ───────────────────────────────────────────────────────────────────────────────────────────────


def _named(connection: Connection, seen: Predicate, at: int, named: str) -> Whereabouts:
    """The likeliest document of this name that may be seen, or could be while it stood."""
    for one in whereabouts.look(connection, seen.collection_id, named):
        if one.id is None:
            if seen.labels is None or not one.labels or one.labels & seen.labels:
                return one
        elif whereabouts.stands(
            connection, seen, at if one.removed_position is None else one.removed_position - 1, one.id
        ):
            return one
    raise NotFound(f"no document {named!r}; a document is named by its id, its uri or its external id")


def _outside(
    connection: Connection,
    one: Whereabouts,
    answer: Why,
    asker: Principal,
    seen: Predicate,
    at: int,
    asked: Search,
) -> Why | None:
    """What kept a document out of the search; None when nothing did."""
    if asker.labels is not None and one.labels and not one.labels & asker.labels:
        said = f"{asker.user} may not see it: it is for holders of {_listed(one.labels)}"
        return replace(answer, stage="not_permitted", explanation=said)
    if one.id is None:
        other = whereabouts.stand_in(connection, seen, at, one)
        said = (
            f"it was left out when it came in: {'another document' if other is None else _other(other)} stands for it"
        )
        return replace(answer, stage="merged", explanation=said, stands_for_it=other)
    if one.removed_position is not None:
        when = "" if one.removed_at is None else f" on {one.removed_at:%Y-%m-%d %H:%M} UTC"
        newer = whereabouts.newer(connection, seen.collection_id, one.uri)
        if one.erased:
            said = "its text was erased"
        elif newer is None or not whereabouts.stands(connection, seen, at, newer):
            said = f"it was removed{when}; `rag documents restore {one.id}` puts it back"
        else:
            said = f"it was replaced{when}: document {newer} is what stands at its address now"
        return replace(answer, stage="removed", explanation=said)
    if asked.where is not None:
        failing = whereabouts.failing(connection, seen, at, one.id, conditions(asked.where))
        if failing:
            said = f"it does not pass the filter: {' and '.join(each.canonical for each in failing)}"
            return replace(answer, stage="filtered", explanation=said, conditions=tuple(failing))
    return None


def conditions(where: Filter) -> list[Filter]:
    """The conditions of a filter that must all hold, each as a filter of its own."""
    found = []
    for key, operand in json.loads(where.canonical).items():
        if key == "$and":
            found += [each for part in operand for each in conditions(Filter.parse(part))]
        elif isinstance(operand, dict) and not key.startswith("$"):
            found += [Filter.parse({key: {operator: value}}) for operator, value in operand.items()]
        else:
            found.append(Filter.parse({key: operand}))
    return found


def _listed(labels: frozenset[str]) -> str:
    return " or ".join(repr(label) for label in sorted(labels))


def _other(other: StandIn) -> str:
    alike = "the same text" if other.level == "exact" else f"{other.level}-duplicate, {other.similarity:.2f}"
    return f"document {other.document_id} ({other.uri}; {alike}, policy {other.policy})"


# ── within the search ───────────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class _Arm:
    """A true rank, and whether the search's own candidates of this arm hold the document."""

    told: TrueRank
    brought: bool


def _brought(asked: Search, reranker: Reranker | None) -> int:
    """How many candidates each ranking of a search brings."""
    wanted = deep(asked, reranker)
    return max(wanted, asked.fusion.depth) if asked.mode == "hybrid" else wanted


def _arms(
    opened: OpenCollection,
    asked: Search,
    depth: int,
    question: Asked,
    mine: Sequence[int],
    permitted: Permitted,
    view: View,
) -> list[_Arm]:
    arms = []
    own = np.array(mine, dtype=np.int64)
    own = own[permitted.bitmap().mask(own)]
    among = permitted.bitmap().count()
    if asked.mode != "keyword" and len(own):
        query = opened.embedder().embed_queries([asked.query])
        place, score = true_rank(view, query[0], own, permitted.bitmap().ids())
        brought = {hit.chunk_id for hit in view.vectors.search(query, depth, permitted)[0]}
        arms.append(_Arm(TrueRank("dense", place, score, among, depth), bool(brought & set(own.tolist()))))
    if asked.mode != "semantic":
        hits = view.keywords.search([question], max(among, 1), permitted)[0]
        first = next((hit for hit in hits if hit.chunk_id in mine), None)
        rank = None if first is None else first.parts["bm25"].rank
        told = TrueRank("bm25", rank, None if first is None else first.score, among, depth)
        arms.append(_Arm(told, rank is not None and rank <= depth))
    return arms


def true_rank(view: View, query: Vectors, mine: Ids, everything: Ids) -> tuple[int, float]:
    """The rank of the nearest of some chunks among all, and its cosine, by exact arithmetic.

    query (d,), mine (n,), everything (m,), of which mine are part. In blocks: memory does not grow with m.
    """
    scores = _cosines(query, view.vectors.rows(mine.tolist()))
    best = np.lexsort((mine, -scores))[0]
    chunk, score = int(mine[best]), float(scores[best])
    rank = 1
    for first in range(0, len(everything), BLOCK):
        ids = everything[first : first + BLOCK]
        others = _cosines(query, view.vectors.rows(ids.tolist()))
        rank += int(((others > score) | ((others == score) & (ids < chunk))).sum())
    return rank, score


def _cosines(query: Vectors, rows: Vectors) -> NDArray[np.float32]:
    """Each row's own sum in float64, so that equal rows are equal.  (d,), (n, d) → (n,)"""
    sums: NDArray[np.float64] = (rows.astype(np.float64) * query.astype(np.float64)).sum(axis=1)
    return sums.astype(np.float32)


def _inside(
    answer: Why, asked: Search, mine: Sequence[int], found: Found, arms: Sequence[_Arm], pack: Pack | None
) -> Why:
    """Which stage of a search lost a document that it could have found."""
    own = set(mine)
    shown = [
        (rank, passage)
        for rank, passage in enumerate(found.passages, 1)
        if any(place.document_id == answer.document_id for place in passage.places)
    ]
    if shown:
        return _shown(answer, shown, own, found, pack)
    ranked = sorted(
        (hit for hit in found.candidates if hit.chunk_id in own), key=lambda hit: (-hit.score, hit.chunk_id)
    )
    if ranked:
        best = ranked[0]
        stage, said = _fell(best.parts, arms, asked)
        return replace(answer, stage=stage, explanation=said, chunk_id=best.chunk_id, parts=best.parts)
    ranks = ", ".join(map(_told, (arm.told for arm in arms)))
    if any(arm.brought for arm in arms):
        kept = next((stage.kept for stage in found.stages if stage.name == "fused"), 0)
        said = f"fusion left it behind the {kept} candidates it kept ({ranks})"
        return replace(answer, stage="fused", explanation=said)
    close = any(arm.told.rank is not None and arm.told.rank <= arm.told.depth for arm in arms)
    passed = "; the vector index, which is approximate, passed it over" if close else ""
    depth = max((arm.told.depth for arm in arms), default=asked.k)
    said = f"no ranking brought it among its first {depth} candidates ({ranks}){passed}"
    return replace(answer, stage="retrieval", explanation=said)


def _shown(answer: Why, shown: Sequence[tuple[int, Passage]], own: set[int], found: Found, pack: Pack | None) -> Why:
    rank, passage = shown[0]
    said = f"it is passage {rank} of {len(found.passages)}"
    if passage.hit.chunk_id not in own:
        said += ", under another text that says the same"
    elif passage.places[0].document_id != answer.document_id:
        said += f", as one of {len(passage.places)} places of the same text"
    answer = replace(answer, rank=rank, chunk_id=passage.hit.chunk_id, parts=passage.hit.parts)
    if pack is not None:
        prompt = pack(found.passages)
        packed = {each.hit.chunk_id for each in prompt.passages}
        cuts = () if prompt.left_out is None else prompt.left_out.passages
        cut = next((each for each in cuts if each.chunk_id == passage.hit.chunk_id), None)
        if not any(each.hit.chunk_id in packed for _, each in shown):
            said += f", but the prompt has room for {len(packed)} of them only"
            if prompt.left_out is not None and cut is not None:
                free = prompt.left_out.budget - prompt.tokens
                said += f": it has {cut.tokens:,} tokens, and {free:,} are left"
            return replace(answer, stage="budget", explanation=said)
        if cut is not None:
            said += f"; the prompt has room for its beginning only, characters {cut.start:,}–{cut.end:,} are left out"
    return replace(answer, explanation=said)


def _fell(parts: Mapping[str, Part], arms: Sequence[_Arm], asked: Search) -> tuple[Cause, str]:
    """The last stage that put a candidate out of the first k; "cut" when it never was among them."""
    lost: tuple[Cause, str] | None = None
    before, came = min(part.rank for name, part in parts.items() if name in ("dense", "bm25")), "a ranking"
    for stage, called in STAGES.items():
        if stage not in parts:
            continue
        rank = parts[stage].rank
        if rank <= asked.k:
            lost = None  # a later stage brought it back
        elif before <= asked.k and stage != "per_document":  # that one only moves up what it leaves
            lost = stage, f"{called} put it from place {before} of {came} to {rank}, and {asked.k} are shown"
        before, came = rank, called
    if lost is not None:
        return lost
    last = [*parts.values()][-1].rank
    ranks = ", ".join(map(_told, (arm.told for arm in arms)))
    return "cut", f"it is in place {last}, and {asked.k} are shown ({ranks})"


def _told(arm: TrueRank) -> str:
    name = {"dense": "by meaning", "bm25": "by words"}[arm.arm]
    if arm.rank is None or arm.score is None:
        return f"{name} nowhere: it holds no word of the question"
    return f"{name} {arm.rank:,} of {arm.among:,}, score {arm.score:.3f}"
