"""Found passages are widened to the chunks before and behind them, as far as no other passage stands there; pure."""

from collections.abc import Callable, Sequence
from dataclasses import replace

from rag.store.surroundings import Stretch
from rag.types import Passage

ReadText = Callable[[Sequence[tuple[int, int, int]]], Sequence[str]]
"""The texts of (content, start, end), in their order."""


def widened(passages: Sequence[Passage], around: Sequence[Sequence[Stretch]], read: ReadText) -> list[Passage]:
    """The passages, best first, each with the chunks `around` it, of which it is one.

    The text still is the document's text[start:end]. Passages that were apart stay apart: better ones take what two
    could have, and nothing takes what another one is. Headings stay those of the chunk that was found; the page is
    that of the new beginning.
    """
    taken: dict[int, list[tuple[int, int]]] = {}
    for passage in passages:
        taken.setdefault(passage.content_id, []).append((passage.start, passage.end))
    grown = []
    for passage, stretches in zip(passages, around, strict=True):
        spans = taken[passage.content_id]
        own = (passage.start, passage.end)
        others = list(spans)
        others.remove(own)
        start, end, page = passage.start, passage.end, passage.page
        for stretch in reversed([each for each in stretches if each.start < passage.start]):
            if any(low < start and stretch.start < high for low, high in others):
                break
            start, page = stretch.start, stretch.page
        for stretch in (each for each in stretches if each.end > passage.end):
            if any(low < stretch.end and end < high for low, high in others):
                break
            end = stretch.end
        spans[spans.index(own)] = (start, end)
        grown.append((start, end, page))
    changed = [
        (place, (passage.content_id, start, end))
        for place, (passage, (start, end, _)) in enumerate(zip(passages, grown, strict=True))
        if (start, end) != (passage.start, passage.end)
    ]
    texts = dict(zip((place for place, _ in changed), read([span for _, span in changed]), strict=True))
    return [
        replace(passage, text=texts.get(place, passage.text), start=start, end=end, page=page)
        for place, (passage, (start, end, page)) in enumerate(zip(passages, grown, strict=True))
    ]
