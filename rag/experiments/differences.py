"""Two answers to one question held against each other: passages and why they went or came, words, scores, time."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from typing import Literal

from rag.access import Access
from rag.store import collections as collection_store
from rag.store import fates as fate_store
from rag.store.database import Connection, Database
from rag.store.fates import Fate
from rag.store.filters.tree import Filter
from rag.types import Interaction, Metadata, MetadataValue, Passage, Principal

GoneFor = Literal[
    "erased",
    "another collection",
    "removed",
    "replaced",
    "recut",
    "not permitted",
    "no room",
    "pushed out",
    "re-ranked",
    "not found",
]
"""Why a passage is gone. erased: its text was blanked; removed: no document holds it any more; replaced: another text
stands at its address; recut: its document is cut in another way; not permitted: it stands, but the asker may not see
it, or a filter leaves it out; no room: found, but not in the prompt; pushed out: ranked below texts that came since;
re-ranked: ranked lower by what was asked otherwise; not found: among no candidates."""

NewFor = Literal["another collection", "added", "had no room", "re-ranked", "found"]
"""Why a passage is new. added: it came since; had no room: found before, but not in the prompt; re-ranked: a candidate
before; found: none before."""

COMMON = 0.4  # share of words below which two texts are told one after the other
_WORDS = re.compile(r"\s+|\w+|[^\w\s]")


@dataclass(frozen=True, slots=True)
class Kept:
    """A passage of both: the same chunk, or the same text under another."""

    before: int  # its number in the first prompt
    after: int  # in the second
    same_text: bool  # False: widened or shortened otherwise


@dataclass(frozen=True, slots=True)
class Gone:
    """A passage of the first that the second lacks."""

    before: int
    passage: Passage
    reason: GoneFor
    told: str  # in words, naming what it is about
    rank: int | None = None  # where it stands among the second's candidates, passages included


@dataclass(frozen=True, slots=True)
class New:
    """A passage of the second that the first lacks."""

    after: int
    passage: Passage
    reason: NewFor
    told: str
    rank: int | None = None  # where it stood among the first's candidates, passages included


@dataclass(frozen=True, slots=True)
class Words:
    """Some words of an answer that both, or one of them, has."""

    kind: Literal["same", "gone", "new"]
    text: str


@dataclass(frozen=True, slots=True)
class Difference:
    """What differs between two answers to one question."""

    first: Interaction
    second: Interaction
    kept: tuple[Kept, ...]  # in the order of the second
    gone: tuple[Gone, ...]
    new: tuple[New, ...]
    words: tuple[Words, ...]  # what is gone and what is new, among what is the same
    scores: Mapping[str, tuple[float | None, float | None]]  # those that either has, by name
    settings: Mapping[str, tuple[MetadataValue, MetadataValue]]  # those that differ
    total_ms: tuple[float, float]
    tokens: tuple[int | None, int | None]  # of prompt and answer together; None: a generator without tokens

    @property
    def same_passages(self) -> bool:
        """Whether both were given the same texts in the same order."""
        moved = any(each.before != each.after or not each.same_text for each in self.kept)
        return not (self.gone or self.new or moved)

    @property
    def same_answer(self) -> bool:
        """Whether both say the same, to the letter, or neither says anything."""
        return said(self.first) == said(self.second) and (self.first.error is None) == (self.second.error is None)


def difference(
    database: Database, access: Access, first: Interaction, second: Interaction, asker: Principal
) -> Difference:
    """How the second differs from the first, as the asker may see it now."""
    pairs = _matched(first.passages, second.passages)
    kept_before, kept_after = {pair.before for pair in pairs}, {pair.after for pair in pairs}
    lost = [(n, each) for n, each in enumerate(first.passages, 1) if n not in kept_before]
    came = [(n, each) for n, each in enumerate(second.passages, 1) if n not in kept_after]
    with database.read() as connection:
        known = fate_store.fates(
            connection, [each.hit.chunk_id for each in (*(each for _, each in lost), *second.passages)]
        )
        seen = _seen(access, connection, second, asker)
        gone = tuple(_gone(n, each, first, second, known, seen) for n, each in lost)
    new = tuple(_new(n, each, first, second, known.get(each.hit.chunk_id)) for n, each in came)
    judged = {entry.id: {score.name: score.value for score in entry.scores} for entry in (first, second)}
    names = dict.fromkeys((*judged[first.id], *judged[second.id]))
    return Difference(
        first,
        second,
        pairs,
        gone,
        new,
        words(said(first), said(second)),
        {name: (judged[first.id].get(name), judged[second.id].get(name)) for name in names},
        _settings(first, second),
        (first.timings_ms.get("total", 0.0), second.timings_ms.get("total", 0.0)),
        (_tokens(first), _tokens(second)),
    )


def said(entry: Interaction) -> str:
    return "" if entry.answer is None else entry.answer.text


# ── passages ────────────────────────────────────────────────────────────────────────────────────────────────────────


def _matched(first: Sequence[Passage], second: Sequence[Passage]) -> tuple[Kept, ...]:
    """The passages of both: by chunk, and what is left by text."""
    found: dict[int, Kept] = {}
    taken: set[int] = set()

    def pair(key: Callable[[Passage], object]) -> None:
        before = {key(each): n for n, each in reversed([*enumerate(first, 1)]) if n not in taken}
        for after, each in enumerate(second, 1):
            n = before.get(key(each)) if after not in found else None
            if n is not None and n not in taken:
                taken.add(n)
                found[after] = Kept(n, after, first[n - 1].text == each.text)

    pair(lambda passage: passage.hit.chunk_id)
    pair(lambda passage: passage.text)
    return tuple(found[after] for after in sorted(found))


def _seen(
    access: Access, connection: Connection, second: Interaction, asker: Principal
) -> Callable[[int], bool] | None:
    """Whether the asker may see a chunk now, by the second's filter; None where its collection is gone."""
    import numpy as np

    collection = collection_store.find(connection, asker.tenant_id, second.collection)
    if collection is None:
        return None
    text = second.settings.get("filter")
    where = Filter.parse(text) if isinstance(text, str) else None
    then = second.settings.get("at_position")
    if isinstance(then, int):
        permitted = access.permitted_then(connection, asker, collection.id, where, then)
    else:
        permitted = access.permitted(connection, asker, collection.id, where)
    bitmap = permitted.bitmap()
    return lambda chunk_id: bool(bitmap.mask(np.array([chunk_id], dtype=np.int64))[0])


