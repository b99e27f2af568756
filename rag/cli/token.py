"""`rag token`: bearer tokens of the API. A token is shown once, when it is made."""

import click

from rag.cli import options, output


@click.group("token")
@options.common
def command() -> None:
    """Make, list and revoke tokens of the API."""


@command.command("create")
@click.option("--name", required=True, type=options.TEXT, help="Who holds it; answers are logged under this name.")
@click.option(
    "--label",
    "labels",
    multiple=True,
    type=options.TEXT,
    help="Documents with this label may be seen, besides those without; may be repeated.  [default: every label]",
)
@options.as_json
@options.common
def create(name: str, labels: tuple[str, ...], json: bool) -> None:
    """Make a token and print it; it cannot be shown again."""
    from rag.store import tokens

    with options.opened(options.settings(), create=True) as app:
        tenant = app.tenant_id
        with app.database.write() as connection:
            secret = tokens.create(connection, app.database, tenant, name, labels=labels or None)
    if json:
        output.print_json({"name": name, "labels": sorted(set(labels)) or None, "token": secret})
    else:
        output.say(secret)
        output.note("keep it well: it is not stored and cannot be shown again. Send it as `Authorization: Bearer …`")


@command.command("list")
@options.as_json
@options.common
def listed(json: bool) -> None:
    """List the tokens; never the secrets."""
    from rag.store import tokens

    with options.opened(options.settings()) as app:
        tenant = app.tenant_id
        with app.database.read() as connection:
            found = tokens.listing(connection, tenant)
    if json:
        output.print_json(
            {
                "tokens": [
                    {
                        "name": token.name,
                        "labels": None if token.labels is None else list(token.labels),
                        "created_at": token.created_at.isoformat(timespec="milliseconds"),
                        "expires_at": token.expires_at and token.expires_at.isoformat(timespec="milliseconds"),
                        "revoked_at": token.revoked_at and token.revoked_at.isoformat(timespec="milliseconds"),
                    }
                    for token in found
                ]
            }
        )
    elif not found:
        output.say("no tokens; without one the API listens on loopback only")
    else:
        rows = [
            (
                output.one_line(token.name),
                "every label" if token.labels is None else ", ".join(token.labels) or "no label",
                token.created_at.isoformat(timespec="minutes"),
                "revoked" if token.revoked_at else "live",
            )
            for token in found
        ]
        output.table(["name", "sees", "made", "state"], rows)


@command.command("revoke")
@click.argument("name", type=options.TEXT)
@options.as_json
@options.common
def revoke(name: str, json: bool) -> None:
    """End a token, from the next request on."""
    from rag.store import tokens

    with options.opened(options.settings()) as app:
        tenant = app.tenant_id
        with app.database.write() as connection:
            tokens.revoke(connection, tenant, name)
    if json:
        output.print_json({"revoked": name})
    else:
        output.say(f"revoked {output.one_line(name)}")
