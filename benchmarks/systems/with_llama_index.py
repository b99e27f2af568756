"""LlamaIndex takes in strings, or files: a VectorStoreIndex on its default store, persisted. See peer.py."""

from pathlib import Path

from llama_index.core import SimpleDirectoryReader, VectorStoreIndex
from llama_index.core.schema import TextNode
from llama_index.embeddings.huggingface import HuggingFaceEmbedding
from peer import Done, main


def way(kind: str, given: list[str], folder: Path, model: str) -> Done:
    embedding = HuggingFaceEmbedding(model_name=model, device="cpu")
    if kind == "strings":
        index = VectorStoreIndex([TextNode(text=text) for text in given], embed_model=embedding)
    else:
        documents = [
            document
            for each in given
            for document in SimpleDirectoryReader(each, recursive=True, required_exts=[".md"]).load_data()
        ]
        index = VectorStoreIndex.from_documents(documents, embed_model=embedding)
    index.storage_context.persist(str(folder / "index"))
    return Done(len(index.docstore.docs), lambda some: embedding.get_text_embedding_batch(list(some)))


if __name__ == "__main__":
    main(way, ["llama-index-core", "llama-index-embeddings-huggingface", "sentence-transformers", "torch"])
