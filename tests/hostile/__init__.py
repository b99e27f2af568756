"""Files made to do harm, by the tests themselves."""

from tests.hostile import marked, media, packed, places
from tests.hostile.case import Hostile

__all__ = ["HOSTILE", "Hostile"]

HOSTILE: list[Hostile] = [*packed.HOSTILE, *marked.HOSTILE, *media.HOSTILE, *places.HOSTILE]
