"""What batching and prompt lookup are worth on this machine: many questions at once against one after the other, and
answers that quote their passages, or do not, with and without proposals from the prompt.

Run: python benchmarks/generation.py
One thread, greedy, answers of 64 tokens. Two models are made here, with the arithmetic of a small real one: `random`
(8 layers of 512, random weights), whose answers quote nothing, and `quoting` (8 layers of 768), whose first two layers
are the copying circuit of tests/tiny_models.py and whose others add nothing, so that it says the first sentence of its
first passage word for word. What is said is compared as well: it must be the same, token for token. Processor time
counts; the wall clock stands beside it with the load of the machine. `library` is transformers' own continuous batching
(generate_batch) on the same prompts.
"""

import argparse
import os
import re
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import torch
from measuring import ROOT, write

sys.path.insert(0, str(ROOT))

from transformers import GenerationConfig, LlamaConfig, LlamaForCausalLM

from rag import generators
from rag.generators.transformers import LocalModel
from rag.types import GenerationSettings, Message, Models, Prompt, Running, Text
from tests.tiny_models import TEXTS, _tokenizer, tiny_causal

ASKS, TOKENS = 16, 64
GUIDES = ("how-it-works", "ingesting", "operating")  # whose words the passages are made of


@dataclass
class Measured:
    cpu_s: float
    wall_s: float
    texts: list[str]


def words() -> list[str]:
    """The words of some of our guides, in order."""
    return re.findall(r"[A-Za-z]{2,}", " ".join((ROOT / "docs" / f"{name}.md").read_text() for name in GUIDES))


def prompts() -> list[Prompt]:
    """Sixteen prompts of some hundred tokens, each with two passages of its own; the first is one long sentence."""
    made, told = [], words()
    for n in range(ASKS):
        first, second = (" ".join(told[at : at + 70 + n]) for at in (n * 200, n * 200 + 90))
        passages = f"Passages:\n[1]\n{first}.\n[2]\n{second}."
        made.append(Prompt("", (Message("user", f"{passages}\nQuestion: {TEXTS[n % len(TEXTS)]}"),), (), "", 0))
    return made


