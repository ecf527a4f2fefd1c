"""A person in Chromium at a hosted Assay, over TLS: through nginx and Caddy to two replicas, and at the app itself."""

import contextlib
import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import requests
from oidc_provider_mock import User, run_server_in_thread
from playwright.sync_api import BrowserContext, Page, expect, sync_playwright

from access.sessions import COOKIE
from tests.browser.harness import Faults, at_rest
from tests.deploy.house import (
    NAME,
    ORIGIN,
    ROOT,
    Proxy,
    Replica,
    make_certificate,
    proxy,
    replica,
    speaks,
    write_config,
)

PERSON = "ada@example.org"
SAMPLE = ROOT / "sample_models" / "tumours"
_FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"]


@dataclass(frozen=True)
class House:
    """A proxy and the replicas behind it."""

    proxy: Proxy
    replicas: list[Replica]


@pytest.fixture(scope="module")
def config(tmp_path_factory) -> Iterator[Path]:
    """One configuration, with a provider that knows PERSON."""
    path = tmp_path_factory.mktemp("config") / "assay.toml"
    person = User(sub=PERSON, claims={"email": PERSON, "roles": ["analyst"]})
    with run_server_in_thread(user_claims=[person]) as provider:
        write_config(path, provider.server_port)
        yield path


@pytest.fixture(scope="module", params=["app", "caddy", "nginx"])
def house(request, config, tmp_path_factory) -> Iterator[House]:
    """The app alone, and two replicas behind Caddy, on SQLite and a folder; behind nginx on PostgreSQL and S3."""
    folder = tmp_path_factory.mktemp(request.param)
    stores = request.getfixturevalue("outgrown").environment() if request.param == "nginx" else {}
    settings = {"ASSAY_HOME": str(folder / "home"), "ASSAY_CONFIG": str(config), **stores}
    if request.param == "app":
        with _alone(folder, settings) as found:
            yield found
        return
    with (
        replica(folder, settings) as first,
        replica(folder, settings) as second,
        proxy(request.param, folder, [first.port, second.port]) as found,
    ):
        yield House(found, [first, second])


@contextlib.contextmanager
def _alone(folder: Path, settings: dict[str, str]) -> Iterator[House]:
    """The app with a certificate of its own, and no proxy."""
    made = make_certificate(folder)
    files = {"STREAMLIT_SERVER_SSL_CERT_FILE": str(made.path), "STREAMLIT_SERVER_SSL_KEY_FILE": str(made.key)}
    with replica(folder, settings | files, scheme="https") as app:
        yield House(Proxy("app", app.port, 0, folder, made), [])


@pytest.fixture(scope="module")
def context(house) -> Iterator[BrowserContext]:
    """A browser for which NAME is this machine, and which trusts this one certificate."""
    mapped = f"MAP {NAME}:443 127.0.0.1:{house.proxy.port}"
    trusted = f"--ignore-certificate-errors-spki-list={house.proxy.certificate.spki}"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=shutil.which("chromium"), args=[*_FLAGS, f"--host-resolver-rules={mapped}", trusted]
        )
        yield browser.new_context(base_url=ORIGIN, viewport={"width": 1440, "height": 900})
        browser.close()


@pytest.fixture(scope="module")
def page(context) -> Page:
    """A page on which PERSON has signed in on their way to Subjects."""
    opened = context.new_page()
    opened.goto("/subjects")
    opened.get_by_role("link", name="Sign in with Company account").click()
    opened.get_by_role("button", name=PERSON).click()
    opened.wait_for_url(f"{ORIGIN}/subjects*")
    at_rest(opened)
    return opened


@pytest.fixture(scope="module")
def faults(page, context) -> Faults:
    """What the app's pages complained of since the provider's own page was left."""
    found = Faults()
    found.watch(context)
    page.reload()
    at_rest(page)
    return found


