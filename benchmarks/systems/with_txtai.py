"""txtai takes in strings, or files: an Embeddings index with content, saved to a folder. See peer.py."""

from pathlib import Path

from peer import Done, main
from txtai.embeddings import Embeddings


def way(kind: str, given: list[str], folder: Path, model: str) -> Done:
    embeddings = Embeddings(path=model, content=True)
    texts = given if kind == "strings" else cut(given)
    embeddings.index(texts)
    embeddings.save(str(folder / "index"))
    return Done(embeddings.count(), lambda some: embeddings.batchtransform(list(some)))


def cut(folders: list[str]) -> list[str]:
    """Its Textractor needs Java or docling for files; what is text already, its Segmentation cuts by paragraphs."""
    from txtai.pipeline import Segmentation

    segmentation = Segmentation(paragraphs=True)
    files = [file for folder in folders for file in sorted(Path(folder).rglob("*.md"))]
    return [piece for file in files for piece in segmentation(file.read_text(encoding="utf-8", errors="replace"))]


if __name__ == "__main__":
    main(way, ["txtai", "transformers", "torch", "faiss-cpu"])
