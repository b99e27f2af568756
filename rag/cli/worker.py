"""`rag worker`: does background jobs until it is told to stop."""

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import TYPE_CHECKING

import click

from rag.cli import interrupts, options, output
from rag.cli.jobs import FILE_STATES

if TYPE_CHECKING:
    from rag.store.jobs import Job


@click.command("worker")
@click.option("--once", is_flag=True, help="Do what is waiting, then end.")
@click.option(
    "--jobs",
    "size",
    default=1,
    show_default=True,
    type=click.IntRange(1, 64),
    help="So many at once; those of one collection one after the other.",
)
@options.common
def command(once: bool, size: int) -> int:
    """Do the background jobs that are waiting.

    Between two jobs it lets new answers into the review queues. Any number of workers may run, on one machine or
    several. Ctrl-C or a termination signal finishes the batch at hand and gives the jobs back, so that another worker
    goes on at once; a second Ctrl-C stops at once. A worker that is killed loses its job to another after the setting
    job_lease_s.
    """
    from rag.workers import Crew, Worker

    with options.opened(options.settings(), create=True) as app:
        crew = Crew(Worker(app, told=_tell), size, until_empty=once)
        with _ends(crew.ask_stop) as asked:
            if not once:
                output.note("rag: waiting for jobs; Ctrl-C ends it")
            crew.start()
            crew.join()
    return interrupts.CODE if signal.SIGINT in asked else 0


def _tell(job: "Job") -> None:
    if job.state == "queued":
        said = f"not done, tried again later: {job.error}" if job.error else "given back"
    else:
        counts = ", ".join(f"{job.progress.counts[s]:,} {s}" for s in FILE_STATES if job.progress.counts.get(s))
        said = ": ".join(part for part in (job.state, job.error or counts) if part)
    output.note(
        f"rag: job {job.id} ({job.kind} into {output.one_line(job.collection or '–')}): {output.one_line(said)}"
    )


@contextmanager
def _ends(act: Callable[[], None]) -> Iterator[set[int]]:
    """The signals that came. While the block runs, the first one to end calls `act`, a second Ctrl-C stops at once."""
    came: set[int] = set()

    def handle(number: int, _frame: FrameType | None) -> None:
        if signal.SIGINT in came and number == signal.SIGINT:
            raise KeyboardInterrupt
        if not came:
            output.note("rag: stopping after this batch; Ctrl-C again stops at once")
        came.add(number)
        act()

    before = {number: signal.signal(number, handle) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield came
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
