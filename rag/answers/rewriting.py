"""What is searched for when a conversation goes on: the question by itself, by a language model or by rules."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Literal

from rag.answers.claims import MARKER
from rag.answers.conversation import Turn, depends, messages_of, standalone
from rag.errors import RagError
from rag.language import content_stems
from rag.prompt import pack
from rag.types import CancelToken, Fallback, GenerationSettings, Generator, Message, Prompt, Template, Text

Rewrite = Literal["auto", "generator", "rules", "off"]
"""Who makes a follow-up a question of its own. auto: the rules say which ones lean on what was said before; a language
model that answers rewrites those, else the rules do."""

MAX_TOKENS = 96  # of a rewritten question
LONGEST = 400  # characters of it
SHOWN_TURNS = 6  # turns that a language model is shown
OWN = 0.5  # share of a question's words that must stay
FOREIGN = 0.34  # share of the rewritten question's words that nobody said before, at most
NO_LANGUAGE_MODEL = frozenset({"extractive"})
_FILE = Path(__file__).parents[1] / "templates" / "rewrite.j2"


@dataclass(frozen=True, slots=True)
class Rewritten:
    """What is searched for."""

    text: str
    by: Literal["generator", "rules"] | None = None  # who looked at it; None: nobody, it is as it was asked
    failure: str | None = None  # why the rules had to do it


@lru_cache(maxsize=1)
def template() -> Template:
    return Template("rewrite", _FILE.read_text(encoding="utf-8"))


def rewritten(
    question: str, turns: Sequence[Turn], how: Rewrite, generator: Generator, cancel: CancelToken
) -> Rewritten:
    """The question to search for after these turns, oldest first.

    A language model is asked greedily for a few tokens; where it fails, or says what nobody said, the rules do it and
    the failure is told.
    """
    if not turns or how == "off":
        return Rewritten(question)
    speaks = generator.name not in NO_LANGUAGE_MODEL
    asked = speaks and (how == "generator" or (how == "auto" and depends(question, turns)))
    if not asked:
        missing = how == "generator" and not speaks
        failure = f"{generator.name} is no language model" if missing else None
        return Rewritten(standalone(question, turns), "rules", failure)
    try:
        return Rewritten(_said(question, turns, generator, cancel), "generator")
    except (RagError, _Unfit) as error:
        return Rewritten(standalone(question, turns), "rules", str(error))


class _Unfit(Exception):
    """A reply that is no rewritten question."""


def _said(question: str, turns: Sequence[Turn], generator: Generator, cancel: CancelToken) -> str:
    history = messages_of(turns[-SHOWN_TURNS:])
    prompt = pack(
        question,
        (),
        count_tokens=generator.count_tokens,
        context_tokens=generator.context_tokens,
        max_tokens=min(MAX_TOKENS, max(1, generator.context_tokens // 4)),
        template=template(),
        history=history,
    )
    settings = GenerationSettings(max_tokens=MAX_TOKENS, temperature=0.0, stop=("\n",))
    said = "".join(_texts(generator, prompt, settings, cancel))
    return _checked(said, question, history)


def _texts(generator: Generator, prompt: Prompt, settings: GenerationSettings, cancel: CancelToken) -> Iterator[str]:
    length = 0
    for event in generator.generate(prompt, settings, cancel):
        if isinstance(event, Fallback):
            raise _Unfit(event.reason)
        if isinstance(event, Text):
            length += len(event.text)
            yield event.text
            if length > LONGEST:
                break


def _checked(said: str, question: str, history: Sequence[Message]) -> str:
    """The first line of a reply. Raises _Unfit for what cannot be a rewritten question."""
    line = next((line for line in said.splitlines() if line.strip()), "")
    line = MARKER.sub("", " ".join(line.split())).strip().strip("\"“”'").strip()
    if not line:
        raise _Unfit("the generator gave no rewritten question")
    if len(line) > LONGEST:
        raise _Unfit(f"the generator's rewritten question is longer than {LONGEST} characters")
    words, asked = set(content_stems(line)), set(content_stems(question))
    if asked and len(asked & words) < OWN * len(asked):
        raise _Unfit("the generator's rewritten question does not hold what was asked")
    known = asked.union(*(content_stems(message.content) for message in history))
    if words and len(words - known) > FOREIGN * len(words):
        raise _Unfit("the generator's rewritten question holds words that nobody said")
    return line