def test_the_page_that_was_asked_for_is_there_after_the_sign_in(page, faults):
    assert urlsplit(page.url).path == "/subjects"
    expect(page.get_by_role("heading", level=1)).to_have_text(re.compile("3 samples are here"))
    assert not faults


def test_cookies_go_over_tls_only_and_scripts_do_not_see_the_session(page, context):
    cookies = {each["name"]: each for each in context.cookies(ORIGIN)}
    assert cookies[COOKIE]["httpOnly"]
    assert all(each["secure"] for each in cookies.values()), cookies
    assert all(each["sameSite"] in ("Lax", "Strict") for each in cookies.values()), cookies
    assert not any(name.startswith("_streamlit_user") for name in cookies)


def test_files_are_uploaded(page, faults):
    page.goto("/subjects")
    at_rest(page)
    for label, file in (("Model", SAMPLE / "xgboost.json"), ("Data", SAMPLE / "data.parquet")):
        box = page.locator("[data-testid=stFileUploader]").filter(has_text=label)
        box.locator("input[type=file]").set_input_files(file)
        page.wait_for_timeout(300)
        at_rest(page)
    expect(page.get_by_role("heading", name="Do they fit together?")).to_be_visible()
    assert not faults


def test_a_report_with_its_pictures_is_shown_and_downloaded(page, faults):
    page.goto("/report?subject=tumours&section.attack=no")
    at_rest(page)
    picture = page.get_by_role("img", name=re.compile("^Page 1 of"))
    assert picture.evaluate("image => image.complete && image.naturalWidth > 100")
    with page.expect_download() as download:
        page.get_by_role("button", name="Download the draft").click()
    assert Path(download.value.path()).read_bytes().startswith(b"%PDF")
    assert not faults


def test_the_apps_headers_stand_on_every_answer_once(house, page, context):
    for path in ("/", "/report", "/_stcore/health", "/media/0123456789abcdef"):
        got = house.proxy.answer(path, {"Accept": "text/html", **_cookie(context)})
        for name in ("strict-transport-security", "content-security-policy", "x-content-type-options"):
            assert len(got.all(name)) == 1, (path, name, got.all(name))
        assert got.all("server") in ([], ["nginx"], ["uvicorn"]), path


@pytest.mark.parametrize(("version", "taken"), [("TLSv1_1", False), ("TLSv1_2", True), ("TLSv1_3", True)])
@pytest.mark.parametrize("house", ["app"], indirect=True)
def test_the_apps_own_tls_is_1_2_or_1_3(house, version, taken):
    assert speaks(house.proxy.port, version) is taken


@pytest.mark.parametrize("house", ["caddy", "nginx"], indirect=True)
def test_both_replicas_know_the_sign_in(house, page, context):
    for each in house.replicas:
        asked = {"Host": NAME, "Accept": "text/html"}
        known = requests.get(f"http://127.0.0.1:{each.port}/", headers=asked | _cookie(context), timeout=10)
        stranger = requests.get(f"http://127.0.0.1:{each.port}/", headers=asked, timeout=10)
        assert 'id="root"' in known.text
        assert "Sign in with Company account" in stranger.text


# nginx's log says which replica answers; and it comes last, for one replica is gone then.
@pytest.mark.parametrize("house", ["nginx"], indirect=True)
def test_who_loses_their_replica_goes_on_signed_in_at_the_other(house, page, faults):
    log = (house.proxy.folder / "assay.access.log").read_text()
    home = int(re.findall(r" 127\.0\.0\.1:(\d+)$", log, re.MULTILINE)[-1])
    next(each for each in house.replicas if each.port == home).process.kill()
    page.goto("/model?subject=tumours")
    at_rest(page)
    expect(page.get_by_role("heading", level=1)).to_have_text(re.compile("^On average over 300 patients"))
    faults.clear()  # the page that was open lost its WebSocket


def _cookie(context: BrowserContext) -> dict[str, str]:
    value = next(each["value"] for each in context.cookies(ORIGIN) if each["name"] == COOKIE)
    return {"Cookie": f"{COOKIE}={value}"}
