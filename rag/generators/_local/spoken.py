"""Tokens and their text: an answer piece by piece, and the vocabulary by what its tokens say."""

from collections.abc import Callable, Sequence
from functools import cached_property

from rag.generators._local.grounding import Sources, State

Decode = Callable[[Sequence[int]], str]  # tokens → text, special tokens left out


class Spoken:
    """Tokens become text, each looked at with the few before it: what a token says depends on them."""

    def __init__(self, decode: Decode) -> None:
        self._decode = decode
        self._tokens: list[int] = []
        self._from, self._upto = 0, 0  # the tokens read again for context, and those whose text is out
        self.text = ""

    def with_one_more(self, token: int) -> str:
        """What this token would add; "" while the bytes of a character are not all there."""
        context = self._decode(self._tokens[self._from : self._upto])
        grown = self._decode([*self._tokens[self._from :], token])
        return "" if grown.endswith("\ufffd") else grown[len(context) :]

    def add(self, token: int) -> str:
        """Take the token in; gives what it added."""
        added = self.with_one_more(token)
        self._tokens.append(token)
        if added:
            self.text += added
            self._from, self._upto = self._upto, len(self._tokens)
        return added

    def end(self) -> str:
        """The text with whatever was held back: bytes that never became a character."""
        context = self._decode(self._tokens[self._from : self._upto])
        return self.text + self._decode(self._tokens[self._from :])[len(context) :]


class Vocabulary:
    """What the tokens of a model say. Safe to share."""

    def __init__(self, decode: Decode, size: int, example: int) -> None:
        """size: tokens that the model knows. example: a token of a plain letter."""
        self.decode, self._size, self._example = decode, size, example

    def allowed(self, sources: Sources, state: State) -> list[int]:
        """The tokens that may come next, but for bytes of a character, which only their neighbours tell."""
        silent = self._by_first.get("", []) if sources.closed(state) else []
        found = [token for token, _ in silent]
        for first, tokens in self._by_first.items():
            if first and sources.read(state, first) is not None:
                found += [token for token, text in tokens if sources.read(state, text) is not None]
        return sorted(found)

    @cached_property
    def _by_first(self) -> dict[str, list[tuple[int, str]]]:
        """The tokens with their texts, by the first character; read once, a second for 150,000 tokens."""
        before = len(self.decode([self._example]))
        found: dict[str, list[tuple[int, str]]] = {}
        for token in range(self._size):
            text = self.decode([self._example, token])[before:]
            found.setdefault(text[:1], []).append((token, text))
        return found
