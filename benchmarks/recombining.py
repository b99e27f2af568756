"""A corpus many times as large, made of a real one: every Markdown file again and again, with other sentences in it.

Headings, tables and code keep their places. What stands between them is replaced, kind by kind, by what stands anywhere
in the corpus (seeded), and a title says which repetition it is, so that no string is embedded twice.
"""

import random
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

SENTENCE = re.compile(r"(?<=[.!?])\s+")
FENCE = re.compile(r"\s*(```|~~~)")
ITEM = re.compile(r"(\s*(?:[-*+]|\d+\.)\s+)(.*)")
SEED = 5


def multiply(folders: Sequence[Path], out: Path, times: int) -> int:
    """Write every Markdown file of the folders `times` times below `out`; how many bytes were written."""
    files = [(folder, file) for folder in folders for file in sorted(folder.rglob("*.md"))]
    texts = [file.read_text(encoding="utf-8", errors="replace") for _, file in files]
    code = [line for text in texts for kind, line in _lines(text) if kind == "code" and line.strip()]
    prose = [
        sentence
        for text in texts
        for kind, line in _lines(text)
        if kind == "prose"
        for sentence in SENTENCE.split(_body(line)[1])
        if len(sentence) > 20
    ]
    chance, written = random.Random(SEED), 0
    for number in range(times):
        for (folder, file), text in zip(files, texts, strict=True):
            target = out / f"{number:02d}" / folder.name / file.relative_to(folder)
            target.parent.mkdir(parents=True, exist_ok=True)
            content = "\n".join(_again(text, number, code, prose, chance)) + "\n"
            written += target.write_bytes(content.encode())
    return written


def _again(text: str, number: int, code: list[str], prose: list[str], chance: random.Random) -> Iterator[str]:
    """The lines of a text with other content, of about the same length."""
    yield f"# Repetition {number}: {chance.choice(prose)[:60]}"
    yield ""
    for kind, line in _lines(text):
        if kind == "code" and line.strip():
            yield chance.choice(code)
        elif kind == "prose" and len(line.strip()) > 20:
            mark, body = _body(line)
            drawn, wanted = [chance.choice(prose)], len(body)
            while sum(map(len, drawn)) < wanted * 0.8:
                drawn.append(chance.choice(prose))
            yield mark + " ".join(drawn)[: max(wanted, 40)]
        elif kind == "heading":
            yield "#" + line
        else:
            yield line


def _body(line: str) -> tuple[str, str]:
    """What marks a line as an item of a list, and its text."""
    found = ITEM.fullmatch(line)
    return (found[1], found[2]) if found else ("", line)


def _lines(text: str) -> Iterator[tuple[str, str]]:
    """Every line with its kind: code, heading, prose, or other (which is kept as it is)."""
    fence = ""
    for line in text.splitlines():
        mark = FENCE.match(line)
        if mark and fence in ("", mark[1]):
            fence = "" if fence else mark[1]
            yield "other", line
        elif fence:
            yield "code", line
        elif line.startswith("#"):
            yield "heading", line
        elif line.lstrip().startswith(("|", "<", "!!!", "///", "---", "[")) or not line.strip():
            yield "other", line
        else:
            yield "prose", line
