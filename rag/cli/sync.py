"""`rag sync`: a collection follows folders and pages; what a run did, or would do, is shown."""

from collections.abc import Callable, Sequence
from json import dumps
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING

import click

from rag.cli import interrupts, options, output
from rag.cli.ingest import SOME_FAILED, metadata_of, progress, tell_failures
from rag.cli.interrupts import first_interrupt
from rag.errors import RagError, WrongUsage

if TYPE_CHECKING:
    from rag.app import App
    from rag.config import Settings
    from rag.corpus.sync import Difference
    from rag.store.syncs import Follows, StoredSync
    from rag.types import Metadata

URLS = ("http://", "https://")
SHOWN = 20  # names of each kind
EVERY_S = 600


@click.command("sync")
@click.argument("name", required=False, type=options.TEXT)
@click.argument("places", nargs=-1, metavar="[PATH|URL]...", type=options.TEXT)
@options.collection
@click.option(
    "--metadata", "metadata", multiple=True, type=options.KEY_VALUE, help="Metadata of every document; may be repeated."
)
@click.option(
    "--label",
    "labels",
    multiple=True,
    type=options.TEXT,
    help="Only holders of this label may see the documents; may be repeated.",
)
@click.option("--allow-host", "hosts", multiple=True, metavar="HOST", help="A host whose pages may be fetched.")
@click.option("--sitemap", "sitemaps", multiple=True, metavar="URL", help="Follow the pages that this sitemap lists.")
@click.option("--password", "passwords", multiple=True, help="To open encrypted files with; kept nowhere.")
@click.option("--all", "everything", is_flag=True, help="Run every sync, of all collections or of --collection.")
@click.option("--dry-run", is_flag=True, help="Show what a run would do, and change nothing.")
@click.option("--allow-empty", is_flag=True, help="Believe a folder that is empty all at once.")
@click.option("--watch", is_flag=True, help="Go on, with a run whenever something changed, until Ctrl-C.")
@click.option(
    "--every",
    "every_s",
    type=click.IntRange(1),
    default=EVERY_S,
    show_default=True,
    metavar="SECONDS",
    help="With --watch, look at pages and all else so often.",
)
@click.option("--list", "listed", is_flag=True, help="List the syncs.")
@click.option("--remove", "removing", is_flag=True, help="Follow it no longer; its documents go with it.")
@click.option("--keep-documents", is_flag=True, help="With --remove: they stay.")
@options.as_json
@options.common
def command(
    name: str | None,
    places: tuple[str, ...],
    collection: str | None,
    metadata: tuple[tuple[str, str], ...],
    labels: tuple[str, ...],
    hosts: tuple[str, ...],
    sitemaps: tuple[str, ...],
    passwords: tuple[str, ...],
    everything: bool,
    dry_run: bool,
    allow_empty: bool,
    watch: bool,
    every_s: int,
    listed: bool,
    removing: bool,
    keep_documents: bool,
    json: bool,
) -> int:
    """Follow folders and pages: what is new comes in, what is gone goes.

    `rag sync NAME PATH...` registers places under a name and runs, `rag sync NAME` runs again. What changed is
    replaced, what was renamed moves, and only text that was never there is embedded. Nothing is removed for a folder or
    site that cannot be reached. Registering a name again replaces its places, labels, metadata and hosts. Exit code 3
    says that some items failed while the others went in.
    """
    told = bool(places or sitemaps)
    _check(name, told or bool(metadata or labels or hosts), everything, listed, removing, keep_documents)
    if not told and (metadata or labels or hosts):
        raise WrongUsage("labels, metadata and hosts belong to the places: name these too")
    if watch and (dry_run or removing or listed):
        raise WrongUsage("--watch runs; it goes with neither --dry-run, --remove nor --list")
    settings = options.settings(collection=collection)
    follows = _follows(places, sitemaps, hosts, metadata_of(metadata), labels) if told else None
    if dry_run and follows is not None and _nothing_yet(settings):
        return _tell_all([_first(name or "", settings.collection, follows)], json)
    with options.opened(settings, create=told and not dry_run) as app:
        if listed:
            return _list(app, collection, json)
        runs = _Runs(app, collection is not None, dry_run, allow_empty, passwords)
        if removing:
            return _remove(app, runs.named(name or "", None), keep_documents, json)

        def stored() -> list["StoredSync"]:
            return runs.all(collection) if everything else [runs.named(name or "", follows)]

        if watch:
            return _watch(runs, stored, every_s, json)
        stopping = _Stopping()
        with first_interrupt(stopping.ask):
            found = [each for each in stored() if not stopping.is_set()]
            done = [one for one in (runs.run(each, stopping, everything) for each in found) if one is not None]
        code = _tell_all(done, json, several=everything)
        failed = len(done) < len(found)
    if stopping.is_set():
        output.note("rag: stopped; what was taken in stays. Run the same command again to go on")
        return interrupts.CODE
    return SOME_FAILED if failed else code


