"""Messages become the tokens of a model's prompt, by its own chat template."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from rag.errors import GeneratorFailed
from rag.types import Message

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


def token_ids(name: str, tokenizer: "PreTrainedTokenizerBase", messages: Sequence[Message]) -> list[int]:
    """The prompt; plain text where the model has no chat template. Raises GeneratorFailed, naming the model, when the
    template refuses the messages."""
    harmless = [{"role": m.role, "content": _disarmed(tokenizer, m.content)} for m in messages]
    if tokenizer.chat_template is None:
        plain = "\n\n".join(m["content"] for m in harmless) + "\nAnswer:"
        return list(tokenizer(plain, verbose=False)["input_ids"])
    chat = _chat(name, tokenizer, harmless)
    return list(tokenizer(chat, add_special_tokens=False, verbose=False)["input_ids"])


def _disarmed(tokenizer: "PreTrainedTokenizerBase", content: str) -> str:
    """The content without the model's control tokens: a passage must not be able to end its own message. Runs of blanks
    and line breaks, which are tokens of many models, control nothing."""
    for token in sorted(tokenizer.all_special_tokens + list(tokenizer.get_added_vocab()), key=len):
        if len(token) > 1 and token.strip() and token in content:
            content = content.replace(token, f"{token[0]} {token[1:]}")
    return content


def _chat(name: str, tokenizer: "PreTrainedTokenizerBase", messages: list[dict[str, str]]) -> str:
    """The messages by the model's chat template; where it knows no system message, its text opens the user's."""
    from jinja2 import TemplateError

    try:
        rendered = _templated(tokenizer, messages)
        if all(message["content"].strip() in rendered for message in messages):
            return rendered
    except TemplateError:
        pass
    system = [m["content"] for m in messages if m["role"] == "system"]
    others = [dict(m) for m in messages if m["role"] != "system"]
    others[0]["content"] = "\n\n".join([*system, others[0]["content"]])
    try:
        return _templated(tokenizer, others)
    except TemplateError as error:
        raise GeneratorFailed(f"{name}: its chat template refuses the messages: {error}") from error


def _templated(tokenizer: "PreTrainedTokenizerBase", messages: list[dict[str, str]]) -> str:
    # enable_thinking is read by templates of models that may think aloud, and ignored by all others.
    return str(
        tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True, enable_thinking=False)
    )
