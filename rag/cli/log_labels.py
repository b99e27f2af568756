"""`rag logs tag`, `rag logs tags` and `rag logs views`: what people put to the log to find its rows again."""

from typing import TYPE_CHECKING

import click

from rag.cli import options, output
from rag.cli.choosing import Chosen, choosing, origin

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping


@click.command("tag")
@click.argument("interaction_id", metavar="ID", type=options.TEXT)
@click.argument("names", metavar="TAG...", nargs=-1, required=True, type=options.TEXT)
@click.option("--remove", is_flag=True, help="Take the tags off.")
@options.as_json
@options.common
def tag(interaction_id: str, names: tuple[str, ...], remove: bool, json: bool) -> None:
    """Put tags to an interaction, or take them off."""
    from rag.store import interactions as store
    from rag.store.log import tags

    with options.opened(options.settings()) as app:
        asker = app.local()
        with app.database.write() as connection:
            key = store.get(connection, asker.tenant_id, interaction_id).id
            if remove:
                tags.remove(connection, asker.tenant_id, [key], names)
            else:
                tags.add(connection, asker.tenant_id, [key], names, user=asker.user)
            held = [each.name for each in tags.of(connection, asker.tenant_id, [key]).get(key, ())]
    if json:
        output.print_json({"interaction_id": key, "tags": held})
    else:
        output.say(f"{key}: {', '.join(held) or 'no tags'}")


@click.command("tags")
@options.as_json
@options.common
def tags(json: bool) -> None:
    """List the tags in use, the most frequent first."""
    from rag.store.log import tags as store

    with options.opened(options.settings()) as app, app.database.read() as connection:
        found = store.listing(connection, app.local().tenant_id)
    if json:
        output.print_json({"tags": [{"tag": name, "interactions": count} for name, count in found]})
    elif not found:
        output.say("no tags; `rag logs tag ID TAG` puts one")
    else:
        output.table(["tag", "interactions"], [(name, f"{count:,}") for name, count in found], right=[1])


@click.group("views", invoke_without_command=True)
@options.as_json
@options.common
@click.pass_context
def views(context: click.Context, json: bool) -> None:
    """List your saved views of the log; `rag logs --view NAME` shows one."""
    if context.invoked_subcommand is not None:
        return
    from rag.shapes.interactions import view_json
    from rag.store.log import views as store

    with options.opened(options.settings()) as app, app.database.read() as connection:
        asker = app.local()
        found = store.listing(connection, asker.tenant_id, asker.user)
    if json:
        output.print_json({"views": [view_json(view) for view in found]})
    elif not found:
        output.say("no views; `rag logs views save NAME` keeps the filters behind it")
    else:
        rows = []
        for view in found:
            told = view_json(view)["filters"]
            assert isinstance(told, dict)
            rows.append((output.one_line(view.name), output.one_line(", ".join(_filters(told)))))
        output.table(["view", "filters"], rows)


def _filters(told: "Mapping[str, object]") -> "Iterator[str]":
    """Filters as people write them: scores as NAME:LOW..HIGH."""
    for name, value in told.items():
        if name == "scores" and isinstance(value, list):
            for each in value:
                low, high = ("" if bound is None else f"{bound:g}" for bound in (each["least"], each["most"]))
                yield f"score {each['name']}" + (f":{low}..{high}" if low or high else "")
        elif isinstance(value, list):
            yield f"{name} {' '.join(map(str, value))}"
        else:
            yield f"{name} {value}"


@views.command("save")
@click.argument("name", type=options.TEXT)
@choosing
@origin
@options.common
def save(name: str, **narrowed: object) -> None:
    """Keep the filters as a view, in place of the one of this name."""
    from rag.store.log import views as store

    query = Chosen(**narrowed).asked()  # type: ignore[arg-type]
    with options.opened(options.settings()) as app, app.database.write() as connection:
        asker = app.local()
        view = store.save(connection, asker.tenant_id, asker.user, name, query)
    output.say(f"{output.one_line(view.name)} is kept; `rag logs --view` shows it")


@views.command("remove")
@click.argument("name", type=options.TEXT)
@options.common
def remove(name: str) -> None:
    """Forget a view; what it shows stays."""
    from rag.store.log import views as store

    with options.opened(options.settings()) as app, app.database.write() as connection:
        asker = app.local()
        store.remove(connection, asker.tenant_id, asker.user, name)
    output.say(f"{output.one_line(name)} is forgotten")
