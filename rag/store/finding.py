"""Finding documents by what they are called, in either order; reading texts is search's work."""

from typing import Literal

from sqlalchemy import Connection, exists, func, or_

from rag.store.documents import StoredDocument, selecting, stored
from rag.store.permitted import Predicate, require_known
from rag.store.tables import contents, document_labels, documents

Order = Literal["arrival", "newest"]

MAX_WORDS = 20


def found(
    connection: Connection,
    predicate: Predicate,
    at: int,
    *,
    words: str = "",
    label: str | None = None,
    order: Order = "arrival",
    after: int | None = None,
    limit: int,
) -> list[StoredDocument]:
    """The documents that may be seen, in the order of their arrival or the newest first, from behind the id `after` on.

    words: each of the first MAX_WORDS stands in the title, the address or the external id, whatever its case. Raises
    WrongFilter for a field that no document has.
    """
    require_known(connection, predicate, at)
    columns = documents.c
    terms = [predicate.documents(connection.dialect.name, at)]
    for word in words.split()[:MAX_WORDS]:
        said = (contents.c.title, columns.name, columns.uri, func.coalesce(columns.external_id, ""))
        terms.append(or_(*(text.icontains(word, autoescape=True) for text in said)))
    if label is not None:
        mine = exists().where(document_labels.c.document_id == columns.id, document_labels.c.label == label)
        terms.append(mine.correlate(documents))
    if after is not None:
        terms.append(columns.id > after if order == "arrival" else columns.id < after)
    ordered = columns.id if order == "arrival" else columns.id.desc()
    return stored(connection, connection.execute(selecting().where(*terms).order_by(ordered).limit(limit)).all())
