"""The door of a hosted Assay: nothing of the app runs for anybody who is not signed in.

Streamlit makes the sign-in (OpenID Connect) and signs it into cookies that hold for 30 days wherever they are copied
to. Those never reach a browser: they are taken out of the answer, kept sealed in the session's row, and put back into
each request of a sign-in that goes on. The browser has one random cookie that means nothing without the row.
"""

import json
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import parse_qs, parse_qsl, quote, unquote, urlencode, urlsplit

from starlette.concurrency import run_in_threadpool
from starlette.datastructures import Headers, MutableHeaders, QueryParams
from starlette.requests import HTTPConnection
from starlette.responses import RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from streamlit.auth_util import encode_provider_token, get_cookie_with_chunks
from streamlit.web.server.server_util import get_cookie_secret
from streamlit.web.server.starlette.starlette_app_utils import decode_signed_value
from streamlit.web.server.starlette.starlette_server_config import USER_COOKIE_NAME

from access.actions import allowed
from access.limits import Exceeded, Limits
from access.log import Log
from access.people import Person
from access.sessions import COOKIE, Sessions, SignedIn
from access.settings import CALLBACK, Settings, plain_origin, settings
from core.errors import UserFacingError
from storage.stores import stores
from ui import signin, uploads
from ui.counting import Refusals, Starts
from ui.line import Line, Told
from ui.loopback import refuse
from ui.uploads import Uploads

GOING = "assay_going"  # where the person was going before they were asked to sign in
HEALTH = "/_stcore/health"
LOGIN, LOGOUT = "/auth/login", "/auth/logout"
STREAM = "/_stcore/stream"
MEDIA, UPLOAD = "/media/", "/_stcore/upload_file/"

# Who may reach an address beyond being signed in: one of these actions, by the beginning of the path.
NEEDED: dict[str, tuple[str, ...]] = {
    UPLOAD: ("bring", "ask-shared", "report"),
    "/_stcore/metrics": ("people",),
}
# What else of Streamlit's own a signed-in person's browser needs; the rest of it is closed to everybody.
PLAIN = (STREAM, "/_stcore/host-config", "/_stcore/bidi-components/")
_NOT_A_VIEW = ("/_stcore/", "/auth/", CALLBACK, MEDIA, "/component/", "/static/")
_STARTS = 60  # sign-ins a minute that are begun from one address, and as many that are ended
_LONGEST = 2000  # characters of an address that are remembered or sent on
_KINDS = (MEDIA, UPLOAD, STREAM, "/_stcore/metrics", "/_stcore/agent/", "/_stcore/", "/component/", "/static/")


