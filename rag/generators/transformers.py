"""Local transformer models, causal or seq2seq: `transformers:<folder>` or `transformers:owner/name[@revision]`.

Only safetensors weights are read and no code from a model's folder is run. Tokens are decoded one by one with the
model's own cache, so that a cancellation ends the answer at the next token and sampling draws from a generator of its
own: the process's global random state is neither read nor changed.
"""

import json
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import TYPE_CHECKING

from rag.errors import GeneratorFailed, ModelNotReady, WrongSetting
from rag.generators._streaming import Stops
from rag.types import CancelToken, Event, Finish, GenerationSettings, Generator, Message, Models, Prompt, Text, Usage

if TYPE_CHECKING:
    from torch import Generator as TorchGenerator
    from torch import Tensor
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

_HUB_ID = re.compile(r"(\w[\w.-]*/\w[\w.-]*)(?:@(\w[\w.-]*))?")
_LIMITS = ("max_position_embeddings", "n_positions", "n_ctx", "max_sequence_length", "seq_length")
DEFAULT_CONTEXT_TOKENS = 2048  # where neither the configuration nor the tokenizer names a limit
_SAMPLED_BLOCKS, _BLOCK = 64, 4096  # of each weight file, for the digest of a local folder


@dataclass(frozen=True, slots=True, eq=False)
class LocalModel:
    """A loaded model and its tokenizer. Safe to use from several threads."""

    name: str
    revision: str
    context_tokens: int
    model: "PreTrainedModel"
    tokenizer: "PreTrainedTokenizerBase"

    def count_tokens(self, messages: Sequence[Message]) -> int:
        return len(self._token_ids(messages))

    def generate(self, prompt: Prompt, settings: GenerationSettings, cancel: CancelToken) -> Iterator[Event]:
        """Text as it is decoded. Greedy at temperature 0, else sampled from the seed: same seed, same answer on the
        same machine. Raises GeneratorFailed when the prompt leaves no room for an answer or the model fails."""
        ids = self._token_ids(prompt.messages)
        room = min(settings.max_tokens, self.context_tokens - len(ids))
        if room < 1:
            raise GeneratorFailed(
                f"{self.name}: the prompt takes {len(ids)} tokens of a context of {self.context_tokens}; "
                "ask with fewer passages"
            )
        told: list[int] = []
        stops = Stops(settings.stop)
        finish = Finish("length")
        for token in self._tokens(ids, settings, room):
            if cancel.is_set():
                finish = Finish("cancelled")
                break
            if token is None:
                finish = Finish("stop")
                break
            told.append(token)
            if text := stops.feed(self._decoded(told)):
                yield Text(text)
            if stops.found:
                finish = Finish("stop")
                break
        if not stops.found and (rest := stops.rest(self._decoded(told, final=True))):
            yield Text(rest)
        yield Usage(len(ids), len(told))
        yield finish

    def _decoded(self, told: Sequence[int], *, final: bool = False) -> str:
        """The text so far; a character whose last bytes are still to come is held back."""
        text = str(self.tokenizer.decode(list(told), skip_special_tokens=True, clean_up_tokenization_spaces=False))
        return text if final else text.rstrip("\ufffd")

    # ── the prompt ──────────────────────────────────────────────────────────────────────────────────────────────────

    def _token_ids(self, messages: Sequence[Message]) -> list[int]:
        harmless = [{"role": m.role, "content": self._disarmed(m.content)} for m in messages]
        if self.tokenizer.chat_template is None:
            plain = "\n\n".join(m["content"] for m in harmless) + "\nAnswer:"
            return list(self.tokenizer(plain, verbose=False)["input_ids"])
        return list(self.tokenizer(self._chat(harmless), add_special_tokens=False, verbose=False)["input_ids"])

    def _disarmed(self, content: str) -> str:
        """The content without the model's control tokens: a passage must not be able to end its own message."""
        for token in sorted(self.tokenizer.all_special_tokens + list(self.tokenizer.get_added_vocab()), key=len):
            if len(token) > 1 and token in content:
                content = content.replace(token, f"{token[0]} {token[1:]}")
        return content

    def _chat(self, messages: list[dict[str, str]]) -> str:
        """The messages by the model's chat template; where it knows no system message, its text opens the user's."""
        from jinja2 import TemplateError

        try:
            rendered = self._templated(messages)
            if all(message["content"].strip() in rendered for message in messages):
                return rendered
        except TemplateError:
            pass
        system = [m["content"] for m in messages if m["role"] == "system"]
        others = [dict(m) for m in messages if m["role"] != "system"]
        others[0]["content"] = "\n\n".join([*system, others[0]["content"]])
        try:
            return self._templated(others)
        except TemplateError as error:
            raise GeneratorFailed(f"{self.name}: its chat template refuses the messages: {error}") from error

    def _templated(self, messages: list[dict[str, str]]) -> str:
        # enable_thinking is read by templates of models that may think aloud, and ignored by all others.
        return str(
            self.tokenizer.apply_chat_template(
                messages, tokenize=False, add_generation_prompt=True, enable_thinking=False
            )
        )

    # ── decoding ────────────────────────────────────────────────────────────────────────────────────────────────────

    def _tokens(self, ids: list[int], settings: GenerationSettings, room: int) -> Iterator[int | None]:
        """Up to `room` tokens; None once the model says that it is done."""
        import torch

        draw = torch.Generator(device=self.model.device).manual_seed(settings.seed)
        ends = self._end_tokens()
        try:
            steps = Steps(self.model, torch.tensor([ids], device=self.model.device))
            logits = steps.first()
            for produced in range(1, room + 1):
                token = _chosen(logits, settings, draw)
                yield None if token in ends else token
                if token in ends:
                    return
                if produced < room:
                    logits = steps.next(token)
        except (RuntimeError, ValueError, IndexError, TypeError, MemoryError) as error:
            raise GeneratorFailed(f"{self.name} failed while answering: {type(error).__name__}: {error}") from error

    def _end_tokens(self) -> set[int]:
        ends: set[int] = set()
        generation = self.model.generation_config
        for value in (generation.eos_token_id if generation else None, self.tokenizer.eos_token_id):
            if value is not None:
                ends.update([value] if isinstance(value, int) else value)
        return ends


