"""What a request asks to be done to a ranking, with the settings' own values where it names none. No route."""

from rag.api.house import House
from rag.api.models.searching import Searching
from rag.errors import NotPermitted
from rag.search import Refining


def refining(asked: Searching, house: House) -> Refining:
    return house.app.refining(asked.diversify, asked.per_document, asked.neighbours)


def check_reranker(name: str | None, house: House) -> None:
    """Raise NotPermitted for a reranker that whoever runs the server has not chosen: a name can hold a path."""
    if name is not None and name not in {"off", house.app.settings.reranker}:
        raise NotPermitted(f"a request may name the settings' own reranker, or off, not {name!r}")
