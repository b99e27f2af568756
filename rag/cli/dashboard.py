"""`rag dashboard`: the log in figures, drift of the questions, new topics, and what to write next."""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, TypeVar

import click

from rag.cli import options, output
from rag.cli.choosing import COUNTED, MOMENT

if TYPE_CHECKING:
    from rag.insight.figures import Dashboard, Figures
    from rag.insight.intervals import Share
    from rag.insight.topics import Drifted, Topics
    from rag.store.dashboard import Counted

F = TypeVar("F", bound=Callable[..., object])


def between(function: F) -> F:
    """The flags that say which period is meant."""
    for option in (
        click.option("--until", type=MOMENT, help="Only before this moment.  [default: the end of today]"),
        click.option("--since", type=MOMENT, help="Only from this moment on: 2026-01-31, 12h, 7d.  [default: 30 days]"),
    ):
        function = option(function)
    return function


origin = click.option(
    "--origin",
    type=click.Choice(COUNTED),
    default="human",
    show_default=True,
    help="Whose questions count: those of one origin, without replays; or all that the log has.",
)
before = click.option("--before", type=MOMENT, help="Begin of the period to compare with.  [default: as long before]")


@click.group("dashboard", invoke_without_command=True)
@between
@click.option("--collection", type=options.TEXT, metavar="NAME", help="Only questions to this collection.")
@click.option("-m", "--model", type=options.TEXT, help="Only answers of this model.")
@click.option("--template", type=options.TEXT, metavar="NAME@DIGEST", help="Only answers by this prompt template.")
@origin
@options.as_json
@options.common
@click.pass_context
def command(
    context: click.Context,
    /,
    since: datetime | None,
    until: datetime | None,
    collection: str | None,
    model: str | None,
    template: str | None,
    origin: "Counted",
    json: bool,
) -> None:
    """Show the log in figures: questions, users, latency, tokens, scores.

    As a whole, over time, and by collection, model and template. Loads no model.
    """
    if context.invoked_subcommand is not None:
        return
    from rag.insight.figures import Chosen, of_log, period

    begin, end = period(since, until)
    with options.opened(options.settings()) as app:
        found = of_log(app.spans(), app.tenant_id, begin, end, Chosen(collection, model, template, origin))
    if json:
        from rag.shapes.dashboard import dashboard_json

        output.print_json(dashboard_json(found))
    else:
        _tell(found)


@command.command("drift")
@between
@before
@options.collection
@origin
@options.as_json
@options.common
def drift(
    since: datetime | None,
    until: datetime | None,
    before: datetime | None,
    collection: str | None,
    origin: "Counted",
    json: bool,
) -> None:
    """Say whether questions drift away from the corpus.

    The share of questions whose nearest passage is farther than 95 of 100 answered ones of the period before. Loads no
    model.
    """
    from rag.insight import topics
    from rag.insight.figures import period

    begin, end = period(since, until)
    earlier = topics.reference(begin, end, before)
    with options.opened(options.settings(collection=collection)) as app:
        found = topics.drifted(app.database, app.tenant_id, app.settings.collection, earlier, begin, end, origin)
    if json:
        from rag.shapes.dashboard import drift_json

        output.print_json(drift_json(found))
    else:
        _tell_drift(found)


@command.command("topics")
@between
@before
@options.collection
@origin
@options.as_json
@options.common
def new_topics(
    since: datetime | None,
    until: datetime | None,
    before: datetime | None,
    collection: str | None,
    origin: "Counted",
    json: bool,
) -> None:
    """Show topics of questions that nobody asked before."""
    from rag.insight import topics
    from rag.insight.figures import period

    begin, end = period(since, until)
    earlier = topics.reference(begin, end, before)
    with options.opened(options.settings(collection=collection)) as app:
        found = topics.new_topics(app.opened(), app.question_vectors(), app.local(), earlier, begin, end, origin)
    if json:
        from rag.shapes.dashboard import new_topics_json

        output.print_json(new_topics_json(found))
    elif found.limit is None:
        _tell_counted(found.topics.counted, found.topics.others)
        output.say(f"too few older questions to tell: {found.older}, and {topics.ENOUGH} different ones are needed")
    else:
        _tell_topics(found.topics, "")


@command.command("unanswered")
@between
@options.collection
@origin
@options.as_json
@options.common
def unanswered(
    since: datetime | None, until: datetime | None, collection: str | None, origin: "Counted", json: bool
) -> None:
    """Show what to write next: questions that were not answered well, by topic.

    Those that were refused, rated bad, or whose faithfulness is below 0.5.
    """
    from rag.insight import topics
    from rag.insight.figures import period

    begin, end = period(since, until)
    with options.opened(options.settings(collection=collection)) as app:
        found = topics.unanswered(app.opened(), app.question_vectors(), app.local(), begin, end, origin)
    if json:
        from rag.shapes.dashboard import topics_json

        output.print_json(topics_json(found))
    else:
        _tell_topics(found, " not answered well")


# ── for people ──────────────────────────────────────────────────────────────────────────────────────────────────────


