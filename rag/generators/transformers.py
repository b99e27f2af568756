"""Local transformer models, causal or seq2seq: `transformers:<folder>` or `transformers:owner/name[@revision]`.

Only safetensors weights are read and no code from a model's folder is run. The requests of all threads are decoded
together, each with its own seed, and end at the next token when nobody listens; see `_local/scheduler.py`. The
process's global random state is neither read nor changed.
"""

from collections.abc import Generator as Iterating
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from rag.errors import GeneratorFailed, RagError, WrongSetting
from rag.types import CancelToken, Event, Finish, GenerationSettings, Generator, Message, Models, Prompt, Running

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

    from rag.generators._local.scheduler import Scheduler
    from rag.generators._local.speech import Speech
    from rag.generators._local.spoken import Vocabulary


@dataclass(frozen=True, slots=True, eq=False)
class LocalModel:
    """A loaded model and its tokenizer. Safe to use from several threads."""

    name: str
    revision: str
    context_tokens: int
    model: "PreTrainedModel"
    tokenizer: "PreTrainedTokenizerBase"
    running: Running
    scheduler: "Scheduler"
    vocabulary: "Vocabulary"
    ends: frozenset[int]  # tokens that end an answer

    def count_tokens(self, messages: Sequence[Message]) -> int:
        return len(self._token_ids(messages))

    def generate(self, prompt: Prompt, settings: GenerationSettings, cancel: CancelToken) -> Iterator[Event]:
        """Text as it is decoded. Greedy at temperature 0, else sampled from the seed: same seed, same answer on the
        same machine, whoever is answered beside it.

        It waits in the queue from the call on, not from the first event. Raises Busy when the queue is full,
        GeneratorFailed when the prompt leaves no room for an answer or the model fails.
        """
        from rag.generators._local.grounding import sources_of
        from rag.generators._local.lookup import Lookup
        from rag.generators._local.speech import Speech

        ids = self._token_ids(prompt.messages)
        room = min(settings.max_tokens, self.context_tokens - len(ids))
        if room < 1:
            raise GeneratorFailed(
                f"{self.name}: the prompt takes {len(ids)} tokens of a context of {self.context_tokens}; "
                "ask with fewer passages"
            )
        titled = [(passage.title, passage.text) for passage in prompt.passages]
        speech = Speech(
            ids,
            settings,
            room=room,
            ends=self.ends,
            vocabulary=self.vocabulary,
            cancel=cancel,
            sources=sources_of(prompt.question, titled) if settings.grounded else None,
            lookup=Lookup(ids) if self.running.lookup else None,
        )
        self.scheduler.submit(speech)
        return self._events(speech)

    def _events(self, speech: "Speech") -> Iterating[Event, None, None]:
        try:
            while True:
                event = speech.events.get()
                if isinstance(event, RagError):
                    raise event
                if isinstance(event, Exception):
                    what = f"{self.name} failed while answering: {type(event).__name__}: {event}"
                    raise GeneratorFailed(what) from event
                yield event
                if isinstance(event, Finish):
                    return
        finally:
            speech.left.set()

    def _token_ids(self, messages: Sequence[Message]) -> list[int]:
        from rag.generators._local.chat import token_ids

        return token_ids(self.name, self.tokenizer, messages)


def load(rest: str, models: Models, *, key_file: Path | None = None, timeout_s: float = 60.0) -> Generator:
    """The model of a folder, or of the local hub cache; nothing is downloaded.

    Runs as `models.running` says. Raises WrongSetting for an empty name, a device that is not there or a missing
    extra; ModelNotReady when the model is not there, has no safetensors weights, needs code of its own, or cannot be
    loaded.
    """
    if not rest:
        raise WrongSetting("write transformers:<folder> or transformers:owner/name[@revision]")
    from rag.generators._local import loading
    from rag.generators._local.scheduler import Apart, Runner, Scheduler, Together
    from rag.generators._local.slots import bears
    from rag.generators._local.spoken import Vocabulary

    running = models.running
    folder = loading.folder_of(rest)
    model, tokenizer = loading.loaded(rest, folder, running)
    together = bears(model)

    def runner() -> Runner:
        return Together(model, running.batch, running.lookup) if together else Apart(model, running.batch)

    def decode(tokens: Sequence[int]) -> str:
        return str(tokenizer.decode(list(tokens), skip_special_tokens=True, clean_up_tokenization_spaces=False))

    name = f"transformers:{rest}"
    return LocalModel(
        name,
        loading.revision(folder),
        loading.context_tokens(model, tokenizer),
        model,
        tokenizer,
        running,
        Scheduler(name, runner, running.batch + running.queue),
        Vocabulary(decode, len(tokenizer), tokenizer("a", add_special_tokens=False)["input_ids"][-1]),
        _end_tokens(model, tokenizer),
    )


def _end_tokens(model: "PreTrainedModel", tokenizer: "PreTrainedTokenizerBase") -> frozenset[int]:
    ends: set[int] = set()
    generation = model.generation_config
    for value in (generation.eos_token_id if generation else None, tokenizer.eos_token_id):
        if value is not None:
            ends.update([value] if isinstance(value, int) else value)
    return frozenset(ends)
