"""`rag prompts`: which prompt templates there are, their texts, and new versions of them. Loads no model."""

from difflib import unified_diff
from pathlib import Path
from typing import TYPE_CHECKING

import click

from rag.cli import options, output

if TYPE_CHECKING:
    from rag.app import App
    from rag.store.templates import Version


@click.group("prompts")
@options.common
def command() -> None:
    """List, show, add and compare prompt templates.

    A template is named NAME, which means the version that was added last (else the built-in one), or NAME@DIGEST.
    """


@command.command("list")
@options.as_json
@options.common
def listed(json: bool) -> None:
    """List every version; a star marks the one that its name alone means."""
    from rag.prompt import built_ins
    from rag.store import templates as store

    with options.opened(options.settings()) as app:
        tenant, default = app.tenant_id, app.settings.prompt_template
        with app.database.read() as connection:
            found = store.listing(connection, tenant, built_ins())
    if json:
        from rag.shapes.prompts import templates_json

        output.print_json(templates_json(found, default))
        return
    rows = [
        (
            each.template.version,
            "*" if each.current else "",
            "built in" if each.built_in else output.one_line(each.user or ""),
            "" if each.created_at is None else each.created_at.isoformat(timespec="minutes"),
        )
        for each in found
    ]
    output.table(["template", "", "from", "since"], rows)
    output.say(output.faint(f"Questions that name none use {output.one_line(default)} (setting prompt_template)."))


@command.command("show")
@click.argument("name", type=options.TEXT)
@options.as_json
@options.common
def show(name: str, json: bool) -> None:
    """Print a template's text, exactly as it is kept.

    NAME@DIGEST, as log entries have it, shows that version, whatever the name means today.
    """
    from rag.prompt import built_ins
    from rag.store import templates as store

    with options.opened(options.settings()) as app:
        found = version(app, name)
        if json:
            from rag.shapes.prompts import template_json

            with app.database.read() as connection:
                versions = store.of_name(connection, app.tenant_id, found.template.name, built_ins())
            output.print_json(template_json(found, versions))
            return
    output.say(output.safe(found.template.text), newline=not found.template.text.endswith("\n"))


@command.command("add")
@click.argument("name", type=options.TEXT)
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@options.as_json
@options.common
def add(name: str, file: Path, json: bool) -> None:
    """Keep the text of a file as the newest version of a template.

    What cannot be used as a prompt is refused, with the line. Earlier versions stay and can be named by their digest;
    to go back to one, add its text again: `rag prompts show NAME@DIGEST > FILE`.
    """
    from rag.answers import templating
    from rag.errors import WrongUsage
    from rag.store import templates as store
    from rag.types import Template

    try:
        text = file.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise WrongUsage(f"{file} is not UTF-8 text (byte {error.start}); save it as UTF-8") from error
    template = Template(name, text)
    remarks = templating.check(template)
    with options.opened(options.settings(), create=True) as app:
        tenant = app.tenant_id
        with app.database.write() as connection:
            new = store.add(connection, tenant, template, user="local")
        found = version(app, template.version)
    if json:
        from rag.shapes.prompts import added_json

        output.print_json(added_json(found, new=new, remarks=remarks))
        return
    output.say(f"{name!r} means {template.version} " + ("from now on" if new else "already; nothing was changed"))
    for remark in remarks:
        output.note(f"rag: {template.version}: {remark}")


@command.command("diff")
@click.argument("one", metavar="A", type=options.TEXT)
@click.argument("other", metavar="B", type=options.TEXT)
@options.as_json
@options.common
def diff(one: str, other: str, json: bool) -> None:
    """Show what leads from template A to template B, as a unified diff."""
    with options.opened(options.settings()) as app:
        a, b = version(app, one).template, version(app, other).template
    lines = list(
        unified_diff(a.text.splitlines(), b.text.splitlines(), a.version, b.version, lineterm="")  # line by line
    )
    if json:
        output.print_json({"a": a.version, "b": b.version, "diff": lines})
        return
    for line in lines:
        style = {"+": output.good, "-": output.bad}.get(line[:1], str)
        output.say(style(output.safe(line)))


def version(app: "App", named: str) -> "Version":
    """The version of this name. Raises NotFound."""
    from rag.prompt import built_ins
    from rag.store import templates as store

    tenant = app.tenant_id
    with app.database.read() as connection:
        return store.find(connection, tenant, named, built_ins())