class _Stopping(Event):
    """Whether somebody asked to stop, and the word that is said when they do."""

    def ask(self) -> None:
        self.set()
        output.note("rag: stopping after this batch; Ctrl-C again stops at once")


def _check(name: str | None, told: bool, everything: bool, listed: bool, removing: bool, keep_documents: bool) -> None:
    """Raise WrongUsage for what does not fit together."""
    if sum((everything, listed, removing)) > 1:
        raise WrongUsage("--all, --list and --remove are three different things to do")
    if (everything or listed) and (name is not None or told):
        raise WrongUsage("--all and --list take no name and no places")
    if not (everything or listed) and name is None:
        raise WrongUsage("give the sync a name: rag sync NAME PATH...; `rag sync --list` shows those there are")
    if removing and told:
        raise WrongUsage("--remove takes a name alone")
    if keep_documents and not removing:
        raise WrongUsage("--keep-documents belongs to --remove")
    if name is not None:
        from rag.store.syncs import check_name

        check_name(name)


def _follows(
    places: Sequence[str],
    sitemaps: Sequence[str],
    hosts: Sequence[str],
    metadata: "Metadata",
    labels: Sequence[str],
) -> "Follows":
    """What is to be followed. Raises WrongUsage where it cannot be."""
    from ingest.errors import Refused
    from ingest.web.addresses import Allowed
    from rag.store.syncs import Follows, Location

    pages = [place for place in places if place.lower().startswith(URLS)]
    paths = [Path(place) for place in places if place not in pages]
    if missing := [path for path in paths if not path.exists()]:
        raise WrongUsage(f"there is no file or folder {output.safe(str(missing[0]))}")
    if (pages or sitemaps) and not hosts:
        raise WrongUsage("pages are fetched from hosts that are allowed alone: name each with --allow-host HOST")
    try:
        Allowed.of(hosts)
    except Refused as error:
        raise WrongUsage(str(error)) from error
    locations = [
        *(Location("path", str(path.absolute())) for path in paths),
        *(Location("page", page) for page in pages),
        *(Location("sitemap", sitemap) for sitemap in sitemaps),
    ]
    return Follows(tuple(dict.fromkeys(locations)), "local", metadata, frozenset(labels), tuple(hosts))


# ── running ─────────────────────────────────────────────────────────────────────────────────────────────────────────


class _Runs:
    """Runs syncs of one installation, or shows what runs would do."""

    def __init__(self, app: "App", chosen: bool, dry_run: bool, allow_empty: bool, passwords: tuple[str, ...]) -> None:
        """`chosen`: the collection of the settings was named for this command."""
        from rag.corpus.sync import Options

        self.app, self.dry_run, self._chosen = app, dry_run, chosen
        self._options = Options(app.settings.max_file_mb * 2**20, allow_empty, passwords)
        self._registered = False

    def named(self, name: str, follows: "Follows | None") -> "StoredSync":
        """The sync of a name, registered the first time if places were told."""
        from rag.store import syncs as store

        app, collection = self.app, self.app.settings.collection
        if follows is None or self._registered:
            tenant_id = app.tenant_id
            with app.database.read() as connection:
                find = store.get if self._chosen or self._registered else store.anywhere
                return find(connection, tenant_id, name, collection)
        if self.dry_run:
            with app.database.read() as connection:
                return store.draft(connection, app.tenant_id, name, collection, follows)
        opened = app.corpus().collection
        with app.database.write() as connection:
            found = store.register(connection, opened, name, follows, actor="local")
        self._registered = True
        return found

    def all(self, collection: str | None) -> list["StoredSync"]:
        from rag.store import syncs as store

        tenant_id = self.app.tenant_id
        with self.app.database.read() as connection:
            return store.listing(connection, tenant_id, collection)

    def run(self, sync: "StoredSync", stop: Event, go_on: bool) -> "Difference | None":
        """Run one. With `go_on`, what keeps it from running is said, and the result None."""
        from rag.corpus import Corpus
        from rag.corpus import sync as syncing

        app = self.app
        try:
            if self.dry_run:
                if sync.collection_id == 0:
                    return syncing.first_preview(sync.name, sync.collection, sync.follows)
                corpus = Corpus(app.database, app.collection(sync.collection), app.embedder(), app.pool())
                return syncing.preview(corpus, sync, self._options)
            corpus = app.corpus(sync.collection)
            with progress() as show:
                difference = syncing.run(corpus, sync, self._options, progress=show, stopping=stop.is_set)
            app.publish_due(corpus.collection)
        except RagError as error:
            if not go_on:
                raise
            output.note(f"rag: {sync.name}: {output.safe(str(error))}")
            return None
        return difference


