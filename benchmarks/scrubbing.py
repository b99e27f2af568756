"""What scrubbing finds of labelled personal data, and what it takes that nobody labelled.

    python -m benchmarks.scrubbing [FOLDER]

FOLDER holds examples.jsonl (text, spans), as ../shared/data/pii-presidio-even. A labelled span is found when every one
of its letters and digits is inside what was taken, of whatever kind: what matters is that it is gone. Taken wrongly is
what overlaps no labelled span of any kind.
"""

import json
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rag.scrubbing import KINDS, Found, Kind, find

HERE = Path(__file__).resolve().parents[1].parent / "shared" / "data" / "pii-presidio-even"
KIND_OF = {
    "EMAIL_ADDRESS": "email",
    "PHONE_NUMBER": "phone",
    "CREDIT_CARD": "card",
    "IBAN_CODE": "iban",
    "US_SSN": "ssn",
    "IP_ADDRESS": "ip",
    "DOMAIN_NAME": "url",
    "PERSON": "name",
    "STREET_ADDRESS": "address",
}


@dataclass(frozen=True, slots=True)
class Measured:
    """One kind over all texts."""

    labelled: int
    found: int
    taken: int  # spans
    wrongly: int  # of these: overlap nothing that is labelled
    otherwise: int  # of these: overlap only what is labelled as another kind
    missed: tuple[str, ...]

    @property
    def recall(self) -> float | None:
        return self.found / self.labelled if self.labelled else None

    @property
    def precision(self) -> float | None:
        return 1 - self.wrongly / self.taken if self.taken else None


def measure(lines: Sequence[dict[str, object]]) -> dict[Kind, Measured]:
    """Each kind, measured with all others switched on."""
    counts = {kind: [0, 0, 0, 0, 0] for kind in KINDS}
    missed: dict[str, list[str]] = {kind: [] for kind in KINDS}
    for line in lines:
        text, spans = str(line["text"]), line["spans"]
        assert isinstance(spans, list)
        taken = find(text)
        gone = {place for one in taken for place in range(one.start, one.end)}
        for span in spans:
            kind = KIND_OF.get(span["type"])
            if kind is None:
                continue
            counts[kind][0] += 1  # type: ignore[index]
            inside = all(place in gone for place in range(span["start"], span["end"]) if text[place].isalnum())
            counts[kind][1] += inside  # type: ignore[index]
            if not inside:
                missed[kind].append(text[max(0, span["start"] - 30) : span["end"] + 10])
        for one in taken:
            of = {KIND_OF.get(span["type"]) for span in spans if _overlap(one, span)}
            counts[one.kind][2] += 1
            counts[one.kind][3] += not of
            counts[one.kind][4] += bool(of) and one.kind not in of
    return {kind: Measured(*counts[kind], tuple(missed[kind])) for kind in KINDS}


def _overlap(one: Found, span: dict[str, int]) -> bool:
    return one.start < span["end"] and span["start"] < one.end


def main() -> None:
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else HERE
    lines = [json.loads(line) for line in (folder / "examples.jsonl").read_text(encoding="utf-8").splitlines()]
    began = time.process_time()
    found = measure(lines)
    took = time.process_time() - began
    characters = sum(len(line["text"]) for line in lines)
    print(f"{len(lines):,} texts, {characters:,} characters, {took:.2f} s of processor time")
    print("| kind | labelled | recall | taken | overlaps nothing labelled | only of another kind |")
    print("|---|---|---|---|---|---|")
    for kind, one in found.items():
        recall = "–" if one.recall is None else f"{one.recall:.3f}"
        print(f"| {kind} | {one.labelled} | {recall} | {one.taken} | {one.wrongly} | {one.otherwise} |")
    if "--missed" in sys.argv:
        for kind, one in found.items():
            for text in one.missed:
                print(f"{kind}: {text!r}")


if __name__ == "__main__":
    main()