class Steps:
    """One decoding: the logits (vocabulary,) of each next token, keeping the model's cache between them."""

    def __init__(self, model: "PreTrainedModel", ids: "Tensor") -> None:
        self._model = model
        self._ids = ids  # (1, prompt)
        self._fixed: dict[str, object] = {}  # the encoder's output, for sequence-to-sequence models
        self._cache: object = None

    def first(self) -> "Tensor":
        """The logits after the prompt."""
        import torch

        config = self._model.config
        if not config.is_encoder_decoder:
            return self._forward(self._ids)
        with torch.inference_mode():
            mask = torch.ones_like(self._ids)
            encoded = self._model.get_encoder()(input_ids=self._ids, attention_mask=mask)
        self._fixed = {"encoder_outputs": encoded, "attention_mask": mask}
        start = config.decoder_start_token_id
        if start is None and self._model.generation_config:
            start = self._model.generation_config.decoder_start_token_id
        if start is None:
            raise ValueError("the model names no decoder_start_token_id")
        return self._forward(torch.tensor([[start]], device=self._ids.device))

    def next(self, token: int) -> "Tensor":
        """The logits after one more token."""
        import torch

        return self._forward(torch.tensor([[token]], device=self._ids.device))

    def _forward(self, ids: "Tensor") -> "Tensor":
        import torch

        key = "decoder_input_ids" if self._fixed else "input_ids"
        # Causal models are asked for the last row only: all rows of a long prompt take gigabytes.
        last = {} if self._fixed or not _keeps_logits(self._model) else {"logits_to_keep": 1}
        # Entered for each step: inference mode belongs to the thread and must not stay on between two yields.
        with torch.inference_mode():
            out = self._model(**{key: ids}, past_key_values=self._cache, use_cache=True, **self._fixed, **last)
        self._cache = out.past_key_values
        logits: Tensor = out.logits[0, -1].float()
        return logits


def _keeps_logits(model: "PreTrainedModel") -> bool:
    from inspect import signature

    return "logits_to_keep" in signature(model.forward).parameters


def _chosen(logits: "Tensor", settings: GenerationSettings, draw: "TorchGenerator") -> int:
    """The next token: the likeliest at temperature 0, else drawn from the smallest set that holds top_p of the mass
    (Holtzman et al. 2020, nucleus sampling).  logits (vocabulary,)"""
    import torch

    if settings.temperature <= 0:
        return int(logits.argmax())
    shares, order = torch.softmax(logits / settings.temperature, dim=-1).sort(descending=True, stable=True)
    if settings.top_p < 1:
        before = shares.cumsum(-1) - shares  # the mass above each token: the first is always kept
        shares = shares.masked_fill(before >= settings.top_p, 0.0)
    return int(order[torch.multinomial(shares, 1, generator=draw)])