def _tell(found: "Dashboard") -> None:
    days = f"{found.since:%Y-%m-%d %H:%M} to {found.until:%Y-%m-%d %H:%M} UTC"
    total = found.total
    output.say(f"{output.strong(days)}")
    _tell_counted(found.counted, found.others)
    if not total.questions:
        output.say("nothing was asked then")
        return
    for name, value in (
        ("questions", f"{total.questions:,} by {output.counted(total.users, 'user')}"),
        ("refused", _share(total.refused)),
        ("failed", _share(total.failed)),
        ("tokens", f"{total.prompt_tokens:,} of prompts, {total.completion_tokens:,} of answers"),
        ("ratings", f"{total.good:,} good, {total.bad:,} bad"),
    ):
        output.say(f"{output.faint(f'{name:<12}')}{value}")
    if total.scores:
        output.say()
        rows = [
            (
                output.one_line(name, 40),
                f"{one.n:,}",
                f"{one.value:.3f}",
                "–" if one.low is None or one.high is None else f"[{one.low:.3f}, {one.high:.3f}]",
            )
            for name, one in total.scores.items()
        ]
        output.table(["score", "n", "mean", "95 % interval"], rows, right=[1, 2, 3])
    output.say()
    taken = [(stage, f"{one.n:,}", f"{one.p50:.1f}", f"{one.p95:.1f}") for stage, one in total.stages.items()]
    output.table(["stage", "n", "p50 ms", "p95 ms"], taken, right=[1, 2, 3])
    _figures(found.step, {f"{point.since:%Y-%m-%d %H:%M}": point.figures for point in found.over_time})
    for what, those in (
        ("collection", found.by_collection),
        ("model", found.by_model),
        ("template", found.by_template),
    ):
        _figures(what, those)


def _tell_counted(counted: "Counted", others: int) -> None:
    """Whose questions count, where that is not plain."""
    told = {"human": "what people asked", "all": "all questions, replays too"}.get(counted, f"{counted} questions")
    if others:
        output.say(output.faint(f"counted: {told}; {output.counted(others, 'other')} not (--origin all counts them)"))
    elif counted != "human":
        output.say(output.faint(f"counted: {told}"))


def _figures(what: str, those: "Mapping[str, Figures]") -> None:
    output.say()
    rows = [
        (
            output.one_line(name, 32),
            f"{one.questions:,}",
            f"{one.users:,}",
            "–" if one.refused is None else f"{one.refused.count:,}",
            "–" if one.failed is None else f"{one.failed.count:,}",
            *(
                ("–", "–")
                if "total" not in one.stages
                else (f"{one.stages['total'].p50:.0f}", f"{one.stages['total'].p95:.0f}")
            ),
            f"{one.good:,}",
            f"{one.bad:,}",
        )
        for name, one in those.items()
    ]
    headings = [what, "questions", "users", "refused", "failed", "p50 ms", "p95 ms", "good", "bad"]
    output.table(headings, rows, right=range(1, len(headings)))


def _share(found: "Share | None") -> str:
    if found is None:
        return "–"
    return f"{found.count:,} of {found.n:,}: {found.value:.1%} [{found.low:.1%}, {found.high:.1%}]"


def _tell_drift(found: "Drifted") -> None:
    drift = found.drift
    _tell_counted(found.counted, found.others)
    output.say(
        f"{output.counted(found.questions, 'question')}; {found.measured:,} of {found.read:,} read have a cosine, and "
        f"{found.measured_before:,} of {found.read_before:,} before"
    )
    if drift is None:
        from rag.insight.drift import ENOUGH

        output.say(f"too few questions to tell: {ENOUGH} are needed now, and as many answered ones before")
        return
    output.say(f"out: the nearest passage has a cosine below {drift.limit:.3f}")
    output.say(f"before  {_share(drift.before)}")
    output.say(f"now     {_share(drift.now)}")
    change = drift.change
    told = "more than before" if change.low > 0 else "less than before" if change.high < 0 else "no clear difference"
    output.say(f"change  {change.value:+.1%} [{change.low:+.1%}, {change.high:+.1%}]: {told}")
    output.say()
    rows = [
        (
            f"{point.since:%Y-%m-%d %H:%M}",
            "–" if point.out is None else f"{point.out.n:,}",
            "–" if point.out is None else f"{point.out.value:.1%}",
            "–" if point.median is None else f"{point.median:.3f}",
        )
        for point in drift.points
    ]
    output.table([drift.step, "questions", "out", "median cosine"], rows, right=[1, 2, 3])
    if drift.farthest:
        output.say()
        far = [(one.id, f"{one.cosine:.3f}", output.one_line(one.text, 60)) for one in drift.farthest]
        output.table(["farthest", "cosine", "question"], far, right=[1])


def _tell_topics(found: "Topics", what: str) -> None:
    _tell_counted(found.counted, found.others)
    output.say(f"{output.counted(found.questions, 'question')}{what}, {found.read:,} read, {found.alone:,} in no topic")
    for topic in found.topics:
        output.say()
        reasons = topic.reasons
        why = [
            f"{count:,} {name}"
            for count, name in ((reasons.refused, "refused"), (reasons.bad, "rated bad"), (reasons.low, "scored low"))
            if count
        ]
        label = output.one_line(" · ".join(topic.label), 60)
        output.say(f"{output.strong(label)}  {output.faint(_listed([output.counted(topic.size, 'question'), *why]))}")
        for one in topic.examples:
            output.say(f"  {one.id}  {output.one_line(one.text, 66)}")
        if topic.closest is not None:
            near = topic.closest
            uri = output.shown_uri(near.places[0].uri)
            output.say("  " + output.faint(f"closest: {output.one_line(near.title, 40)} ({uri}), {near.hit.score:.2f}"))


def _listed(parts: Sequence[str]) -> str:
    return ", ".join(parts)
