"""From a question, passages and earlier turns to the prompt: numbered, fenced, within the token budget; pure.

Passages are packed whole, by rank, as long as the rendered messages leave room for the answer; one that does not fit
is left out and the next, shorter one is tried. When not even one fits, the first is cut behind the last sentence that
does; when not even its first sentence fits, the prompt holds no passage. What room is left goes to the conversation's
turns, the newest first. The budget is never exceeded, and what was left out is told.

No text can leave its fence, a run of tildes longer than any within: a delimiter that cannot be guessed, as spotlighting
asks for (Hines et al. 2024, arXiv:2403.14720). Passages that hold commands to a model say so where they open.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import lru_cache
from itertools import accumulate
from pathlib import Path

from ingest.languages.sentences import sentences
from rag.answers import templating
from rag.answers.claims import ABSTENTION, MARKER, is_abstention
from rag.answers.injection import commands, disarmed
from rag.answers.templating import fence
from rag.errors import TooMuch
from rag.types import Cut, LeftOut, Message, Passage, Prompt, Template

__all__ = ["ABSTENTION", "BUILT_IN", "built_in", "built_ins", "fence", "is_abstention", "pack", "render"]

CountMessages = Callable[[Sequence[Message]], int]
"""Tokens of messages as the generator renders them: `Generator.count_tokens`."""
CountPassages = Callable[[Sequence[Passage]], int]
"""Tokens of the prompt that holds these passages."""

BUILT_IN = ("answer", "conversation", "summary")
"""The templates that come with the program."""

_FOLDER = Path(__file__).parent / "templates"
_SPARE = 4  # tokens that a text may save where it meets its neighbours; its fence and number take more


@lru_cache(maxsize=len(BUILT_IN))
def built_in(name: str = "answer") -> Template:
    """A template that comes with the program. Raises KeyError for any other."""
    if name not in BUILT_IN:
        raise KeyError(name)
    return Template(name, (_FOLDER / f"{name}.j2").read_text(encoding="utf-8"))


def built_ins() -> dict[str, Template]:
    """Every template that comes with the program, by name."""
    return {name: built_in(name) for name in BUILT_IN}


def render(
    question: str, passages: Sequence[Passage], *, template: Template | None = None, history: Sequence[Message] = ()
) -> tuple[Message, ...]:
    """The messages for these passages and turns, all of them; passage n is numbered n, 1-based.

    Characters that nobody sees and the control tokens of chat models are taken out of all texts. Raises WrongUsage
    for a template that asks for what is not there.
    """
    asked = disarmed(question)
    shown = [_shown(number, passage) for number, passage in enumerate(passages, 1)]
    turns = [{"role": turn.role, "content": _said(turn)} for turn in history]
    inside = [asked, *(str(each[name]) for each in shown for name in ("label", "text", "source"))]
    values: dict[str, object] = {
        "question": asked,
        "passages": shown,
        "history": turns,
        "fence": fence([*inside, *(turn["content"] for turn in turns)]),
        "abstention": ABSTENTION,
    }
    return templating.messages(template or built_in(), values)


def _shown(number: int, passage: Passage) -> dict[str, object]:
    return templating.passage(
        number,
        _label(passage),
        disarmed(passage.text),
        title=_line(passage.title),
        source=_line(passage.places[0].uri) if passage.places else "",
        page=passage.page,
        commands=bool(commands(passage.text)),
    )


def _label(passage: Passage) -> str:
    """Title and headings on one line; most texts repeat their title as the first heading, we do not."""
    path: list[str] = []
    for part in map(_line, (passage.title, *passage.headings)):
        if part and part not in path[-1:]:
            path.append(part)
    return " › ".join(path)


def _line(text: str) -> str:
    return " ".join(disarmed(text).split())


def _said(turn: Message) -> str:
    """A turn without citation markers: they would point to passages that are not there any more."""
    return disarmed(MARKER.sub("", turn.content) if turn.role == "assistant" else turn.content)


# ── packing ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def pack(
    question: str,
    passages: Sequence[Passage],
    *,
    count_tokens: CountMessages,
    context_tokens: int,
    max_tokens: int,
    template: Template | None = None,
    history: Sequence[Message] = (),
) -> Prompt:
    """The prompt that holds the best passages and the newest turns and leaves `max_tokens` of the context for the
    answer.

    passages: best first; history: oldest first. A passage goes before any turn. Raises TooMuch when the question alone
    does not fit. Where all fits, tokens are counted once.
    """
    template = template or built_in()
    budget = context_tokens - max_tokens
    recalled = tuple(history) if templating.uses(template, "history") else ()
    forgotten = len(history) - len(recalled)  # turns that the template has no place for

    def written(chosen: Sequence[Passage], turns: Sequence[Message]) -> tuple[tuple[Message, ...], int]:
        messages = render(question, chosen, template=template, history=turns)
        return messages, count_tokens(messages)

    messages, used = written(passages, recalled)
    if used <= budget:
        left_out = LeftOut(budget, (), forgotten)
        return Prompt(question, messages, tuple(passages), template.version, used, left_out)
    empty = written((), ())[1]
    if empty > budget:
        raise TooMuch(
            f"the question takes {empty} tokens with its instructions, and {max_tokens} are kept for the answer, but "
            f"the model reads {context_tokens}: shorten the question or lower max_tokens"
        )
    # About how many of the passages fit: tokens are spread over them as characters are.
    room = (budget - empty) / max(1, used - empty) * sum(len(passage.text) for passage in passages)
    tokens = _remembered(lambda chosen: written(chosen, ())[1])
    packed, cuts = _packed(passages, tokens, count_tokens, budget, room)
    turns = _newest(recalled, lambda kept: written(packed, kept)[1] <= budget)
    messages, used = written(packed, turns)
    left_out = LeftOut(budget, cuts, len(history) - len(turns))
    return Prompt(question, messages, packed, template.version, used, left_out)


def _remembered(count: CountPassages) -> CountPassages:
    """The same count, made once for the same passages."""
    made: dict[tuple[tuple[str, ...], ...], int] = {}

    def tokens(chosen: Sequence[Passage]) -> int:
        key = tuple((passage.title, *passage.headings, passage.text) for passage in chosen)
        if key not in made:
            made[key] = count(chosen)
        return made[key]

    return tokens


def _packed(
    passages: Sequence[Passage], tokens: CountPassages, count_tokens: CountMessages, budget: int, room: float
) -> tuple[tuple[Passage, ...], tuple[Cut, ...]]:
    """The passages that fit together, taken by rank, and what was cut.

    room: characters that fit, about. A prompt only grows with what it holds, so the first that does not fit is found
    by bisection around that place. Behind it, most are too long by themselves, which is told from their own tokens;
    only the others are tried.
    """
    lengths = accumulate(len(passage.text) for passage in passages)
    likely = sum(length <= room for length in lengths)
    first = _most(len(passages), lambda n: tokens(passages[:n]) <= budget, likely)
    packed, cuts = list(passages[:first]), list[Cut]()
    used = tokens(packed)
    frame = count_tokens((Message("user", "-"),)) - 1  # no model is asked with an empty message

    def own(text: str) -> int:
        return max(0, count_tokens((Message("user", text),)) - frame) if text.strip() else 0

    for rank, passage in enumerate(passages[first:], first + 1):
        length = own(disarmed(passage.text))
        if used + max(0, length - _SPARE) <= budget and rank > first + 1:  # the first is known not to fit
            longer = tokens((*packed, passage))
            if longer <= budget:
                packed.append(passage)
                used = longer
                continue
        cuts.append(_cut(rank, passage, passage.start, length))
    if packed or not passages:
        return tuple(packed), tuple(cuts)
    shorter = _shortened(passages[0], tokens, budget)
    if shorter is None:
        return (), tuple(cuts)
    rest = passages[0].text[len(shorter.text) :]
    return (shorter,), (_cut(1, passages[0], shorter.end, own(disarmed(rest))), *cuts[1:])


def _cut(rank: int, passage: Passage, start: int, tokens: int) -> Cut:
    return Cut(rank, passage.hit.chunk_id, passage.content_id, start, passage.end, tokens)


def _shortened(passage: Passage, tokens: CountPassages, budget: int) -> Passage | None:
    """The longest beginning of whole sentences that fits, found by bisection; None when there is none."""
    ends = [end for _, end in sentences(passage.text)]

    def beginning(n: int) -> Passage:
        return replace(passage, text=passage.text[: ends[n - 1]], end=passage.start + ends[n - 1])

    most = _most(len(ends), lambda n: tokens((beginning(n),)) <= budget)
    return beginning(most) if most else None


def _newest(turns: Sequence[Message], fits: Callable[[Sequence[Message]], bool]) -> tuple[Message, ...]:
    """The most of the last turns that fit."""
    kept = _most(len(turns), lambda n: fits(turns[len(turns) - n :]))
    return tuple(turns[len(turns) - kept :])


def _most(n: int, fits: Callable[[int], bool], likely: int = 0) -> int:
    """The largest of 0…n that fits, by bisection that begins at a likely one; 0 fits, and what is smaller than one that
    fits."""
    low, middle = 0, likely
    while low < n:
        middle = min(max(middle, low + 1), n)
        if fits(middle):
            low, middle = middle, middle + 1 if middle == likely else (middle + n + 2) // 2
        else:
            n, middle = middle - 1, middle - 1 if middle == likely else (low + middle) // 2
    return low
