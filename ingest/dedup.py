"""When two documents hold the same content: the one string that says so."""

import json

from ingest.languages.detection import primary
from ingest.types import Document


def identity(document: Document) -> str:
    """The string whose digest identifies a document's content: its own title, language, outline and normalised text.

    Texts that were one text before they were normalised (encodings, line ends, runs of blanks, Unicode forms) are the
    same content. All that decides how it is cut and found counts: an edit that only turns a heading into a smaller one
    is a new content, as a fresh ingest would have it.
    """
    about = [
        " ".join(document.title.split()),
        primary(document.metadata.get("language")),
        [[mark.offset, mark.kind, mark.level] for mark in document.outline],
    ]
    return f"{json.dumps(about, ensure_ascii=False)}\n{document.text}"
