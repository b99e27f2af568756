"""The flags that say which interactions of the log are meant."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Literal, TypeVar

import click

from rag.cli import options

if TYPE_CHECKING:
    from rag.store.interactions import Query

F = TypeVar("F", bound=Callable[..., object])

_AGO = re.compile(r"(\d+)\s*(m|h|d|w)")
_UNITS = {"m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
SAID = ("good", "bad", "any", "none")  # as in rag.store.log.query, which would import SQLAlchemy; a test compares them
REVIEWED = ("queued", "reviewed", "none")
ORIGINS = ("human", "synthetic", "generated")
COUNTED = (*ORIGINS, "all")  # as in rag.store.dashboard


class Moment(click.ParamType[datetime]):
    """A moment in ISO 8601 (UTC unless it says otherwise), or how long ago: 30m, 12h, 7d, 2w."""

    name = "time"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> datetime:
        if isinstance(value, datetime):
            return value
        text = str(value).strip()
        ago = _AGO.fullmatch(text)
        try:
            if ago:
                return datetime.now(UTC) - timedelta(**{_UNITS[ago[2]]: int(ago[1])})
            moment = datetime.fromisoformat(text)
        except (ValueError, OverflowError):
            self.fail(f"{text!r} is neither a date such as 2026-01-31T12:00 nor a span such as 12h or 7d", param, ctx)
        return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


MOMENT = Moment()


@dataclass(frozen=True, slots=True)
class Chosen:
    """The flags that say which interactions are meant."""

    query: str | None
    model: str | None
    user: str | None
    conversation: str | None
    collection: str | None
    since: datetime | None
    until: datetime | None
    score: tuple[str, ...]
    score_min: float | None
    score_max: float | None
    abstained: bool | None
    failed: bool | None
    replays: bool | None
    template: str | None
    confidence_min: float | None
    confidence_max: float | None
    feedback: Literal["good", "bad", "any", "none"] | None
    review: Literal["queued", "reviewed", "none"] | None
    tag: tuple[str, ...]
    origin: str | None = None  # where a command has a flag for it

    def asked(self) -> "Query":
        """The query. Raises WrongUsage for a score's range that is none."""
        from rag.store.interactions import Query, score_ranges

        return Query(
            text=self.query,
            model=self.model,
            template=self.template,
            user=self.user,
            origin=self.origin,
            conversation_id=self.conversation,
            collection=self.collection,
            since=self.since,
            until=self.until,
            scores=score_ranges(self.score, self.score_min, self.score_max),
            confidence_min=self.confidence_min,
            confidence_max=self.confidence_max,
            abstained=self.abstained,
            failed=self.failed,
            replays=self.replays,
            feedback=self.feedback,
            review_state=self.review,
            tags=self.tag,
        )


origin = click.option("--origin", type=click.Choice(ORIGINS), help="Only questions of this origin.")


def choosing(function: F) -> F:
    """The flags that narrow the log; those given must all hold."""
    for option in (
        click.option("--tag", type=options.TEXT, multiple=True, help="Only those with this tag; may be repeated."),
        click.option("--review", type=click.Choice(REVIEWED), help="Only those in this state of review."),
        click.option("--feedback", type=click.Choice(SAID), help="Only those with such feedback, any or none."),
        click.option("--replays/--no-replays", default=None, help="Only what was run again, or only the others."),
        click.option("--failed/--not-failed", default=None, help="Only questions that failed, or only the others."),
        click.option("--abstained/--answered", default=None, help="Only abstentions, or only answers."),
        click.option("--confidence-max", type=float, help="Highest confidence."),
        click.option("--confidence-min", type=float, help="Lowest confidence."),
        click.option("--score-max", type=float, help="Highest value of --score."),
        click.option("--score-min", type=float, help="Lowest value of --score."),
        click.option(
            "--score",
            type=options.TEXT,
            multiple=True,
            metavar="NAME[:LOW..HIGH]",
            help="Only those with a value of this score, or one in a range; may be repeated.",
        ),
        click.option("--until", type=MOMENT, help="Only before this moment."),
        click.option("--since", type=MOMENT, help="Only from this moment on: 2026-01-31, 12h, 7d."),
        click.option("--collection", type=options.TEXT, metavar="NAME", help="Only questions to this collection."),
        click.option("--conversation", "--cid", type=options.TEXT, metavar="ID", help="Only this conversation."),
        click.option("--user", type=options.TEXT, help="Only this user's questions."),
        click.option(
            "--template", type=options.TEXT, metavar="NAME", help="Only prompts of this template, or NAME@DIGEST."
        ),
        click.option("-m", "--model", type=options.TEXT, help="Only answers of this model."),
        click.option(
            "-q",
            "--query",
            type=options.TEXT,
            metavar="WORDS",
            help='Only with these words in question or answer; "a phrase", the beginning of a wor*.',
        ),
    ):
        function = option(function)
    return function
