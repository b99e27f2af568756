"""An answer as a page shows it: its sentences with their verdicts, its markers as links into documents. Pure."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from rag.answers.claims import marked_numbers, markers
from rag.types import Answer, Citation, Interaction, Passage, Verdict

ORDER: tuple[Verdict, ...] = ("supported", "partly", "contradicted", "unsupported")  # the first that a sentence has


@dataclass(frozen=True, slots=True)
class Part:
    """Some text, as a link where it points to a passage."""

    text: str
    href: str | None = None
    about: str = ""  # the passage's title


@dataclass(frozen=True, slots=True)
class Evidence:
    """What one passage says of a sentence."""

    number: int | None  # of the passage, from 1; None where no passage has anything of the sentence
    verdict: Verdict
    support: float
    quote: str
    reasons: tuple[str, ...]
    href: str | None
    title: str


@dataclass(frozen=True, slots=True)
class Sentence:
    number: int  # in the answer, from 1
    text: str
    verdict: Verdict
    evidence: tuple[Evidence, ...]


@dataclass(frozen=True, slots=True)
class Segment:
    """A stretch of an answer: a sentence that was checked, or what stands between two."""

    parts: tuple[Part, ...]
    sentence: Sentence | None


def segments(interaction: Interaction) -> tuple[Segment, ...]:
    """The answer's whole text in order, cut at its checked sentences; empty where there is no answer."""
    answer = interaction.answer
    if answer is None:
        return ()
    found: list[Segment] = []
    at = 0
    for sentence, start, end in _sentences(answer, interaction.passages):
        if start > at:
            found.append(Segment(_parts(answer, interaction.passages, at, start), None))
        found.append(Segment(_parts(answer, interaction.passages, start, end), sentence))
        at = end
    if at < len(answer.text):
        found.append(Segment(_parts(answer, interaction.passages, at, len(answer.text)), None))
    return tuple(found)


def sentences(shown: Sequence[Segment]) -> list[Sentence]:
    """The checked sentences among the segments of an answer."""
    return [segment.sentence for segment in shown if segment.sentence is not None]


def tally(checked: Sequence[Sentence]) -> dict[Verdict, int]:
    """How many sentences have which verdict; verdicts that none has are left out."""
    counted = {verdict: sum(each.verdict == verdict for each in checked) for verdict in ORDER}
    return {verdict: count for verdict, count in counted.items() if count}


def passage_href(passage: Passage, start: int | None = None, end: int | None = None) -> str:
    """Where a passage, or a quote in it, is shown in its document."""
    begin, stop = (passage.start, passage.end) if start is None or end is None else (start, end)
    return f"/documents/{passage.places[0].document_id}?at={begin}-{stop}#at"


def _sentences(answer: Answer, passages: Sequence[Passage]) -> Iterator[tuple[Sentence, int, int]]:
    spans: dict[tuple[int, int], list[Citation]] = {}
    for citation in answer.citations:
        spans.setdefault((citation.start, citation.end), []).append(citation)
    at = 0
    for number, ((start, end), cited) in enumerate(sorted(spans.items()), 1):
        if start < at or end > len(answer.text):
            continue  # a log of another version: what overlaps cannot be shown beside each other
        at = end
        best = min((citation.verdict for citation in cited), key=ORDER.index)
        evidence = tuple(_evidence(citation, passages) for citation in cited)
        yield Sentence(number, answer.text[start:end], best, evidence), start, end


def _evidence(citation: Citation, passages: Sequence[Passage]) -> Evidence:
    passage = None if citation.passage is None else passages[citation.passage - 1]
    return Evidence(
        citation.passage,
        citation.verdict,
        citation.support,
        citation.quote,
        tuple(reason.text for reason in citation.reasons),
        None if passage is None else passage_href(passage, citation.quote_start, citation.quote_end),
        "" if passage is None else passage.title,
    )


def _parts(answer: Answer, passages: Sequence[Passage], start: int, end: int) -> tuple[Part, ...]:
    """The text between two places of an answer, its markers as links: to the words that were quoted for the sentence
    before, else to the passage. A number that no passage has is text."""
    found: list[Part] = []
    at = start
    for match in markers(answer.text, [passage.text for passage in passages]):
        if not start <= match.start() < end:
            continue
        if match.start() > at:
            found.append(Part(answer.text[at : match.start()]))
        for number in marked_numbers(match.group()):
            if not 1 <= number <= len(passages):
                found.append(Part(f"[{number}]"))
                continue
            passage = passages[number - 1]
            quoted = [
                citation
                for citation in answer.citations
                if citation.passage == number and citation.start <= match.start() and citation.quote_start is not None
            ]
            span = (quoted[-1].quote_start, quoted[-1].quote_end) if quoted else (None, None)
            found.append(Part(str(number), passage_href(passage, *span), passage.title))
        at = match.end()
    if at < end:
        found.append(Part(answer.text[at:end]))
    return tuple(found)
