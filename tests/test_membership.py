"""What is kept in memory of chunks and their contents is what SQL says."""

import numpy as np
import pytest
from sqlalchemy import select

from rag.store import collections as collection_store
from rag.store.collections import Collection
from rag.store.database import Database
from rag.store.membership import Membership
from rag.store.tables import chunks
from rag.types import Ids
from tests.test_store import Named, add, document


@pytest.fixture
def house(database: Database) -> Collection:
    with database.write() as connection:
        tenant = collection_store.ensure_tenant(connection)
        return collection_store.create(connection, tenant, "default", Named(), {})


def told(database: Database, membership: Membership, collection: Collection, ids: Ids) -> list[int]:
    with database.read() as connection:
        return membership.contents(connection, collection.id, ids).tolist()


def in_sql(database: Database, collection: Collection) -> tuple[Ids, list[int]]:
    with database.read() as connection:
        rows = connection.execute(
            select(chunks.c.id, chunks.c.content_id).where(chunks.c.collection_id == collection.id)
        ).all()
    mixed = np.random.default_rng(0).permutation(len(rows))
    return np.array([rows[place][0] for place in mixed]), [rows[place][1] for place in mixed]


def test_contents_are_those_of_sql_while_documents_come(database: Database, house: Collection) -> None:
    membership = Membership()
    for number in range(4):
        for each in range(3):
            text = " ".join(f"word{number}{each}{place}" for place in range(9))
            add(database, house, document(database, f"kb:{number}.{each}", text))
        ids, expected = in_sql(database, house)
        assert len(ids) >= 3 * (number + 1)
        assert told(database, membership, house, ids) == expected
        assert told(database, membership, house, ids[:2]) == expected[:2]
        assert told(database, membership, house, np.empty(0, np.int64)) == []


def test_a_chunk_that_never_was_is_refused(database: Database, house: Collection) -> None:
    add(database, house, document(database, "kb:1", "one two three"))
    membership = Membership()
    for _ in range(3):
        with pytest.raises(KeyError):
            told(database, membership, house, np.array([10_000]))
