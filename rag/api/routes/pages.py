"""What a browser finds first: the way to the pages, the reference of this API, and its OpenAPI document."""

from fastapi import APIRouter, Request
from fastapi.responses import RedirectResponse, Response

from rag.api import reference
from rag.api.answers import Json

router = APIRouter(include_in_schema=False)


@router.get("/")
async def root() -> Response:
    return RedirectResponse("/ask", status_code=307)


@router.get("/openapi.json")
async def openapi(request: Request) -> Response:
    return Json(request.app.openapi())


@router.get("/docs")
async def docs(request: Request) -> Response:
    """The reference as one page that loads nothing from anywhere."""
    body = reference.page(reference.markdown(request.app.openapi()))
    return Response(body, media_type="text/html", headers={"content-security-policy": reference.POLICY})
