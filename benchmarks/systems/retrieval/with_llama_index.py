"""LlamaIndex: its default in-memory vector store, its BM25 retriever, fused by reciprocal rank. See system.py."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from llama_index.core import MockEmbedding, Settings, StorageContext, VectorStoreIndex, load_index_from_storage
from llama_index.core.llms import MockLLM
from llama_index.core.retrievers import BaseRetriever, QueryFusionRetriever
from llama_index.core.retrievers.fusion_retriever import FUSION_MODES
from llama_index.core.schema import NodeRelationship, NodeWithScore, QueryBundle, RelatedNodeInfo, TextNode
from llama_index.core.vector_stores import MetadataFilter, MetadataFilters
from llama_index.retrievers.bm25 import BM25Retriever
from system import WHERES, Batch, Hit, K, Opened, Vectors, Where, main


def ingest(folder: Path, batches: Callable[[int], Iterator[Batch]]) -> dict[str, object]:
    index = None
    for batch in batches(5000):
        nodes = [
            TextNode(
                id_=str(number),
                text=text,
                metadata=about,
                embedding=row,
                relationships={NodeRelationship.SOURCE: RelatedNodeInfo(node_id=f"document-{about['document']}")},
            )
            for number, text, about, row in zip(
                batch.ids, batch.whole, batch.metadata, batch.vectors.tolist(), strict=True
            )
        ]
        if index is None:
            index = VectorStoreIndex(nodes, embed_model=MockEmbedding(batch.vectors.shape[1]))
        else:
            index.insert_nodes(nodes)
    assert index is not None
    index.storage_context.persist(str(folder / "index"))
    words = BM25Retriever.from_defaults(docstore=index.docstore, similarity_top_k=K)
    words.persist(str(folder / "words"))
    return {}


class Passing(BM25Retriever):  # type: ignore[misc]
    """What a filter keeps out has a score of 0 there, and comes back where too little else does: it is left out."""

    def _retrieve(self, query_bundle: QueryBundle) -> list[NodeWithScore]:
        return [each for each in super()._retrieve(query_bundle) if each.score]


def condition(where: Where) -> MetadataFilters | None:
    return None if where is None else MetadataFilters(filters=[MetadataFilter(key=where[0], value=where[1])])


def open_state(folder: Path, _: Sequence[str], vectors: Vectors) -> Opened:
    Settings.llm, Settings.embed_model = MockLLM(), MockEmbedding(vectors.shape[1])
    stored = StorageContext.from_defaults(persist_dir=str(folder / "index"))
    index = load_index_from_storage(stored)
    assert isinstance(index, VectorStoreIndex)
    everything = Passing.from_persist_dir(str(folder / "words"))
    words = {
        where: everything
        if where is None
        else Passing(existing_bm25=everything.bm25, similarity_top_k=K, filters=condition(where))
        for where in WHERES.values()
    }

    def near(where: Where) -> BaseRetriever:
        return index.as_retriever(similarity_top_k=K, filters=condition(where))

    def vector(text: str, given: Vectors, where: Where) -> list[Hit]:
        return hits(near(where).retrieve(QueryBundle(text, embedding=given.tolist())))

    def keyword(text: str, _: Vectors, where: Where) -> list[Hit]:
        return hits(words[where].retrieve(text))

    def hybrid(text: str, given: Vectors, where: Where) -> list[Hit]:
        fused = QueryFusionRetriever(
            [near(where), words[where]],
            similarity_top_k=K,
            num_queries=1,
            mode=FUSION_MODES.RECIPROCAL_RANK,
            use_async=False,
        )
        return hits(fused.retrieve(QueryBundle(text, embedding=given.tolist())))

    def hits(found: Sequence[NodeWithScore]) -> list[Hit]:
        return [Hit(int(each.node.node_id), each.node.get_content()) for each in found]

    def delete(ids: Sequence[int]) -> None:
        index.delete_nodes([str(number) for number in ids], delete_from_docstore=True)

    return Opened(
        keyword, vector, hybrid, delete, "its defaults: all compared; BM25 by bm25s, which does not follow deletions"
    )


if __name__ == "__main__":
    main(ingest, open_state, ["llama-index-core", "llama-index-retrievers-bm25", "bm25s", "numpy"])
