"""Saved views of the log, and the proof that it says what was said."""

from typing import Annotated

from fastapi import APIRouter, Path

from rag.api.answers import Json, documented
from rag.api.models.interactions import Proof, View, ViewRequest, Views
from rag.api.requests import Asker, StrictRoute, TheHouse
from rag.errors import NotPermitted
from rag.shapes.interactions import proof_json, view_json
from rag.store.interactions import query_value
from rag.store.log import proofs, views

router = APIRouter(tags=["interactions"], route_class=StrictRoute)

Name = Annotated[str, Path(max_length=200, description="a view's name, of 100 characters at most")]


@router.get("/api/views", response_model=Views, responses=documented(422))
def listing(house: TheHouse, principal: Asker) -> Json:
    """The asker's saved views of the log, by name."""
    with house.app.database.read() as connection:
        found = views.listing(connection, principal.tenant_id, principal.user)
    return Json({"views": [view_json(view) for view in found]})


@router.put("/api/views/{name}", response_model=View, responses=documented(413, 422))
def save(name: Name, given: ViewRequest, house: TheHouse, principal: Asker) -> Json:
    """Keep filters of the log as a view of the asker's, in place of the one of this name."""
    query = query_value(given.filters)
    with house.app.database.write() as connection:
        view = views.save(connection, principal.tenant_id, principal.user, name, query)
    return Json(view_json(view))


@router.delete("/api/views/{name}", response_model=Views, responses=documented(404, 422))
def remove(name: Name, house: TheHouse, principal: Asker) -> Json:
    """Forget a view of the asker's; what it shows stays. The answer is those that are left."""
    with house.app.database.write() as connection:
        views.remove(connection, principal.tenant_id, principal.user, name)
        found = views.listing(connection, principal.tenant_id, principal.user)
    return Json({"views": [view_json(view) for view in found]})


@router.get("/api/log/proof", response_model=Proof, responses=documented(403))
def verify(house: TheHouse, principal: Asker) -> Json:
    """Derive every digest of the log anew; it takes its time. Not for tokens bound to labels."""
    if principal.labels is not None:
        raise NotPermitted("this token is bound to labels; the log is verified by one that is not")
    return Json(proof_json(proofs.verify(house.app.database, principal.tenant_id)))