def _watch(runs: _Runs, stored: Callable[[], list["StoredSync"]], every_s: int, json: bool) -> int:
    """Run whenever something changed, until Ctrl-C; what changed nothing is not told."""
    from rag.corpus.watch import turns

    stopping = _Stopping()
    with first_interrupt(stopping.ask):
        places = [Path(each.place) for sync in stored() for each in sync.follows.locations if each.kind == "path"]
        output.note(f"rag: following {output.counted(len(places), 'place')}; Ctrl-C ends it")
        data = runs.app.settings.data.resolve()
        for _ in turns(places, stopping, every_s=every_s, left_out=[data], said=output.note):
            for sync in stored():
                difference = None if stopping.is_set() else runs.run(sync, stopping, go_on=True)
                if difference is not None and (difference.changed or difference.failures):
                    _tell_all([difference], json, lines=True)
    return 0


def _nothing_yet(settings: "Settings") -> bool:
    return not settings.database and not (settings.data / "rag.db").is_file()


def _first(name: str, collection: str, follows: "Follows") -> "Difference":
    """A dry run where nothing was ever taken in."""
    from rag.corpus.sync import first_preview

    return first_preview(name, collection, follows)


# ── looking after them ──────────────────────────────────────────────────────────────────────────────────────────────


def _list(app: "App", collection: str | None, json: bool) -> int:
    from rag.shapes.syncs import sync_json
    from rag.store import syncs as store

    tenant_id = app.tenant_id
    with app.database.read() as connection:
        found = store.listing(connection, tenant_id, collection)
    if json:
        output.print_json({"syncs": [sync_json(sync) for sync in found]})
        return 0
    if not found:
        output.say("no syncs; `rag sync NAME PATH` registers one")
        return 0
    lines = [
        (
            output.one_line(sync.name, 30),
            output.one_line(sync.collection, 30),
            f"{sync.sources:,}",
            "–" if sync.ran_at is None else sync.ran_at.isoformat(timespec="seconds"),
            _ended(sync),
            ", ".join(output.one_line(each.place) for each in sync.follows.locations),
        )
        for sync in found
    ]
    output.table(["name", "collection", "files", "last run", "which", "places"], lines, right=[2])
    return 0


def _ended(sync: "StoredSync") -> str:
    """How the last run went, in a word or two."""
    if sync.result is None:
        return "–"
    failed = sync.result.get("failed")
    return f"{failed} failed" if failed else "all went in"


def _remove(app: "App", sync: "StoredSync", keep_documents: bool, json: bool) -> int:
    from rag.corpus.sync import remove

    collection = app.collection(sync.collection)
    removed = remove(app.database, collection, sync, keep_documents=keep_documents, actor="local")
    if json:
        output.print_json({"sync": sync.name, "collection": collection.name, "removed": removed})
    else:
        stay = "its documents stay" if keep_documents else f"{output.counted(removed, 'document')} removed with it"
        output.say(f"{output.one_line(sync.name)} is followed no longer; {stay}")
    return 0


# ── what is shown ───────────────────────────────────────────────────────────────────────────────────────────────────


def _tell_all(done: Sequence["Difference"], json: bool, *, several: bool = False, lines: bool = False) -> int:
    """Show what runs did; the exit code that says it."""
    from rag.shapes.syncs import difference_json

    if json and lines:
        for difference in done:
            output.say(dumps(difference_json(difference), ensure_ascii=False))
    elif json and several:
        output.print_json({"syncs": [difference_json(difference) for difference in done]})
    else:
        for difference in done:
            if json:
                output.print_json(difference_json(difference))
            else:
                _tell(difference, named=several or lines)
    return SOME_FAILED if any(difference.failures for difference in done) else 0


def _tell(difference: "Difference", *, named: bool) -> None:
    if named:
        output.say(output.strong(output.one_line(difference.sync)))
    moved = [f"{output.shown_uri(each.moved_from)} → {output.shown_uri(each.uri)}" for each in difference.moved]
    kinds = (
        ("added", [*map(output.shown_uri, difference.added)]),
        ("updated", [*map(output.shown_uri, difference.updated)]),
        ("moved", moved),
        ("removed", [*map(output.shown_uri, difference.removed)]),
    )
    for kind, names in kinds:
        for name in names[:SHOWN]:
            output.say(f"{kind:<8} {name}")
        if len(names) > SHOWN:
            output.say(f"{kind:<8} … and {len(names) - SHOWN:,} more; --json names them all")
    counts = [(kind, len(names)) for kind, names in kinds]
    counts += [("unchanged", difference.unchanged), ("skipped", difference.skipped)]
    counts += [("failed", len(difference.failures))]
    output.say(", ".join(f"{count:,} {kind}" for kind, count in counts if count) or "there is nothing to follow")
    if difference.dry_run:
        output.say("this was a dry run: nothing was changed")
    else:
        output.say(
            f"{output.counted(difference.documents, 'document')} with {output.counted(difference.chunks, 'chunk')} "
            f"in the collection; {difference.embedded:,} embedded now, in {difference.seconds:.1f} s"
        )
    tell_failures(difference.failures)
