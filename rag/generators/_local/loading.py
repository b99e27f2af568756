"""A model's folder, and the model in it: safetensors only, no code of its own, on the device that was chosen."""

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import blake2b
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from rag.errors import ModelNotReady, WrongSetting
from rag.types import Running

if TYPE_CHECKING:
    from transformers import BitsAndBytesConfig, PreTrainedModel, PreTrainedTokenizerBase

_HUB_ID = re.compile(r"(\w[\w.-]*/\w[\w.-]*)(?:@(\w[\w.-]*))?")
_LIMITS = ("max_position_embeddings", "n_positions", "n_ctx", "max_sequence_length", "seq_length")
DEFAULT_CONTEXT_TOKENS = 2048  # where neither the configuration nor the tokenizer names a limit
_SAMPLED_BLOCKS, _BLOCK = 64, 4096  # of each weight file, for the digest of a local folder


def folder_of(rest: str) -> Path:
    """The folder that a path or `owner/name[@revision]` means. Raises ModelNotReady when it is not on this machine."""
    given = Path(rest).expanduser()
    if given.is_dir():
        return given
    match = _HUB_ID.fullmatch(rest)
    if match is None or given.is_absolute():
        raise ModelNotReady(
            f"there is no folder {rest}; give the folder of a model, or owner/name of one that was fetched with "
            "`rag models pull owner/name`"
        )
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

    try:
        return Path(snapshot_download(match[1], revision=match[2], local_files_only=True))
    except (LocalEntryNotFoundError, HFValidationError, HfHubHTTPError, OSError) as error:
        raise ModelNotReady(f"{rest} is not on this machine; fetch it with `rag models pull {rest}`") from error


def loaded(rest: str, folder: Path, running: Running) -> tuple["PreTrainedModel", "PreTrainedTokenizerBase"]:
    """The model and its tokenizer, ready to answer. Raises ModelNotReady and WrongSetting."""
    from transformers import AutoConfig, AutoModelForCausalLM, AutoModelForSeq2SeqLM, AutoTokenizer

    if not (folder / "config.json").is_file():
        raise ModelNotReady(f"{rest} is no transformers model: it has no config.json")
    if not any(folder.glob("*.safetensors")):
        raise ModelNotReady(f"{rest} has no weights in safetensors format, and no other format is read")
    device = device_of(running.device)
    quantised = _quantised(running.bits)
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
                dtype=dtype_of(running.dtype, device),
                **({} if quantised is None else {"quantization_config": quantised, "device_map": {"": device}}),
            )
            tokenizer = AutoTokenizer.from_pretrained(folder, trust_remote_code=False, local_files_only=True)
        return (model if quantised is not None else model.to(device)).eval(), tokenizer
    except Exception as error:  # the library raises a dozen kinds, and each means that this model cannot be used
        raise ModelNotReady(f"{rest} cannot be loaded: {type(error).__name__}: {error}") from error


def device_of(name: str) -> torch.device:
    """The device of this name; `auto` is the first CUDA device, else the processor. Raises WrongSetting."""
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError, NotImplementedError, ValueError) as error:
        reason = str(error).splitlines()[0]
        raise WrongSetting(f"generator_device: {name} cannot be used here ({reason}); write auto or cpu") from error
    return device


def dtype_of(name: str, device: torch.device) -> torch.dtype:
    """The number format of this name. `auto` is float32 on a processor, where half precision is mostly slow, and on
    CUDA bfloat16, or float16 where that is not supported."""
    if name != "auto":
        return {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}[name]
    if device.type != "cuda":
        return torch.float32
    return torch.bfloat16 if torch.cuda.is_bf16_supported() else torch.float16


def _quantised(bits: int) -> "BitsAndBytesConfig | None":
    """How weights are quantised; None for not at all. Raises WrongSetting where the libraries are missing."""
    if not bits:
        return None
    for needed in ("bitsandbytes", "accelerate"):
        if find_spec(needed) is None:
            raise WrongSetting(
                f"generator_quantize {bits}bit needs {needed}: pip install 'rag[quantize]', or set it to off"
            )
    from transformers import BitsAndBytesConfig

    if bits == 8:
        return BitsAndBytesConfig(load_in_8bit=True)
    return BitsAndBytesConfig(load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_use_double_quant=True)


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


def context_tokens(model: "PreTrainedModel", tokenizer: "PreTrainedTokenizerBase") -> int:
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
