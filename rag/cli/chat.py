"""`rag chat`: a conversation in the terminal, or with whoever writes questions into a pipe."""

import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING

import click

from rag.cli import ask, options, output
from rag.errors import RagError, WrongUsage

if TYPE_CHECKING:
    from rag.app import App
    from rag.ask import Question
    from rag.config import Settings
    from rag.store.filters.tree import Filter
    from rag.store.log.conversations import Node
    from rag.types import Interaction

PROMPT = "> "
SOME_FAILED = 3
COMMANDS = {
    "/new": "begin a new conversation",
    "/regenerate": "ask the last question again, with the next seed",
    "/branch": "show the turns; with a number go on from that one, 0 is before the first",
    "/sources": "show every passage of the last answer",
    "/help": "show these commands",
    "/quit": "end; so does Ctrl-D",
}


@click.command("chat")
@click.option("-k", type=click.IntRange(1, 100), help="Passages to answer from.  [default: 8]")
@options.mode
@options.collection
@options.where
@click.option("--generator", type=options.TEXT, help="Who answers, as for `rag ask`.  [default: auto]")
@click.option("--template", type=options.TEXT, metavar="NAME", help="Prompt template of every turn.")
@click.option("--conversation", type=options.TEXT, metavar="ID", help="Conversation to go on with; else a new one.")
@options.abstain
@options.strict
@click.option("--seed", type=click.IntRange(min=0), help="Seed of a sampled answer.  [default: 0]")
@click.option("--temperature", type=options.Between(0, 2), help="Randomness of the answer; 0 is greedy.  [default: 0]")
@options.common
def command(
    k: int | None,
    mode: str | None,
    collection: str | None,
    where: str | None,
    generator: str | None,
    template: str | None,
    conversation: str | None,
    abstain: str | None,
    strict: bool | None,
    seed: int | None,
    temperature: float | None,
) -> int:
    """Ask one question after another, each understood with those before it.

    Each line is a question, or a command: /new, /regenerate, /branch, /sources, /help, /quit. Ctrl-C stops an answer.
    Everything is logged: `rag logs --conversation ID`.
    """
    flags = {"mode": mode, "collection": collection, "generator": generator, "passages": k}
    flags |= {"prompt_template": template, "conversation_template": template, "abstain": abstain}
    flags["strict"] = None if strict is None else "on" if strict else "off"
    chosen = options.settings(**flags, seed=seed, temperature=temperature)
    with options.opened(chosen) as app:
        app.collection()  # a name that is not there is told before anything is asked
        chat = Chat(app, chosen, options.parse_filter(where), conversation)
        return chat.run()


