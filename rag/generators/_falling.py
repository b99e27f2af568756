"""A generator with another behind it: the second answers where the first cannot, and both say so."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from rag.errors import GeneratorFailed, NotReady
from rag.types import (
    CancelToken,
    Event,
    Fallback,
    Finish,
    GenerationSettings,
    Generator,
    Message,
    Prompt,
    Text,
)


@dataclass(frozen=True, slots=True)
class Falling:
    """The first generator; where it fails before its first word, is not ready, is too busy or says nothing at all, the
    second answers, after a Fallback event that says why. What fails later fails: nobody goes on with another's words.
    """

    first: Generator
    second: Generator

    @property
    def name(self) -> str:
        return self.first.name

    @property
    def revision(self) -> str:
        return self.first.revision

    @property
    def context_tokens(self) -> int:
        """The smaller one: either must be able to read the prompt."""
        return min(self.first.context_tokens, self.second.context_tokens)

    def count_tokens(self, messages: Sequence[Message]) -> int:
        """As the one counts that needs more."""
        return max(self.first.count_tokens(messages), self.second.count_tokens(messages))

    def generate(self, prompt: Prompt, settings: GenerationSettings, cancel: CancelToken) -> Iterator[Event]:
        said = False
        held: list[Event] = []  # what comes before the first word
        try:
            for event in self.first.generate(prompt, settings, cancel):
                held.append(event)
                said = said or (isinstance(event, Text) and bool(event.text.strip()))
                if said:
                    yield from held
                    held.clear()
            if not said and not any(isinstance(event, Finish) and event.may_be_silent for event in held):
                raise GeneratorFailed(f"{self.first.name} gave an empty answer")
        except (GeneratorFailed, NotReady) as error:
            if said or cancel.is_set():
                raise
            reason = str(error)
        else:
            yield from held
            return
        yield Fallback(self.second.name, self.second.revision, self.first.name, reason)
        yield from self.second.generate(prompt, settings, cancel)


@dataclass(frozen=True, slots=True)
class Unready:
    """A generator that cannot be loaded, in the place of the one that it should be."""

    name: str
    error: NotReady
    revision: str = ""
    context_tokens: int = 2**31  # it bounds nobody

    def count_tokens(self, messages: Sequence[Message]) -> int:
        return 0

    def generate(self, prompt: Prompt, settings: GenerationSettings, cancel: CancelToken) -> Iterator[Event]:
        """Raises why it is not ready."""
        raise self.error
