"""Who passes the door, what passes it, and what the browser gets from it."""

import asyncio
import hashlib
import json
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any
from urllib.parse import quote

import pytest
from starlette.types import Message, Receive, Scope, Send
from streamlit.auth_util import set_cookie_with_chunks
from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.proto.Common_pb2 import FileURLsRequest
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg
from streamlit.runtime.memory_uploaded_file_manager import MemoryUploadedFileManager
from streamlit.runtime.uploaded_file_manager import UploadedFileRec
from streamlit.web.server.server_util import get_cookie_secret
from streamlit.web.server.starlette.starlette_app_utils import create_signed_value

from access.log import Log
from access.sessions import COOKIE, Sessions
from access.settings import settings
from core.errors import UserFacingError
from storage.stores import close_stores, stores
from ui import counting, uploads
from ui import door as doors
from ui import line as lines
from ui.counting import Refusals, Starts
from ui.door import GOING, Door
from ui.line import BROKEN, SIGNED_OUT, Line, Told
from ui.loopback import Loopback

ORIGIN = "https://assay.example"
CONFIG = f"""
[auth]
redirect_uri = "{ORIGIN}/oauth2callback"
cookie_secret = "kN3vQ8zR1tY6wB4mX9cL2pH7sD5fG0jA"
[auth.company]
title = "Company"
client_id = "assay"
client_secret = "a secret of the tests"
server_metadata_url = "https://provider.example/.well-known/openid-configuration"
[roles]
viewer = ["v"]
auditor = ["c"]
analyst = ["a"]
admin = ["boss"]
[mfa]
amr = ["mfa"]
"""


@dataclass
class Answer:
    """What came back: `closed` is the code that a WebSocket was closed with."""

    status: int = 0
    headers: list[tuple[str, str]] = field(default_factory=list)
    body: str = ""
    closed: int = 0

    def __getitem__(self, name: str) -> str:
        return dict(self.headers).get(name, "")

    @property
    def cookies(self) -> dict[str, str]:
        """The cookies that it sets, by name; "" where it deletes one."""
        pairs = (value.split(";")[0].split("=", 1) for name, value in self.headers if name == "set-cookie")
        return {name: value.strip('"') for name, value in pairs}


class Inner:
    """The app behind the door. It keeps what reaches it, and answers at the callback as Streamlit does."""

    def __init__(self) -> None:
        self.reached: list[Scope] = []
        self.claims: Mapping[str, Any] = {}
        self.tokens: Mapping[str, Any] = {}
        self.location = "/"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.reached.append(scope)
        moved = scope["path"] in ("/oauth2callback", "/auth/login", "/auth/logout")
        headers = [(b"location", self.location.encode())] if moved else []
        if scope["path"] == "/oauth2callback":
            headers += [(b"set-cookie", b"_streamlit_session=null; Path=/")]
            headers += [(b"set-cookie", f"{each}; Path=/; Max-Age=2592000".encode()) for each in self._signed()]
        await send({"type": "http.response.start", "status": 302 if moved else 200, "headers": headers})
        await send({"type": "http.response.body", "body": b"inside"})

    def cookies(self) -> str:
        """The Cookie header of the last request that reached it."""
        return dict(self.reached[-1]["headers"]).get(b"cookie", b"").decode()

    def _signed(self) -> list[str]:
        secret, set_ = get_cookie_secret(), []

        def one(name: str, value: str) -> None:
            set_.append(f"{name}={create_signed_value(secret, name, value).decode()}")

        def sign(name: str, value: str) -> bytes:
            return create_signed_value(secret, name, value)

        for name, value in (("_streamlit_user", self.claims), ("_streamlit_user_tokens", self.tokens)):
            if value:
                set_cookie_with_chunks(one, sign, name, dict(value), cookie_attr_size=60)
        return set_


@pytest.fixture
def inner() -> Inner:
    return Inner()