class Chat:
    """One session: which conversation, and which of its turns the next question continues."""

    def __init__(self, app: "App", chosen: "Settings", where: "Filter | None", conversation: str | None) -> None:
        self._app, self._chosen, self._where = app, chosen, where
        self._conversation = conversation or new_id()
        self._parent: str | None = None  # None: the conversation's last turn
        self._last: Interaction | None = None
        self._again = 0  # how often the last question was asked again
        self._failed = False
        if conversation is not None:
            self._resume()

    def run(self) -> int:
        """Read lines until there are no more; the exit code."""
        if sys.stdin.isatty():
            output.note(f"conversation {self._conversation}; /help shows the commands, /quit ends")
        for line in lines():
            if line in ("/quit", "/exit"):
                break
            try:
                if line.startswith("/"):
                    self._command(line)
                elif line:
                    self._ask(line)
            except RagError as error:
                output.note(f"rag: {output.safe(str(error))}")
                self._failed = True
        return SOME_FAILED if self._failed and not sys.stdin.isatty() else 0

    def _resume(self) -> None:
        """Go on where a conversation ended. Raises NotFound for another user's."""
        from rag.errors import NotFound

        try:
            turns = self._turns()
        except NotFound:
            return self._begin_named()
        good = [node for node in turns if node.error is None]
        if good:
            self._go_on_from(good[-1])
        return None

    def _begin_named(self) -> None:
        """A conversation of an id that is not there begins; another user's stays not found."""
        from rag.store.log import conversations as store

        with self._app.database.read() as connection:
            store.place(connection, self._app.local(), conversation_id=self._conversation)

    def _turns(self) -> "list[Node]":
        from rag.store.log import conversations as store

        with self._app.database.read() as connection:
            return store.turns_of(connection, self._app.local(), self._conversation)

    def _go_on_from(self, node: "Node") -> None:
        from rag.store import interactions as store

        with self._app.database.read() as connection:
            self._last = store.get(connection, self._app.local().tenant_id, node.id)
        self._parent, self._again = node.id, 0

    # ── questions ───────────────────────────────────────────────────────────────────────────────────────────────────

    def _ask(self, text: str) -> None:
        self._again = 0
        self._answered(self._question(text))

    def _question(self, text: str, regenerates: str | None = None) -> "Question":
        from rag.ask import Question
        from rag.types import AGAIN_TEMPERATURE

        app, chosen = self._app, self._chosen
        greedy = regenerates is not None and chosen.temperature == 0
        return Question(
            text,
            chosen.passages,
            chosen.mode,
            self._where,
            app.fusion(),
            app.generation(chosen.seed + self._again, AGAIN_TEMPERATURE if greedy else None),
            None if regenerates is not None else self._conversation,
            refining=app.refining(),
            abstaining=app.abstaining(),
            strict=chosen.strict == "on",
            parent=None if regenerates is not None else self._parent,
            regenerates=regenerates,
        )

    def _answered(self, asked: "Question") -> None:
        if asked.text and not sys.stdin.isatty():
            output.say(output.strong(f"{PROMPT}{output.one_line(asked.text)}"))
        entry = ask.answer(self._app, asked, aloud=True)
        if entry.search_query != entry.question:
            output.say(output.faint(f"Searched for: {output.one_line(entry.search_query)}"))
        if failure := entry.settings.get("rewrite_failure"):
            output.say(f"{output.marked('By rules')}  {output.one_line(str(failure))}")
        ask.tell(entry)
        output.say()
        self._last, self._parent = entry, entry.id

    # ── commands ────────────────────────────────────────────────────────────────────────────────────────────────────

    def _command(self, line: str) -> None:
        name, _, rest = line.partition(" ")
        if name == "/new":
            self._conversation, self._parent, self._last, self._again = new_id(), None, None, 0
            output.note(f"conversation {self._conversation}")
        elif name == "/regenerate":
            self._regenerate()
        elif name == "/branch":
            self._branch(rest.strip())
        elif name == "/sources":
            self._sources()
        elif name == "/help":
            for command, meaning in COMMANDS.items():
                output.note(f"{command:<12} {meaning}")
        else:
            raise WrongUsage(f"there is no command {name}; there are {', '.join(COMMANDS)}")

    def _regenerate(self) -> None:
        if self._last is None:
            raise WrongUsage("nothing was asked yet, so nothing can be asked again")
        self._again += 1
        asked = self._question("", self._last.id)
        about = f"asked again with seed {asked.generation.seed}, temperature {asked.generation.temperature:g}"
        if self._last.model == "extractive":
            about += "; the extractive generator says the same whatever the seed"
        output.note(about)
        self._answered(asked)

    def _branch(self, number: str) -> None:
        turns = [] if self._last is None and self._parent is None else self._turns()
        if not number:
            for node in turns:
                output.say(output.one_line(f"{'*' if node.id == self._parent else ' '} {describe(node)}"))
            if not turns:
                output.note("nothing was asked yet")
            return
        if number == "0" and turns:
            from rag.store.log.conversations import ROOT

            self._parent, self._last = ROOT, None
            output.note("the next question begins anew, in the same conversation")
            return
        found = [node for node in turns if str(node.turn) == number]
        if not found:
            raise WrongUsage(f"there is no turn {output.one_line(number)}; /branch shows them")
        self._go_on_from(found[0])
        output.note(f"going on from {describe(found[0])}")

    def _sources(self) -> None:
        from rag.cli.search import place_line

        if self._last is None:
            raise WrongUsage("nothing was answered yet")
        if not self._last.passages:
            output.note("the last answer was given no passages")
        for number, passage in enumerate(self._last.passages, 1):
            output.say(f"[{number}] {output.strong(output.heading(passage.title, passage.headings))}")
            for place in passage.places:
                output.say("    " + output.faint(place_line(output.shown_uri(place.uri), passage)))
            output.say(output.wrapped(passage.text, indent="    "))


def describe(node: "Node") -> str:
    """A turn on one line: its number, what it continues, its question."""
    after = "" if node.kind == "continuation" else f" ({node.kind})"
    return output.one_line(f"{node.turn}{after}: {node.question}", 80)


def new_id() -> str:
    from ulid import ULID

    return str(ULID())


def lines() -> Iterator[str]:
    """The lines that are typed, or that come through a pipe, without the blanks around them. Ctrl-C gives up a line,
    Ctrl-D ends."""
    if not sys.stdin.isatty():
        for line in sys.stdin:
            yield options.TEXT.convert(line.strip(), None, None)
        return
    import contextlib

    with contextlib.suppress(ImportError):  # not everywhere; then a line is typed without arrow keys
        import readline  # noqa: F401
    while True:
        try:
            line = input(PROMPT)
        except EOFError:
            output.note("")
            return
        except KeyboardInterrupt:
            output.note("\n/quit or Ctrl-D ends")
            continue
        yield options.TEXT.convert(line.strip(), None, None)
