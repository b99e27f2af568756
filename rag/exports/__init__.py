"""Exports: a version of a dataset as the files that other programs read; one format a file, chosen by its name.

A format is a module of this package with `write(folder, records) -> Written`. Every export is a folder that holds the
dataset card as README.md, and is the same bytes for the same version.
"""

import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from importlib import import_module
from pathlib import Path

from rag.errors import WrongUsage
from rag.exports import beir
from rag.exports.cards import markdown
from rag.exports.records import Record
from rag.exports.rows import Written
from rag.exports.splits import check
from rag.scrubbing import Scrubber, kinds
from rag.store.datasets import Version

FORMS = ("beir", "csv", "kto", "parquet", "preference", "ragas", "sft", "triplets")
CARD = "README.md"


def export(
    folder: Path, version: Version, records: Sequence[Record], form: str, corpus: Iterable[beir.Document] = ()
) -> Written:
    """Write a version in a form into a new or empty folder; `corpus` is for `beir`, the documents that are judged: in
    them is replaced what was in the version's records, too.

    Raises WrongUsage for a form that there is not, a folder that holds something, and where nothing fits the form;
    then no folder is left behind.
    """
    if form not in FORMS:
        raise WrongUsage(f"no format {form!r}; there are {', '.join(FORMS)}")
    folder = folder.absolute()
    if folder.is_file() or (folder.is_dir() and any(folder.iterdir())):
        raise WrongUsage(f"{folder} holds something already; name a new or an empty folder")
    check([(record.split, record.question, record.conversation_id) for record in records])
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        aside = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
    except OSError as error:
        raise WrongUsage(f"{folder} cannot be made: {error.strerror}") from error
    try:
        aside.chmod(0o755)
        if form == "beir":
            written = beir.write(aside, records, _scrubbed(corpus, version))
        else:
            write: Callable[[Path, Sequence[Record]], Written] = import_module(f"{__name__}.{form}").write
            written = write(aside, records)
        if not any(written.rows.values()):
            why = "; ".join(f"{count:,}: {reason}" for reason, count in written.skipped.items())
            raise WrongUsage(f"nothing of {version.named} fits the format {form} ({why or 'it holds no such records'})")
        card = markdown(version, form, written.rows, written.skipped)
        (aside / CARD).write_text(card, encoding="utf-8", newline="\n", errors="backslashreplace")
        if folder.is_dir():
            folder.rmdir()
        aside.rename(folder)
    except OSError as error:
        raise WrongUsage(f"{folder} cannot be written: {error.strerror}") from error
    finally:
        shutil.rmtree(aside, ignore_errors=True)
    return written


def _scrubbed(corpus: Iterable[beir.Document], version: Version) -> Iterator[beir.Document]:
    """The documents without the kinds of personal data that the version is without."""
    asked = version.query.get("scrub")
    if not isinstance(asked, list) or not asked:
        yield from corpus
        return
    without = kinds(",".join(asked))
    for document in corpus:
        scrub = Scrubber(without).scrub
        yield replace(document, title=scrub(document.title), text=scrub(document.text))
