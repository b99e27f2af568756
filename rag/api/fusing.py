"""How a request wants the two rankings fused, with the collection's and the settings' values where it says nothing."""

from rag.api.house import House
from rag.api.models.searching import Searching
from rag.search import Fusion
from rag.types import Principal


def fusion(asked: Searching, house: House, principal: Principal) -> Fusion:
    given = {"fusion": asked.fusion, "alpha": asked.alpha, "rrf_k": asked.rrf_k, "depth": asked.depth}
    return house.app.fusion(asked.collection, principal.tenant_id, asked=given)
