"""`rag search`: the passages that match, with the matching words marked. Kept quick from a cold start."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import click

from ingest.languages.clusters import cut
from rag.cli import options, output
from rag.cli.fusing import fused
from rag.cli.refining import refined

if TYPE_CHECKING:
    from rag.search import Found
    from rag.types import Passage

EXCERPT = 400  # characters of a passage that are shown


@click.command("search")
@click.argument("query", nargs=-1, required=True, type=options.TEXT)
@click.option("-k", default=10, show_default=True, type=click.IntRange(1, 1000), help="Passages to find.")
@options.mode
@options.collection
@options.where
@fused
@refined
@click.option("--explain", is_flag=True, help="Show rank and score in every stage, and what each did.")
@options.as_json
@options.common
def command(
    query: tuple[str, ...],
    k: int,
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
    explain: bool,
    json: bool,
) -> None:
    """Find the passages that match a query.

    `hybrid` joins meaning and words, `semantic` compares meaning only, `keyword` words only (BM25).
    """
    asked = " ".join(query)
    fusing = {"fusion": fusion, "alpha": alpha, "rrf_k": rrf_k, "depth": depth}
    refining = {"diversify": diversify, "per_document": per_document, "neighbours": neighbours}
    chosen = options.settings(mode=mode, collection=collection, reranker=rerank, **refining)
    with options.opened(chosen) as app:
        from rag.search import Search, search

        request = Search(asked, k, chosen.mode, options.parse_filter(where), app.fusion(asked=fusing), app.refining())
        found = search(app.opened(), request, app.local(), app.reranker())
    if json:
        from rag.shapes.searching import search_json

        output.print_json(search_json(found, asked, chosen.mode, k))
    else:
        tell(found, asked, explain=explain)


def tell(found: "Found", query: str, *, explain: bool) -> None:
    """Print the hits, best first; no hit is said in words."""
    for word, others in found.corrected.items():
        output.say(output.faint(f"{output.one_line(word)}: no document holds it; taken for {', '.join(others)}"))
    if not found.passages:
        output.say("nothing found")
    for rank, passage in enumerate(found.passages, 1):
        _hit(rank, passage, query, found.collapsed.get(passage.hit.chunk_id, ()), explain=explain)
    if explain:
        stages(found)
        output.say(output.faint(f"position {found.position}, index generation {found.generation}"))
        output.say(output.faint(timings(found.timings_ms)))


def stages(found: "Found") -> None:
    """Print what each stage was given, kept, and took."""
    output.say(output.strong(f"{'stage':<14}{'given':>9}{'kept':>9}{'dropped':>9}{'ms':>9}"))
    for stage in found.stages:
        dropped = stage.given - stage.kept
        output.say(f"{stage.name:<14}{stage.given:>9,}{stage.kept:>9,}{dropped:>9,}{stage.ms:>9.1f}")


def _hit(rank: int, passage: "Passage", query: str, collapsed: Sequence[int], *, explain: bool) -> None:
    heading = output.heading(passage.title, passage.headings)
    output.say(f"{rank:>2}  {output.strong(heading)}  {output.faint(f'{passage.hit.score:.3f}')}")
    for place in passage.places:
        output.say("    " + output.faint(place_line(output.shown_uri(place.uri), passage)))
    if explain:
        parts = (f"{name} #{part.rank} {part.score:.4f}" for name, part in passage.hit.parts.items())
        output.say("    " + output.faint("   ".join(parts)))
        if collapsed:
            output.say("    " + output.faint(f"stands for {len(collapsed)} more that say the same"))
    text = output.wrapped(excerpt(passage.text, query), indent="    ")
    output.say(highlighted(text, query) if output.is_terminal() else text)
    output.say()


def place_line(uri: str, passage: "Passage") -> str:
    page = "" if passage.page is None else f"page {passage.page}, "
    return f"{uri}  {page}characters {passage.start:,}–{passage.end:,}"


def excerpt(text: str, query: str) -> str:
    """The part of a text that holds most words of the query, cut at words."""
    if len(text) <= EXCERPT:
        return text
    hits = [start for start, _ in matches(text, query)]
    best = max(hits, key=lambda s: (sum(s <= other < s + EXCERPT for other in hits), -s), default=0)
    start = max(0, min(best - EXCERPT // 8, len(text) - EXCERPT))
    if start:
        start = text.find(" ", start, best + 1) + 1 or cut(text, 0, start, len(text))
    end = min(len(text), start + EXCERPT)
    if end < len(text):
        blank = text.rfind(" ", start + EXCERPT // 2, end)
        end = blank if blank > 0 else cut(text, start + EXCERPT // 2, end, len(text))
    return ("… " if start else "") + text[start:end].strip() + (" …" if end < len(text) else "")


def matches(text: str, query: str) -> list[tuple[int, int]]:
    """Where words of the text stand that keyword search would match with the query."""
    from ingest.languages.detection import detect
    from rag.keywords.analysis import matches as matching
    from rag.keywords.analysis import question_terms

    language = detect(text)
    return matching(text, language, question_terms(query, [language]))


def highlighted(text: str, query: str) -> str:
    """Safe text with the words of the query marked."""
    out, last = [], 0
    for start, end in matches(text, query):
        out += [text[last:start], output.marked(text[start:end])]
        last = end
    return "".join([*out, text[last:]])


def timings(timings_ms: Mapping[str, float]) -> str:
    return ", ".join(f"{stage} {taken:.1f} ms" for stage, taken in timings_ms.items())
