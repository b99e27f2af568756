"""What can be said of how passages are found and answers made, as the arguments of the client's methods."""

from typing import TypedDict


class Retrieving(TypedDict, total=False):
    """How passages are found, fused and arranged. What is left out, or None, is as the server takes it to be: see the
    method."""

    mode: str | None  # hybrid, semantic, keyword
    collection: str | None
    fusion: str | None  # weighted, rrf
    alpha: float | None  # weight of meaning in weighted fusion, 0 to 1
    rrf_k: int | None
    depth: int | None  # candidates of each ranking
    rerank: str | None  # off, or the settings' own reranker
    diversify: float | None  # relevance against variety, 0 to 1; 1 keeps the order
    per_document: int | None  # passages of one document, at most; 0: any number
    neighbours: int | None  # chunks that a passage is widened by on either side


class Generating(Retrieving, total=False):
    """How an answer is made of them besides."""

    generator: str | None
    template: str | None  # of the prompt, name or name@digest
