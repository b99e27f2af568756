"""`rag logs verify`, `rag logs prune` and `rag logs erase`: that the log says what was said, and for how long."""

from typing import TYPE_CHECKING

import click

from rag.cli import options, output
from rag.cli.choosing import Chosen, choosing, origin

if TYPE_CHECKING:
    from rag.store.log.forgetting import Forgotten

BAD = 1

yes = click.option("--yes", is_flag=True, help="Do it; without, say what would be done.")


@click.command("verify")
@options.as_json
@options.common
def verify(json: bool) -> int:
    """Derive every digest of the log anew: prompts, words, shared texts, passages, templates.

    Exit code 1 says that something is not what it was when it was logged.
    """
    from rag.shapes.interactions import proof_json
    from rag.store.log import proofs

    with options.opened(options.settings()) as app:
        found = proofs.verify(app.database, app.local().tenant_id)
    if json:
        output.print_json(proof_json(found))
        return 0 if found.sound else BAD
    for part in found.parts:
        mark = output.good("ok") if not part.wrong else output.bad("WRONG")
        lacking = f", {part.unproved:,} without a digest or erased" if part.unproved else ""
        output.say(f"{mark}  {part.name}: {part.checked:,} checked{lacking}")
        for each in part.wrong:
            output.say(f"    {output.one_line(each)}")
    return 0 if found.sound else BAD


@click.command("prune")
@click.option("--days", type=click.IntRange(1), help="Older ones go.  [default: the setting log_retention_days]")
@yes
@options.as_json
@options.common
def prune(days: int | None, yes: bool, json: bool) -> None:
    """Delete what is older than the log is kept: interactions with their scores, feedback, tags and reviews.

    Nothing is deleted without --yes. The audit trail keeps who, when and how many.
    """
    from rag.store import interactions as store
    from rag.store.log import forgetting

    chosen = options.settings()
    kept = chosen.log_retention_days if days is None else days
    query = forgetting.overdue(kept)
    with options.opened(chosen) as app:
        asker = app.local()
        if yes:
            done = forgetting.prune(app.database, asker.tenant_id, kept, actor=asker.user)
        else:
            with app.database.read() as connection:
                done = store.count(connection, asker.tenant_id, query)
    if json:
        output.print_json({"days": kept, "interactions": done, "deleted": yes})
    elif yes:
        output.say(f"{output.counted(done, 'interaction')} older than {output.counted(kept, 'day')} deleted")
    else:
        older = f"older than {output.counted(kept, 'day')}"
        output.say(f"would delete {output.counted(done, 'interaction')} {older}, with all that was said of them")
        output.note("nothing was deleted: add --yes")


@click.command("erase")
@click.argument("interaction_ids", metavar="[ID]...", nargs=-1, type=options.TEXT)
@choosing
@origin
@yes
@options.as_json
@options.common
def erase(interaction_ids: tuple[str, ...], yes: bool, json: bool, **narrowed: object) -> None:
    """Blank the words of interactions: those named, or those that all of the filters mean.

    Question, answer, prompt and all that scorers, feedback and reviews say in words go for good, of their replays
    too; figures, digests and the places of passages stay. Versions of datasets and runs of evaluations that hold some
    of them are named: they keep what they hold until they are removed. Nothing is erased without --yes. The audit
    trail keeps who, when and how many.
    """
    from rag.errors import WrongUsage
    from rag.store.interactions import Query
    from rag.store.log import forgetting

    query = Chosen(**narrowed).asked()  # type: ignore[arg-type]
    if interaction_ids and query != Query():
        raise WrongUsage("name interactions, or give filters, not both")
    with options.opened(options.settings()) as app:
        asker = app.local()
        with app.database.read() as connection:
            ids = forgetting.erasable(connection, asker.tenant_id, query, interaction_ids)
            found = forgetting.told(connection, asker.tenant_id, ids)
        done = forgetting.erase(app.database, asker.tenant_id, ids, actor=asker.user, asked=query) if yes else 0
    if json:
        output.print_json(
            {
                "interactions": found.interactions,
                "erased": done,
                "datasets": list(found.datasets),
                "runs": list(found.runs),
            }
        )
        return
    output.say(f"{'erased' if yes else 'would erase'} {_told(found)}")
    if found.datasets:
        named = ", ".join(output.one_line(name) for name in found.datasets)
        output.note(f"datasets keep what they were made of: {named}; `rag datasets remove NAME@NUMBER` takes one away")
    if found.runs:
        named = ", ".join(output.one_line(name) for name in found.runs)
        output.note(f"runs of evaluations keep their questions: {named}; `rag eval remove NAME` takes one away")
    if not yes:
        output.note("nothing was erased: add --yes")
    elif done < found.interactions:
        output.note(f"{output.counted(found.interactions - done, 'interaction')} had been erased before")


def _told(found: "Forgotten") -> str:
    words = [output.counted(found.interactions, "interaction")]
    if found.oldest is not None and found.newest is not None:
        words.append(f"from {found.oldest:%Y-%m-%d} to {found.newest:%Y-%m-%d}")
    beside = [
        output.counted(count, name)
        for count, name in ((found.feedback, "feedback entry"), (found.reviews, "review"))
        if count
    ]
    return " ".join(words) + (f", with the words of {' and '.join(beside)}" if beside else "")
