"""POST /mcp: the Model Context Protocol over HTTP. There is no GET: it would wait for messages of ours, and there are
none."""

from fastapi import APIRouter
from starlette.responses import Response

from rag.api import mcp
from rag.api.requests import Asker, TheHouse

router = APIRouter(include_in_schema=False)


@router.post("/mcp")
async def exchange(house: TheHouse, _: Asker) -> Response:
    """Answer one message of the protocol with the tools of rag.api.tools."""
    mcp.require()
    return mcp.Exchange(house)
