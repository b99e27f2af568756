"""A search is of one moment, and tells no word of what its asker may not see; on both databases."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from rag.access import Access, PermittedChunks
from rag.search import Search, search
from rag.store.database import Connection
from rag.store.filters.tree import Filter
from rag.types import Mode, Principal
from tests.test_why import House, build, embedder, house  # noqa: F401 (fixtures)


class Late(Access):
    """Something happens once, right after a permitted set was read."""

    def __init__(self, happens: Callable[[], None]) -> None:
        super().__init__()
        self.happens: Callable[[], None] | None = happens

    def permitted(
        self,
        connection: Connection,
        principal: Principal,
        collection_id: int,
        where: Filter | None = None,
        at: int | None = None,
    ) -> PermittedChunks:
        found = super().permitted(connection, principal, collection_id, where, at)
        happens, self.happens = self.happens, None
        if happens is not None:
            happens()
        return found


@pytest.mark.parametrize("mode", ["hybrid", "semantic", "keyword"])
def test_what_is_replaced_meanwhile_is_found_as_it_was_or_as_it_is(house: House, mode: Mode) -> None:  # noqa: F811
    late = Late(lambda: house.put("otters.txt", "Sea otters hold hands in the night."))
    found = search(replace(house.opened, access=late), Search("otters hold hands", mode=mode), house.asker())
    assert late.happens is None, "what the test is about"
    assert house.uri("otters.txt") in {place.uri for passage in found.passages for place in passage.places}


def test_no_word_is_told_of_what_may_not_be_seen(house: House) -> None:  # noqa: F811
    house.put("secret.txt", "The board plans to buy Zephyrus.", labels=["board"])
    asked = Search("zephyruz otters")
    assert search(house.opened, asked, house.asker("board")).corrected == {"zephyruz": ["zephyrus"]}
    assert search(house.opened, asked, house.asker("guest")).corrected == {}
