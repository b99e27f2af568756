"""What a sample of a format is."""

from dataclasses import dataclass

PHRASES = ("Tidal turbines", "harvest the moon", "Nørrebro")
"""Words that every sample holds."""


@dataclass(frozen=True, slots=True)
class Sample:
    name: str
    content: bytes
    title: str  # of its first document
    documents: int = 1
    media_type: str | None = None  # as a sender says it, where neither name nor bytes tell
    phrases: tuple[str, ...] = PHRASES
    program: str | None = None  # that must be on the path for it to be read
