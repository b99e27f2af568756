"""Tiny transformers models that a test makes itself: two layers, trained for seconds, that copy from the prompt.

Asked greedily with the prompts of rag/prompt.py, `tiny_causal` and `tiny_seq2seq` answer with the first sentence of
passage 1 and the marker [1]. They are written as safetensors with their tokenizer, so that they are loaded exactly as
a downloaded model is. Copying is done by induction (Olsson et al. 2022): one layer tells every word which words stand
before it, the next looks for the place in the prompt where the last words of the answer stand, and repeats what
followed there. From random weights that takes minutes to learn; so the weights begin near the circuit, and a few steps
of training settle it. Words are random vectors at nearly right angles, so any word is copied, known or not.
"""

import random
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from rag.prompt import render
from rag.types import Hit, Message, Passage

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel, PreTrainedTokenizerFast

TEXTS = (
    "The lighthouse of Norderney was built in 1874. It is 54 metres high and its light reaches 42 kilometres.",
    "Bees dance to tell their sisters where flowers are. A waggle of one second means about one kilometre.",
    "The first steam engine pumped water out of mines. James Watt made it three times as strong in 1769.",
    "Reinstall the package with pip and restart the server. The new version reads its settings from a file.",
    "Honey keeps for thousands of years because hardly any water is left in it. Bacteria cannot live there.",
    "A glacier moves slowly downhill under its own weight. The fastest ones travel thirty metres in a day.",
)
CHAT_TEMPLATE = (
    "{% for m in messages %}<|{{ m['role'] }}|>\n{{ m['content'] }}<|end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>{% endif %}"
)
CONTROL = ["<|pad|>", "<|end|>", "<|system|>", "<|user|>", "<|assistant|>"]
CONTEXT = 2048

_WIDTH = 128  # of a word's vector, and of a head
_LOOKS = 4  # words that a place knows besides its own
_NOW, *_BACK, _NEXT = (slice(i * _WIDTH, (i + 1) * _WIDTH) for i in range(_LOOKS + 2))
_HIDDEN = (_LOOKS + 2) * _WIDTH  # a place knows its word, those before it, and at last the word to say next
_FAST = 12  # pairs of a head that the rotary embedding turns within the context; the others carry words


def tiny_causal(folder: Path, texts: Sequence[str] = TEXTS) -> Path:
    """A two-layer Llama with a chat template and 2048 tokens of context, written into `folder`; returns the folder.

    Greedily it answers "<first sentence of passage 1> [1]". `texts`: what the tokenizer is trained on; other words are
    copied too, in pieces. Takes a few seconds on two cores and leaves torch's random state alone.
    """
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    tokenizer = _tokenizer(texts)
    tokenizer.chat_template = CHAT_TEMPLATE
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        config = LlamaConfig(
            vocab_size=len(tokenizer),
            hidden_size=_HIDDEN,
            intermediate_size=16,
            num_hidden_layers=2,
            num_attention_heads=_LOOKS + 2,
            num_key_value_heads=_LOOKS + 2,
            head_dim=_WIDTH,
            max_position_embeddings=CONTEXT,
            attention_bias=True,
            rope_parameters={"rope_type": "default", "rope_theta": 1e30},
            tie_word_embeddings=False,
            bos_token_id=None,
            eos_token_id=tokenizer.eos_token_id,
            pad_token_id=tokenizer.pad_token_id,
        )
        model = LlamaForCausalLM(config)
        _set_up_llama(model, tokenizer)
        _train(model, tokenizer, texts, lambda messages: _chat(tokenizer, messages))
    return _written(model, tokenizer, folder)


