"""The chat page at `/`: the files of `web/`, served as they are, and forbidden to load anything else.

They are the only routes beside health that need no key: the page asks for it, and sends it with what it asks for.
"""

import hashlib
from dataclasses import dataclass, field
from pathlib import Path

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

FOLDER = Path(__file__).with_name("web")
INDEX = "index.html"
_MEDIA_TYPES = {
    ".html": "text/html",
    ".css": "text/css",
    ".js": "text/javascript",
    ".svg": "image/svg+xml",
}
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; base-uri 'none';"
    " form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'"
)
_HEADERS = {
    "Cache-Control": "no-cache",
    "Content-Security-Policy": _POLICY,
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}


@dataclass(frozen=True, slots=True)
class _File:
    body: bytes
    media_type: str
    etag: str = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "etag", f'"{hashlib.sha256(self.body).hexdigest()[:32]}"')


class WebPage:
    """Endpoints of the page. Its files are read once: a server that runs has all of them from one version."""

    def __init__(self) -> None:
        paths = [path for path in FOLDER.iterdir() if path.suffix in _MEDIA_TYPES]
        read = {path.name: _File(path.read_bytes(), _MEDIA_TYPES[path.suffix]) for path in paths}
        self._files = {"/": read.pop(INDEX), **{f"/web/{name}": file for name, file in read.items()}}

    @property
    def paths(self) -> frozenset[str]:
        """Every path that is a file of the page."""
        return frozenset(self._files)

    def routes(self) -> list[Route]:
        return [
            Route("/", self.serve, methods=["GET"]),
            Route("/web/{file}", self.serve, methods=["GET"]),
        ]

    async def serve(self, request: Request) -> Response:
        file = self._files.get(request.scope["path"])
        if file is None:
            raise HTTPException(404)
        headers = {"ETag": file.etag, **_HEADERS}
        if file.etag in request.headers.get("if-none-match", ""):
            return Response(status_code=304, headers=headers)
        return Response(file.body, headers=headers, media_type=file.media_type)
