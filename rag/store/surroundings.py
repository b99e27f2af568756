"""Where chunks stand: which content each is part of, what it is embedded as, and what lies before and behind it."""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, and_, func, select

from ingest.headings import embedded_text
from rag.store.permitted import alive
from rag.store.tables import chunks, contents

MANY = 500


@dataclass(frozen=True, slots=True)
class Stretch:
    """A chunk's place in the text of its content."""

    start: int
    end: int
    page: int | None


def embedded_texts(connection: Connection, ids: Sequence[int]) -> list[str]:
    """What each chunk is embedded and indexed as (title, heading path, text), in the order of the ids."""
    found: dict[int, str] = {}
    for i in range(0, len(ids), MANY):
        rows = connection.execute(
            select(
                chunks.c.id,
                contents.c.title,
                chunks.c.headings,
                func.substr(contents.c.text, chunks.c.start + 1, chunks.c.end - chunks.c.start),
            )
            .join(contents, contents.c.id == chunks.c.content_id)
            .where(chunks.c.id.in_(ids[i : i + MANY]))
        )
        found |= {row[0]: embedded_text(row[1], row[2], row[3]) for row in rows}
    return [found[key] for key in ids]


def around(connection: Connection, ids: Sequence[int], reach: int, at: int) -> list[list[Stretch]]:
    """For each chunk the chunks of its content that stand at a position and lie at most `reach` before or behind it,
    itself included, in the order of the text; none for a chunk that does not stand."""
    found: list[list[Stretch]] = []
    middle, near = chunks.alias(), chunks.alias()
    for i in range(0, len(ids), MANY):
        some = ids[i : i + MANY]
        rows = connection.execute(
            select(middle.c.id, near.c.start, near.c.end, near.c.page)
            .join(
                near,
                and_(
                    near.c.content_id == middle.c.content_id,
                    near.c.ordinal >= middle.c.ordinal - reach,
                    near.c.ordinal <= middle.c.ordinal + reach,
                ),
            )
            .where(middle.c.id.in_(some), alive(middle, at), alive(near, at))
            .order_by(middle.c.id, near.c.ordinal)
        )
        stretches: dict[int, list[Stretch]] = {}
        for key, start, end, page in rows:
            stretches.setdefault(key, []).append(Stretch(start, end, page))
        found += [stretches.get(key, []) for key in some]
    return found


def text_between(connection: Connection, spans: Sequence[tuple[int, int, int]]) -> list[str]:
    """The text of each (content, start, end), in their order."""
    found: dict[tuple[int, int, int], str] = {}
    for i in range(0, len(spans), MANY):
        some = set(spans[i : i + MANY])
        for content, start, end in sorted(some):
            piece = func.substr(contents.c.text, start + 1, end - start)
            found[content, start, end] = str(connection.scalar(select(piece).where(contents.c.id == content)))
    return [found[span] for span in spans]
