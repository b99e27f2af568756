"""How far a long command is, on standard error."""

import time
from collections.abc import Callable

from rag.cli import output

EVERY_S = 5.0


def told(what: str) -> Callable[[int, int], None]:
    """Says on standard error every few seconds how far it is."""
    last = time.monotonic()

    def tell(done: int, total: int) -> None:
        nonlocal last
        if time.monotonic() - last >= EVERY_S:
            last = time.monotonic()
            output.note(f"{done:,} of {total:,} {what}")

    return tell
