"""Prompt templates: GET /api/prompts[/{name}] shows them; POST adds a version."""

from typing import Annotated

from fastapi import APIRouter, Path

from rag.answers import templating
from rag.api.answers import Json, documented
from rag.api.models.prompts import TemplateAdded, TemplateRequest, Templates, TemplateWhole
from rag.api.requests import Asker, StrictRoute, TheHouse
from rag.errors import NotPermitted
from rag.prompt import built_ins
from rag.shapes.prompts import added_json, template_json, templates_json
from rag.store import templates as template_store
from rag.types import Template

router = APIRouter(tags=["prompts"], route_class=StrictRoute)


@router.get("/api/prompts", response_model=Templates, responses=documented(422))
def listing(house: TheHouse, principal: Asker) -> Json:
    """Every version of every prompt template, of each name the current one first."""
    with house.app.database.read() as connection:
        found = template_store.listing(connection, principal.tenant_id, built_ins())
    return Json(templates_json(found, house.app.settings.prompt_template))


@router.get("/api/prompts/{name}", response_model=TemplateWhole, responses=documented(400, 404, 422))
def one(
    name: Annotated[str, Path(max_length=100, description="a name, or name@digest as log entries have it")],
    house: TheHouse,
    principal: Asker,
) -> Json:
    """A template with its text: what the name means now, or exactly this version."""
    with house.app.database.read() as connection:
        found = template_store.find(connection, principal.tenant_id, name, built_ins())
        versions = template_store.of_name(connection, principal.tenant_id, found.template.name, built_ins())
    return Json(template_json(found, versions))


@router.post(
    "/api/prompts", status_code=201, response_model=TemplateAdded, responses=documented(400, 403, 409, 413, 422)
)
def add(given: TemplateRequest, house: TheHouse, principal: Asker) -> Json:
    """Add a version, which its name means from now on. What cannot be used is refused, with the line. Not for tokens
    bound to labels: a template is everybody's."""
    if principal.labels is not None:
        raise NotPermitted("this token is bound to labels; prompt templates are added by one that is not")
    template = Template(given.name, given.text)
    remarks = templating.check(template)
    with house.app.database.write() as connection:
        new = template_store.add(connection, principal.tenant_id, template, user=principal.user)
        found = template_store.find(connection, principal.tenant_id, template.version, built_ins())
    return Json(added_json(found, new=new, remarks=remarks), status_code=201)
