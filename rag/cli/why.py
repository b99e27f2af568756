"""`rag why`: what became of a document in a search, stage by stage."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from rag.cli import options, output
from rag.cli.fusing import fused
from rag.cli.refining import refined

if TYPE_CHECKING:
    from rag.app import App
    from rag.search import Search
    from rag.types import Principal
    from rag.why import Why


@click.command("why")
@click.argument("query", type=options.TEXT)
@click.argument("document", type=options.TEXT)
@click.option("-k", type=click.IntRange(1, 100), help="Passages that are shown, as for an answer.  [default: 8]")
@options.mode
@options.collection
@options.where
@fused
@refined
@click.option("--as", "token", type=options.TEXT, metavar="TOKEN", help="Ask as the holder of the token of this name.")
@options.as_json
@options.common
def command(
    query: str,
    document: str,
    k: int | None,
    mode: str | None,
    collection: str | None,
    where: str | None,
    fusion: str | None,
    alpha: float | None,
    rrf_k: int | None,
    depth: int | None,
    rerank: str | None,
    diversify: float | None,
    per_document: int | None,
    neighbours: int | None,
    token: str | None,
    json: bool,
) -> None:
    """Say why a document is not among the passages of a query; or where it is.

    DOCUMENT is its id, path, uri or external id. Names the stage that lost it: not permitted, removed, merged into
    another, the filter, the rankings by meaning and by words (with its true rank in each), fusion, the reranker,
    diversity, the cut to k, the prompt's token budget.
    """
    flags = {"mode": mode, "collection": collection, "passages": k, "reranker": rerank}
    fusing = {"fusion": fusion, "alpha": alpha, "rrf_k": rrf_k, "depth": depth}
    refining = {"diversify": diversify, "per_document": per_document, "neighbours": neighbours}
    chosen = options.settings(**flags, **refining)
    with options.opened(chosen) as app:
        from rag.search import Search

        narrowed = options.parse_filter(where)
        asked = Search(query, chosen.passages, chosen.mode, narrowed, app.fusion(asked=fusing), app.refining())
        asker = app.local() if token is None else holder(app, token)
        answer = explained(app, asked, document, asker)
    if json:
        from rag.shapes.searching import why_json

        output.print_json(why_json(answer, query, chosen.mode, chosen.passages))
    else:
        tell(answer)


def explained(app: "App", asked: "Search", document: str, asker: "Principal") -> "Why":
    """What is told to whoever holds the data folder. A name that nothing has is taken for a path."""
    from rag.errors import NotFound

    try:
        return app.why(asked, document, asker, told=app.local())
    except NotFound:
        if "://" in document:
            raise
        try:
            return app.why(asked, Path(document).absolute().as_uri(), asker, told=app.local())
        except NotFound:
            pass
        raise


def holder(app: "App", name: str) -> "Principal":
    """Who holds the live token of this name. Raises NotFound."""
    from rag.errors import NotFound
    from rag.store import tokens
    from rag.types import Principal

    with app.database.read() as connection:
        for token in tokens.listing(connection, app.tenant_id):
            if token.name == name and token.revoked_at is None:
                return Principal(app.tenant_id, name, None if token.labels is None else frozenset(token.labels))
    raise NotFound(f"no live token {name!r}; `rag token list` shows them")


def tell(answer: "Why") -> None:
    """Print the stage and the reason, then the true ranks and what each stage did."""
    key = "held back" if answer.document_id is None else f"document {answer.document_id}"
    address = output.faint(f"{key}, {output.shown_uri(answer.uri)}")
    output.say(f"{output.strong(output.one_line(answer.title))}  {address}")
    colour = output.good if answer.stage == "found" else output.bad
    output.say(f"{colour(answer.stage.replace('_', ' '))}: {output.one_line(answer.explanation, 2000)}")
    if answer.chunk_id is not None and answer.start is not None and answer.end is not None:
        output.say(output.faint(f"best chunk {answer.chunk_id}, characters {answer.start:,}–{answer.end:,}"))
    for arm in answer.arms:
        rank = "–" if arm.rank is None else f"{arm.rank:,}"
        score = "" if arm.score is None else f", score {arm.score:.4f}"
        output.say(f"    {arm.arm:<8} rank {rank} of {arm.among:,}{score}; it brings {arm.depth}")
    if answer.parts:
        parts = (f"{name} #{part.rank} {part.score:.4f}" for name, part in answer.parts.items())
        output.say("    " + output.faint("   ".join(parts)))