# ── loading ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def load(rest: str, models: Models, *, key_file: Path | None = None, timeout_s: float = 60.0) -> Generator:
    """The model of a folder, or of the local hub cache; nothing is downloaded.

    Runs on the first accelerator when there is one. Raises WrongSetting for an empty name, ModelNotReady when the
    model is not there, has no safetensors weights, needs code of its own, or cannot be loaded.
    """
    if not rest:
        raise WrongSetting("write transformers:<folder> or transformers:owner/name[@revision]")
    folder = _folder(rest)
    if not (folder / "config.json").is_file():
        raise ModelNotReady(f"{rest} is no transformers model: it has no config.json")
    if not any(folder.glob("*.safetensors")):
        raise ModelNotReady(f"{rest} has no weights in safetensors format, and no other format is read")
    model, tokenizer = _loaded(rest, folder)
    return LocalModel(f"transformers:{rest}", revision(folder), _context_tokens(model, tokenizer), model, tokenizer)


def _folder(rest: str) -> Path:
    given = Path(rest).expanduser()
    if given.is_dir():
        return given
    match = _HUB_ID.fullmatch(rest)
    if match is None or given.is_absolute():
        raise ModelNotReady(f"there is no folder {rest}; pull a model with `rag models pull`")
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

    try:
        return Path(snapshot_download(match[1], revision=match[2], local_files_only=True))
    except (LocalEntryNotFoundError, HFValidationError, HfHubHTTPError, OSError) as error:
        raise ModelNotReady(f"{rest} is not on this machine; fetch it with `rag models pull {rest}`") from error


def _loaded(rest: str, folder: Path) -> tuple["PreTrainedModel", "PreTrainedTokenizerBase"]:
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM, AutoModelForSeq2SeqLM, AutoTokenizer

    device = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        with _quietly():
            config = AutoConfig.from_pretrained(folder, trust_remote_code=False, local_files_only=True)
            kind = AutoModelForSeq2SeqLM if config.is_encoder_decoder else AutoModelForCausalLM
            model = kind.from_pretrained(
                folder,
                config=config,
                use_safetensors=True,
                trust_remote_code=False,
                local_files_only=True,
                # Half precision is slow on most processors, so only an accelerator gets the stored one.
                dtype="auto" if device == "cuda" else torch.float32,
            )
            tokenizer = AutoTokenizer.from_pretrained(folder, trust_remote_code=False, local_files_only=True)
        return model.to(device).eval(), tokenizer
    except Exception as error:  # the library raises a dozen kinds, and each means that this model cannot be used
        raise ModelNotReady(f"{rest} cannot be loaded: {type(error).__name__}: {error}") from error


@contextmanager
def _quietly() -> Iterator[None]:
    """Without the library's progress bars: they would stand in the middle of an answer."""
    from transformers.utils import logging

    shown = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        if shown:
            logging.enable_progress_bar()


def _context_tokens(model: "PreTrainedModel", tokenizer: "PreTrainedTokenizerBase") -> int:
    """The smaller of what the configuration and the tokenizer allow."""
    config = model.config.get_text_config()
    found = [value for name in _LIMITS if isinstance(value := getattr(config, name, None), int) and value > 0]
    if 0 < tokenizer.model_max_length < 10**9:  # unset limits are astronomically large
        found.append(int(tokenizer.model_max_length))
    return min(found, default=DEFAULT_CONTEXT_TOKENS)


def revision(folder: Path) -> str:
    """The hub commit of a pulled model or a cached snapshot, else a digest of the folder.

    It is taken of small files whole, and of each weight file over its size, its header and 64 blocks spread over it:
    a copy has the same digest, other weights have another.
    """
    resolved = folder.resolve()
    if resolved.parent.name == "snapshots":
        return resolved.name
    manifest = resolved / "rag-model.json"  # as `rag models pull` writes it
    if manifest.is_file():
        return str(json.loads(manifest.read_text(encoding="utf-8"))["revision"])
    digest = blake2b(digest_size=20)
    for path in sorted(
        p for p in resolved.iterdir() if p.suffix in (".json", ".safetensors", ".jinja", ".model", ".txt")
    ):
        size = path.stat().st_size
        digest.update(f"{path.name}\0{size}\0".encode())
        with path.open("rb") as file:
            if size <= _BLOCK * _SAMPLED_BLOCKS * 4:
                digest.update(file.read())
                continue
            for i in range(_SAMPLED_BLOCKS):
                file.seek(i * (size - _BLOCK) // (_SAMPLED_BLOCKS - 1))
                digest.update(file.read(_BLOCK))
    return digest.hexdigest()
