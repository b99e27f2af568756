"""Scorers: metrics over logged interactions, one a file, chosen by `name` or `name:rest`.

A module in this folder with `load(models)` is the scorer of its name; one with `load(models, rest)` makes a scorer for
what is named behind the colon, as `judge:faithfulness`.
"""

import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from importlib import import_module
from pkgutil import iter_modules
from typing import Protocol, runtime_checkable

from rag.config import DEFAULTS
from rag.errors import RagError, WrongSetting
from rag.scorers._applies import identifier as identifier
from rag.types import Interaction, Models, Passage, Score, Scorer

DEFAULT = DEFAULTS.scorers
"""What every answer is scored with unless the settings say otherwise: no reference is needed, no judge asked."""

WITH_REFERENCE = (
    "bleu",
    "context_precision",
    "context_recall",
    "exact_match",
    "rouge_l",
    "semantic_similarity",
    "token_f1",
)
"""Metrics that hold an interaction against an Example; without one they give None."""

WAITING = ("answer_relevancy", "groundedness", "judge", "nli")
"""Metrics, and kinds of metric, whose time is that of a model: it works while the others are computed."""

AHEAD = ("answer_relevancy",)
"""Of these, the metrics whose model can be done before an answer ends."""

EARLY = 480  # characters of an answer after which scorers may begin: more than what answer_relevancy reads of it


@runtime_checkable
class Early(Protocol):
    """A scorer that has something to do while an answer is still being told."""

    def begin(self, said: str, passages: Sequence[Passage]) -> None:
        """Work ahead on the beginning of an answer from these passages."""
        ...


def names() -> list[str]:
    """The metrics and kinds of metric there are, sorted."""
    return sorted(module.name for module in iter_modules(__path__) if not module.name.startswith("_"))


def load(models: Models, wanted: Sequence[str] = DEFAULT) -> list[Scorer]:
    """The scorers of these names, each once, ordered by name.

    Raises WrongSetting for a name that does not exist, or a rest where there is none to give or one is missing.
    """
    return [_load(models, name) for name in sorted(set(wanted))]


def _load(models: Models, wanted: str) -> Scorer:
    name, colon, rest = wanted.partition(":")
    if name not in names():
        raise WrongSetting(f"no scorer {wanted!r}; there are {', '.join(names())}")
    backend = import_module(f"{__name__}.{name}")
    takes_rest = backend.load.__code__.co_argcount > 1
    if bool(colon) != takes_rest:
        form = f"{name}:…" if takes_rest else name
        raise WrongSetting(f"no scorer {wanted!r}: it is written {form}")
    scorer: Scorer = backend.load(models, rest) if takes_rest else backend.load(models)
    return scorer


def begin(
    scorers: Sequence[Scorer], said: str, passages: Sequence[Passage], *, ended: bool = False
) -> threading.Thread:
    """Begin in the background what can be known of an answer that is still being told, and return at once; what comes
    of it is remembered by whoever was asked. A failure shows when the answer is scored.

    Gives the thread that works. Of an answer that has `ended` only what a model does AHEAD: all else is computed as
    soon here as there.
    """
    early = [scorer for scorer in scorers if isinstance(scorer, Early) and (scorer.name in AHEAD or not ended)]

    def attempt() -> None:
        for scorer in early:
            with suppress(Exception):
                scorer.begin(said, passages)

    working = threading.Thread(target=attempt, name="score-early")
    working.start()
    return working


def scores(scorers: Sequence[Scorer], entry: Interaction, *, ahead: bool = False) -> tuple[Score, ...]:
    """What each scorer says of one interaction, in their order; those that wait for a model in a thread of their own,
    but for those that were begun AHEAD, while the answer was told: there is little left of it, and two threads that
    compute stand in each other's way.

    Where one fails with an error of ours, as a judge that cannot be reached, its score has no value, is signed by
    nobody, and says why.
    """
    waiting = [_waits(scorer) and not (ahead and scorer.name in AHEAD) for scorer in scorers]
    if all(waiting) or not any(waiting):
        return tuple(_score(scorer, entry) for scorer in scorers)
    with ThreadPoolExecutor(1, thread_name_prefix="score") as beside:
        begun = {
            scorer.name: beside.submit(_score, scorer, entry)
            for scorer, waits in zip(scorers, waiting, strict=True)
            if waits
        }
        done = {scorer.name: _score(scorer, entry) for scorer in scorers if scorer.name not in begun}
        return tuple(begun[scorer.name].result() if scorer.name in begun else done[scorer.name] for scorer in scorers)


def _waits(scorer: Scorer) -> bool:
    return scorer.name.partition(":")[0] in WAITING


def _score(scorer: Scorer, entry: Interaction) -> Score:
    try:
        judged = scorer.score([entry])[0]
    except RagError as error:
        return Score(scorer.name, None, explanation=str(error))
    return judged or Score(scorer.name, None, identifier=identifier(scorer))
