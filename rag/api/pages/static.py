"""What pages load: scripts and styles, each under an address that holds the digest of its content."""

from functools import cache
from hashlib import blake2b
from pathlib import Path

from fastapi import APIRouter
from fastapi.responses import Response

from rag.api import problems

router = APIRouter(include_in_schema=False)

FOLDER = Path(__file__).parent / "static"
MEDIA_TYPES = {".js": "text/javascript; charset=utf-8", ".css": "text/css; charset=utf-8", ".svg": "image/svg+xml"}
FOR_EVER = "public, max-age=31536000, immutable"  # another content has another address


@cache
def files() -> dict[str, tuple[str, bytes]]:
    """Digest (16 hexadecimal digits, BLAKE2b) and content of every file that pages may load, by name."""
    found = {path.name: path.read_bytes() for path in sorted(FOLDER.iterdir()) if path.suffix in MEDIA_TYPES}
    return {name: (blake2b(content, digest_size=8).hexdigest(), content) for name, content in found.items()}


def address(name: str) -> str:
    """Where a page finds the file of this name."""
    digest, _ = files()[name]
    return f"/static/{digest}/{name}"


@router.get("/static/{digest}/{name}")
async def static(digest: str, name: str) -> Response:
    known, content = files().get(name, ("", b""))
    if not known or known != digest:
        return problems.plain(404, f"there is no /static/{digest}/{name}; load the page anew")
    return Response(content, media_type=MEDIA_TYPES[Path(name).suffix], headers={"cache-control": FOR_EVER})
