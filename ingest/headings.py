"""The title and the headings that a chunk is embedded with, shortened where they would crowd out its text."""

import re
from collections.abc import Sequence

from ingest.languages.clusters import starts
from ingest.types import CountTokens

_ELLIPSIS = "…"


def embedded_text(title: str, headings: Sequence[str], text: str) -> str:
    """Exactly what is embedded and indexed for a chunk: title, heading path, text, each on a line of its own.

    The first heading stands for the title when it repeats it, or when it is the title cut short (ending in "…").
    """
    if headings and _stands_for(headings[0], title):
        title, headings = headings[0], headings[1:]
    return "\n".join(part for part in (title, " > ".join(headings), text) if part)


def _stands_for(heading: str, title: str) -> bool:
    if heading.endswith(_ELLIPSIS) and len(heading) > 1 and title.startswith(heading[:-1]):
        return True
    return " ".join(heading.split()).casefold() == " ".join(title.split()).casefold()


class Fitted:
    """The heading paths of one text as they are embedded under its title, each within `limit` tokens.

    Tokens are counted without the special ones. What is too long is shortened in a fixed order: the outermost headings
    are left out, then the title is cut after a word, then the last heading.
    """

    def __init__(
        self, title: str, paths: Sequence[tuple[str, ...]], limit: int, special: int, count_tokens: CountTokens
    ) -> None:
        self._title, self._limit, self._special, self._count_tokens = title, limit, special, count_tokens
        unique = list(dict.fromkeys(paths))
        sizes = self._sizes([embedded_text(title, path, "") for path in unique])
        self._fitted = {
            path: (path, size) if size <= limit else self._shorten(path)
            for path, size in zip(unique, sizes, strict=True)
        }

    def headings(self, path: tuple[str, ...]) -> tuple[str, ...]:
        """The headings to store and embed for a path."""
        return self._fitted[path][0]

    def tokens(self, path: tuple[str, ...]) -> int:
        """Tokens of the title and the headings of a path, special ones not counted."""
        return self._fitted[path][1]

    def _sizes(self, texts: list[str]) -> list[int]:
        return [max(0, size - self._special) for size in self._count_tokens(texts)]

    def _shorten(self, path: tuple[str, ...]) -> tuple[tuple[str, ...], int]:
        shorter = [path[n:] for n in range(1, len(path))]
        for candidate, size in zip(shorter, self._sizes([self._header(c) for c in shorter]), strict=True):
            if size <= self._limit:
                return candidate, size
        last = path[-1:]
        if self._title and not (last and _stands_for(last[0], self._title)):
            last = (self._cut(self._title, self._limit // 2 if last else self._limit), *last)
        size = self._sizes([self._header(last)])[0]
        if size > self._limit and last:
            rest = self._limit - self._sizes([self._header(last[:-1])])[0] if len(last) > 1 else self._limit
            last = (*last[:-1], self._cut(last[-1], rest))
            size = self._sizes([self._header(last)])[0]
        return last, size

    def _header(self, path: tuple[str, ...]) -> str:
        return embedded_text(self._title, path, "")

    def _cut(self, text: str, limit: int) -> str:
        """The longest beginning of whole words within the limit, else of characters; at least one character; with "…"
        where something was cut off."""
        whole, *ends = len(text), *(word.end() for word in re.finditer(r"\S+", text))
        inner = [stop for stop in range(2, min(limit, whole) + 1) if starts(text, stop)]
        for stops in (ends[: limit + 1], inner):
            cuts = [text[:stop] + (_ELLIPSIS if stop < whole else "") for stop in stops if stop <= whole]
            fitting = [cut for cut, size in zip(cuts, self._sizes(cuts), strict=True) if size <= limit]
            if fitting:
                return fitting[-1]
        return text[:1] + (_ELLIPSIS if whole > 1 else "")
