"""POST /api/why: what became of a document in a search."""

from fastapi import APIRouter

from rag.api.answers import Json, documented
from rag.api.fusing import fusion
from rag.api.models.searching import WhyRequest, WhyResult
from rag.api.refining import check_reranker, refining
from rag.api.requests import Asker, StrictRoute, TheHouse
from rag.search import Search
from rag.shapes.searching import why_json
from rag.store.filters.tree import Filter

router = APIRouter(tags=["search"], route_class=StrictRoute)


@router.post("/api/why", response_model=WhyResult, responses=documented(404, 413, 422))
def explain(asked: WhyRequest, house: TheHouse, principal: Asker) -> Json:
    """Which stage lost a document, with its true place in each ranking; or where it is found. A document that the
    asker may not see does not exist."""
    house.check_question(asked.query)
    check_reranker(asked.rerank, house)
    app = house.app
    mode, k = asked.mode or app.settings.mode, asked.k or app.settings.passages  # settings check the mode
    where = None if asked.filter is None else Filter.parse(asked.filter)
    request = Search(asked.query, k, mode, where, fusion(asked, house, principal), refining(asked, house))
    answer = app.why(request, asked.document, principal, collection=asked.collection, reranker=asked.rerank)
    return Json(why_json(answer, asked.query, mode, k))
