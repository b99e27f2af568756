"""Where a document finds its place: beside those that stand, as one more place of their text, or held back.

Every document that arrives is compared with those that stand in its collection, level by level, and the collection's
policy says what follows. Each duplicate found is a row of `decisions`. When a document goes, those that were held back
for it or were places of its text are released: they ask for a place again, in the same transaction.

No document suppresses another's: one is held back only for one of the same owner and labels, and becomes a place of a
nearly equal text only among documents of the same labels.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

from sqlalchemy import Connection, and_, or_, select

from ingest.minhash import text_signature
from rag.store.collections import Collection
from rag.store.contents import NewContent, parts
from rag.store.duplicates import centroids, near
from rag.store.duplicates.places import (
    Arriving,
    Decision,
    Seat,
    Standing,
    arriving_of,
    end_decisions,
    kept_back,
    labels_of,
    place_of,
)
from rag.store.duplicates.policies import Policies, Rule
from rag.store.tables import contents, decisions, documents

HOLDING = ("skip", "newest")  # policies that hold a document back


@dataclass(slots=True)
class Placed:
    """The result for all that arrived."""

    seats: dict[str, Seat] = field(default_factory=dict)  # by uri
    held: dict[str, Decision] = field(default_factory=dict)  # by uri of the one held back
    decisions: list[Decision] = field(default_factory=list)
    retired: set[int] = field(default_factory=set)  # documents that make room: held back now, or placed anew


Match = tuple[Rule, bytes, float]  # which rule found it, the other's content digest, how similar


class Placing:
    """Places documents within one transaction, whose collection is locked."""

    def __init__(self, connection: Connection, collection: Collection, prepared: Mapping[int, NewContent]) -> None:
        self._connection, self._collection, self._prepared = connection, collection, prepared
        self._rules = Policies.of(collection.settings).document
        self._standing: dict[bytes, list[Standing]] = {}  # by content digest, of those loaded
        self._loaded: set[bytes] = set()
        self._gone: set[int] = set()
        self._before: int | None = None  # only documents of lower ids count as standing
        self._exempt: set[tuple[bytes, bytes]] = set()
        self._waiting: dict[str, Arriving] = {}  # by uri, of those held back in this transaction
        self.result = Placed()

    def place(self, arriving: Sequence[Arriving], gone: Iterable[int]) -> Placed:
        """Find a place for every document, given that others are going. Writes nothing but signatures and the end of
        decisions that no longer hold; `write_decisions` follows when the documents have their ids."""
        self._gone |= set(gone)
        self._run([*arriving, *self._released(self._gone)])
        return self.result

    def review(self, standing: Mapping[int, Arriving], shown: Mapping[int, int]) -> Placed:
        """Judge documents that stand already, by id, by the present policies: each against those before it.

        `shown` are the contents that they show. In the result are those that do not stay as they are, alone.
        """
        self._before = min(standing)
        self._gone |= standing.keys()
        self._run(list(standing.values()))
        self.result.retired -= standing.keys()
        moved: set[int] = set()
        for key, one in standing.items():
            seat = self.result.seats.get(one.place.uri)
            if seat is not None and seat.shows == shown[key]:
                del self.result.seats[one.place.uri]
                self._stays(key, one)
            else:
                moved.add(key)
        self._run(self._released(moved | self.result.retired))
        self.result.retired |= moved
        return self.result

    def _run(self, queue: Sequence[Arriving]) -> None:
        while queue:
            matches = self._matches(queue)
            self._load({digest for found in matches for _, digest, _ in found})
            self._load_exempt({one.digest for one in queue})
            following: list[Arriving] = []
            for one, found in zip(queue, matches, strict=True):
                following += self._seat(one, found)
            queue = following

    # ── finding ─────────────────────────────────────────────────────────────────────────────────────────────────────

    def _matches(self, queue: Sequence[Arriving]) -> list[list[Match]]:
        """For every document what duplicates it, level by level, most similar first."""
        found: list[list[Match]] = [[] for _ in queue]
        for rule in self._rules:
            if rule.level == "exact":
                for one, into in zip(queue, found, strict=True):
                    into.append((rule, one.digest, 1.0))
                continue
            pairs = self._near(queue, rule.threshold) if rule.level == "near" else self._semantic(queue, rule.threshold)
            for into, others in zip(found, pairs, strict=True):
                into += [(rule, digest, similarity) for digest, similarity in others]
        return found

    def _near(self, queue: Sequence[Arriving], threshold: float) -> list[list[tuple[bytes, float]]]:
        texts = self._texts([one.digest for one in queue])
        items = [
            near.Item(one.digest, texts[one.digest], one.signature or text_signature(texts[one.digest]))
            for one in queue
        ]
        found = near.match(
            self._connection, self._collection.id, "document", items, threshold, self._texts, live=self._stand_with
        )
        return [[(other.digest, other.similarity) for other in others] for others in found]

    def _semantic(self, queue: Sequence[Arriving], threshold: float) -> list[list[tuple[bytes, float]]]:
        items = [(one.digest, one.content_id) for one in queue]
        return centroids.match(self._connection, self._collection, items, threshold, self._prepared)

    def _texts(self, digests: Sequence[bytes]) -> dict[bytes, str]:
        found: dict[bytes, str] = {}
        for part in parts(digests):
            rows = self._connection.execute(
                select(contents.c.digest, contents.c.text).where(
                    contents.c.collection_id == self._collection.id, contents.c.digest.in_(part)
                )
            )
            found |= {bytes(row[0]): row[1] for row in rows}
        return found

    def _stand_with(self, digests: Sequence[bytes]) -> set[bytes]:
        """Which of these contents a document stands with: held back copies and former revisions crowd none out."""
        found = {digest for digest in digests if self._standing.get(digest)}
        for part in parts(digests):
            rows = self._connection.execute(
                select(contents.c.digest)
                .distinct()
                .join(documents, documents.c.content_id == contents.c.id)
                .where(
                    contents.c.collection_id == self._collection.id,
                    contents.c.digest.in_(part),
                    documents.c.removed_position.is_(None),
                    documents.c.own_content_id.is_(None),
                )
            )
            found.update(bytes(row[0]) for row in rows)
        return found

    def _load(self, digests: set[bytes]) -> None:
        """Fetch the documents that stand with these contents."""
        for part in parts(sorted(digests - self._loaded)):
            query = (
                select(documents, contents.c.digest)
                .join(contents, contents.c.id == documents.c.content_id)
                .where(
                    contents.c.collection_id == self._collection.id,
                    contents.c.digest.in_(part),
                    documents.c.removed_position.is_(None),
                    documents.c.own_content_id.is_(None),
                )
                .order_by(documents.c.id)
            )
            if self._before is not None:
                query = query.where(documents.c.id < self._before)
            rows = self._connection.execute(query).all()
            labels = labels_of(self._connection, [row.id for row in rows])
            for row in rows:
                if row.id not in self._gone:
                    stands = Standing(place_of(row, labels), row.content_id, bytes(row.digest), row.created_at, row.id)
                    self._standing.setdefault(stands.digest, []).append(stands)
        self._loaded |= digests

    def _load_exempt(self, digests: set[bytes]) -> None:
        """Fetch the pairs that somebody said are to stand beside each other."""
        for part in parts(sorted(digests)):
            for column in (decisions.c.digest, decisions.c.against_digest):  # SQLite uses no index for one or the other
                rows = self._connection.execute(
                    select(decisions.c.digest, decisions.c.against_digest).where(
                        decisions.c.collection_id == self._collection.id,
                        decisions.c.ending == "undone",
                        column.in_(part),
                    )
                )
                for one, other in rows:
                    self._exempt |= {(bytes(one), bytes(other)), (bytes(other), bytes(one))}

    # ── deciding ────────────────────────────────────────────────────────────────────────────────────────────────────

    def _seat(self, one: Arriving, found: Sequence[Match]) -> list[Arriving]:
        """Place one document; gives back those that are released by it. Others give way only to one that stands."""
        kept: list[Decision] = []
        older: dict[str, tuple[Standing, Decision]] = {}  # by uri: it may be a duplicate at several levels
        for rule, digest, similarity in found:
            for against in self._eligible(one, digest, rule):
                decision = Decision(rule, similarity, one.place, one.digest, against)
                if rule.policy == "keep":
                    kept.append(decision)
                elif rule.policy == "newest" and _newer(one, against):
                    older.setdefault(against.place.uri, (against, decision))
                elif rule.policy == "alias":
                    self.result.decisions += [*kept, decision]
                    self.result.seats[one.place.uri] = Seat(one, against.content_id, decision.reason, duplicate=True)
                    if against.content_id == one.content_id:
                        self._stand(one)
                    return []
                else:
                    self._hold(one, decision)
                    return []
        reasons = [each.reason for each in kept]
        reasons += [
            f"{each.rule.level}-duplicate of {loser.place.uri}, which it replaces" for loser, each in older.values()
        ]
        self.result.decisions += kept
        self.result.seats[one.place.uri] = Seat(one, one.content_id, reasons[0] if reasons else "")
        stands = self._stand(one)
        return [each for loser, decision in older.values() for each in self._give_way(stands, loser, decision)]

    def _eligible(self, one: Arriving, digest: bytes, rule: Rule) -> list[Standing]:
        """The documents that stand with a content and may be held against this one, oldest first."""
        if (one.digest, digest) in self._exempt:
            return []
        found = [each for each in self._standing.get(digest, ()) if each.place.uri != one.place.uri]
        if rule.level != "exact" or rule.policy in HOLDING:
            found = [each for each in found if each.place.labels == one.place.labels]
        if rule.policy in HOLDING:
            found = [each for each in found if each.place.owner == one.place.owner]
        return found if rule.policy == "newest" else found[:1]

    def _stand(self, one: Arriving) -> Standing:
        stands = Standing(one.place, one.content_id, one.digest, one.since, None)
        self._standing.setdefault(one.digest, []).append(stands)
        return stands

    def _stays(self, key: int, one: Arriving) -> None:
        """A document was judged and stays as it is: from now on it is like any other that stood before."""
        self._gone.discard(key)
        for each in self._standing.get(one.digest, ()):
            if each.place.uri == one.place.uri:
                each.id = key

    def _hold(self, one: Arriving, decision: Decision) -> None:
        held = replace(decision, held_back=kept_back(one.place, one.since))
        self.result.held[one.place.uri] = held
        self.result.decisions.append(held)
        self._waiting[one.place.uri] = one

    def _give_way(self, winner: Standing, loser: Standing, found: Decision) -> list[Arriving]:
        """Hold back a document that stands for a newer one; gives back those that were placed on account of it."""
        self._standing[loser.digest].remove(loser)
        if loser.id is None:  # it was placed a moment ago
            one = self.result.seats.pop(loser.place.uri).arriving
            released = self._unplaced(loser.place.uri)
        else:
            one = Arriving(loser.place, loser.content_id, loser.digest, loser.since, loser.id)
            self._gone.add(loser.id)
            self.result.retired.add(loser.id)
            released = [*self._unplaced(loser.place.uri), *self._released({loser.id})]
        self._hold(one, Decision(found.rule, found.similarity, loser.place, loser.digest, winner))
        return released

    def _unplaced(self, uri: str) -> list[Arriving]:
        """Take back what was decided in this transaction about a document, or against it; gives back the others that
        ask for a place again for it."""
        found: list[Arriving] = []
        decided, self.result.decisions = self.result.decisions, []
        for each in decided:
            which = each.which.uri
            if uri not in (which, each.against.place.uri):
                self.result.decisions.append(each)
            elif each.held_back is not None:
                del self.result.held[which]
                found.append(self._waiting.pop(which))
            elif which != uri and each.rule.policy == "alias" and each.rule.level != "exact":
                seat = self.result.seats.pop(which, None)
                found += [] if seat is None else [seat.arriving]  # where it stayed, what is stored says why
        return found

    # ── releasing ───────────────────────────────────────────────────────────────────────────────────────────────────

    def _released(self, gone: set[int]) -> list[Arriving]:
        """The documents that were held back for, or were places of the texts of, documents that are going."""
        found: list[Arriving] = []
        for part in parts(sorted(gone)):
            rows = self._connection.execute(
                select(decisions, contents.c.id.label("content_id"))
                .join(
                    contents,
                    and_(
                        contents.c.collection_id == decisions.c.collection_id, contents.c.digest == decisions.c.digest
                    ),
                )
                .where(
                    decisions.c.against_id.in_(part),
                    decisions.c.scope == "document",
                    decisions.c.ended_at.is_(None),
                    or_(decisions.c.held_back.is_not(None), decisions.c.policy == "alias"),
                )
                .order_by(decisions.c.id)
            ).all()
            for row in rows:
                if row.held_back is not None:
                    found.append(arriving_of(row.held_back, row.content_id, bytes(row.digest)))
                elif row.level != "exact":
                    found += self._place_again(row.document_id, row.content_id, bytes(row.digest))
            end_decisions(self._connection, [row.id for row in rows], "released", by="")
        return found

    def _place_again(self, document_id: int, content_id: int, digest: bytes) -> list[Arriving]:
        """A document that was a place of another's text asks for a place with its own."""
        row = self._connection.execute(
            select(documents).where(documents.c.id == document_id, documents.c.removed_position.is_(None))
        ).one_or_none()
        if row is None or row.id in self._gone:
            return []
        self._gone.add(row.id)
        self.result.retired.add(row.id)
        place = place_of(row, labels_of(self._connection, [row.id]))
        return [Arriving(place, content_id, digest, row.created_at, previous_id=row.id)]


def _newer(one: Arriving, other: Standing) -> bool:
    """Whether one revision is newer than another."""
    return _moment(one) > _moment(other)


def _moment(one: Arriving | Standing) -> tuple[datetime, datetime, str]:
    """When a document was last changed: as its file says, else when it came. No two are equal, so that of any documents
    one is the newest."""
    said = one.place.metadata.get("modified")
    try:
        changed = datetime.fromisoformat(said) if isinstance(said, str) else one.since
    except ValueError:
        changed = one.since
    return changed.replace(tzinfo=changed.tzinfo or UTC), one.since, one.place.uri
