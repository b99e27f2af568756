"""What the address of the page Log asks for, as a query of the log, and back again; pure."""

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from datetime import UTC, datetime
from typing import Annotated

from fastapi import Depends

from rag.api.pages.rendering import query
from rag.api.requests import utc
from rag.errors import WrongUsage
from rag.store import interactions as store
from rag.store.interactions import ScoreRange

OUTCOMES: Mapping[str, tuple[bool | None, bool | None]] = {  # abstained, failed
    "": (None, None),
    "answered": (False, False),
    "refused": (True, None),
    "failed": (None, True),
}
SAID = ("", "good", "bad", "any", "none")
REVIEWS = ("", "queued", "reviewed", "none")
REPLAYS: Mapping[str, bool | None] = {"": None, "no": False, "only": True}


@dataclass(frozen=True, slots=True)
class Asked:
    """The fields of the page's form, as they were typed."""

    text: str = ""
    outcome: str = ""
    model: str = ""
    template: str = ""
    collection: str = ""
    user: str = ""
    origin: str = ""
    replays: str = ""
    conversation: str = ""
    since: str = ""
    until: str = ""
    score: str = ""
    score_min: str = ""
    score_max: str = ""
    confidence_min: str = ""
    confidence_max: str = ""
    feedback: str = ""
    review: str = ""
    tag: str = ""

    def given(self) -> dict[str, object]:
        """What is not empty, by name."""
        return {field.name: value for field in fields(self) if (value := str(getattr(self, field.name)).strip())}

    def href(self, **more: str) -> str:
        """The address that asks for this and more."""
        return "/log" + query(self.given() | dict[str, object](more))

    def without(self, *names: str) -> str:
        """The address that asks for this but for what these fields say."""
        return replace(self, **dict.fromkeys(names, "")).href()

    def chips(self) -> list[tuple[str, str]]:
        """What is asked for in words, each with the address without it."""
        found = []
        for name, value in self.given().items():
            if name not in ("score_min", "score_max"):
                others = ("score_min", "score_max") if name == "score" else ()
                found.append((self._said(name, str(value)), self.without(name, *others)))
        return found

    def _said(self, name: str, value: str) -> str:
        match name:
            case "text":
                return f"says {value}"
            case "outcome":
                return value
            case "score":
                bounds = " to ".join((self.score_min or "…", self.score_max or "…"))
                return f"{value} {bounds}" if self.score_min or self.score_max else f"has {value}"
            case "feedback":
                return {"good": "rated good", "bad": "rated bad", "any": "with feedback", "none": "without feedback"}[
                    value
                ]
            case "review":
                return {"queued": "waits for review", "reviewed": "reviewed", "none": "not reviewed"}[value]
            case "replays":
                return {"no": "no replays", "only": "replays"}[value]
            case "since" | "until":
                return f"{'from' if name == 'since' else 'before'} {value.replace('T', ' ').removesuffix('Z')} UTC"
            case "confidence_min" | "confidence_max":
                return f"confidence {'from' if name == 'confidence_min' else 'to'} {value}"
        return f"{name} {value}"

    def query(self) -> store.Query:
        """The query of the log. Raises WrongUsage for what is none."""
        for name, value, known in (
            ("outcome", self.outcome, tuple(OUTCOMES)),
            ("feedback", self.feedback, SAID),
            ("review", self.review, REVIEWS),
            ("replays", self.replays, tuple(REPLAYS)),
        ):
            if value not in known:
                raise WrongUsage(f"{name} is one of {', '.join(known[1:])}, not {value[:40]!r}")
        if not self.score and (self.score_min or self.score_max):
            raise WrongUsage("a lowest or highest score needs the name of the score")
        abstained, failed = OUTCOMES[self.outcome]
        bounds = (_number("score", self.score_min), _number("score", self.score_max))
        return store.query_value(
            {
                name: value
                for name, value in {
                    "text": self.text,
                    "abstained": abstained,
                    "failed": failed,
                    "model": self.model,
                    "template": self.template,
                    "collection": self.collection,
                    "user": self.user,
                    "origin": self.origin,
                    "replays": REPLAYS[self.replays],
                    "conversation_id": self.conversation,
                    "since": _moment("from", self.since),
                    "until": _moment("before", self.until),
                    "scores": [{"name": self.score, "least": bounds[0], "most": bounds[1]}] if self.score else None,
                    "confidence_min": _number("confidence", self.confidence_min),
                    "confidence_max": _number("confidence", self.confidence_max),
                    "feedback": self.feedback,
                    "review_state": self.review,
                    "tags": [each.strip() for each in self.tag.split(",") if each.strip()],
                }.items()
                if value not in (None, "", [])
            }
        )


def of_query(kept: store.Query) -> Asked:
    """The fields that ask for a query of the log, as far as the page has fields for it."""
    outcome = (
        "failed" if kept.failed else "refused" if kept.abstained else "answered" if kept.abstained is False else ""
    )
    one = kept.scores[0] if kept.scores else ScoreRange("")
    return Asked(
        text=kept.text or "",
        outcome=outcome,
        model=kept.model or "",
        template=kept.template or "",
        collection=kept.collection or "",
        user=kept.user or "",
        origin=kept.origin or "",
        replays=next(name for name, meant in REPLAYS.items() if meant is kept.replays),
        conversation=kept.conversation_id or "",
        since=_typed(kept.since),
        until=_typed(kept.until),
        score=one.name,
        score_min="" if one.least is None else f"{one.least:g}",
        score_max="" if one.most is None else f"{one.most:g}",
        confidence_min="" if kept.confidence_min is None else f"{kept.confidence_min:g}",
        confidence_max="" if kept.confidence_max is None else f"{kept.confidence_max:g}",
        feedback=kept.feedback or "",
        review=kept.review_state or "",
        tag=", ".join(kept.tags),
    )


def _typed(moment: datetime | None) -> str:
    return "" if moment is None else f"{moment.astimezone(UTC):%Y-%m-%dT%H:%M:%S}"


def _moment(name: str, text: str) -> str | None:
    """A day or moment in UTC, as the log takes it. Raises WrongUsage."""
    if not text:
        return None
    try:
        at = datetime.fromisoformat(text)
    except ValueError as error:
        raise WrongUsage(f"{name}: {text[:40]!r} is no moment such as 2026-01-31T12:00") from error
    found = utc(at)
    return None if found is None else found.isoformat()


def _number(name: str, text: str) -> float | None:
    """A finite number. Raises WrongUsage."""
    if not text:
        return None
    try:
        value = float(text)
    except ValueError:
        value = float("nan")
    if value != value or abs(value) == float("inf"):
        raise WrongUsage(f"{name}: {text[:40]!r} is no number")
    return value


Wanted = Annotated[Asked, Depends()]