def _gone(
    number: int,
    passage: Passage,
    first: Interaction,
    second: Interaction,
    known: Mapping[int, Fate],
    seen: Callable[[int], bool] | None,
) -> Gone:
    chunk_id, at = passage.hit.chunk_id, second.position
    fate = known.get(chunk_id)
    where = ", ".join(place.uri for place in passage.places)
    rank = ranks(second).get(chunk_id)

    def because(reason: GoneFor, told: str) -> Gone:
        return Gone(number, passage, reason, told, rank)

    if second.error is not None and not second.passages:
        return because("not found", f"the second answer failed: {second.error}")
    if fate is not None and fate.erased:
        return because("erased", f"the text of {where} was erased")
    if first.collection != second.collection:
        return because("another collection", f"{where} is in {first.collection!r}, {second.collection!r} was asked")
    if fate is not None and not fate.held(at):
        newer = [each.successor_id for each in fate.documents if each.successor_id is not None]
        if newer:
            return because("replaced", f"another text stands at {where} now: document {newer[-1]}")
        ids = ", ".join(str(place.document_id) for place in passage.places)
        return because("removed", f"{where} (document {ids}) was removed")
    if fate is not None and not fate.stands(at):
        return because("recut", f"{where} is cut in another way now")
    if seen is not None and not seen(chunk_id):
        return because("not permitted", f"{where} may not be seen by who asks, or a filter leaves it out")
    left_out = second.prompt.left_out if second.prompt is not None else None
    if left_out is not None and any(cut.chunk_id == chunk_id for cut in left_out.passages):
        return because("no room", f"found at rank {rank}, but the prompt had no room for it")
    if rank is None:
        return because("not found", "not among the candidates")
    fresh = _fresh(first, second, rank, known)
    if fresh:
        return because("pushed out", f"rank {rank} now, below what came since: {', '.join(fresh)}")
    return because("re-ranked", f"rank {rank} now, of which {len(second.passages)} are shown")


