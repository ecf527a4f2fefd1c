"""Who reaches what: every page and every address of the app, as a stranger, without a role, and in each role.

What is expected is worked out from the table of actions. The addresses are those that Streamlit itself routes; one that
it gets in a later version fails here until somebody says who may reach it.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

import httpx
import pytest
from websockets.exceptions import InvalidStatus

import pages
from access.actions import ACTIONS, ROLES, allowed, refusal
from access.people import Person
from tests.providers.hosted import Hosted, hosted
from tests.providers.page_socket import XSRF, PageSocket
from tests.providers.providers import Somebody
from ui.problems import literal

STRANGER, NOBODY = "stranger", "no-role"
SIGNED_IN = (NOBODY, *ROLES, "admin-by-password")
WHO = (STRANGER, *SIGNED_IN)
SIGN_IN = "Sign in to Assay"
# What a page is asked with: little to compute, and of the landing page a decision.
FEW = {"": "subject=tumours", "attack": "model=mlp&attack=fgsm&attack-rows=4", "model": "sample=12"}
CONTENT = {"heading", "plotly_chart", "arrow_data_frame", "imgs", "file_uploader", "selectbox", "download_button"}


@dataclass(frozen=True)
class Address:
    """One way to ask for a route. `needs`: any one of these actions, () being signed in, None: closed to all.

    `stranger` is the status that somebody gets who is not signed in, `own` the one that shows that it was reached.
    """

    method: str
    path: str
    needs: tuple[str, ...] | None = ()
    stranger: int = 401
    own: int = 200


# By Streamlit's route. What is asked for does not exist where its own not-found shows that it was reached.
ADDRESSES: Mapping[str, tuple[Address, ...]] = {
    "/_stcore/health": (
        Address("GET", "/_stcore/health", stranger=200),
        Address("HEAD", "/_stcore/health", stranger=200),
        Address("OPTIONS", "/_stcore/health", stranger=204, own=204),
    ),
    "/_stcore/metrics": (
        Address("GET", "/_stcore/metrics", ("people",)),
        Address("GET", "/_stcore/metrics?families=cache_memory_bytes", ("people",)),
        Address("OPTIONS", "/_stcore/metrics", ("people",), own=204),
    ),
    "/_stcore/host-config": (Address("GET", "/_stcore/host-config"),),
    # Media and uploads of others: closed to all here, opened below to those who were told of them.
    "/media/{file_id:path}": (
        Address("GET", "/media/0123456789abcdef0123456789abcdef.pdf", None),
        Address("HEAD", "/media/0123456789abcdef0123456789abcdef.png", None),
        Address("OPTIONS", "/media/0123456789abcdef0123456789abcdef", None),
    ),
    "/_stcore/upload_file/{session_id}/{file_id}": (
        Address("PUT", "/_stcore/upload_file/somebody/file", None),
        Address("DELETE", "/_stcore/upload_file/somebody/file", None),
        Address("OPTIONS", "/_stcore/upload_file/somebody/file", None),
    ),
    "/component/{path:path}": (
        Address("GET", "/component/nothing/index.html", own=404),
        Address("OPTIONS", "/component/nothing/index.html", own=204),
    ),
    "/_stcore/bidi-components/{path:path}": (
        Address("GET", "/_stcore/bidi-components/nothing/x.js", own=404),
        Address("OPTIONS", "/_stcore/bidi-components/nothing/x.js", own=204),
    ),
    "/auth/login": (Address("GET", "/auth/login", stranger=303, own=303),),
    "/oauth2callback": (Address("GET", "/oauth2callback", stranger=303, own=303),),
    "/auth/logout": (),  # ends the sign-in: test_sign_in.py
    "/_stcore/stream": (),  # a WebSocket: below
    "/_stcore/agent/interact": tuple(Address(method, "/_stcore/agent/interact", None) for method in ("GET", "POST")),
    "/_stcore/agent/openapi.json": (Address("GET", "/_stcore/agent/openapi.json", None),),
    "/_stcore/agent/mcp": tuple(Address(method, "/_stcore/agent/mcp", None) for method in ("GET", "POST", "DELETE")),
    "": (  # whatever else there is: Streamlit's own files, and its page for every other path
        Address("GET", "/favicon.png"),
        Address("GET", "/manifest.json"),
        Address("GET", "/index.html"),
        Address("GET", "/static/js/none.js"),
        Address("GET", "/app/static/none.csv"),
        Address("POST", "/", own=405),
        Address("GET", "/_stcore/script-health-check", None),
        Address("GET", "/_stcore/something-new", None),
        Address("GET", "/_stcore//metrics", None),
        Address("GET", "/_stcore/metrics/", ("people",), own=301),
        Address("GET", "/audit"),
    ),
}
EVERY = [each for addresses in ADDRESSES.values() for each in addresses]


@pytest.fixture(scope="module")
def house(tmp_path_factory) -> Iterator[Hosted]:
    """A fresh process that nobody has visited."""
    people = [Somebody(NOBODY), Somebody("admin-by-password", ["assay-admin"], amr=["pwd"])]
    people += [Somebody(role, [f"assay-{role}"], amr=["mfa"]) for role in ROLES]
    with hosted(tmp_path_factory.mktemp("matrix"), people) as running:
        yield running


@pytest.fixture(scope="module")
def clients(house) -> dict[str, httpx.Client]:
    """One for each person, signed in when first asked for."""

    class Clients(dict):
        def __missing__(self, who: str) -> httpx.Client:
            stranger = who == STRANGER
            self[who] = httpx.Client(base_url=house.origin, timeout=30) if stranger else house.signed_in(who)
            return self[who]

    return Clients()


def person(who: str) -> Person:
    """Whom the access rules take that person for."""
    nobody = Person(who, who, ())
    if who == NOBODY:
        return nobody
    return replace(nobody, roles=(who.split("-")[0],), mfa=not who.endswith("password"))


def may(who: str, *actions: str) -> bool:
    return any(allowed(person(who), each) for each in actions if each in ACTIONS)


def slugs() -> list[str]:
    return [module.PAGE.slug for module in pages.screens()]


@pytest.mark.parametrize("slug", slugs())
def test_a_fresh_process_shows_a_stranger_the_sign_in_page_at_every_pages_address(house, slug):
    for path in (f"/{slug}", f"/{slug}?subject=tumours&row=5", f"/{slug}/"):
        answer = httpx.get(f"{house.origin}{path}", headers={"Accept": "text/html"}, follow_redirects=False)
        assert answer.status_code == 200 and SIGN_IN in answer.text
        assert 'id="root"' not in answer.text and "<script" not in answer.text
        assert answer.headers["cache-control"] == "no-store"
        assert httpx.get(f"{house.origin}{path}").status_code == 401, "not asked for by a person's browser"


def test_every_address_that_streamlit_routes_is_in_the_table():
    import app

    routes = {getattr(route, "path", None) or "" for route in app.app._build_starlette_app().routes}
    assert routes == set(ADDRESSES)


@pytest.mark.parametrize("who", WHO)
@pytest.mark.parametrize("address", EVERY, ids=lambda address: f"{address.method} {address.path}")
def test_an_address_is_reached_by_those_who_may(clients, who, address):
    answer = clients[who].request(address.method, address.path)
    if who == STRANGER:
        assert answer.status_code == address.stranger
    elif address.needs is None or (address.needs and not may(who, *address.needs)):
        assert answer.status_code == 403
    else:
        assert answer.status_code == address.own


@pytest.mark.parametrize("accept", ["text/html", "*/*"])
@pytest.mark.parametrize("address", EVERY, ids=lambda address: f"{address.method} {address.path}")
def test_a_stranger_gets_nothing_of_the_app_however_they_ask(clients, address, accept):
    answer = clients[STRANGER].request(address.method, address.path, headers={"Accept": accept})
    if answer.status_code == 200 and not address.path.startswith("/_stcore/health"):
        assert address.method == "GET" and SIGN_IN in answer.text


def test_no_websocket_opens_for_a_stranger_or_from_another_site(house, clients):
    with pytest.raises(InvalidStatus, match="403"):
        PageSocket(clients[STRANGER])
    with pytest.raises(InvalidStatus, match="403"):
        PageSocket(clients["analyst"], origin="http://elsewhere.example")


@pytest.mark.parametrize("who", SIGNED_IN)
@pytest.mark.parametrize("slug", slugs())
def test_a_page_shows_itself_to_those_who_may_see_it_and_says_so_to_others(clients, who, slug):
    action = next(module.PAGE.action for module in pages.screens() if module.PAGE.slug == slug)
    with PageSocket(clients[who]) as socket:
        drawn = socket.run(slug, FEW.get(slug, ""))
    refused = literal(refusal(person(who), action).sentence)
    if may(who, action, f"{action}-shared"):
        assert refused not in drawn.text
    else:
        assert refused.startswith("You may not") and refused in drawn.text
        assert not drawn.kinds & CONTENT, "nothing of the page is there"


@pytest.mark.parametrize("who", ["admin", "admin-by-password"])
def test_whoever_sees_no_decisions_lands_where_they_may_be(clients, who):
    with PageSocket(clients[who]) as socket:
        drawn = socket.run("")
    assert "The log has" in drawn.text and "You may not" not in drawn.text


@pytest.mark.parametrize("who", SIGNED_IN)
def test_files_are_taken_from_those_who_may_bring_or_check_them_and_into_their_own_page_only(house, clients, who):
    with PageSocket(clients[who]) as own, PageSocket(house.signed_in("analyst")) as other:
        told = {"X-Xsrftoken": own.token, "Cookie": _cookies(clients[who], own.token)}
        mine, theirs = own.run("people").session, other.run("people").session
        for session, expected in ((mine, 204 if may(who, "bring", "ask-shared", "report") else 403), (theirs, 403)):
            address = f"/_stcore/upload_file/{session}/a-file"
            answer = clients[who].put(address, files={"file": b"1,2\n"}, headers=told)
            assert answer.status_code == expected
            assert clients[who].delete(address, headers=told).status_code == expected


def test_an_upload_whose_size_is_not_said_is_not_read(clients):
    """In pieces, and with a size beside them that the web server passes over."""
    with PageSocket(clients["analyst"]) as own:
        page = own.run("people").session
        told = {"X-Xsrftoken": own.token, "Cookie": _cookies(clients["analyst"], own.token)}
        for size in ({}, {"Content-Length": "3"}):
            pieces = iter([b"1,2\n"] * 3)
            headers = told | size | {"Transfer-Encoding": "chunked"}
            answer = clients["analyst"].put(f"/_stcore/upload_file/{page}/x", content=pieces, headers=headers)
            assert answer.status_code in (400, 411)


def test_strangers_write_nothing_into_the_processs_log(house, clients):
    for query in ("error=written-by-a-stranger&error_description=this-too", "error=written-by-a-stranger&state=x"):
        answer = clients[STRANGER].get(f"/oauth2callback?{query}")
        assert answer.status_code == 403 and SIGN_IN in answer.text
    assert "by-a-stranger" not in house.home.with_name("app.log").read_text(encoding="utf-8")


def test_what_a_page_shows_is_served_to_the_sign_in_that_it_was_shown_to_and_to_no_other(house, clients):
    with PageSocket(clients["analyst"]) as page:
        drawn = page.run("report")
        paths = set(re.findall(r"/media/[0-9a-f]{32}\.[a-z]{3}", drawn.text))
        assert paths, "the report page shows pictures of its pages"
        for path in paths:
            answer = clients["analyst"].get(path)
            assert answer.status_code == 200 and answer.headers["cache-control"] == "no-store"
            assert clients[STRANGER].get(path).status_code == 401
    for other in (house.signed_in(who) for who in SIGNED_IN):  # of the same person, too
        assert {other.get(path).status_code for path in paths} == {403}


def test_a_page_session_is_not_taken_over_by_another_sign_in(house, clients):
    """Streamlit goes on with the page session whose id the browser names."""
    with PageSocket(clients["analyst"]) as page:
        first = page.run("people").session
    with PageSocket(clients["analyst"], taking_up=first) as again:
        assert again.run("people").session == first
    for other in (clients["viewer"], house.signed_in("analyst")):
        with PageSocket(other, taking_up=first) as page:
            assert page.run("people").session != first


def _cookies(client: httpx.Client, token: str) -> str:
    """The client's cookies, with the token that the page socket was opened with."""
    return "; ".join(f"{name}={value}" for name, value in {**dict(client.cookies), XSRF: token}.items())