def random_model(folder: Path) -> Path:
    tokenizer = _tokenizer([*TEXTS, " ".join(words())])
    tokenizer.chat_template = "{% for m in messages %}{{ m['content'] }}<|end|>{% endfor %}"
    torch.manual_seed(0)
    shape = {"hidden_size": 512, "intermediate_size": 1408, "num_hidden_layers": 8, "num_attention_heads": 8}
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        max_position_embeddings=2048,
        initializer_range=0.1,
        eos_token_id=None,
        bos_token_id=None,
        pad_token_id=0,
        **shape,
    )
    LlamaForCausalLM(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def quoting_model(folder: Path) -> Path:
    """The copying circuit, and six further layers that are computed and add nothing."""
    small = LlamaForCausalLM.from_pretrained(tiny_causal(folder, [*TEXTS, " ".join(words())]))
    config = small.config
    config.num_hidden_layers, config.intermediate_size = 8, 2048
    if getattr(config, "layer_types", None):
        config.layer_types = ["full_attention"] * 8
    large = LlamaForCausalLM(config)
    kept = small.state_dict()
    with torch.no_grad():
        for name, parameter in large.named_parameters():
            if name in kept and kept[name].shape == parameter.shape:
                parameter.copy_(kept[name])
            elif name.endswith(("o_proj.weight", "down_proj.weight")):
                parameter.zero_()
    for layer in large.model.layers[:2]:
        layer.mlp.down_proj.weight.data.zero_()
    large.save_pretrained(folder)
    return folder


def load(folder: Path, *, batch: int, lookup: bool) -> LocalModel:
    models = Models(None, Running(batch=batch, queue=ASKS, lookup=lookup))  # type: ignore[arg-type]  # no embedder
    loaded = generators.load(f"transformers:{folder}", models)
    assert isinstance(loaded, LocalModel)
    return replace(loaded, ends=frozenset())  # every answer has its 64 tokens


def say(model: LocalModel, prompt: Prompt) -> str:
    events = model.generate(prompt, GenerationSettings(TOKENS), threading.Event())
    return "".join(event.text for event in events if isinstance(event, Text))


def at_once(model: LocalModel, asked: Sequence[Prompt]) -> list[str]:
    found: dict[int, str] = {}
    threads = [threading.Thread(target=lambda n=n: found.update({n: say(model, asked[n])})) for n in range(len(asked))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return [found[n] for n in range(len(asked))]


def in_turn(model: LocalModel, asked: Sequence[Prompt]) -> list[str]:
    return [say(model, prompt) for prompt in asked]


def library(model: LocalModel, asked: Sequence[Prompt]) -> list[str]:
    ids = [model._token_ids(prompt.messages) for prompt in asked]
    wanted = GenerationConfig(max_new_tokens=TOKENS, do_sample=False, eos_token_id=-1, pad_token_id=0)
    told = model.model.generate_batch(inputs=ids, generation_config=wanted)
    order = sorted(told, key=lambda name: int(name.split("_")[-1]))
    return [model.tokenizer.decode(told[name].generated_tokens, skip_special_tokens=True) for name in order]


def measured(task: Callable[[], list[str]]) -> Measured:
    cpu, wall = time.process_time(), time.perf_counter()
    texts = task()
    done = Measured(time.process_time() - cpu, time.perf_counter() - wall, texts)
    print(f"  {done.cpu_s:.1f} s of processor time, {done.wall_s:.1f} s", file=sys.stderr, flush=True)
    return done


def quoted(asked: Sequence[Prompt], texts: Sequence[str]) -> float:
    """The share of answers whose first hundred characters stand in their prompt."""
    found = [text.strip()[:100] in prompt.messages[0].content for prompt, text in zip(asked, texts, strict=True)]
    return sum(found) / len(found)


def row(one: Measured, reference: Measured) -> dict[str, object]:
    return {
        "cpu_s": round(one.cpu_s, 2),
        "wall_s": round(one.wall_s, 2),
        "times_as_fast": round(reference.cpu_s / one.cpu_s, 2),
        "same_text": one.texts == reference.texts,
    }


def batching(folder: Path, with_library: bool) -> dict[str, object]:
    """Sixteen asks in turn, and at once in batches of some sizes."""
    asked = prompts()
    alone = load(folder, batch=1, lookup=False)
    reference = measured(lambda: in_turn(alone, asked))
    found = {"in turn": row(reference, reference)}
    for batch in (2, 4, 8, 16):
        model = load(folder, batch=batch, lookup=False)
        found[f"at once, batch {batch}"] = row(measured(lambda model=model: at_once(model, asked)), reference)  # type: ignore[misc]
    if with_library:
        theirs = load(folder, batch=16, lookup=False)
        found["library"] = row(measured(lambda: library(theirs, asked)), reference)
    return found


def looking_up(folder: Path) -> dict[str, object]:
    """The same asks with and without proposals, alone and in batches."""
    found: dict[str, object] = {}
    asked = prompts()
    for batch in (1, 4, 16):
        few = asked[: max(4, batch)]
        plain, looking = (load(folder, batch=batch, lookup=lookup) for lookup in (False, True))
        reference = measured(lambda few=few, plain=plain: at_once(plain, few))  # type: ignore[misc]
        one = measured(lambda few=few, looking=looking: at_once(looking, few))  # type: ignore[misc]
        found[f"batch {batch}"] = {**row(one, reference), "quoted": quoted(few, reference.texts)}
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--no-library", action="store_true", help="leave transformers' own continuous batching out")
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    load_at_start = os.getloadavg()[0]
    with tempfile.TemporaryDirectory() as scratch:
        speaking = random_model(Path(scratch) / "random")
        copying = Path(scratch) / "quoting"
        copying.mkdir()
        quoting_model(copying)
        result = {
            "load_average_at_start": load_at_start,
            "batching": batching(speaking, not chosen.no_library),
            "lookup, answers that quote": looking_up(copying),
            "lookup, answers that do not": looking_up(speaking),
        }
    write("generation", result)


if __name__ == "__main__":
    main()
