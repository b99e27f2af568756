"""Judged questions searched as everybody's are, and what was found kept as a run; what evaluations and gates share."""

from collections.abc import Mapping, Sequence

from rag import __version__
from rag.app import App
from rag.errors import Conflict, NotFound
from rag.evaluate import EVERYDAY, Progress, Searched, Way, searched
from rag.evaluation.runs import averaged, digest_of, figures, judged, latency
from rag.search import OpenCollection
from rag.store import evaluations as store
from rag.store.database import Database
from rag.store.evaluations import Evaluation, JudgedQuery
from rag.types import Example, MetadataValue, Principal


def check_free(database: Database, tenant_id: int, name: str) -> None:
    """Raise WrongUsage for what cannot name a run, Conflict for a name that is taken."""
    store.check_name(name)
    with database.read() as connection:
        try:
            store.get(connection, tenant_id, name)
        except NotFound:
            return
    raise Conflict(f"there is a run {name!r} already; give another --name")


def stored(database: Database, tenant_id: int, run: str) -> tuple[Evaluation, list[JudgedQuery]]:
    """A run, by name or id, and its queries. Raises NotFound."""
    with database.read() as connection:
        kept = store.get(connection, tenant_id, run)
        return kept, store.queries(connection, kept.id)


def searched_for(
    opened: OpenCollection,
    examples: Sequence[Example],
    way: Way,
    names: Sequence[str],
    asker: Principal,
    progress: Progress,
) -> tuple[Searched, list[JudgedQuery]]:
    """What a search finds for every example, and its metrics."""
    found = searched(opened, examples, way, asker, progress)
    return found, judged(examples, found.rankings, names, found.latency_ms)


def way_json(app: App, opened: OpenCollection, way: Way) -> dict[str, MetadataValue]:
    """How texts are cut and questions searched, as a run keeps it."""
    return {
        "embedder": opened.collection.embedder,
        "chunk_tokens": opened.collection.settings["chunk_tokens"],
        "overlap_tokens": opened.collection.settings["overlap_tokens"],
        "fusion": way.fusion.method,
        "alpha": way.fusion.alpha,
        "rrf_k": way.fusion.rrf_k,
        "depth": way.fusion.depth,
        "k": EVERYDAY,
        "ranked": way.deep,
        "reranker": app.settings.reranker if way.reranker is not None else "",
        "rerank_depth": way.refining.rerank_depth,
        "diversify": way.refining.diversify,
        "per_document": way.refining.per_document,
        "neighbours": way.refining.neighbours,
    }


def keep(
    app: App,
    asker: Principal,
    opened: OpenCollection,
    found: Searched,
    queries: Sequence[JudgedQuery],
    way: Way,
    name: str | None,
    names: Sequence[str],
    folder: str,
    examples: Sequence[Example],
    settings: Mapping[str, MetadataValue],
) -> Evaluation:
    """Keep what was found for judged questions as a run; `examples` are all of the folder, or set, of this name."""
    with app.database.write() as connection:
        return store.add(
            connection,
            asker.tenant_id,
            store.NewEvaluation(
                name=name or store.free_name(connection, asker.tenant_id, folder, way.mode),
                folder=folder,
                digest=app.database.digest(digest_of(examples)),
                mode=way.mode,
                settings={**way_json(app, opened, way), **settings},
                version=__version__,
                metrics=figures(averaged(queries, names)),
                latency_ms=latency(queries),
                collection_id=opened.collection.id,
                collection=opened.collection.name,
                position=found.position,
                generation=found.generation,
            ),
            queries,
        )
