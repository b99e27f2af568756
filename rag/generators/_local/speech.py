"""One request on its way: what it is fed next, what was said, and when it ends. Worked on by the scheduler's thread."""

import random
from collections.abc import Sequence
from queue import SimpleQueue
from threading import Event as Flag
from typing import Literal

import torch

from rag.generators._local.choosing import chosen
from rag.generators._local.grounding import Settled, Sources, State
from rag.generators._local.lookup import Lookup
from rag.generators._local.spoken import Spoken, Vocabulary
from rag.generators._streaming import Stops
from rag.types import CancelToken, Event, Finish, GenerationSettings, Text, Usage

Reason = Literal["stop", "length", "cancelled"]
TRIES = 64  # tokens that grounding may refuse before all of the vocabulary is looked through


class Speech:
    """The state of one request. Its events are read by the asker's thread."""

    def __init__(
        self,
        prompt: Sequence[int],
        settings: GenerationSettings,
        *,
        room: int,
        ends: frozenset[int],
        vocabulary: Vocabulary,
        cancel: CancelToken,
        sources: Sources | None = None,
        lookup: Lookup | None = None,
    ) -> None:
        """room: tokens of answer that the context and the settings leave. ends: tokens that end an answer."""
        self.prompt = prompt
        self.room = room
        self.events: SimpleQueue[Event | Exception] = SimpleQueue()
        self.left = Flag()  # set by an asker who has gone
        self.finished = False
        self._settings, self._ends, self._cancel = settings, ends, cancel
        self._vocabulary = vocabulary
        self._draw = random.Random(settings.seed)
        self._spoken = Spoken(vocabulary.decode)
        self._stops = Stops(settings.stop)
        self._told: list[int] = []
        self._sources, self._state = sources, State()
        self._settled = None if sources is None else Settled(sources)
        self._lookup = lookup

    @property
    def gone(self) -> bool:
        """Whether nobody listens any more."""
        return self._cancel.is_set() or self.left.is_set()

    def next(self, most: int) -> list[int]:
        """What to feed: the token said last and what may follow it, `most` tokens in all at most."""
        most = min(most, self.room - len(self._told))
        guess = self._lookup.proposal(most - 1) if self._lookup is not None and most > 1 else []
        return [self._told[-1], *guess]

    def hear(self, fed: Sequence[int], logits: torch.Tensor) -> int:
        """The logits behind each token that was fed (n, vocabulary). Tokens are said as long as what was fed next is
        what would have been said; gives how many of those fed stand in the text, from the first on."""
        kept = 0
        for at, row in enumerate(logits):
            kept = at + 1
            self._say(self._choose(row))
            if self.finished or at + 1 == len(fed) or fed[at + 1] != self._told[-1]:
                break
        if self._lookup is not None:
            self._lookup.told(len(fed) - 1, kept - 1)
        return kept

    # ── one token ───────────────────────────────────────────────────────────────────────────────────────────────────

    def _choose(self, logits: torch.Tensor) -> int | None:
        """The next token; None when grounding leaves none at all."""
        if self._sources is None:
            return chosen(logits, self._settings, self._draw)
        logits = logits.float().clone()
        for _ in range(TRIES):
            token = chosen(logits, self._settings, self._draw)
            if self._may(token):
                return token
            logits[token] = -torch.inf
        allowed = self._vocabulary.allowed(self._sources, self._state)
        rest = torch.full_like(logits, -torch.inf)
        rest[allowed] = logits[allowed]
        while bool((rest > -torch.inf).any()):
            token = chosen(rest, self._settings, self._draw)
            if self._may(token):
                return token
            rest[token] = -torch.inf
        return None

    def _may(self, token: int) -> bool:
        assert self._sources is not None
        if token in self._ends:
            return self._sources.closed(self._state)
        added = self._spoken.with_one_more(token)
        if not added:  # bytes of a character to come, or nothing
            return self._sources.closed(self._state)
        return self._sources.read(self._state, added) is not None

    def _say(self, token: int | None) -> None:
        if token is None or token in self._ends:
            return self.finish("stop")
        self._told.append(token)
        if self._lookup is not None:
            self._lookup.add(token)
        added = self._spoken.add(token)
        if self._sources is not None:
            state = self._sources.read(self._state, added)
            assert state is not None, "what was chosen may stand there"
            self._state = state
        self._tell(self._stops.feed(self._spoken.text))
        if self._stops.found:
            self.finish("stop")
        elif len(self._told) >= self.room:
            self.finish("length")
        return None

    def _tell(self, text: str) -> None:
        """Pass on some more of the text; where it is grounded no half number or name, which may yet be cut."""
        if self._settled is not None:
            text = self._settled.feed(text)
        if text:
            self.events.put(Text(text))

    # ── the end ─────────────────────────────────────────────────────────────────────────────────────────────────────

    def finish(self, reason: Reason) -> None:
        """Say what was held back, how much it was, and why it ends."""
        if self.finished:
            return
        if not self._stops.found:
            self._tell(self._stops.rest(self._spoken.end()))
        self.events.put(Usage(len(self.prompt), len(self._told)))
        self.events.put(Finish(reason, at_stop=self._stops.found))
        self.finished = True

    def fail(self, error: Exception) -> None:
        """End it by an error, which the asker raises."""
        if not self.finished:
            self.events.put(error)
            self.finished = True
