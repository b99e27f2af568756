"""`rag compare ask|judge|difference|results|list`: two answers to one question, judged blind, or held side by side."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from rag.cli import options, output
from rag.errors import WrongUsage

if TYPE_CHECKING:
    from rag.app import App
    from rag.experiments.preferences import Shown
    from rag.store.reviews.preferences import Preference

SAID = {"a": "A is better", "b": "B is better", "tie": "both are good", "neither": "both are bad"}
STOP = "stop"

choice = click.option("--choice", type=click.Choice(tuple(SAID)), help="What is better, without being asked.")
comment = click.option("--comment", type=options.TEXT, help="Why.")


@click.group("compare")
@options.common
def command() -> None:
    """Judge two answers to one question without knowing whose they are; show who wins how often."""


@command.command("ask")
@click.argument("question", nargs=-1, required=True, type=options.TEXT)
@click.option(
    "--a", "one", multiple=True, type=options.KEY_VALUE, metavar="SETTING=VALUE", help="How one side answers."
)
@click.option(
    "--b", "other", multiple=True, type=options.KEY_VALUE, metavar="SETTING=VALUE", help="How the other does."
)
@click.option("--open", "named", is_flag=True, help="Not blind: say which is which, and ask for no judgement.")
@options.as_json
@options.common
def ask(
    question: tuple[str, ...],
    one: tuple[tuple[str, str], ...],
    other: tuple[tuple[str, str], ...],
    named: bool,
    json: bool,
) -> None:
    """Put one question to two configurations and show both answers.

    --a and --b may be repeated: --a mode=keyword --b mode=semantic --b passages=4. Which of the two is shown as A is
    as good as random. Both answers are logged.
    """
    from rag.experiments.blind import side_by_side
    from rag.shapes.preferences import pair_json

    if not one and not other:
        raise WrongUsage("the two sides are the same: give --a or --b a SETTING=VALUE, as --b mode=keyword")
    with options.opened(options.settings()) as app:
        shown = side_by_side(app, app.local(), " ".join(question), dict(one), dict(other))
        if json:
            names = {"first": shown.pair.first, "second": shown.pair.second} if named else {}
            output.print_json(pair_json(shown) | names)
            return
        tell(shown)
        if named:
            first_is_a = shown.a.id == shown.pair.first_id
            a, b = (shown.pair.first, shown.pair.second) if first_is_a else (shown.pair.second, shown.pair.first)
            output.say(f"A is {output.one_line(a)}; B is {output.one_line(b)}")
        elif output.is_terminal():
            _judged(app, shown, None)
        else:
            output.say(f"judge them: rag compare judge {shown.pair.first_id} {shown.pair.second_id} --choice a")


@command.command("judge")
@click.argument("named", nargs=-1, required=True, type=options.TEXT, metavar="EXPERIMENT | ID ID")
@choice
@comment
@options.as_json
@options.common
def judge(named: tuple[str, ...], choice: str | None, comment: str | None, json: bool) -> None:
    """Judge pairs of an experiment's answers, one after the other, or the answers of two interactions.

    The names of the configurations are told when a pair is judged.
    """
    from rag.experiments.blind import following, judge, shown
    from rag.shapes.preferences import pair_json, preference_json
    from rag.store import experiments as store

    if len(named) > 2 or (len(named) == 1 and choice is not None):
        raise WrongUsage("name an experiment, whose pairs are shown one by one, or two interactions")
    with options.opened(options.settings()) as app:
        asker = app.local()
        if len(named) == 2:
            pair = shown(app, asker, *named)
            if choice is None and json:
                output.print_json(pair_json(pair))
            elif choice is None:
                tell(pair)
                _judged(app, pair, comment)
            else:
                kept = judge(app, asker, pair.pair.first_id, pair.pair.second_id, choice, comment)
                if json:
                    output.print_json(preference_json(kept))
                else:
                    tell_judged(kept)
            return
        with app.database.read() as connection:
            experiment = store.get(connection, asker.tenant_id, named[0])
        found = following(app, asker, experiment)
        if json:
            output.print_json({"pair": None if found is None else pair_json(found)})
            return
        while found is not None:
            tell(found)
            if not _judged(app, found, comment):
                return
            found = following(app, asker, experiment)
    output.say("every pair of this experiment is judged: rag compare results " + output.one_line(named[0]))


@command.command("difference")
@click.argument("later", type=options.TEXT, metavar="ID")
@click.argument("earlier", required=False, type=options.TEXT, metavar="[EARLIER]")
@options.as_json
@options.common
def difference(later: str, earlier: str | None, json: bool) -> None:
    """Show how a logged answer differs from an EARLIER one: passages and why, words, scores, time.

    Without EARLIER from the one that it replays. Nothing is asked again; `rag replay` does that.
    """
    from rag.cli import replay
    from rag.experiments.differences import difference as differs
    from rag.shapes.replays import difference_json
    from rag.store import interactions as store

    with options.opened(options.settings()) as app:
        asker = app.local()
        with app.database.read() as connection:
            second = store.get(connection, asker.tenant_id, later)
            if earlier is None and second.replays_id is None:
                raise WrongUsage(f"interaction {second.id} replays none: name the one to compare it with")
            first = store.get(connection, asker.tenant_id, earlier or second.replays_id or "")
        found = differs(app.database, app.access, first, second, asker)
    if json:
        output.print_json(difference_json(found))
    else:
        replay.tell(found)


@command.command("results")
@click.argument("experiment", required=False, type=options.TEXT, metavar="[EXPERIMENT]")
@click.option("--user", type=options.TEXT, help="Only this person's judgements.")
@options.as_json
@options.common
def results(experiment: str | None, user: str | None, json: bool) -> None:
    """Show how often each configuration wins: of an experiment, or of all that was judged."""
    from rag.experiments.preferences import rates, strengths
    from rag.shapes.preferences import rates_json
    from rag.store import experiments as experiment_store
    from rag.store.reviews import preferences as store

    with options.opened(options.settings()) as app:
        tenant_id = app.tenant_id
        with app.database.read() as connection:
            kept = None if experiment is None else experiment_store.get(connection, tenant_id, experiment)
            tally = store.tally(connection, tenant_id, experiment_id=None if kept is None else kept.id, user=user)
    pairs, standing = rates(tally), strengths(tally)
    if json:
        output.print_json(rates_json(pairs, standing))
        return
    if not pairs:
        output.say("nothing was judged yet: rag compare judge EXPERIMENT")
        return
    cells = [
        (
            output.one_line(each.first, 40),
            output.one_line(each.second, 40),
            str(each.wins),
            str(each.losses),
            str(each.ties),
            str(each.neither),
            "–" if each.share is None else f"{each.share:.2f}",
            "" if each.low is None else f"[{each.low:.2f}, {each.high:.2f}]",
        )
        for each in pairs
    ]
    headings = ["this", "against", "won", "lost", "both good", "both bad", "share", "95 % interval"]
    output.table(headings, cells, right=range(2, 8))
    if len(standing) > 2:
        output.say()
        rows = [
            (
                output.one_line(each.name, 40),
                f"{each.share:.2f}",
                f"[{each.low:.2f}, {each.high:.2f}]",
                str(each.judged),
            )
            for each in standing
        ]
        output.table(["configuration", "wins against any", "95 % interval", "judged"], rows, right=[1, 2, 3])


@command.command("list")
@options.most(20)
@options.as_json
@options.common
def listing(limit: int, json: bool) -> None:
    """List the judgements, the newest first."""
    from rag.shapes.preferences import preference_json
    from rag.store.reviews import preferences as store

    with options.opened(options.settings()) as app:
        tenant_id = app.tenant_id
        with app.database.read() as connection:
            found = store.listing(connection, tenant_id, limit=limit)
    if json:
        output.print_json({"preferences": [preference_json(each) for each in found]})
        return
    if not found:
        output.say("nothing was judged yet: rag compare judge EXPERIMENT")
        return
    cells = [
        (
            str(each.id),
            output.one_line(each.first, 30),
            output.one_line(each.second, 30),
            each.choice,
            output.one_line(each.user, 20),
            output.one_line(each.question, 50),
        )
        for each in found
    ]
    output.table(["id", "first", "second", "better", "judged by", "question"], cells, right=[0])


# ── what people read ────────────────────────────────────────────────────────────────────────────────────────────────


def tell(shown: "Shown") -> None:
    """The question and both answers."""
    output.say(f"{output.strong('Question')}  {output.one_line(shown.question)}")
    for name, entry in (("A", shown.a), ("B", shown.b)):
        output.say()
        output.say(output.strong(name))
        said = "" if entry.answer is None else entry.answer.text
        output.say(output.safe(said) if said else output.one_line(f"no answer: {entry.error or 'it says nothing'}"))
    output.say()


def _judged(app: "App", shown: "Shown", comment: str | None) -> bool:
    """Ask what is better and keep it; False where it was enough."""
    from rag.experiments.blind import judge

    answers: Sequence[str] = (*SAID, STOP)
    said = click.prompt("Which is better?", type=click.Choice(answers), show_choices=True)
    if said == STOP:
        return False
    tell_judged(judge(app, app.local(), shown.pair.first_id, shown.pair.second_id, said, comment))
    output.say()
    return True


def tell_judged(kept: "Preference") -> None:
    """What was kept, and whose answers they were."""
    a, b = (kept.second, kept.first) if kept.swapped else (kept.first, kept.second)
    better = {"first": kept.first, "second": kept.second, "tie": "both", "neither": "none"}[kept.choice]
    output.say(f"kept: {output.one_line(better)} (A was {output.one_line(a)}, B was {output.one_line(b)})")
