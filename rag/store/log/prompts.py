"""Prompts kept without their passages: a frame that many share, and references to what the log has anyway.

A rendered prompt repeats the question, its passages and the conversation's earlier turns. What of it is theirs, letter
by letter, is kept as a reference; what is left, the frame, is a text like any other: once for all prompts that have it.
The digest of the messages as rendered stands beside, so that what is put together again can be proved. No template is
asked: a prompt can be read when its template, or the program that rendered it, is long gone.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from rag.answers.claims import ABSTENTION, MARKER
from rag.types import Message, Passage

FORM = 1  # of what is kept
SHORTEST = 2  # characters that are worth a reference

Part = tuple[str, int]
"""What stands somewhere: q question, s search query, l and t label and text of a passage, u and a what was asked and
answered so many turns before."""


@dataclass(frozen=True, slots=True)
class Sources:
    """What a prompt may repeat."""

    question: str
    search_query: str
    passages: Sequence[Passage]
    turns: Sequence[tuple[str, str]] = ()  # question and answer of the turns before, the newest first

    def text(self, part: Part) -> str | None:
        """A part's text; None where it is gone."""
        kind, number = part
        if kind == "q":
            return self.question
        if kind == "s":
            return self.search_query
        among = self.passages if kind in "lt" else self.turns
        if not 0 < number <= len(among):
            return None
        if kind in "lt":
            passage = self.passages[number - 1]
            return passage.text if kind == "t" else label(passage)
        return self.turns[number - 1][kind == "a"]


def label(passage: Passage) -> str:
    """Title and headings of a passage on one line, as most prompts show them; never to be changed."""
    path: list[str] = []
    for part in (passage.title, *passage.headings):
        line = " ".join(part.split())
        if line and line not in path[-1:]:
            path.append(line)
    return " › ".join(path)


def turn(question: str, answer: str | None, abstained: bool | None) -> tuple[str, str]:
    """A turn as later prompts repeat it: without the numbers of its passages."""
    return question, ABSTENTION if abstained else MARKER.sub("", answer or "")


def folded(messages: Sequence[Message], sources: Sources) -> str:
    """Messages as they are kept: JSON with references where that gives back exactly these messages, else in full."""
    frame = {"form": FORM, "messages": [[m.role, _pieces(m.content, sources)] for m in messages]}
    text = json.dumps(frame, ensure_ascii=False)
    return text if unfolded(text, sources) == tuple(messages) else written(messages)


def unfolded(kept: str, sources: Sources) -> tuple[Message, ...] | None:
    """The messages that were kept; None where something that they repeat is gone."""
    frame = json.loads(kept)
    if isinstance(frame, list):
        return tuple(Message(**message) for message in frame)
    if frame["form"] != FORM:
        raise ValueError(f"a prompt of form {frame['form']}, which this program cannot read; upgrade rag")
    messages = []
    for role, pieces in frame["messages"]:
        texts = [piece if isinstance(piece, str) else sources.text((piece[0], piece[1])) for piece in pieces]
        said = [text for text in texts if text is not None]
        if len(said) < len(texts):
            return None
        messages.append(Message(role, "".join(said)))
    return tuple(messages)


def leans(kept: str) -> bool:
    """Whether a prompt repeats earlier turns."""
    frame = json.loads(kept)
    pieces = [] if isinstance(frame, list) else [piece for _, content in frame["messages"] for piece in content]
    return any(not isinstance(piece, str) and piece[0] in "ua" for piece in pieces)


def written(messages: Sequence[Message]) -> str:
    """Messages in full; what their digest is of."""
    return json.dumps([{"role": m.role, "content": m.content} for m in messages], ensure_ascii=False)


def _pieces(content: str, sources: Sources) -> list[str | list[str | int]]:
    """A message's content in pieces, each a text or a reference."""
    found = dict(_spans(content, sources))
    pieces: list[str | list[str | int]] = []
    at = 0
    for start, (end, part) in sorted(found.items()):
        pieces += [content[at:start]] if start > at else []
        pieces.append(list(part))
        at = end
    return [*pieces, content[at:]] if at < len(content) or not pieces else pieces


def _spans(content: str, sources: Sources) -> Mapping[int, tuple[int, Part]]:
    """Where parts stand, by where they begin; none overlaps another."""
    spans: dict[int, tuple[int, Part]] = {}
    at = 0
    for number, passage in enumerate(sources.passages, 1):  # in the order in which prompts show them
        start = content.find(passage.text, at) if len(passage.text) >= SHORTEST else -1
        if start < 0:
            continue
        heading = label(passage)
        before = content.rfind(heading, at, start) if len(heading) >= SHORTEST else -1
        if before >= 0:
            spans[before] = (before + len(heading), ("l", number))
        at = start + len(passage.text)
        spans[start] = (at, ("t", number))
    for number, said in enumerate(sources.turns, 1):
        for kind, text in zip("ua", said, strict=True):
            _last(content, text, (kind, number), spans)
    _last(content, sources.question, ("q", 0), spans)
    _last(content, sources.search_query, ("s", 0), spans)
    return spans


def _last(content: str, text: str, part: Part, spans: dict[int, tuple[int, Part]]) -> None:
    """Add the last place where a text stands outside of all spans."""
    end = len(content)
    while len(text) >= SHORTEST and (start := content.rfind(text, 0, end)) >= 0:
        if all(start + len(text) <= begin or start >= stop for begin, (stop, _) in spans.items()):
            spans[start] = (start + len(text), part)
            return
        end = start + len(text) - 1
