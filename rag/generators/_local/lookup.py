"""Prompt lookup: what may come next is read off the prompt, for the model to confirm many tokens at once.

Answers from passages quote them. Where the last words said stand in the prompt, what follows there is proposed; one
forward pass over the proposal tells how much of it the model would have said itself, and only that is kept (Saxena
2023, prompt lookup decoding; Yang et al. 2023, LLMA, https://arxiv.org/abs/2304.04487). What is said is the same.
"""

from collections.abc import Sequence

LONGEST, SHORTEST = 3, 2  # tokens that must stand in the prompt for what follows to be proposed
FIRST_GUESS, MOST = 4, 10  # tokens proposed: at first, and after proposals that came true


class Lookup:
    """The proposals for one request."""

    def __init__(self, prompt: Sequence[int]) -> None:
        self._seen: list[int] = []
        self._places: dict[tuple[int, ...], int] = {}  # n tokens → where what followed them last begins
        self._guess = FIRST_GUESS
        for token in prompt:
            self.add(token)

    def add(self, token: int) -> None:
        """One more token of prompt or answer."""
        end = len(self._seen)
        for n in range(SHORTEST, LONGEST + 1):
            if end >= n:
                self._places[tuple(self._seen[end - n :])] = end  # what follows them begins here
        self._seen.append(token)

    def proposal(self, most: int) -> list[int]:
        """What may come next, at most `most` tokens; empty when the last words stand nowhere before."""
        for n in range(LONGEST, SHORTEST - 1, -1):
            at = self._places.get(tuple(self._seen[-n:]))
            if at is not None:
                return self._seen[at : at + min(self._guess, most)]
        return []

    def told(self, proposed: int, accepted: int) -> None:
        """How a proposal fared: the next is longer after one that came true whole, shorter after one that did not."""
        if proposed:
            self._guess = min(MOST, self._guess * 2) if accepted == proposed else max(1, accepted + 1)