@pytest.fixture
def log(monkeypatch, tmp_path) -> Iterator[Log]:
    """The log of an Assay that is set up for sign-in."""
    config = tmp_path / "assay.toml"
    config.write_text(CONFIG, encoding="utf-8")
    config.chmod(0o600)
    monkeypatch.setenv("ASSAY_CONFIG", str(config))
    monkeypatch.setenv("ASSAY_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("ASSAY_KEYS", str(tmp_path / "keys"))
    monkeypatch.delenv("ASSAY_DATABASE", raising=False)
    monkeypatch.delenv("ASSAY_STORE", raising=False)
    yield Log(stores().database, stores().vault)
    close_stores()


@pytest.fixture
def sessions(log) -> Sessions:
    return Sessions(stores().database, stores().vault, settings(), log)


@pytest.fixture
def door(inner, log) -> Door:
    return Door(inner, settings(), lambda: log)


def claims(sub: str = "ann", roles: tuple[str, ...] = ("a",), **more: object) -> dict[str, object]:
    about = {"iss": "https://provider.example", "sub": sub, "roles": list(roles), "iat": int(time.time())}
    return {**about, "origin": ORIGIN, "is_logged_in": True, "provider": "company", **more}


def ask(
    app: Callable,
    path: str,
    method: str = "GET",
    kind: str = "http",
    client: str = "127.0.0.1",
    query: str = "",
    **headers: str,
) -> Answer:
    """One request of a browser that shows pages, and the answer."""
    sent = {
        "host": "assay.example",
        "accept": "text/html",
        **{name.replace("_", "-"): v for name, v in headers.items()},
    }
    scope = {
        "type": kind,
        "method": method,
        "path": path,
        "raw_path": quote(path).encode(),
        "query_string": query.encode(),
        "headers": [(name.encode(), value.encode()) for name, value in sent.items()],
        "client": (client, 1234),
        "scheme": "https",
        "server": ("assay.example", 443),
    }
    if kind == "websocket":
        del scope["method"]
    answer = Answer()

    async def receive() -> Message:
        return {"type": "websocket.connect" if kind == "websocket" else "http.request", "body": b""}

    async def send(message: Message) -> None:
        if message["type"] == "http.response.start":
            answer.status = message["status"]
            answer.headers = [(name.decode(), value.decode()) for name, value in message["headers"]]
        elif message["type"] == "websocket.close":
            answer.closed = message["code"]
        else:
            answer.body += message.get("body", b"").decode()

    asyncio.run(app(scope, receive, send))
    return answer


def stopped(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """The door's clock, whose `now` goes by when a test says so."""
    clock = SimpleNamespace(now=1000.0)
    clock.monotonic = lambda: clock.now
    monkeypatch.setattr(counting, "time", clock)
    return clock


# --- without sign-in ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("host", ["localhost:8501", "127.0.0.1:8501", "[::1]:8501", "localhost", "LOCALHOST:1"])
def test_this_machine_gets_in_by_its_own_names(inner, host):
    assert ask(Loopback(inner), "/", host=host).status == 200
    assert ask(Loopback(inner), "/_stcore/stream", kind="websocket", host=host, origin=f"http://{host}").status == 200


@pytest.mark.parametrize("kind", ["http", "websocket"])
@pytest.mark.parametrize(
    ("request_", "why"),
    [
        ({"host": "evil.example:8501"}, "another name"),
        ({"host": "localhost.evil.example"}, "another name"),
        ({"host": "127.0.0.1.evil.example"}, "another name"),
        ({"host": "192.0.2.7:8501"}, "another name"),
        ({"host": ""}, "another name"),
        ({"host": "[::1"}, "another name"),
        ({"host": "localhost", "client": "192.0.2.7"}, "another machine"),
        ({"host": "localhost", "client": ""}, "another machine"),
        ({"host": "localhost", "x_forwarded_for": "192.0.2.7"}, "a proxy"),
        ({"host": "localhost", "forwarded": "for=192.0.2.7"}, "a proxy"),
    ],
    ids=str,
)
def test_nobody_else_gets_in_without_sign_in(inner, kind, request_, why):
    answer = ask(Loopback(inner), "/", kind=kind, **request_)
    assert not inner.reached
    if kind == "http":
        assert answer.status == 403 and why in answer.body and "docs/access.md" in answer.body
    else:
        assert answer.closed


@pytest.mark.parametrize("origin", ["https://evil.example", "null", "http://localhost.evil.example"])
def test_a_page_of_another_site_opens_no_websocket(inner, origin):
    assert ask(Loopback(inner), "/_stcore/stream", kind="websocket", host="localhost", origin=origin).closed
    assert not inner.reached


# --- strangers ------------------------------------------------------------------------------------------------------

PLACES = ["/", "/model", "/media/x.png", "/_stcore/metrics", "/_stcore/host-config", "/_stcore/upload_file/a/b"]
PLACES += ["/component/x", "/_stcore/agent/interact", "/static/js/x.js", "/favicon.png", "/_stcore/health/", "/auth/x"]
PLACES += ["/_stcore/healthy", "/%5fstcore/metrics", "/oauth2callback/", "/auth/login/", "/index.html"]


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS"])
@pytest.mark.parametrize("path", PLACES)
def test_nothing_of_a_strangers_request_reaches_the_app(door, inner, path, method):
    for cookie in ("", f"{COOKIE}=guessed", "_streamlit_user=forged; assay_session"):
        answer = ask(door, path, method, cookie=cookie)
        assert answer.status == 401 or "Sign in with Company" in answer.body or method == "HEAD"
    assert ask(door, path, kind="websocket").closed
    assert not inner.reached


def test_the_health_check_answers_everybody_by_any_name(door, inner):
    assert ask(door, "/_stcore/health", host="10.0.0.7:8501").body == "inside"


def test_another_name_leads_to_the_right_one_and_passes_nothing(door, inner):
    answer = ask(door, "/model", query="row=5", host="10.0.0.7")
    assert (answer.status, answer["location"]) == (307, f"{ORIGIN}/model?row=5")
    assert ask(door, "/media/x.png", host="10.0.0.7").status == 403
    assert ask(door, "/_stcore/stream", kind="websocket", host="10.0.0.7").closed
    assert not inner.reached


def test_strangers_do_not_fill_the_log(door, log, monkeypatch):
    clock = stopped(monkeypatch)
    for _ in range(31):
        ask(door, "/media/x.png")
    clock.now += 11
    ask(door, "/media/x.png")
    entries = log.entries()
    assert [entry.what["times"] for entry in entries] == [31, 1]
    assert {(entry.who, entry.outcome, entry.what["address"]) for entry in entries} == {
        ("nobody", "refused", "/media/")
    }


def test_a_sign_in_starts_at_a_provider_that_there_is(door, inner):
    inner.location = "https://provider.example/authorize"
    answer = ask(door, "/auth/login", query="provider=company", cookie="_streamlit_user=forged; other=1")
    assert answer["location"] == inner.location
    assert inner.cookies() == "other=1"
    assert inner.reached[-1]["query_string"] != b"provider=company", "Streamlit wants it signed"
    assert ask(door, "/auth/login", query="provider=elsewhere")["location"] == "/"
    assert len(inner.reached) == 1


# --- signing in -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("groups", [0, 300])
def test_the_browser_gets_one_cookie_and_the_app_what_the_provider_said(door, inner, sessions, groups):
    inner.claims = claims(groups=[f"4f1c{number:08x}-6b1e-4c55-9a50" for number in range(groups)])
    inner.tokens = {"id_token": "token"}
    answer = ask(door, "/oauth2callback", query="code=1&state=2", cookie=f"{GOING}={quote('/model?row=5', safe='')}")
    assert (answer.status, answer["location"]) == (303, "/model?row=5")
    cookies = answer.cookies
    assert cookies.keys() == {COOKIE, GOING, "_streamlit_session"} and not cookies[GOING]
    assert "HttpOnly; Path=/; SameSite=lax; Secure" in next(v for _, v in answer.headers if v.startswith(COOKIE))
    assert sessions.find(cookies[COOKIE]).person.roles == ("analyst",)

    ask(door, "/model", cookie=f"{COOKIE}={cookies[COOKIE]}; _streamlit_user=forged; _streamlit_user_1=x; other=1")
    inside = inner.cookies().split("; ")
    assert f"{COOKIE}={cookies[COOKIE]}" in inside and "other=1" in inside
    assert "forged" not in inner.cookies() and sum(each.startswith("_streamlit_user=") for each in inside) == 1
    assert doors._claims(dict(each.split("=", 1) for each in inside)) == inner.claims


@pytest.mark.parametrize(
    "going",
    ["//evil.example", "/\\evil.example", "https://evil.example", "evil", "", "/\t/evil.example", "/a\r\nx: y", "/ä"]
    + [
        "/auth/logout",
        "/oauth2callback?code=1",
        "/_stcore/metrics",
        "/media/x",
        f"/{'x' * 3000}",
        "javascript:alert(1)",
    ],
)
def test_a_sign_in_sends_nobody_elsewhere(door, inner, going):
    inner.claims = claims()
    answer = ask(door, "/oauth2callback", query="code=1&state=2", cookie=f"{GOING}={quote(going, safe='')}")
    assert answer["location"] == "/"


@pytest.mark.parametrize("path", ["//evil.example/x", "/model\\..", "/auth/x"])
def test_the_sign_in_page_remembers_no_strange_address(door, path):
    assert ask(door, path).cookies.get(GOING, "%2F") in ("%2F", quote(quote(path), safe=""))
    assert doors._own(path) == "/"


def test_another_sign_in_of_the_same_browser_ends_the_one_before(door, inner, sessions, log):
    inner.claims = claims()
    first = ask(door, "/oauth2callback", query="code=1&state=2").cookies[COOKIE]
    second = ask(door, "/oauth2callback", query="code=1&state=2", cookie=f"{COOKIE}={first}").cookies[COOKIE]
    assert sessions.find(first) is None and sessions.find(second) is not None
    written = [(each.action, each.session) for each in reversed(log.entries())]
    mine = [hashlib.sha256(each.encode()).hexdigest() for each in (first, second)]
    assert written == [("sign-in", mine[0]), ("sign-in", mine[1]), ("sign-out", mine[0])]


def test_a_sign_in_ends_nobody_elses_by_what_the_log_shows(door, inner, sessions):
    cookie, session = enter(sessions, "boss")
    inner.claims = claims()
    ask(door, "/oauth2callback", query="code=1&state=2", cookie=f"{COOKIE}={session}")
    assert sessions.find(cookie.split("=")[1])


def test_whoever_is_blocked_gets_no_cookie_and_it_is_written(door, inner, sessions, log):
    inner.claims = claims()
    cookie = ask(door, "/oauth2callback", query="code=1&state=2").cookies[COOKIE]
    sessions.block(sessions.find(cookie).person.id)
    answer = ask(door, "/oauth2callback", query="code=1&state=2")
    assert answer.status == 403 and COOKIE not in answer.cookies and "blocked" in answer.body
    assert log.entries()[0].outcome == "refused"


def test_no_sign_in_without_the_log(door, inner, sessions, log, monkeypatch):
    def broken(*_: object, **__: object) -> None:
        raise UserFacingError("Nothing was done, for the log cannot be written", "The disk is full", "Make room")

    monkeypatch.setattr(log, "record", broken)
    inner.claims = claims()
    answer = ask(door, "/oauth2callback", query="code=1&state=2")
    assert answer.status == 403 and COOKIE not in answer.cookies and "the log cannot be written" in answer.body
    assert sessions.listed() == []


@pytest.mark.parametrize(
    ("query", "status", "asked"),
    [
        ("error=access_denied&state=1", 403, False),
        ("error=&state=1&code=1", 403, False),
        ("err%6fr=text+of+mine&error_description=too&state=1", 403, False),
        ("code=1", 403, False),
        ("code=1&state=", 403, False),
        ("", 303, False),
        ("code=1&state=1", 403, True),
        ("state=1", 303, True),
    ],
)
def test_a_sign_in_that_brings_nobody_is_told(door, inner, query, status, asked):
    """Of what strangers can make up without having begun a sign-in, Streamlit hears nothing."""
    answer = ask(door, "/oauth2callback", query=query)
    assert answer.status == status and COOKIE not in answer.cookies
    assert bool(inner.reached) is asked
    assert "called off at the provider" in answer.body or status == 303


@pytest.mark.parametrize(
    ("path", "query"), [("/auth/login", "provider=company"), ("/oauth2callback", "state=1&code=1")]
)
def test_one_address_does_not_keep_the_provider_busy(door, inner, log, monkeypatch, path, query):
    clock = stopped(monkeypatch)
    inner.location = "https://provider.example/authorize"
    for _ in range(70):
        answer = ask(door, path, query=query)
    assert answer.status == 429 and "Wait a minute" in answer.body and len(inner.reached) == doors._STARTS
    assert (log.entries()[0].who, log.entries()[0].outcome) == ("nobody", "refused")
    assert ask(door, path, query=query, client="192.0.2.7").status != 429
    clock.now += 61
    assert ask(door, path, query=query).status != 429


def test_many_addresses_take_little_memory_and_a_network_counts_as_one(monkeypatch):
    monkeypatch.setattr(counting, "_MOST", 50)
    starts = Starts(3)
    assert [starts.take(f"2001:db8:0:1::{last:x}") for last in range(4)] == [True, True, True, False]
    assert starts.take("2001:db8:0:2::1") and starts.take("unix") and starts.take("")
    for number in range(500):
        starts.take(f"10.0.{number // 250}.{number % 250}")
    assert len(starts._counts) <= 50
    refusals = Refusals()
    for number in range(500):
        refusals.add(f"{number}", "view")
    assert len(refusals._waiting) <= 50


def test_nobody_passes_while_the_sign_ins_cannot_be_read(door, inner, monkeypatch):
    def closed() -> None:
        raise UserFacingError("The database cannot be opened", "The disk is gone", "Mount it")

    monkeypatch.setattr(doors, "stores", closed)
    answer = ask(door, "/", cookie=f"{COOKIE}=x")
    assert answer.status == 503 and "The disk is gone" in answer.body
    assert ask(door, "/_stcore/stream", kind="websocket", cookie=f"{COOKIE}=x").closed
    assert not inner.reached


# --- signed in ------------------------------------------------------------------------------------------------------


def enter(sessions: Sessions, *roles: str, **more: object) -> tuple[str, str]:
    """The Cookie header of a fresh sign-in, and its id."""
    cookie = sessions.begin(claims(f"{roles}", roles, **more), {"_streamlit_user": "theirs"})
    return f"{COOKIE}={cookie}", sessions.find(cookie).person.session


def test_metrics_need_an_administrator_with_a_second_factor(door, sessions, log):
    boss, _ = enter(sessions, "boss", amr=["mfa"])
    by_password, _ = enter(sessions, "boss", "v")
    assert ask(door, "/_stcore/metrics", cookie=boss).status == 200
    assert ask(door, "/_stcore/metrics", cookie=by_password).status == 403
    assert (log.entries()[0].outcome, log.entries()[0].what["address"]) == ("refused", "/_stcore/metrics")


def test_media_and_uploads_are_for_the_sign_in_that_was_told_of_them(door, sessions):
    (mine, me), (theirs, them) = enter(sessions, "a"), enter(sessions, "a", "v")
    name = "0123456789abcdef" * 2
    door._told.tell(me, name)
    door._told.tell(me, "page-1")
    door._told.tell(them, "page-2")
    for path, method in ((f"/media/{name}.png", "GET"), ("/_stcore/upload_file/page-1/file", "PUT")):
        assert ask(door, path, method, cookie=mine, content_length="3").status == 200
        assert ask(door, path, method, cookie=theirs, content_length="3").status == 403
    keeper, keeper_id = enter(sessions, "boss")
    door._told.tell(keeper_id, "page-3")
    assert ask(door, "/_stcore/upload_file/page-3/file", "PUT", cookie=keeper).status == 403


def test_refusals_of_one_person_do_not_fill_the_log(door, sessions, log, monkeypatch):
    clock = stopped(monkeypatch)
    (mine, me), (theirs, _) = enter(sessions, "a"), enter(sessions, "v")
    for _ in range(31):
        assert ask(door, "/media/x.png", cookie=mine).status == 403
    ask(door, "/media/x.png", cookie=theirs)
    clock.now += 11
    ask(door, "/_stcore/agent/mcp", cookie=mine)
    entries = [each for each in log.entries() if each.session == me]
    assert [(each.what["address"], each.what["times"]) for each in entries] == [("/_stcore/agent/", 31), ("/media/", 1)]
    assert len(log.entries()) == 3, "each person's are counted alone"


@pytest.mark.parametrize(("site", "out"), [("cross-site", False), ("same-site", False), ("same-origin", True)])
def test_another_site_signs_nobody_out(door, inner, sessions, site, out):
    cookie, _ = enter(sessions, "a")
    answer = ask(door, "/auth/logout", cookie=cookie, sec_fetch_site=site)
    assert (answer.status, bool(inner.reached)) == ((303, True) if out else (403, False))
    assert (sessions.find(cookie.split("=")[1]) is None) is out


def test_one_address_however_it_is_written(door, inner, sessions):
    cookie, _ = enter(sessions, "a")
    for host in ("Assay.Example", "assay.example:443"):
        assert ask(door, "/", cookie=cookie, host=host).status == 200
    assert ask(door, "/", cookie=cookie, host="assay.example:80").status == 307
    websocket = {"kind": "websocket", "cookie": cookie, "host": "assay.example:443"}
    reached = len(inner.reached)
    ask(door, "/_stcore/stream", origin="https://ASSAY.example:443", **websocket)
    assert len(inner.reached) == reached + 1


# --- uploads --------------------------------------------------------------------------------------------------------

PUT = "/_stcore/upload_file/page/file"


@pytest.fixture
def bringer(door, sessions) -> str:
    """The Cookie header of an analyst whose page is open."""
    cookie, session = enter(sessions, "a")
    door._told.tell(session, "page")
    return cookie


def test_an_upload_is_written_before_it_is_passed_on(door, inner, log, bringer):
    assert ask(door, PUT, "PUT", cookie=bringer, content_length="1234").status == 200
    (entry,) = log.entries()
    assert (entry.action, entry.outcome, entry.what) == ("upload", "allowed", {"kind": "file", "bytes": 1234})
    assert ask(door, PUT, "DELETE", cookie=bringer).status == 200 and len(log.entries()) == 1


@pytest.mark.parametrize(
    "headers",
    [{}, {"content_length": "x"}, {"content_length": "-1"}, {"content_length": "\u00b2"}, {"content_length": "9" * 30}]
    + [{"content_length": "3", "transfer_encoding": "chunked"}],
    ids=str,
)
def test_an_upload_says_its_size(door, inner, log, bringer, headers):
    answer = ask(door, PUT, "PUT", cookie=bringer, **headers)
    assert answer.status == 411 and "Content-Length" in answer.body and not inner.reached
    assert (log.entries()[0].action, log.entries()[0].outcome) == ("upload", "refused")


@pytest.mark.parametrize(("role", "most"), [("a", 1024 << 20), ("c", 21 << 20)])
def test_one_upload_is_as_large_as_its_person_may_send(door, inner, log, sessions, role, most):
    cookie, session = enter(sessions, role)
    door._told.tell(session, "page")
    assert ask(door, PUT, "PUT", cookie=cookie, content_length=f"{most + 1}").status == 413
    assert not inner.reached and log.entries()[0].outcome == "refused"
    assert ask(door, PUT, "PUT", cookie=cookie, content_length=f"{most}").status == 200


def test_uploads_beyond_a_persons_limit_are_refused_and_written_once(door, inner, log, bringer):
    size = f"{1 << 30}"
    assert [ask(door, PUT, "PUT", cookie=bringer, content_length=size).status for _ in range(7)] == [200] * 4 + [
        429
    ] * 3
    assert len(inner.reached) == 4
    assert [each.outcome for each in log.entries()] == ["refused", *["allowed"] * 4]
    assert "You may not bring more files for now" in ask(door, PUT, "PUT", cookie=bringer, content_length=size).body


def test_what_is_on_its_way_or_in_memory_is_two_files_at_most(door, sessions, bringer, monkeypatch):
    person = sessions.find(bringer.split("=")[1]).person
    largest, held = 1 << 30, {}
    monkeypatch.setattr(uploads, "_held", lambda: held)
    with door._uploads.room(person, "page", largest), door._uploads.room(person, "page", largest - 5):
        assert ask(door, PUT, "PUT", cookie=bringer, content_length="6").status == 429
        assert ask(door, PUT, "PUT", cookie=bringer, content_length="5").status == 200
    assert ask(door, PUT, "PUT", cookie=bringer, content_length="6").status == 200
    held["page"] = 2 * largest - 5
    answer = ask(door, PUT, "PUT", cookie=bringer, content_length="6")
    assert answer.status == 429 and "Close pages" in answer.body
    held.clear()
    assert ask(door, PUT, "PUT", cookie=bringer, content_length="6").status == 200
    assert not door._uploads._on_the_way and door._uploads._pages.keys() <= {"page"}


def test_what_streamlit_holds_is_counted_by_the_page_that_it_was_sent_to(monkeypatch):
    assert uploads._held() == {}, "nothing runs"
    manager = MemoryUploadedFileManager("/upload")
    for page, file, size in (("a", "1", 5), ("a", "2", 7), ("b", "1", 11)):
        manager.add_file(page, UploadedFileRec(file, "name", "text/csv", bytes(size)))
    running = SimpleNamespace(exists=lambda: True, get_instance=lambda: SimpleNamespace(uploaded_file_mgr=manager))
    monkeypatch.setattr(uploads, "runtime", running)
    assert uploads._held() == {"a": 12, "b": 11}
    manager.remove_session_files("a")
    assert uploads._held() == {"b": 11}


def test_signing_out_ends_the_sign_in_before_the_provider_is_asked(door, inner, sessions, log):
    cookie, _ = enter(sessions, "a")
    inner.location = f"https://provider.example/end?client_id=assay&id_token_hint={'x' * 9000}&post=%2F"
    answer = ask(door, "/auth/logout", cookie=cookie)
    assert answer["location"] == "https://provider.example/end?client_id=assay&post=%2F", "no web server takes the rest"
    assert answer.cookies[COOKIE] == "" and "_streamlit_user=theirs" in inner.cookies()
    assert sessions.find(cookie.split("=")[1]) is None
    assert log.entries()[0].action == "sign-out"
    assert "you signed out" in ask(door, "/", cookie=cookie).body
    assert ask(door, "/auth/logout", cookie=cookie)["location"] == "/"


def test_only_what_a_person_does_counts_as_being_there(door, sessions, monkeypatch):
    cookie, session = enter(sessions, "a")
    touched = []
    look = Sessions.find
    monkeypatch.setattr(Sessions, "find", lambda self, it, touch=True: (touched.append(touch), look(self, it))[1])
    for path in ("/", "/_stcore/host-config", "/static/js/x.js"):
        ask(door, path, cookie=cookie)
    assert touched == [True, False, False]


# --- an open page ---------------------------------------------------------------------------------------------------


def told(session: str = "", url: str = "") -> bytes:
    """A message of the server that names a page session, or a picture."""
    message = ForwardMsg()
    if session:
        message.new_session.initialize.session_id = session
    if url:
        message.delta.new_element.imgs.imgs.add(url=url)
    return message.SerializeToString()


def said(again: bool = False) -> bytes:
    """A message of the browser; `again`: of a page that runs a part of itself by the clock."""
    message = BackMsg()
    message.rerun_script.query_string = "row=5"
    message.rerun_script.is_auto_rerun = again
    return message.SerializeToString()


def talk(
    live: Callable[[bool], Any],
    messages: list[bytes],
    answers: list[bytes],
    rest: float = 0.0,
    known: Told | None = None,
) -> tuple[list[Message], list[Message]]:
    """What the app and the browser get while the browser sends `messages` and the app answers each with the next."""
    heard: list[Message] = []
    sent: list[Message] = []
    waiting = [{"type": "websocket.connect"}, *({"type": "websocket.receive", "bytes": body} for body in messages)]

    async def receive() -> Message:
        if waiting:
            return waiting.pop(0)
        await asyncio.sleep(rest)
        return {"type": "websocket.disconnect", "code": 1000}

    async def send(message: Message) -> None:
        sent.append(message)

    async def app(_scope: Scope, receive: Receive, send: Send) -> None:
        queue = list(answers)
        while True:
            message = await receive()
            heard.append(message)
            if message["type"] == "websocket.disconnect":
                await send({"type": "websocket.send", "bytes": b"too late"})
                return
            if queue:
                await send({"type": "websocket.send", "bytes": queue.pop(0)})

    async def asked(used: bool) -> bool:
        return live(used)

    asyncio.run(Line("mine", known or Told(), asked).run(app, {"type": "websocket"}, receive, send))
    return heard, sent


def test_what_the_server_says_to_a_page_is_good_for_that_sign_in_only():
    known, name = Told(), "0123456789abcdef" * 2
    talk(lambda _: True, [said(), said()], [told("page"), told(url=f"/media/{name}.png")], known=known)
    assert known.knows("mine", "page") and known.knows("mine", name)
    assert not known.knows("theirs", "page") and not known.knows("mine", "0" * 32)


def test_the_oldest_of_what_was_told_is_forgotten(monkeypatch):
    monkeypatch.setattr(lines, "_MOST", 3)
    known = Told()
    for thing in ("a", "b", "c", "a", "d"):
        known.tell("mine", thing)
    assert [thing for thing in "abcd" if known.knows("mine", thing)] == ["a", "c", "d"]


def test_a_click_after_the_end_of_the_sign_in_does_not_reach_the_app():
    lives = iter([True, False])
    heard, sent = talk(lambda _: next(lives), [said(), said(), said()], [])
    assert [message["type"] for message in heard] == ["websocket.connect", "websocket.receive", "websocket.disconnect"]
    assert sent == [{"type": "websocket.close", "code": SIGNED_OUT}], "and nothing after it"


def test_a_page_at_rest_is_closed_when_its_sign_in_ends(monkeypatch):
    monkeypatch.setattr(lines, "LOOK_EVERY", 0.01)
    asked = []
    _, sent = talk(lambda used: asked.append(used) or len(asked) < 3, [], [], rest=0.2)
    assert sent == [{"type": "websocket.close", "code": SIGNED_OUT}]
    assert asked == [False, False, False], "looking is not using"


def test_a_page_is_closed_when_its_sign_in_cannot_be_looked_at():
    def live(_: bool) -> bool:
        raise UserFacingError("The database cannot be opened", "The disk is gone", "Mount it")

    assert talk(live, [said()], [])[1] == [{"type": "websocket.close", "code": BROKEN}]


def test_a_page_that_runs_by_the_clock_is_not_somebody_there():
    used = []
    talk(lambda each: used.append(each) or True, [said(), said(again=True), b"\xff\xff"], [])
    assert used == [True, False, False]


@pytest.mark.parametrize(
    ("message", "used"),
    [
        (BackMsg(app_heartbeat=True), False),
        (BackMsg(load_git_info=True), False),
        (BackMsg(clear_cache=True), False),
        (BackMsg(), False),
        (BackMsg(stop_script=True), True),
        (BackMsg(file_urls_request=FileURLsRequest(request_id="1", file_names=["a"])), True),
    ],
    ids=str,
)
def test_only_what_a_person_sets_off_shows_that_they_are_there(message, used):
    seen = []
    talk(lambda each: seen.append(each) or True, [message.SerializeToString()], [])
    assert seen == [used]


@pytest.mark.parametrize("origin", ["https://evil.example", "null", "http://assay.example", f"{ORIGIN}.evil.example"])
def test_a_websocket_of_another_site_is_not_opened_with_a_persons_cookie(door, inner, sessions, origin):
    cookie, _ = enter(sessions, "a")
    assert ask(door, "/_stcore/stream", kind="websocket", cookie=cookie, origin=origin).closed
    assert ask(door, "/_stcore/stream", kind="websocket", cookie=cookie).closed, "and none without a site"
    assert not inner.reached


def test_a_page_session_of_another_sign_in_is_not_named_to_the_app(door, inner, sessions):
    (cookie, me), (_, them) = enter(sessions, "a"), enter(sessions, "v")
    door._told.tell(me, "mine")
    door._told.tell(them, "theirs")

    def named(session: str) -> str:
        words = f"streamlit, token, {session}"
        headers = {"sec_websocket_protocol": words, "origin": ORIGIN, "cookie": cookie}
        ask(door, "/_stcore/stream", kind="websocket", **headers)
        return dict(inner.reached[-1]["headers"])[b"sec-websocket-protocol"].decode()

    assert named("mine") == "streamlit, token, mine"
    assert named("theirs") == named("unknown") == "streamlit, token"
    assert json.dumps(inner.cookies()).count("_streamlit_user=theirs") == 1
