"""POST /api/search: the passages that match a query."""

from fastapi import APIRouter

from rag.api.answers import Json, documented
from rag.api.fusing import fusion
from rag.api.house import House
from rag.api.models.searching import SearchRequest, SearchResult
from rag.api.refining import check_reranker, refining
from rag.api.requests import Asker, StrictRoute, TheHouse
from rag.search import Search, search
from rag.shapes.searching import search_json
from rag.store.filters.tree import Filter
from rag.types import Principal

router = APIRouter(tags=["search"], route_class=StrictRoute)


@router.post("/api/search", response_model=SearchResult, responses=documented(404, 413, 422))
def find(asked: SearchRequest, house: TheHouse, principal: Asker) -> Json:
    """The best passages among what the asker may see, best first, as of the last committed change."""
    return Json(searched(asked, house, principal))


def searched(asked: SearchRequest, house: House, principal: Principal) -> dict[str, object]:
    house.check_question(asked.query)
    check_reranker(asked.rerank, house)
    app = house.app
    mode = asked.mode or app.settings.mode  # settings check the mode
    where = None if asked.filter is None else Filter.parse(asked.filter)
    found = search(
        app.opened(asked.collection, principal.tenant_id),
        Search(asked.query, asked.k, mode, where, fusion(asked, house, principal), refining(asked, house)),
        principal,
        app.reranker(asked.rerank),
    )
    return search_json(found, asked.query, mode, asked.k)
