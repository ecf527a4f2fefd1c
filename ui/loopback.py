"""Middleware for the app without sign-in: it answers at this machine only, whatever stands before it.

A page from elsewhere can make its own name point here (DNS rebinding), and a proxy can pass strangers on; both are
told by the name asked for, by who connects, and by the proxy's own headers.
"""

from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from access.settings import is_loopback
from core.errors import UserFacingError

_REMEDY = "Open http://localhost at Assay's port, or set up sign-in as docs/access.md shows"
_PROXY = ("forwarded", "x-forwarded-for")


class Loopback:
    """Refuses whatever does not come from, and ask for, this machine."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        why = "" if scope["type"] == "lifespan" else _why_not(scope)
        if why:
            error = UserFacingError("Assay does not answer here", why, _REMEDY)
            await refuse(scope, receive, send, 403, error.sentence)
        else:
            await self._app(scope, receive, send)


async def refuse(scope: Scope, receive: Receive, send: Send, status: int, sentence: str) -> None:
    """Answers with one sentence; a WebSocket, which cannot be told one, is not opened."""
    if scope["type"] == "websocket":
        await receive()
        await send({"type": "websocket.close", "code": 4000 + status})
    else:
        await PlainTextResponse(f"{sentence}\n", status, {"cache-control": "no-store"})(scope, receive, send)


def _why_not(scope: Scope) -> str:
    """Why a request is refused; "": it is not."""
    headers = Headers(scope=scope)
    origin = headers.get("origin")
    if not _is_own(f"//{headers.get('host', '')}"):
        return "It was asked for under another name than this machine's own, and without sign-in it answers to no other"
    if not is_loopback((scope.get("client") or ("",))[0]):
        return "The request came from another machine, and without sign-in Assay answers to this one only"
    if any(name in headers for name in _PROXY):
        return "The request was passed on by a proxy, and without sign-in anybody could be behind it"
    if scope["type"] == "websocket" and origin is not None and not _is_own(origin):
        return "The request came from a page of another site"
    return ""


def _is_own(address: str) -> bool:
    try:
        return urlsplit(address).hostname in ("localhost", "127.0.0.1", "::1")
    except ValueError:
        return False
