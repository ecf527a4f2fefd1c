"""Middleware that puts the security headers on every answer.

The content policy lets run: Streamlit's own files, and the inline scripts of its page and of ours, each by its hash.
`unsafe-eval` is plotly's need; without it no chart draws. Styles are written into the page by Streamlit's browser part.
"""

import base64
import hashlib
import re

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ui.root import whole_page

_INLINE = re.compile(rb"<script(?![^>]*\bsrc=)[^>]*>(.*?)</script>", re.DOTALL)
_A_YEAR = 365 * 24 * 3600
_FIXED = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}


def inline_hashes(html: bytes) -> list[str]:
    """The sources by which a content policy allows the page's inline scripts."""
    digests = (hashlib.sha256(script).digest() for script in _INLINE.findall(html))
    return [f"'sha256-{base64.b64encode(digest).decode()}'" for digest in digests]


def content_policy(hosted: bool) -> str:
    """What the app's page may load, run and be shown in."""
    rules = {
        "default-src": "'self'",
        "script-src": " ".join(["'self'", "'unsafe-eval'", *inline_hashes(whole_page(hosted))]),
        "style-src": "'self' 'unsafe-inline'",
        "img-src": "'self' data: blob:",
        "font-src": "'self' data:",
        "connect-src": "'self'",
        "media-src": "'self' data: blob:",
        "worker-src": "'self' blob:",
        "frame-src": "'none'",
        "object-src": "'none'",
        "base-uri": "'self'",
        "form-action": "'self'",
        "frame-ancestors": "'none'",
    }
    return "; ".join(f"{name} {sources}" for name, sources in rules.items())


class Headers:
    """Adds the security headers. `origin` is the address that people reach the app at; "" where nobody signs in."""

    def __init__(self, app: ASGIApp, origin: str = "") -> None:
        self._app = app
        self._hosted = bool(origin)
        self._secure = origin.startswith("https://")
        fixed = {**_FIXED, "Content-Security-Policy": content_policy(self._hosted)}
        if self._secure:
            fixed["Strict-Transport-Security"] = f"max-age={_A_YEAR}"
        self._fixed = [(name.lower().encode(), value.encode()) for name, value in fixed.items()]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        kept = not self._hosted or scope["path"].startswith("/static/")

        async def answer(message: Message) -> None:
            if message["type"] == "http.response.start":
                message = {**message, "headers": self._headers(message["headers"], kept)}
            await send(message)

        await self._app(scope, receive, answer)

    def _headers(self, given: list[tuple[bytes, bytes]], kept: bool) -> list[tuple[bytes, bytes]]:
        """The answer's headers with ours. A policy that is there already is the stricter one of that page.

        `kept`: the browser may keep a copy. Where people sign in, it may do so of Streamlit's own files only.
        """
        headers = [(name.lower(), self._flagged(name.lower(), value)) for name, value in given]
        if not kept:
            headers = [(name, value) for name, value in headers if name != b"cache-control"]
            headers.append((b"cache-control", b"no-store"))
        there = {name for name, _ in headers}
        return headers + [(name, value) for name, value in self._fixed if name not in there]

    def _flagged(self, name: bytes, value: bytes) -> bytes:
        """A cookie with the flag that keeps it off unencrypted connections, where the app is reached by https."""
        if name != b"set-cookie" or not self._secure or b"; secure" in value.lower():
            return value
        return value + b"; Secure"
