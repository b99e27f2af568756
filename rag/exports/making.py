"""Datasets made, read and compared: what the command line, the API and evaluation share."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass

from ingest.wording import counted
from rag.errors import WrongUsage
from rag.exports.beir import Document
from rag.exports.cards import facts
from rag.exports.collect import Wanted, collect, placed
from rag.exports.records import Record, item_of, record_of
from rag.exports.splits import Shares
from rag.store import collections as collection_store
from rag.store import datasets as store
from rag.store import documents as document_store
from rag.store import interactions as interaction_store
from rag.store.database import Database
from rag.store.datasets import Content, NewVersion, Origin, Split, Version
from rag.store.interactions import Query, query_json
from rag.store.permitted import Predicate

PAGE = 200  # documents of a corpus that are read together
MOST_ASKED = 2_000  # questions of the log that synthetic ones are held against


@dataclass(frozen=True, slots=True)
class Made:
    """A version and how it came about."""

    version: Version
    new: bool  # False: the newest version held the same already


def make(database: Database, tenant_id: int, name: str, wanted: Wanted, collection: str, user: str) -> Made:
    """Make a version of a dataset from the log. Raises WrongUsage where nothing fits, saying what was dropped."""
    store.check_name(name)
    found = collect(database, tenant_id, wanted)
    if not found.records:
        why = "; ".join(f"{count:,}: {reason}" for reason, count in found.dropped.items())
        raise WrongUsage(
            f"nothing to make {name!r} of: no answer in the log fits ({why or 'nobody judged any'}); "
            "`rag logs` lists what there is, --all takes answers that nobody judged"
        )
    scrubbed = found.scrubbed if wanted.scrub else None
    card = facts(found.records, dropped=found.dropped, scrubbed=scrubbed, guidelines=found.guidelines)
    items = tuple(item_of(record) for record in found.records)
    new = NewVersion(name, "log", collection, items, made_from(wanted), card, user)
    with database.write() as connection:
        return Made(*store.add(connection, tenant_id, new))


def make_questions(
    database: Database,
    tenant_id: int,
    name: str,
    records: Sequence[Record],
    dropped: Mapping[str, int],
    made_by: str,
    collection: str,
    shares: Shares,
    user: str,
) -> Made:
    """Make a version of a dataset of questions that nobody asked. Raises WrongUsage where there are none."""
    store.check_name(name)
    if not records:
        why = "; ".join(f"{count:,}: {reason}" for reason, count in dropped.items())
        raise WrongUsage(f"nothing to make {name!r} of: {why or 'the collection holds no passage'}")
    found = placed(records, shares)
    card = facts(found, dropped=dropped, scrubbed=None, guidelines=(), made_by=f"Made by {made_by}.")
    query = {"made_by": made_by, "shares": asdict(shares)}
    items = tuple(item_of(record) for record in found)
    with database.write() as connection:
        return Made(
            *store.add(connection, tenant_id, NewVersion(name, "questions", collection, items, query, card, user))
        )


def asked(database: Database, tenant_id: int, collection: str, limit: int = MOST_ASKED) -> list[str]:
    """The newest questions that people asked a collection."""
    with database.read() as connection:
        query = Query(collection=collection, origin="human")
        return [entry.question for entry in interaction_store.listing(connection, tenant_id, query, limit=limit)]


def made_from(wanted: Wanted) -> Content:
    """What a version was made from, as it is kept."""
    return {
        "which": wanted.which,
        "origins": list(wanted.origins),
        "shares": asdict(wanted.shares),
        "scrub": list(wanted.scrub),
        "log": query_json(wanted.query),
    }


def read(
    database: Database,
    tenant_id: int,
    named: str,
    splits: Sequence[Split] = store.SPLITS,
    origin: Origin | None = None,
) -> tuple[Version, list[Record]]:
    """The version that NAME or NAME@NUMBER means, and its records of these splits. Raises NotFound; WrongUsage where
    the splits are empty."""
    with database.read() as connection:
        version = store.get(connection, tenant_id, named)
        items = [item for item in store.items(connection, version.id, origin=origin) if item.split in splits]
        if not items:
            raise WrongUsage(_empty(version, splits))
    return version, [record_of(item) for item in items]


def _empty(version: Version, splits: Sequence[Split]) -> str:
    """What is wrong where splits hold nothing, and what to do."""
    counts = version.card["splits"]
    assert isinstance(counts, dict)
    there = {name: count for name, count in counts.items() if count}
    shown = ", ".join(f"{name} {count:,}" for name, count in there.items())
    remedy = f"take what there is (--split {next(iter(there), 'test')})"
    if splits == ("test",):
        remedy += ", or make a version that is all of it a test (--shares 0,0,1)"
    return f"{version.named} holds nothing in {' and '.join(splits)}: its splits are {shown or 'empty'}; {remedy}"


def corpus(database: Database, tenant_id: int, collection: str) -> Iterator[Document]:
    """Every live document of a collection, whole, as judgements call it: by its external id, or else its address; of
    several with one external id the first. Raises NotFound."""
    seen: set[str] = set()
    with database.read() as connection:
        held = collection_store.get(connection, tenant_id, collection)
        predicate, after = Predicate(held.id, None), 0
        while page := document_store.listing(connection, predicate, held.position, after=after, limit=PAGE):
            for document in page:
                key = document.external_id or document.uri
                if key not in seen:
                    seen.add(key)
                    yield Document(key, document.title, document_store.text_of(connection, document.content_id))
            after = page[-1].id


@dataclass(frozen=True, slots=True)
class Changed:
    """How a version differs from an earlier one."""

    added: tuple[Record, ...]
    removed: tuple[Record, ...]
    changed: tuple[tuple[Record, Record], ...]  # of one key, before and after
    same: int

    @property
    def moved(self) -> int:
        """How many went to another split."""
        return sum(one.split != other.split for one, other in self.changed)


def compare(database: Database, tenant_id: int, first: str, second: str) -> tuple[Version, Version, Changed]:
    """Two versions, of one dataset or of two. Raises NotFound."""
    with database.read() as connection:
        versions = [store.get(connection, tenant_id, named) for named in (first, second)]
        ones, others = ({item.key: item for item in store.items(connection, each.id)} for each in versions)
    both = [key for key in ones if key in others]
    differ = [key for key in both if ones[key].digest != others[key].digest]
    changed = Changed(
        tuple(record_of(item) for key, item in others.items() if key not in ones),
        tuple(record_of(item) for key, item in ones.items() if key not in others),
        tuple((record_of(ones[key]), record_of(others[key])) for key in differ),
        len(both) - len(differ),
    )
    return versions[0], versions[1], changed


def described(version: Version) -> str:
    """A version in one line of plain words."""
    splits = version.card["splits"]
    assert isinstance(splits, dict)
    shown = ", ".join(f"{name} {count:,}" for name, count in splits.items() if count)
    return f"{version.named}: {counted(version.items, 'record')} ({shown}), digest {version.digest}"
