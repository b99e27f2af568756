"""A language model as judge: `judge:<metric>`, asked with the template of that metric, for a number and a reason."""

import re
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rag.answers import templating
from rag.answers.claims import without_markers
from rag.answers.injection import disarmed
from rag.errors import WrongSetting
from rag.scorers._applies import answer_of, does_not_apply, identifier
from rag.types import (
    Example,
    GenerationSettings,
    Generator,
    Interaction,
    Message,
    Models,
    Passage,
    Prompt,
    Score,
    Scorer,
    Template,
    Text,
)

LOWEST, HIGHEST = 0, 10  # what a judge may say
MAX_TOKENS = 200  # of a verdict
SHOWN = 120  # characters of a reply that cannot be read
_FOLDER = Path(__file__).parents[1] / "templates"
_PREFIX = "judge_"
_VERDICT = re.compile(r"score:[ \t]*(\d{1,3})[ \t]*\r?\n\s*reason:[ \t]*(\S.*)", re.IGNORECASE | re.DOTALL)


@dataclass(frozen=True, slots=True)
class Judge:
    """What a language model thinks of an answer by one metric, its whole number from 0 to 10 as a tenth, and why.

    Range 0…1, higher is better. The reply has to be two lines, `Score: n` and `Reason: …`; any other gives no value,
    nor does a prompt that is longer than the model reads. Does not apply to abstentions, nor without passages; a metric
    of the passages alone applies to abstentions, too. The model is asked greedily and with a fixed seed. The version is
    that of the template and of the model. After Zheng et al. 2023, "Judging LLM-as-a-Judge with MT-Bench and Chatbot
    Arena". Raises GeneratorFailed when the model fails: then nothing was judged.
    """

    generator: Generator
    template: Template
    name: str

    @property
    def version(self) -> str:
        revision = f"@{self.generator.revision}" if self.generator.revision else ""
        return f"{self.template.digest}/{self.generator.name}{revision}"

    def score(
        self, interactions: Sequence[Interaction], examples: Sequence[Example | None] | None = None
    ) -> list[Score | None]:
        return [self._score(interaction) for interaction in interactions]

    def _score(self, interaction: Interaction) -> Score:
        of_answer = templating.uses(self.template, "history")
        if of_answer and isinstance(why := answer_of(interaction), str):
            return self._nothing(why)
        if not interaction.passages:
            return self._nothing("there are no passages")
        messages = self._messages(interaction, of_answer=of_answer)
        tokens, room = self.generator.count_tokens(messages), self.generator.context_tokens - MAX_TOKENS
        if tokens > room:
            return self._nothing(f"the judge's prompt has {tokens} tokens, over the {room} that it reads")
        prompt = Prompt(interaction.search_query, messages, (), self.template.version, tokens)
        settings = GenerationSettings(max_tokens=MAX_TOKENS)
        events = self.generator.generate(prompt, settings, threading.Event())
        said = "".join(event.text for event in events if isinstance(event, Text))
        found = verdict(said)
        if found is None:
            return self._nothing(f"the judge's reply cannot be read: {' '.join(said.split())[:SHOWN]!r}")
        value, reason = found
        return Score(self.name, value, explanation=reason, annotator_kind="LLM", identifier=identifier(self))

    def _nothing(self, why: str) -> Score:
        left = does_not_apply(self, why)
        return Score(left.name, None, explanation=why, annotator_kind="LLM", identifier=left.identifier)

    def _messages(self, interaction: Interaction, *, of_answer: bool) -> tuple[Message, ...]:
        asked = disarmed(interaction.search_query)
        shown = [_shown(number, passage) for number, passage in enumerate(interaction.passages, 1)]
        answered = disarmed(without_markers(interaction.answer.text)) if of_answer and interaction.answer else ""
        inside = [asked, answered, *(str(each[name]) for each in shown for name in ("label", "text"))]
        values: dict[str, object] = {
            "question": asked,
            "passages": shown,
            "history": [{"role": "assistant", "content": answered}] if of_answer else [],
            "fence": templating.fence(inside),
            "abstention": "",
        }
        return templating.messages(self.template, values)


def _shown(number: int, passage: Passage) -> dict[str, object]:
    title = " ".join(disarmed(passage.title).split())
    return templating.passage(number, title, disarmed(passage.text), title=title, source="", page=passage.page)


def verdict(reply: str) -> tuple[float, str] | None:
    """The value 0…1 and the reason of a judge's reply; None unless it is of the form that was asked for."""
    found = _VERDICT.fullmatch(reply.strip())
    if found is None or not LOWEST <= int(found[1]) <= HIGHEST:
        return None
    return (int(found[1]) - LOWEST) / (HIGHEST - LOWEST), " ".join(found[2].split())


def metrics() -> list[str]:
    """What can be judged: there is a template for it."""
    return sorted(file.stem.removeprefix(_PREFIX) for file in _FOLDER.glob(f"{_PREFIX}*.j2"))


def load(models: Models, metric: str) -> Scorer:
    """The judge of a metric. Raises WrongSetting for one that has no template, or where nobody can judge."""
    if metric not in metrics():
        raise WrongSetting(f"no scorer judge:{metric}; there are {', '.join(f'judge:{name}' for name in metrics())}")
    if models.judge is None:
        raise WrongSetting(f"judge:{metric} needs a language model to ask; set judge to one")
    generator = models.judge()
    if generator.name == "extractive":
        raise WrongSetting(
            f"judge:{metric} needs a language model: the extractive generator only quotes; set judge to "
            "transformers:<path or hub id> or openai:<base url>#<model>"
        )
    text = (_FOLDER / f"{_PREFIX}{metric}.j2").read_text(encoding="utf-8")
    return Judge(generator, Template(f"{_PREFIX}{metric}", text), f"judge:{metric}")
