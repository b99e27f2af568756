"""Dataset cards: what a version holds, as facts that are kept with it and as Markdown with a YAML head.

The head is what the Hugging Face hub reads, so that `datasets.load_dataset(FOLDER)` finds the splits of an export.
"""

import json
from collections import Counter
from collections.abc import Mapping, Sequence

from rag.answers.templating import fence
from rag.exports.records import Record
from rag.exports.splits import shares_of
from rag.store.datasets import Content, Version

SIZES = ((1_000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K"), (1_000_000, "100K<n<1M"))


def facts(
    records: Sequence[Record],
    *,
    dropped: Mapping[str, int],
    scrubbed: Mapping[str, int] | None,
    guidelines: Sequence[str],
    made_by: str = "",
) -> Content:
    """What is kept of a version besides its items; `scrubbed` is None where nothing was looked for."""
    times = sorted(record.created_at for record in records if record.created_at)
    graded = [passage for record in records for passage in record.passages if passage.grade is not None]
    return {
        "items": len(records),
        "splits": shares_of([record.split for record in records]),
        "origins": _counts([record.origin for record in records]),
        "conversations": len({record.conversation_id for record in records if record.conversation_id}),
        "from": times[0] if times else None,
        "to": times[-1] if times else None,
        "labels": _counts([label for record in records for label in record.labels]),
        "verdicts": _counts([record.verdict or "none" for record in records if record.answer is not None]),
        "with_reference": sum(bool(record.references) for record in records),
        "with_relevant": sum(any(grade > 0 for grade in record.relevant.values()) for record in records),
        "unanswerable": sum(record.answerable is False for record in records),
        "graded": _counts([passage.by or "" for passage in graded]),
        "models": _counts([record.model for record in records if record.model]),
        "templates": _counts([record.template for record in records if record.template]),
        "dropped": dict(sorted(dropped.items())),
        "scrubbed": None if scrubbed is None else dict(scrubbed),
        "guidelines": list(guidelines),
        "made_by": made_by,
    }


def _counts(values: Sequence[str]) -> dict[str, int]:
    return dict(sorted(Counter(values).items(), key=lambda pair: (-pair[1], pair[0])))


def markdown(
    version: Version, form: str = "", rows: Mapping[str, int] | None = None, skipped: Mapping[str, int] | None = None
) -> str:
    """The card of a version; of its export in a form, with the rows of each file and why records gave none."""
    card = version.card
    lines = ["---", *_head(version, form, rows), "---", "", f"# {_line(version.named)}", ""]
    lines += [f"{version.items:,} records of the collection {_line(version.collection)}. {_KIND[version.kind]}", ""]
    if form:
        lines += [f"This export is in the form `{form}`.", ""]
    lines += [
        "| | |",
        "|---|---|",
        f"| digest | `{version.digest}` |",
        f"| made | {version.created_at.isoformat(timespec='seconds')} by {_cell(version.user)} |",
        f"| asked between | {card['from'] or '–'} and {card['to'] or '–'} |",
        f"| conversations | {card['conversations']} |",
        f"| with a right answer | {card['with_reference']} |",
        f"| with relevant documents | {card['with_relevant']} |",
        f"| known to have no answer | {card['unanswerable']} |",
        f"| personal data | {_scrubbed(card['scrubbed'])} |",
        "",
    ]
    if rows is not None:
        lines += _table("File", {f"{name} rows": count for name, count in rows.items()})
    for title, name in _TABLES:
        lines += _table(title, _mapping(card[name]))
    if skipped:
        lines += _table("Records that give no row in this form", skipped)
    lines += ["## Made from", "", "```json", _seen(json.dumps(version.query, indent=2, ensure_ascii=False)), "```", ""]
    if card.get("made_by"):
        lines += [_line(str(card["made_by"])), ""]
    guidelines = card["guidelines"]
    assert isinstance(guidelines, list)
    if guidelines:
        lines += ["## What reviewers were told", ""]
        for text in guidelines:
            shown = _seen(str(text))
            lines += [fence([shown]), shown, fence([shown]), ""]
    return "\n".join(lines).rstrip() + "\n"


_KIND = {
    "log": "Questions that were asked and what was answered, with what people said of it.",
    "questions": "Questions that nobody has asked, each with the passage that answers it.",
}
_TABLES = (
    ("Splits", "splits"),
    ("Origins", "origins"),
    ("Labels of reviewers", "labels"),
    ("What people think of the answers", "verdicts"),
    ("Who says which documents are relevant", "graded"),
    ("Models", "models"),
    ("Templates", "templates"),
    ("Dropped, and why", "dropped"),
)


def _head(version: Version, form: str, rows: Mapping[str, int] | None) -> list[str]:
    """The YAML: every text as JSON, which is YAML."""
    size = next((name for most, name in SIZES if version.items < most), "n>1M")
    origins = _mapping(version.card["origins"])
    lines = [
        f"pretty_name: {json.dumps(version.named, ensure_ascii=False)}",
        f"size_categories: [{json.dumps(size)}]",
        f"dataset: {json.dumps(version.name, ensure_ascii=False)}",
        f"version: {version.number}",
        f"digest: {json.dumps(version.digest)}",
        f"kind: {json.dumps(version.kind)}",
        f"origins: {json.dumps(origins)}",
        f"created: {json.dumps(version.created_at.isoformat(timespec='seconds'))}",
    ]
    if form:
        lines.append(f"form: {json.dumps(form)}")
    if rows and form != "beir":
        lines += ["configs:", "- config_name: default", "  data_files:"]
        for name in rows:
            lines += [f"  - split: {json.dumps(name.partition('.')[0])}", f"    path: {json.dumps(name)}"]
    return lines


def _table(title: str, counts: Mapping[str, int]) -> list[str]:
    if not counts:
        return []
    return [f"| {title} | |", "|---|---|", *(f"| {_cell(name)} | {count:,} |" for name, count in counts.items()), ""]


def _mapping(value: object) -> Mapping[str, int]:
    assert isinstance(value, Mapping)
    return value


def _scrubbed(value: object) -> str:
    if value is None:
        return "not looked for"
    counts = _mapping(value)
    return ", ".join(f"{count:,} of {kind}" for kind, count in counts.items()) + " replaced" if counts else "none found"


def _line(text: str) -> str:
    """A text of others as one line of Markdown that makes no markup."""
    return "".join(f"\\{c}" if c in r"\`*_[]<>#|!&" else c for c in " ".join(text.split()) if c.isprintable())


def _seen(text: str) -> str:
    """A text of others in its lines, where it steers no terminal: controls are replaced, of both kinds (C0, C1) and of
    direction."""
    return "".join(c if c.isprintable() or c == "\n" else "\ufffd" for c in text.replace("\r\n", "\n"))


def _cell(text: str) -> str:
    return _line(text)
