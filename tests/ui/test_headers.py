"""The security headers: on every answer, and none that keeps the app's own page from running."""

import asyncio
import base64
import hashlib
from html.parser import HTMLParser

import pytest
from starlette.applications import Starlette
from starlette.responses import FileResponse, HTMLResponse, PlainTextResponse, Response
from starlette.routing import Route
from starlette.types import Message, Scope

from access.settings import Provider
from ui import signin
from ui.headers import Headers, content_policy, inline_hashes
from ui.root import _STATIC, Root

HTTPS, HTTP = "https://assay.example", "http://localhost:8501"
FIXED = {
    "x-content-type-options": "nosniff",
    "referrer-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
}


class Scripts(HTMLParser):
    """The inline scripts of a page, read as a browser does."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []
        self._inside = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._inside = tag == "script" and "src" not in dict(attrs)

    def handle_endtag(self, tag: str) -> None:
        self._inside = False

    def handle_data(self, data: str) -> None:
        if self._inside:
            self.found.append(data)


def with_cookie() -> Response:
    answer = PlainTextResponse("x", headers={"Cache-Control": "public"})
    answer.set_cookie("one", "1")
    answer.headers.append("set-cookie", "two=2; Path=/; Secure")
    return answer


def app() -> Starlette:
    pages = {
        "/": lambda _: FileResponse(_STATIC / "index.html"),
        "/cookie": lambda _: with_cookie(),
        "/static/js/x.js": lambda _: PlainTextResponse("x", headers={"Cache-Control": "public, immutable"}),
        "/sign-in": lambda _: signin.page([PROVIDER]),
        "/own": lambda _: HTMLResponse("x", headers={"Referrer-Policy": "no-referrer"}),
    }
    return Starlette(routes=[Route(path, view) for path, view in pages.items()])


PROVIDER = Provider("company", 'Bell & "Sons" <x>', "id", "a secret", "https://provider.example/")


def ask(origin: str, path: str) -> tuple[list[tuple[str, str]], bytes]:
    """The headers and the body that `path` is answered with."""
    layers = Headers(Root(app(), hosted=bool(origin)), origin)
    headers: list[tuple[str, str]] = []
    body = b""
    scope: Scope = {"type": "http", "method": "GET", "path": path, "root_path": "", "query_string": b""}
    scope["headers"] = [(b"accept", b"text/html")]

    async def receive() -> Message:
        return await asyncio.Event().wait()  # the browser stays, and says no more

    async def send(message: Message) -> None:
        nonlocal body
        headers.extend((name.decode(), value.decode()) for name, value in message.get("headers", []))
        body += message.get("body", b"")

    asyncio.run(layers(scope, receive, send))
    return headers, body


@pytest.mark.parametrize("origin", ["", HTTP, HTTPS])
@pytest.mark.parametrize("path", ["/", "/cookie", "/static/js/x.js", "/sign-in", "/nothing"])
def test_every_answer_has_them(origin, path):
    headers = dict(ask(origin, path)[0])
    assert FIXED.items() <= headers.items()
    assert "frame-ancestors 'none'" in headers["content-security-policy"]
    assert ("strict-transport-security" in headers) == (origin == HTTPS)


@pytest.mark.parametrize("origin", ["", HTTPS])
def test_the_policy_lets_the_pages_own_scripts_run_and_no_other(origin):
    headers, body = ask(origin, "/")
    parser = Scripts()
    parser.feed(body.decode())
    assert len(parser.found) == (4 if origin else 3)
    policy = dict(headers)["content-security-policy"]
    scripts = next(rule for rule in policy.split("; ") if rule.startswith("script-src")).split()[1:]
    digests = [base64.b64encode(hashlib.sha256(each.encode()).digest()).decode() for each in parser.found]
    assert set(scripts) == {"'self'", "'unsafe-eval'", *(f"'sha256-{digest}'" for digest in digests)}


def test_a_page_open_to_the_end_of_a_sign_in_is_so_only_where_people_sign_in():
    assert b"location.reload" in ask(HTTPS, "/")[1]
    assert b"location.reload" not in ask("", "/")[1]


def test_nothing_is_taken_from_elsewhere():
    for hosted in (False, True):
        assert "http" not in content_policy(hosted) and "*" not in content_policy(hosted)


def test_a_stricter_policy_of_a_page_is_left_alone():
    policy = dict(ask(HTTPS, "/sign-in")[0])["content-security-policy"]
    assert policy.startswith("default-src 'none'") and "script-src" not in policy
    assert dict(ask(HTTPS, "/own")[0])["referrer-policy"] == "no-referrer"


def test_where_people_sign_in_the_browser_keeps_streamlits_files_only():
    assert dict(ask(HTTPS, "/static/js/x.js")[0])["cache-control"] == "public, immutable"
    for path in ("/", "/cookie", "/sign-in"):
        assert [value for name, value in ask(HTTPS, path)[0] if name == "cache-control"] == ["no-store"]
    assert dict(ask("", "/cookie")[0])["cache-control"] == "public"


def test_cookies_stay_off_unencrypted_connections():
    assert [value.count("Secure") for name, value in ask(HTTPS, "/cookie")[0] if name == "set-cookie"] == [1, 1]
    assert "Secure" not in next(value for name, value in ask(HTTP, "/cookie")[0] if name == "set-cookie")


def test_the_sign_in_pages_style_is_let_through_and_a_providers_title_is_only_text():
    headers, body = ask(HTTPS, "/sign-in")
    style = body.decode().split("<style>")[1].split("</style>")[0]
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    assert f"style-src 'sha256-{digest}'" in dict(headers)["content-security-policy"]
    assert "Sign in with Bell &amp; &quot;Sons&quot; &lt;x&gt;</a>" in body.decode()


def test_a_script_that_is_loaded_from_a_file_needs_no_hash():
    assert inline_hashes(b'<script type="module" src="x.js"></script><script\n src="y.js"></script>') == []
