"""Middleware that adds to the head of every HTML answer what Streamlit's browser part does not know by itself.

- Where the server is. It looks below the page's own address first (`/attack/_stcore/...`) and logs an error
  for each that is not there.
- That an address which only gains its choices is the same view, so that Back leads to the view before.
- That charts will come. Their library is the largest file of all; it is fetched and started first, not last.
- Where people sign in: that a sign-in can end while a page is open. The page then goes to the sign-in page.
"""

from pathlib import Path

import streamlit
from starlette.types import ASGIApp, Message, Receive, Scope, Send

_STATIC = Path(streamlit.__file__).parent / "static"
_SCRIPT = """<script>
window.__streamlit = {BACKEND_BASE_URL: location.origin};
(() => {
  const push = history.pushState.bind(history), replace = history.replaceState.bind(history);
  history.pushState = (state, title, url) => {
    const next = new URL(url ?? location.href, location.href);
    (next.pathname === location.pathname && !location.search ? replace : push)(state, title, url);
  };
})();
</script>"""
# After its WebSocket closed Streamlit asks for the host's settings until it gets them; 401 means: nobody is signed in.
_SIGNED_OUT = """<script>
(() => {
  const ask = window.fetch.bind(window);
  window.fetch = async (...what) => {
    const answer = await ask(...what);
    if (answer.status === 401 && new URL(answer.url).origin === location.origin) location.reload();
    return answer;
  };
})();
</script>"""


def head(hosted: bool) -> bytes:
    """What every page's head begins with."""
    charts = [path.name for path in (_STATIC / "static" / "js").glob("PlotlyChart.*.js")]
    links = [f'<link rel="modulepreload" crossorigin href="./static/js/{name}">' for name in charts]
    early = "".join(f'import("./static/js/{name}");' for name in charts)
    scripts = f"{_SCRIPT}{_SIGNED_OUT if hosted else ''}"
    return f'<head>{scripts}{"".join(links)}<script type="module">{early}</script>'.encode()


def with_head(body: bytes, new: bytes) -> bytes:
    """An HTML body with the new head's beginning."""
    return body.replace(b"<head>", new, 1)


def whole_page(hosted: bool) -> bytes:
    """The page that every view of the app is drawn in, as the browser gets it."""
    return with_head((_STATIC / "index.html").read_bytes(), head(hosted))


class Root:
    """Adds to the head of every HTML answer."""

    def __init__(self, app: ASGIApp, hosted: bool = False) -> None:
        self._app = app
        self._head = head(hosted)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or not _wants_html(scope):
            await self._app(scope, receive, send)
            return
        # The body must come uncompressed to be added to.
        headers = [(name, value) for name, value in scope["headers"] if name != b"accept-encoding"]
        await self._app({**scope, "headers": headers}, receive, _Answer(send, self._head))


class _Answer:
    """Holds an HTML answer back until it is whole, then sends it with the new head; others pass through."""

    def __init__(self, send: Send, head: bytes) -> None:
        self._send = send
        self._head = head
        self._start: Message | None = None
        self._body = b""

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start" and _is_html(message):
            self._start = message
        elif self._start is None:
            await self._send(message)
        else:
            self._body += message.get("body", b"")
            if not message.get("more_body"):
                await self._finish(message)

    async def _finish(self, message: Message) -> None:
        body = with_head(self._body, self._head)
        kept = [(name, value) for name, value in self._start["headers"] if name not in (b"content-length", b"etag")]
        headers = [*kept, (b"content-length", str(len(body)).encode())]
        await self._send({**self._start, "headers": headers})
        await self._send({**message, "body": body, "more_body": False})


def _wants_html(scope: Scope) -> bool:
    return any(name == b"accept" and b"text/html" in value for name, value in scope["headers"])


def _is_html(message: Message) -> bool:
    return dict(message["headers"]).get(b"content-type", b"").startswith(b"text/html")