class Door:
    """Lets in whoever is signed in, to what they may reach, and shows everybody else the sign-in page."""

    def __init__(self, app: ASGIApp, start: Settings, log: Callable[[], Log]) -> None:
        """`start` are the settings that the web server started with; all but [auth] are read anew at each request."""
        self._app = app
        self._start = start
        self._log = log
        self._told = Told()
        self._uploads = Uploads()
        self._refusals = Refusals()
        self._starts = {LOGIN: Starts(_STARTS), CALLBACK: Starts(_STARTS)}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan" or scope["path"] == HEALTH:
            await self._app(scope, receive, send)
            return
        try:
            await self._meet(scope, receive, send)
        except UserFacingError as error:  # the sessions or the log cannot be reached: nobody passes
            await refuse(scope, receive, send, 503, error.sentence)

    async def _meet(self, scope: Scope, receive: Receive, send: Send) -> None:
        scheme = self._start.origin.partition(":")[0]
        if plain_origin(f"{scheme}://{Headers(scope=scope).get('host', '')}") != self._start.origin:
            await self._elsewhere(scope, receive, send)
        elif scope["type"] == "http" and scope["path"] == LOGIN:
            await self._begin(scope, receive, send)
        elif scope["type"] == "http" and scope["path"] == CALLBACK:
            await self._arrive(scope, receive, send)
        else:
            used = _is_view(scope) or scope.get("method", "GET") != "GET"
            signed = await self._find(scope, used)
            await (self._pass(scope, receive, send, signed) if signed else self._stop(scope, receive, send))

    # --- who is not signed in ---------------------------------------------------------------------------------------

    async def _elsewhere(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Asked for under another name than the sign-in knows: a person is sent there, anything else refused."""
        if _is_view(scope):
            await RedirectResponse(f"{self._start.origin}{_address(scope)}", 307)(scope, receive, send)
        else:
            await self._refuse_stranger(scope)
            sentence = f"Assay is at {self._start.origin} and answers to no other name."
            await refuse(scope, receive, send, 403, sentence)

    async def _stop(self, scope: Scope, receive: Receive, send: Send) -> None:
        """The sign-in page for a person's view, which they get to afterwards; one sentence for anything else."""
        if scope["type"] == "http" and scope["path"] == LOGOUT:
            await RedirectResponse("/", 303)(scope, receive, send)
            return
        if not _is_view(scope):
            await self._refuse_stranger(scope)
            await refuse(scope, receive, send, 401, "Nobody is signed in here. Open Assay's page and sign in.")
            return
        cookie = _cookie(scope, COOKIE)
        why = await run_in_threadpool(self._sessions().why_not, cookie) if cookie else ""
        answer = signin.page(self._start.providers, why)
        self._set(answer, GOING, quote(_address(scope), safe=""), max_age=600)
        await answer(scope, receive, send)

    async def _begin(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Sends the person to the provider that they chose."""
        name = parse_qs(scope["query_string"].decode("latin-1")).get("provider", [""])[0]
        provider = next((each for each in self._start.providers if each.name == name), None)
        if provider is None:
            await RedirectResponse("/", 303)(scope, receive, send)
            return
        if await self._too_often(scope, receive, send):
            return
        query = urlencode({"provider": encode_provider_token(provider.name)}).encode()
        caught = _Caught()
        await self._app({**_with_cookies(scope, {}), "query_string": query}, receive, caught)
        if caught.status == 302:
            await caught.pass_on(send)
        else:
            why = f"{provider.title} could not be reached. Try again in a minute, or tell whoever runs Assay."
            await signin.page(self._start.providers, why, 502)(scope, receive, send)

    async def _arrive(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Back from the provider: from a sign-in, or from a sign-out, which brings nothing with it.

        What no sign-in of ours can have led to does not reach Streamlit, which writes what it is told into its log.
        """
        asked = QueryParams(scope["query_string"])
        if "error" in asked or not asked.get("state"):
            await self._came_back(scope)(scope, receive, send)
            return
        if await self._too_often(scope, receive, send):
            return
        caught = _Caught()
        await self._app(_with_cookies(scope, {}), receive, caught)
        kept = caught.users()
        try:
            answer = await self._sign_in(scope, kept) if kept else self._came_back(scope)
        except UserFacingError as error:
            answer = signin.page(self._start.providers, error.sentence, 403)
        answer.raw_headers.extend(caught.cookies)
        await answer(scope, receive, send)

    async def _too_often(self, scope: Scope, receive: Receive, send: Send) -> bool:
        """Answers where so many sign-ins came from one address that the provider would be asked too often."""
        if self._starts[scope["path"]].take((scope.get("client") or ("",))[0]):
            return False
        await self._refuse_stranger(scope)
        why = "Very many sign-ins came from your network in the last minute. Wait a minute, then sign in."
        await signin.page(self._start.providers, why, 429)(scope, receive, send)
        return True

    async def _sign_in(self, scope: Scope, kept: dict[str, str]) -> Response:
        cookie = await run_in_threadpool(self._open_session, kept, _cookie(scope, COOKIE))
        answer = RedirectResponse(_own(unquote(_cookie(scope, GOING))), 303)
        self._set(answer, COOKIE, cookie)
        answer.delete_cookie(GOING, path="/")
        return answer

    def _open_session(self, kept: dict[str, str], before: str) -> str:
        """A new sign-in's cookie, written into the log before the browser gets it. The one it had before ends."""
        claims = _claims(kept)
        provider = str(claims.get("provider", ""))
        sessions = self._sessions()
        try:
            cookie = sessions.begin(claims, kept)
        except UserFacingError as error:
            self._log().refuse(None, "sign-in", error, provider=provider)
        try:
            self._log().record(sessions.find(cookie).person, "sign-in", "allowed", provider=provider)
            if earlier := sessions.find(before, touch=False):
                sessions.end_cookie(before, "signed out")
                self._log().record(earlier.person, "sign-out", "allowed")
        except UserFacingError:
            sessions.end_cookie(cookie, "ended")
            raise
        return cookie

    def _came_back(self, scope: Scope) -> Response:
        asked = QueryParams(scope["query_string"])
        if not {"code", "error"} & asked.keys():
            return RedirectResponse("/", 303)
        why = "The sign-in did not come to its end, or was called off at the provider. Sign in again."
        return signin.page(self._start.providers, why, 403)

    # --- who is -----------------------------------------------------------------------------------------------------

    async def _find(self, scope: Scope, used: bool) -> SignedIn | None:
        """Who is signed in; `used`: by this they show that they are there."""
        cookie = _cookie(scope, COOKIE)
        if not cookie:
            return None
        return await run_in_threadpool(lambda: self._sessions().find(cookie, touch=used))

    async def _pass(self, scope: Scope, receive: Receive, send: Send, signed: SignedIn) -> None:
        """A signed-in person's request, with what Streamlit signed put back into it."""
        inside = _with_cookies(scope, signed.cookies)
        if not self._may_reach(scope, signed.person):
            await self._refuse_person(signed.person, "view", address=_kind(scope))
            await refuse(scope, receive, send, 403, "You may not reach this address.")
        elif scope["path"] == LOGOUT:
            await self._leave(inside, receive, send, signed)
        elif scope["path"].startswith(UPLOAD) and scope["method"] == "PUT":
            await self._take(inside, receive, send, signed.person)
        elif scope["type"] == "websocket":
            session = signed.person.session

            async def live(used: bool) -> bool:
                return await self._find(scope, used) is not None

            await Line(session, self._told, live).run(self._app, self._own_page(inside, session), receive, send)
        else:
            await self._app(inside, receive, send)

    def _may_reach(self, scope: Scope, person: Person) -> bool:
        path, mfa = scope["path"], self._rules().mfa.actions
        if scope["type"] == "websocket":
            return path == STREAM and plain_origin(Headers(scope=scope).get("origin", "")) == self._start.origin
        for beginning, actions in NEEDED.items():
            if path.startswith(beginning) and not any(allowed(person, each, mfa) for each in actions):
                return False
        if path == LOGOUT:  # a link or picture of another site signs nobody out
            return Headers(scope=scope).get("sec-fetch-site") not in ("cross-site", "same-site")
        if path.startswith(UPLOAD):
            return self._told.knows(person.session, _page_of(path))
        if path.startswith(MEDIA):
            return self._told.knows(person.session, path.removeprefix(MEDIA)[:32])
        return not path.startswith("/_stcore") or path.startswith((*PLAIN, *NEEDED))

    async def _take(self, scope: Scope, receive: Receive, send: Send, person: Person) -> None:
        """Passes an upload on: counted and written before anything of it is read, or refused, which is written too."""
        try:
            size = uploads.length(Headers(scope=scope))
            uploads.check(person, self._rules(), size)
            with self._uploads.room(person, _page_of(scope["path"]), size):
                await run_in_threadpool(self._count, person, size)
                await run_in_threadpool(self._record, person, "upload", "allowed", kind="file", bytes=size)
                await self._app(scope, receive, send)
        except uploads.Refusal as error:
            await self._refuse_person(person, "upload", kind="file")
            await refuse(scope, receive, send, error.status, error.sentence)

    def _count(self, person: Person, size: int) -> None:
        """Counts an upload towards the person's limit. Raises uploads.Refusal where that is used up."""
        rules = self._rules().limits
        try:
            Limits(stores().database).take(f"upload/{person.id}", size, rules.upload_bytes, rules.seconds)
        except Exceeded as error:
            raise uploads.Refusal(429, error.what, error.why, error.remedy) from None

    def _own_page(self, scope: Scope, session: str) -> Scope:
        """A page that was open before, the third word, is taken up again only by the sign-in that opened it."""
        headers = MutableHeaders(scope=scope)
        words = [word.strip() for word in headers.get("sec-websocket-protocol", "").split(",")]
        if len(words) > 2 and not self._told.knows(session, words[2]):
            headers["sec-websocket-protocol"] = ", ".join(words[:2])
        return scope

    async def _leave(self, scope: Scope, receive: Receive, send: Send, signed: SignedIn) -> None:
        """Signs out: here at once, whatever the log says, and at the provider where it knows how."""
        await run_in_threadpool(self._sessions().end_cookie, _cookie(scope, COOKIE), "signed out")
        caught = _Caught()
        await self._app(scope, receive, caught)
        answer = RedirectResponse(_short(caught.location) or "/", 303)
        answer.delete_cookie(COOKIE, path="/")
        answer.raw_headers.extend(caught.cookies)
        await run_in_threadpool(self._record, signed.person, "sign-out", "allowed")
        await answer(scope, receive, send)

    # --- small things -----------------------------------------------------------------------------------------------

    def _rules(self) -> Settings:
        return settings() or self._start

    def _sessions(self) -> Sessions:
        opened = stores()
        return Sessions(opened.database, opened.vault, self._rules(), self._log())

    def _set(self, answer: Response, name: str, value: str, max_age: int | None = None) -> None:
        secure = self._start.secure
        answer.set_cookie(name, value, max_age, path="/", secure=secure, httponly=True, samesite="lax")

    async def _refuse_stranger(self, scope: Scope) -> None:
        await self._refuse_person(None, "view", address=_kind(scope))

    async def _refuse_person(self, person: Person | None, action: str, **what: str) -> None:
        """Writes that somebody was refused: one entry now and then with their number, so that none fills the log."""
        if many := self._refusals.add(person.id if person else "", action):
            await run_in_threadpool(self._record, person, action, "refused", **what, times=many)

    def _record(self, person: Person | None, action: str, outcome: str, **what: str | int) -> None:
        self._log().record(person, action, outcome, **what)


class _Caught:
    """An answer of the app, kept back to be looked at."""

    def __init__(self) -> None:
        self._messages: list[Message] = []

    async def __call__(self, message: Message) -> None:
        self._messages.append(message)

    @property
    def status(self) -> int:
        return self._messages[0]["status"]

    @property
    def location(self) -> str:
        """Where it sends the browser; "" where it does not."""
        return dict(self._messages[0]["headers"]).get(b"location", b"").decode("latin-1")

    @property
    def cookies(self) -> list[tuple[bytes, bytes]]:
        """The headers that set cookies, but for those that say who is signed in."""
        return [(name, value) for name, value in self._cookies() if not value.startswith(USER_COOKIE_NAME.encode())]

    def users(self) -> dict[str, str]:
        """The cookies that say who is signed in, by name; those that are only deleted left out."""
        pairs = (value.decode("latin-1").split(";")[0].split("=", 1) for _, value in self._cookies())
        return {name: value for name, value in pairs if name.startswith(USER_COOKIE_NAME) and value.strip('"')}

    async def pass_on(self, send: Send) -> None:
        for message in self._messages:
            await send(message)

    def _cookies(self) -> list[tuple[bytes, bytes]]:
        return [(name, value) for name, value in self._messages[0]["headers"] if name.lower() == b"set-cookie"]


def _claims(kept: Mapping[str, str]) -> dict[str, Any]:
    """What the provider said of a person, from the cookies in which Streamlit signed it."""
    secret = get_cookie_secret()

    def one(name: str) -> bytes | None:
        return decode_signed_value(secret, name, kept[name].encode("latin-1")) if name in kept else None

    return json.loads(get_cookie_with_chunks(one, USER_COOKIE_NAME) or b"{}")


def _with_cookies(scope: Scope, ours: Mapping[str, str]) -> Scope:
    """The request with `ours` for whatever the browser sent of Streamlit's sign-in cookies."""
    sent = [part for value in Headers(scope=scope).getlist("cookie") for part in value.split(";")]
    kept = [part.strip() for part in sent if not part.strip().startswith(USER_COOKIE_NAME)]
    whole = "; ".join([*kept, *(f"{name}={value}" for name, value in ours.items())])
    headers = [(name, value) for name, value in scope["headers"] if name != b"cookie"]
    return {**scope, "headers": [*headers, (b"cookie", whole.encode("latin-1"))]}


def _short(address: str) -> str:
    """Where a provider signs people out. Without the token of somebody in many groups: no web server takes that."""
    if len(address) <= _LONGEST:
        return address
    whole = urlsplit(address)
    kept = [(name, value) for name, value in parse_qsl(whole.query) if name != "id_token_hint"]
    return whole._replace(query=urlencode(kept)).geturl()


def _cookie(scope: Scope, name: str) -> str:
    return HTTPConnection(scope).cookies.get(name, "")


def _is_view(scope: Scope) -> bool:
    """Whether a person's browser asks for a page to show."""
    return (
        scope["type"] == "http"
        and scope["method"] in ("GET", "HEAD")
        and "text/html" in Headers(scope=scope).get("accept", "")
        and not scope["path"].startswith(_NOT_A_VIEW)
    )


def _page_of(path: str) -> str:
    """The page session that an upload is for."""
    return path.removeprefix(UPLOAD).split("/")[0]


def _kind(scope: Scope) -> str:
    """What was asked for, as the log has it: the kind of address only."""
    return next((each for each in _KINDS if scope["path"].startswith(each)), "/")


def _address(scope: Scope) -> str:
    """The path and query that were asked for, where the browser can be sent back to them; "/" where not."""
    path = scope.get("raw_path") or quote(scope["path"]).encode()
    query = scope["query_string"]
    return _own((path + b"?" + query if query else path).decode("latin-1"))


def _own(address: str) -> str:
    """`address` where it is a view of this app, "/" where it leads anywhere else: nobody is sent on by a sign-in."""
    plain = address.isascii() and address.isprintable() and not set(address) & set(" \\") and len(address) <= _LONGEST
    here = address.startswith("/") and not address.startswith("//")
    return address if plain and here and not address.startswith(_NOT_A_VIEW) else "/"
