"""`rag db`: the tables follow the program's version; this says where they stand and brings them up."""

import click

from rag.cli import options, output


@click.group("db")
@options.common
def command() -> None:
    """Upgrade the database, or say where it stands."""


@command.command("upgrade")
@options.as_json
@options.common
def upgrade(json: bool) -> None:
    """Bring the tables to this program's version; what is stored stays. Makes the database when there is none."""
    from rag.store import database as store

    chosen = options.settings()
    if not chosen.database:
        chosen.data.mkdir(parents=True, exist_ok=True)
    database = store.connect(chosen.database_url)
    try:
        before = store.current(database)
        after = store.upgrade(database)
    finally:
        database.close()
    if json:
        output.print_json({"before": before, "current": after, "head": store.HEAD})
    else:
        output.say(f"the database stands at {after}" + ("" if before == after else f", up from {before or 'nothing'}"))


@command.command("current")
@options.as_json
@options.common
def current(json: bool) -> int:
    """Say where the database stands; exit code 1 when it needs an upgrade."""
    from rag.store import database as store

    chosen = options.settings()
    found: str | None = None
    if chosen.database or (chosen.data / "rag.db").is_file():
        database = store.connect(chosen.database_url)
        try:
            found = store.current(database)
        finally:
            database.close()
    if json:
        output.print_json({"current": found, "head": store.HEAD})
    elif found == store.HEAD:
        output.say(f"the database stands at {found}, as this program needs it")
    else:
        where = "there is no database yet" if found is None else f"the database stands at {found}"
        output.say(f"{where}; this program needs {store.HEAD}: run `rag db upgrade`")
    return 0 if found == store.HEAD else 1