def tiny_seq2seq(folder: Path, texts: Sequence[str] = TEXTS) -> Path:
    """A T5 with two layers on either side and no chat template, written into `folder`; else as `tiny_causal`."""
    import torch
    from tokenizers.processors import TemplateProcessing
    from transformers import T5Config, T5ForConditionalGeneration

    tokenizer = _tokenizer(texts)
    tokenizer.backend_tokenizer.post_processor = TemplateProcessing(
        single="$A <|end|>", special_tokens=[("<|end|>", tokenizer.eos_token_id)]
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        config = T5Config(
            vocab_size=len(tokenizer),
            d_model=_HIDDEN,
            d_kv=_WIDTH,
            d_ff=16,
            num_layers=2,
            num_decoder_layers=2,
            num_heads=_LOOKS + 2,
            n_positions=CONTEXT,
            dropout_rate=0.0,
            tie_word_embeddings=False,
            pad_token_id=tokenizer.pad_token_id,
            eos_token_id=tokenizer.eos_token_id,
            decoder_start_token_id=tokenizer.pad_token_id,
        )
        model = T5ForConditionalGeneration(config)
        _set_up_t5(model, tokenizer)
        _train(model, tokenizer, texts, lambda messages: "\n\n".join(m.content for m in messages) + "\nAnswer:")
    return _written(model, tokenizer, folder)


def _written(model: "PreTrainedModel", tokenizer: "PreTrainedTokenizerFast", folder: Path) -> Path:
    model.eval()
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def _tokenizer(texts: Sequence[str]) -> "PreTrainedTokenizerFast":
    """Byte-level BPE over these texts and the prompt's own words; any text can be encoded and decoded again."""
    from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.BPE())
    # A marker is one token; a full stop is one of its own, so that it can mean "say the marker now".
    pieces = Regex(r" ?\[\d+\]| ?[\p{L}\p{M}]+| ?\p{N}+| ?[^\s\p{L}\p{M}\p{N}]|\s")
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Split(pieces, "isolated"), pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=1500,
        min_frequency=1,
        show_progress=False,
        special_tokens=CONTROL,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
    )
    frame = [message.content for message in render("What is it?", [_passage("A text.", "Title")] * 9)]
    tokenizer.train_from_iterator([*texts, *frame], trainer)
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        eos_token="<|end|>",
        pad_token="<|pad|>",
        additional_special_tokens=["<|system|>", "<|user|>", "<|assistant|>"],
        model_max_length=CONTEXT,
    )


# ── the circuit ─────────────────────────────────────────────────────────────────────────────────────────────────────


def _token(tokenizer: "PreTrainedTokenizerFast", text: str) -> int:
    (token,) = tokenizer(text, add_special_tokens=False)["input_ids"]
    return int(token)


def _word_vectors(tokenizer: "PreTrainedTokenizerFast", *apart: str) -> "torch.Tensor":
    """One random unit vector a word, those `apart` at right angles to all others.  → (vocabulary, _WIDTH)"""
    import torch

    vectors = torch.randn(len(tokenizer), _WIDTH)
    vectors[:, : len(apart)] = 0.0
    for i, text in enumerate(apart):
        vectors[_token(tokenizer, text)] = torch.eye(_WIDTH)[i]
    return torch.nn.functional.normalize(vectors, dim=-1)


def _matching(
    vectors: "torch.Tensor", tokenizer: "PreTrainedTokenizerFast", start: str, dim: int
) -> tuple["torch.Tensor", "torch.Tensor"]:
    """Queries and keys, each (dim, _HIDDEN), that meet where the answer's last words stand in the prompt.

    Three words mean something else: `start` looks for what follows the line that ends in [1], a full stop for the
    marker itself, and the marker for the end of a message, so that these are what is said next.
    """
    import torch

    places = [torch.nn.init.orthogonal_(torch.empty(_WIDTH, dim)).T for _ in range(_LOOKS + 1)]
    query, key = torch.zeros(dim, _HIDDEN), torch.zeros(dim, _HIDDEN)
    for held, place in zip((_NOW, *_BACK), places, strict=True):
        key[:, held] = place
    # The answer's last word should stand before the place, the last but one before that, and so on.
    for said, place, weight in zip((_NOW, *_BACK[:-1]), places[1:], (2.0, 1.0, 0.7, 0.5), strict=True):
        query[:, said] = weight * place
    first, stop, marker, line, end = (vectors[_token(tokenizer, t)] for t in (start, ".", " [1]", "\n", "<|end|>"))
    # Where the answer begins stands for the end of the line before the passage.
    for i, said in enumerate(_BACK[: _LOOKS - 2]):
        query[:, said] += torch.outer(places[i + 2] @ (line - first) + places[i + 3] @ marker, first)
    for word, wanted in (
        (first, places[1] @ line + places[2] @ marker),
        (stop, places[0] @ marker),
        (marker, places[0] @ end),
    ):
        query[:, _NOW] += torch.outer(5.0 * wanted - 2.0 * places[1] @ word, word)
    return query, key


