"""Stop strings in a stream: what may be said at once, what must wait, and where the answer ends."""

from collections.abc import Sequence


class Stops:
    """Says each character of a growing text once, up to the first stop string.

    A tail that might still become a stop string is held back until it is known not to.
    """

    def __init__(self, stop: Sequence[str]) -> None:
        self._stop = tuple(one for one in stop if one)
        self._said = 0
        self.found = False

    def feed(self, text: str) -> str:
        """What can be said now, given all of the text so far."""
        return self._say(text, len(text) - max((self._overlap(text, one) for one in self._stop), default=0))

    def rest(self, text: str) -> str:
        """What is left to say when the text is complete."""
        return self._say(text, len(text))

    def _say(self, text: str, until: int) -> str:
        if self.found:
            return ""
        # A stop string may begin in what was held back, never in what was said.
        ends = [at for one in self._stop if (at := text.find(one, self._said)) >= 0]
        if ends:
            self.found, until = True, min(ends)
        said, self._said = text[self._said : until], max(self._said, until)
        return said

    @staticmethod
    def _overlap(text: str, stop: str) -> int:
        """The length of the longest end of the text that begins the stop string."""
        return next((n for n in range(min(len(stop) - 1, len(text)), 0, -1) if text.endswith(stop[:n])), 0)
