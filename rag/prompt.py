"""From a question and its passages to the prompt: numbered, fenced, within the token budget; pure.

Passages are packed whole, by rank, as long as the rendered messages leave room for the answer; one that does not fit
is left out and the next, shorter one is tried. When not even one fits, the first is cut behind the last sentence that
does; when not even its first sentence fits, the prompt holds no passage. The budget is never exceeded.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import lru_cache
from hashlib import blake2b
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from ingest.languages.sentences import sentences
from rag.errors import TooMuch
from rag.support import ABSTENTION, is_abstention
from rag.types import Message, Passage, Prompt

if TYPE_CHECKING:
    from jinja2 import Template

__all__ = ["ABSTENTION", "is_abstention", "pack", "render", "version"]

CountMessages = Callable[[Sequence[Message]], int]
"""Tokens of messages as the generator renders them: `Generator.count_tokens`."""

_FOLDER = Path(__file__).parent / "templates"
_ROLES: tuple[Literal["system", "user"], ...] = ("system", "user")  # the template's blocks, in order


@lru_cache(maxsize=8)
def _template(name: str) -> "Template":
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    # autoescape stays off: the result is plain text for a model, not HTML.
    environment = Environment(loader=FileSystemLoader(_FOLDER), undefined=StrictUndefined, autoescape=False)
    return environment.get_template(f"{name}.j2")


@lru_cache(maxsize=8)
def version(name: str = "answer") -> str:
    """The template's name and the digest of its text: "answer@1a2b3c4d"."""
    return f"{name}@{blake2b((_FOLDER / f'{name}.j2').read_bytes(), digest_size=4).hexdigest()}"


def fence(texts: Sequence[str]) -> str:
    """A run of tildes longer than any in the texts, at least three: no text can close the fence around it."""
    longest = max((len(run) for text in texts for run in re.findall("~+", text)), default=0)
    return "~" * max(3, longest + 1)


def _label(passage: Passage) -> str:
    """Title and headings on one line."""
    return " › ".join(" ".join(part.split()) for part in (passage.title, *passage.headings) if part.strip())


def render(question: str, passages: Sequence[Passage], *, template: str = "answer") -> tuple[Message, ...]:
    """The messages for these passages, all of them; passage n is numbered n, 1-based."""
    values: dict[str, object] = {
        "question": question,
        "passages": [{"label": _label(passage), "text": passage.text} for passage in passages],
        "fence": fence([question, *(_label(p) for p in passages), *(p.text for p in passages)]),
        "abstention": ABSTENTION,
    }
    loaded = _template(template)
    return tuple(Message(role, "".join(loaded.blocks[role](loaded.new_context(values)))) for role in _ROLES)


def pack(
    question: str,
    passages: Sequence[Passage],
    *,
    count_tokens: CountMessages,
    context_tokens: int,
    max_tokens: int,
    template: str = "answer",
) -> Prompt:
    """The prompt that holds the best passages and leaves `max_tokens` of the context for the answer.

    passages: best first. Raises TooMuch when the question alone does not fit.
    """
    budget = context_tokens - max_tokens

    def tokens(chosen: Sequence[Passage]) -> int:
        return count_tokens(render(question, chosen, template=template))

    used, packed = tokens(()), tuple[Passage, ...]()
    if used > budget:
        raise TooMuch(
            f"the question takes {used} tokens with its instructions, and {max_tokens} are kept for the answer, but "
            f"the model reads {context_tokens}: shorten the question or lower max_tokens"
        )
    for passage in passages:
        longer = tokens((*packed, passage))
        if longer <= budget:
            used, packed = longer, (*packed, passage)
    if not packed and passages:
        used, packed = _cut(passages[0], tokens, budget, used)
    return Prompt(question, render(question, packed, template=template), packed, version(template), used)


def _cut(
    passage: Passage, tokens: Callable[[Sequence[Passage]], int], budget: int, empty: int
) -> tuple[int, tuple[Passage, ...]]:
    """The longest beginning of whole sentences that fits, found by bisection; no passage when there is none."""
    ends = [end for _, end in sentences(passage.text)]
    best: tuple[int, tuple[Passage, ...]] = (empty, ())
    low, high = 0, len(ends)
    while low < high:
        middle = (low + high) // 2
        shorter = replace(passage, text=passage.text[: ends[middle]], end=passage.start + ends[middle])
        used = tokens((shorter,))
        if used <= budget:
            best, low = (used, (shorter,)), middle + 1
        else:
            high = middle
    return best