def _set_up_llama(model: "PreTrainedModel", tokenizer: "PreTrainedTokenizerFast") -> None:
    import torch

    with torch.no_grad():
        for name, parameter in model.named_parameters():
            parameter.fill_(1.0 if "norm" in name else 0.0)
        vectors = _word_vectors(tokenizer, "<|assistant|>", ".", " [1]")
        model.model.embed_tokens.weight[:, _NOW] = vectors
        model.lm_head.weight[:, _NEXT] = vectors * 0.6
        look, match = (layer.self_attn for layer in model.model.layers)
        # Constant queries and keys leave it to the rotary embedding where a head looks: the score is a sum of cosines,
        # highest at the distance by which the constants are turned against each other.
        turns = model.model.rotary_emb.inv_freq  # (_WIDTH / 2,)
        strength = (turns > 1e-3) * 20.0
        for head, target in enumerate(_BACK):
            rows, angle = slice(head * _WIDTH, (head + 1) * _WIDTH), turns * (head + 1)
            look.k_proj.bias[rows] = torch.cat([strength, torch.zeros_like(turns)])
            look.q_proj.bias[rows] = torch.cat([angle.cos() * strength, -angle.sin() * strength])
            look.v_proj.weight[rows, _NOW] = torch.eye(_WIDTH) / _HIDDEN**0.5
            look.o_proj.weight[target, rows] = torch.eye(_WIDTH)
        slow = [i for i in range(_WIDTH) if i % (_WIDTH // 2) >= _FAST]
        query, key = _matching(vectors, tokenizer, "<|assistant|>", len(slow))
        match.q_proj.weight[slow], match.k_proj.weight[slow] = query * 1.5, key * 1.5
        match.v_proj.weight[:_WIDTH, _NOW] = torch.eye(_WIDTH)
        match.o_proj.weight[_NEXT, :_WIDTH] = torch.eye(_WIDTH)


def _set_up_t5(model: "PreTrainedModel", tokenizer: "PreTrainedTokenizerFast") -> None:
    import torch

    with torch.no_grad():
        for name, parameter in model.named_parameters():
            parameter.fill_(1.0 if "layer_norm" in name else 0.0)
        vectors = _word_vectors(tokenizer, "<|pad|>", ".", " [1]")
        model.shared.weight[:, _NOW] = vectors
        model.lm_head.weight[:, _NEXT] = vectors * 0.6
        for stack in (model.encoder, model.decoder):
            look = stack.block[0].layer[0].SelfAttention
            for head, target in enumerate(_BACK):
                rows = slice(head * _WIDTH, (head + 1) * _WIDTH)
                look.relative_attention_bias.weight[head + 1, head] = 30.0  # bucket n: n words before, for small n
                look.v.weight[rows, _NOW] = torch.eye(_WIDTH) / _HIDDEN**0.5
                look.o.weight[target, rows] = torch.eye(_WIDTH)
        match = model.decoder.block[0].layer[1].EncDecAttention
        query, key = _matching(vectors, tokenizer, "<|pad|>", _WIDTH)
        match.q.weight[:_WIDTH], match.k.weight[:_WIDTH] = query * 0.5, key * 0.5
        match.v.weight[:_WIDTH, _NOW] = torch.eye(_WIDTH)
        match.o.weight[_NEXT, :_WIDTH] = torch.eye(_WIDTH)


# ── training ────────────────────────────────────────────────────────────────────────────────────────────────────────


def _train(
    model: "PreTrainedModel",
    tokenizer: "PreTrainedTokenizerFast",
    texts: Sequence[str],
    prompt_of: Callable[[Sequence[Message]], str],
    steps: int = 6,
) -> None:
    """Learn to copy from prompts of shuffled words; the words' vectors stay as they are."""
    import torch

    model.get_input_embeddings().weight.requires_grad_(False)
    optimizer = torch.optim.SGD([p for p in model.parameters() if p.requires_grad], lr=1e-4)
    examples = _examples(texts, random.Random(0))
    model.train()
    for _ in range(steps):
        messages, answer = next(examples)
        prompt = tokenizer(prompt_of(messages))["input_ids"]
        target = [*tokenizer(answer, add_special_tokens=False)["input_ids"], tokenizer.eos_token_id]
        if model.config.is_encoder_decoder:
            ids, labels = prompt, target
        else:
            ids, labels = prompt + target, [-100] * len(prompt) + target
        loss = model(input_ids=torch.tensor([ids]), labels=torch.tensor([labels])).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()


def _examples(texts: Sequence[str], chance: random.Random) -> Iterator[tuple[list[Message], str]]:
    """Prompts over passages of shuffled words, endlessly, each with the answer to be learnt."""
    vocabulary = sorted({word.strip(".,") for text in texts for word in text.split()})

    def sentence() -> str:
        return " ".join(chance.choices(vocabulary, k=chance.randint(4, 14))).capitalize() + "."

    while True:
        first, second = sentence(), sentence()
        passages = [_passage(f"{first} {sentence()}", sentence()[:-1]), _passage(second, sentence()[:-1])]
        yield list(render(f"{sentence()[:-1]}?", passages)), f"{first[:-1]}. [1]"


def _passage(text: str, title: str) -> Passage:
    return Passage(Hit(1, 1.0, {}), text, title, (), (), None, 0, len(text), 1)


def _chat(tokenizer: "PreTrainedTokenizerFast", messages: Sequence[Message]) -> str:
    chat = [{"role": message.role, "content": message.content} for message in messages]
    return str(tokenizer.apply_chat_template(chat, tokenize=False, add_generation_prompt=True))
