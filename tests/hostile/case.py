"""What a hostile file is, and what is expected of it."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal


@dataclass(frozen=True, slots=True)
class Hostile:
    """A file made to do harm. `ends`: "refused" when nothing of it is read, "partly" when some of it is and the rest is
    reported, "read" when it does no harm, "any" where reading it well is one right end and refusing it another."""

    name: str
    make: Callable[[Path], None]
    ends: Literal["refused", "partly", "read", "any"]
    says: str = ""  # a regular expression that the reason fits


def of(
    name: str, content: Callable[[], bytes], ends: Literal["refused", "partly", "read", "any"], says: str = ""
) -> Hostile:
    """A file with a content."""

    def make(path: Path) -> None:
        path.write_bytes(content())

    return Hostile(name, make, ends, says)
