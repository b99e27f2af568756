"""When two documents hold the same content: the one string that says so."""

from ingest.types import Document


def identity(document: Document) -> str:
    """The string whose digest identifies a document's content: its own title and its text, blanks not counted.

    Texts that differ only in how blanks and lines are set are the same content; letters, case, marks and the title
    count. Title and text cannot run into each other: neither holds a line break here, and one stands between them.
    """
    return f"{' '.join(document.title.split())}\n{' '.join(document.text.split())}"
