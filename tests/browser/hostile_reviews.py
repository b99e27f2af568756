"""Payloads as what reviewers, judges and keepers of a log write, and as the names that they give."""

from collections.abc import Sequence
from dataclasses import replace

from rag.app import App
from rag.exports import making
from rag.exports.collect import Wanted
from rag.exports.splits import ALL_TEST
from rag.store import evaluations as evaluation_store
from rag.store import experiments as experiment_store
from rag.store import interactions as interaction_store
from rag.store.database import Connection
from rag.store.evaluations import JudgedQuery, NewEvaluation
from rag.store.experiments import Answered, Configured
from rag.store.interactions import Query
from rag.store.log import views as view_store
from rag.store.reviews import items as item_store
from rag.store.reviews import preferences as preference_store
from rag.store.reviews import queues as queue_store
from rag.store.reviews import reviews as review_store
from rag.store.reviews.items import NewItem
from rag.store.reviews.preferences import Pair
from rag.store.reviews.queues import Label
from rag.store.reviews.reviews import Said
from rag.store.reviews.texts import Judged
from rag.types import Interaction

DATASET, FEW = "words", "few"


def name_of(payload: str, longest: int = 100) -> str:
    """The payload without what no name may hold."""
    kept = "".join(c for c in payload if c.isprintable() and c not in "/@\\")
    return " ".join(kept[:longest].split())


def write(app: App, groups: Sequence[Sequence[str]], interactions: Sequence[str], chunks: Sequence[int]) -> list[int]:
    """A queue a group, with guidelines, labels and a review of every answer; a view a payload; an experiment, a
    judgement and a run a group; a dataset of all. The first item of each queue."""
    first, tenant_id, size = [], app.tenant_id, len(groups[0])
    with app.database.write() as connection:
        for at, group in enumerate(groups):
            keys = interactions[at * size : (at + 1) * size]
            first.append(_reviewed(connection, app, group, keys, chunks[at * size : (at + 1) * size]))
            _compared(connection, app, group, keys[0])
            evaluation_store.add(
                connection,
                tenant_id,
                NewEvaluation(name_of(group[1]), group[1], b"0", "hybrid", {"mode": group[1]}, "1", {"map": _MEAN}),
                [JudgedQuery(payload, payload, {payload: 1}, {"map": 0.0}, 1.0, {payload: 0.5}) for payload in group],
            )
        for payload in [payload for group in groups for payload in group]:
            view_store.save(connection, tenant_id, "local", name_of(payload), Query(text=payload))
    for name, narrow in ((DATASET, Query(collection="default")), (FEW, Query(conversation_id="c17"))):
        making.make(app.database, tenant_id, name, Wanted(narrow, shares=ALL_TEST), "default", "local")
    return first


_MEAN = {"value": 0.5, "low": 0.4, "high": 0.6}


def _reviewed(
    connection: Connection, app: App, group: Sequence[str], keys: Sequence[str], chunks: Sequence[int]
) -> int:
    labels = [Label(name_of(payload, 60), 1.0) for payload in group[:9]]
    guidelines = "\n\n".join(group)
    queue = queue_store.add(
        connection, app.tenant_id, name_of(group[0]), {"any": [{"kind": "every"}]}, user="local",
        guidelines=guidelines, labels=labels,
    )  # fmt: skip
    reasons = dict(zip(keys, group, strict=True))
    item_store.put(connection, app.tenant_id, queue.id, [NewItem(key, (reasons[key],)) for key in keys])
    items = {item.interaction_id: item.id for item in item_store.listing(connection, app.local(), queue.id, limit=99)}
    for at, (key, payload) in enumerate(reasons.items()):
        corrected = payload if at % 2 else None  # a list of reviews shows the note of those without a correction
        better = (Judged(0, number=1), Judged(3, chunk_id=chunks[(at + 1) % len(chunks)]))
        said = Said(labels[at % len(labels)].name, corrected, better, (payload,), payload)
        review_store.save(connection, app.local(), items[key], said)
    return items[keys[0]]


def bare(payload: str) -> str:
    """The payload without its number, so that it stands at the beginning of a cell."""
    return payload.partition(" ")[2]


def _compared(connection: Connection, app: App, group: Sequence[str], key: str) -> None:
    """An experiment of two configurations, whose answers somebody judged with a comment, and reviewed."""
    one = interaction_store.get(connection, app.tenant_id, key)
    other = _twin(connection, app, one)
    queue = queue_store.get(connection, app.tenant_id, name_of(group[0]))
    item_store.put(connection, app.tenant_id, queue.id, [NewItem(other.id, (group[0],))])
    [item] = item_store.of_interaction(connection, app.local(), other.id)
    said = Said(queue.labels[0].name, bare(group[5]), note=bare(group[0]))
    review_store.save(connection, app.local(), item.id, said)
    names = [name_of(payload, 60) for payload in group[:2]]
    kept = experiment_store.add(
        connection, app.tenant_id, name_of(group[0]), questions=group[0], digest="0",
        configurations=[Configured(name, {"mode": group[0]}) for name in names], version="1", user="local",
    )  # fmt: skip
    answers = [
        Answered(place, 1, group[0], group[0], entry.id, {}, 1.0, None if place == 1 else group[0])
        for place, entry in enumerate((one, other), 1)
    ]
    experiment_store.add_answers(connection, kept.id, answers)
    pair = Pair(one.id, other.id, names[0], names[1], kept.id)
    preference_store.add(connection, app.tenant_id, pair, swapped=False, choice="first", user="local", comment=group[0])


def _twin(connection: Connection, app: App, entry: Interaction) -> Interaction:
    """Another answer to the same question, older than all others in the log."""
    twin = replace(entry, id=f"01H{entry.id[3:]}", conversation_id=None, parent_id=None, turn=None, kind=None)
    collection = app.collection()
    return interaction_store.record(connection, app.database, twin, collection.id)
