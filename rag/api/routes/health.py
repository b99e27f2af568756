"""Whether the process lives, and whether it can answer."""

from fastapi import APIRouter

from rag.api.answers import Json, documented
from rag.api.models.health import Health, Readiness
from rag.api.requests import Asker, StrictRoute, TheHouse
from rag.app import App
from rag.errors import NotFound, RagError
from rag.search import Search, search
from rag.store import database as database_store
from rag.types import Principal

router = APIRouter(tags=["health"], route_class=StrictRoute)


@router.get("/api/health", response_model=Health)
async def health() -> Json:
    """The process lives. Asks nothing of the database or the models, and needs no token."""
    return Json({"status": "ok"})


@router.get(
    "/api/ready",
    response_model=Readiness,
    responses=documented() | {503: {"model": Readiness, "description": "a question could not be answered now"}},
)
def ready(house: TheHouse, principal: Asker) -> Json:
    """The database is of this program's version, and a query of the settings' collection is answered."""
    checks: list[dict[str, object]] = []
    for name, check in (("database", _database), ("search", _search)):
        try:
            checks.append({"name": name, "ok": True, "detail": check(house.app, principal)})
        except RagError as error:
            checks.append({"name": name, "ok": False, "detail": str(error)})
    good = all(check["ok"] for check in checks)
    return Json({"ready": good, "checks": checks}, status_code=200 if good else 503)


def _database(app: App, _: Principal) -> str:
    database_store.require_current(app.database)
    return f"at version {database_store.HEAD}"


def _search(app: App, principal: Principal) -> str:
    try:
        opened = app.opened(None, principal.tenant_id)
    except NotFound:
        return f"the collection {app.settings.collection!r} is empty"
    found = search(opened, Search("ready", 1, app.settings.mode, None, app.fusion()), principal)
    return f"answered at position {found.position}, generation {found.generation}"
