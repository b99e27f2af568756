"""`rag doctor`: every invariant, one line each; --repair mends what can be mended and looks again."""

from typing import TYPE_CHECKING

import click

from rag.cli import options, output
from rag.errors import StoreNotReady

if TYPE_CHECKING:
    from rag.doctor import Check, Mended


@click.command("doctor")
@click.option("--repair", is_flag=True, help="Mend what can be mended, then check again.")
@options.as_json
@options.common
def command(repair: bool, json: bool) -> int:
    """Check every invariant; exit code 1 when something is wrong.

    --repair builds damaged or missing indexes anew from the database and embeds again only what lost its vector.
    Damaged texts cannot be mended: put back a backup.
    """
    from rag import doctor
    from rag.store.checks import Check

    mended: list[Mended] = []
    try:
        with options.opened(options.settings()) as app:
            if repair:
                mended = doctor.repair(app)
            checks = doctor.examine(app)
    except StoreNotReady as error:
        checks = [Check("database", False, str(error))]
    healthy = all(check.ok for check in checks)
    if json:
        value: dict[str, object] = {"ok": healthy, "checks": [_json(check) for check in checks]}
        output.print_json(value | ({"repaired": [_json(one) for one in mended]} if repair else {}))
    else:
        tell(checks, mended)
    return 0 if healthy else 1


def _json(one: "Check | Mended") -> dict[str, object]:
    return {"name": one.name, "ok": one.ok, "detail": one.detail}


def tell(checks: "list[Check]", mended: "list[Mended]") -> None:
    for one in mended:
        word = output.good("mended") if one.ok else output.bad("not mended")
        output.say(f"{word}  {output.one_line(one.name)}: {output.one_line(one.detail)}")
    for check in checks:
        word = output.good("ok   ") if check.ok else output.bad("WRONG")
        output.say(f"{word}  {output.one_line(check.name)}: {output.one_line(check.detail)}")
    wrong = sum(not check.ok for check in checks)
    if wrong:
        output.say(
            f"{wrong} of {output.counted(len(checks), 'check')} failed"
            + ("" if mended else "; `rag doctor --repair` mends some")
        )
    else:
        output.say(f"healthy: {output.counted(len(checks), 'check')}")
