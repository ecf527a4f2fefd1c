"""The app once for all browser tests, and pages that must not complain."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright

from access.sessions import COOKIE
from tests.browser.harness import DESKTOP, ROOT, Faults, chromium, running_app, screenshot
from tests.providers.hosted import Hosted

LOG = pytest.StashKey[Path]()


@pytest.fixture(scope="session")
def app_log(request, tmp_path_factory) -> Path:
    """What the app prints."""
    path = tmp_path_factory.mktemp("app") / "app.log"
    request.config.stash[LOG] = path
    return path


@pytest.fixture(scope="session")
def app_url(app_log, tmp_path_factory) -> Iterator[str]:
    """The address of the app, started with an empty evidence store and ended with all its workers."""
    with running_app(ROOT / "app.py", tmp_path_factory.mktemp("home"), app_log) as address:
        yield address


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = chromium(playwright)
        yield browser
        browser.close()


@pytest.fixture
def faults() -> Faults:
    """What this test's pages complained of so far. A test that provokes an error clears it."""
    return Faults()


@pytest.fixture
def new_context(browser, faults) -> Iterator[Callable[..., BrowserContext]]:
    """A fresh browser at an address: `new_context(origin, size=PHONE)`. At the end none may have complained."""
    contexts = []

    def new(origin: str, size: tuple[int, int] = DESKTOP, **more: str) -> BrowserContext:
        viewport = {"width": size[0], "height": size[1]}
        context = browser.new_context(base_url=origin, viewport=viewport, accept_downloads=True, **more)
        faults.watch(context)
        contexts.append(context)
        return context

    yield new
    for context in contexts:
        context.close()
    assert not faults, "\n".join(faults)


@pytest.fixture
def open_page(new_context, app_url) -> Callable[..., Page]:
    """Opens an empty page on the app: `open_page(size=PHONE, shade="dark")`."""

    def open_(size: tuple[int, int] = DESKTOP, shade: str = "light") -> Page:
        return new_context(app_url, size, color_scheme=shade).new_page()

    return open_


@pytest.fixture
def page(open_page) -> Page:
    """One empty page on the app, light and as wide as a desk."""
    return open_page()


@pytest.fixture
def enter(new_context, house: Hosted) -> Callable[..., Page]:
    """An empty page in a fresh browser in which somebody is signed in at `house`, which is the test's own fixture."""

    def enter(sub: str, size: tuple[int, int] = DESKTOP) -> Page:
        context = new_context(house.origin, size)
        cookie = house.signed_in(sub).cookies[COOKIE]
        context.add_cookies([{"name": COOKIE, "value": cookie, "url": house.origin}])
        return context.new_page()

    return enter


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    """Adds the end of the app's log and a picture of the page to a failure."""
    report = yield
    if report.failed:
        log = item.config.stash.get(LOG, None)
        if log is not None and log.exists():
            report.sections.append(("the app's log", log.read_text()[-4000:]))
        page = getattr(item, "funcargs", {}).get("page")
        if page is not None and not page.is_closed():
            report.sections.append(("picture", str(screenshot(page, f"failed-{item.name}"))))
    return report