def _fresh(first: Interaction, second: Interaction, rank: int, known: Mapping[int, Fate]) -> list[str]:
    """The addresses of what stands above a rank and came after the first was answered."""
    above = [each for each in second.passages[: rank - 1] if each.hit.chunk_id in known]
    return [
        each.places[0].uri for each in above if each.places and known[each.hit.chunk_id].added_position > first.position
    ]


def _new(number: int, passage: Passage, first: Interaction, second: Interaction, fate: Fate | None) -> New:
    chunk_id = passage.hit.chunk_id
    rank = ranks(first).get(chunk_id)
    where = ", ".join(place.uri for place in passage.places)
    if first.collection != second.collection:
        return New(number, passage, "another collection", f"{where} is in {second.collection!r}")
    if fate is not None and fate.added_position > first.position:
        return New(number, passage, "added", f"{where} came since")
    left_out = first.prompt.left_out if first.prompt is not None else None
    if left_out is not None and any(cut.chunk_id == chunk_id for cut in left_out.passages):
        return New(number, passage, "had no room", f"rank {rank} before, but the prompt had no room for it", rank)
    if rank is not None:
        return New(number, passage, "re-ranked", f"rank {rank} before", rank)
    return New(number, passage, "found", "among no candidates before")


def ranks(entry: Interaction) -> dict[int, int]:
    """The rank of everything that a search ranked, passages shown first, by chunk, from 1."""
    ranked = [*(passage.hit for passage in entry.passages), *entry.candidates]
    return {hit.chunk_id: rank for rank, hit in reversed([*enumerate(ranked, 1)])}


# ── words and settings ──────────────────────────────────────────────────────────────────────────────────────────────


def words(first: str, second: str) -> tuple[Words, ...]:
    """Two texts as one: what both have, and what only the first or the second has, whole words at a time. Where they
    hardly have a word in common, all of the first and then all of the second."""
    one, other = _WORDS.findall(first), _WORDS.findall(second)
    found: list[Words] = []
    matcher = SequenceMatcher(None, one, other, autojunk=False)
    blocks = matcher.get_matching_blocks()
    shared = sum(word[0].isalnum() for block in blocks for word in one[block.a : block.a + block.size])
    most = max(sum(word[0].isalnum() for word in side) for side in (one, other))
    if first and second and shared < COMMON * most:
        return Words("gone", first), Words("new", second)
    for kind, a, b, c, d in matcher.get_opcodes():
        if kind == "equal":
            found.append(Words("same", "".join(one[a:b])))
            continue
        if b > a:
            found.append(Words("gone", "".join(one[a:b])))
        if d > c:
            found.append(Words("new", "".join(other[c:d])))
    return tuple(found)


def _settings(first: Interaction, second: Interaction) -> dict[str, tuple[MetadataValue, MetadataValue]]:
    """What was set otherwise; who answered, the template, the collection and the moment are among it."""
    one, other = _told(first), _told(second)
    return {
        name: (one.get(name), other.get(name))
        for name in dict.fromkeys((*one, *other))
        if one.get(name) != other.get(name)
    }


def _told(entry: Interaction) -> Metadata:
    measured = {"evidence", "rewrite_failure", "fallback_reason"}
    return {
        "collection": entry.collection,
        "model": entry.model,
        "revision": entry.revision,
        "template": entry.template,
        "position": entry.position,
        "generation": entry.generation,
        "search_query": entry.search_query,
        **{name: value for name, value in entry.settings.items() if name not in measured},
    }


def _tokens(entry: Interaction) -> int | None:
    usage = None if entry.answer is None else entry.answer.usage
    if usage is None or usage.prompt_tokens is None or usage.completion_tokens is None:
        return None
    return usage.prompt_tokens + usage.completion_tokens
