"""Real sign-ins in Chromium, against two OpenID providers at once, and every way in which one ends."""

import re
from collections.abc import Callable, Iterator

import pytest
from playwright.sync_api import BrowserContext, Page, expect

from access.claims import person_id
from access.log import Log
from access.sessions import COOKIE, Sessions
from access.settings import settings
from storage.stores import close_stores, stores
from tests.browser.harness import PHONE, SHADES, Faults, at_rest, axe, free_port, screenshot
from tests.browser.screen import PATIENCE
from tests.providers.hosted import ROLES, Hosted, hosted
from tests.providers.providers import Somebody, certified

GROUPS = [f"4f1c{number:08x}-6b1e-4c55-9a50-b9c1f1e8a001" for number in range(300)]
AT_MOCK = [
    Somebody("ann", ["assay-analyst"], amr=["pwd", "mfa"]),
    Somebody("gil", ["assay-viewer"], more={"groups": GROUPS}),
    Somebody("nora"),
    Somebody("bert", ["assay-analyst"]),
    Somebody("ada", ["assay-admin"], amr=["mfa"]),
    Somebody("abe", ["assay-admin"], amr=["pwd"]),
]
AT_CERTIFIED = [
    Somebody("cora", ["assay-analyst"], acr="urn:two"),
    Somebody("otto", ["assay-admin"], since=600),
]
SIGN_IN = "Sign in to Assay"


@pytest.fixture(scope="module")
def house(tmp_path_factory) -> Iterator[Hosted]:
    port = free_port()
    with (
        certified(AT_CERTIFIED, f"http://localhost:{port}/oauth2callback") as other,
        hosted(tmp_path_factory.mktemp("hosted"), AT_MOCK, {"certified": other}, port) as running,
    ):
        yield running


@pytest.fixture
def enter(browser, house) -> Iterator[Callable[..., BrowserContext]]:
    """A fresh browser; already signed in, over HTTP, as a person at the mock provider where one is named."""
    contexts = []

    def enter(sub: str = "", **options: object) -> BrowserContext:
        context = browser.new_context(base_url=house.origin, **options)
        context.route("https://**", lambda route: route.abort())  # the mock provider's page wants a style sheet
        contexts.append(context)
        if sub:
            carry(context, house, house.signed_in(sub).cookies[COOKIE])
        return context

    yield enter
    for context in contexts:
        context.close()


@pytest.fixture
def settings_again(house) -> Iterator[None]:
    """Puts the settings file back as it was."""
    yield
    house.write()


@pytest.fixture
def sessions(house, monkeypatch) -> Iterator[Sessions]:
    """The sign-ins as an administrator's page, in another process, has them."""
    for name, value in house.env.items():
        monkeypatch.setenv(name, value)
    opened = stores()
    yield Sessions(opened.database, opened.vault, settings(), Log(opened.database, opened.vault))
    close_stores()


def carry(context: BrowserContext, house: Hosted, cookie: str) -> None:
    context.add_cookies([{"name": COOKIE, "value": cookie, "url": house.origin}])


def asked_to_sign_in(page: Page, why: str = "") -> None:
    expect(page.get_by_role("heading", name=SIGN_IN)).to_be_visible(timeout=PATIENCE)
    if why:
        expect(page.get_by_role("status")).to_contain_text(re.compile(why))


def opened(context: BrowserContext, address: str) -> Page:
    page = context.new_page()
    page.goto(address)
    at_rest(page)
    return page


def main_part(page: Page):
    return page.get_by_test_id("stMain")


@pytest.mark.parametrize("shade", SHADES)
@pytest.mark.parametrize("size", [(1440, 900), PHONE], ids=["desk", "phone"])
def test_the_sign_in_page_is_readable_and_loads_nothing_else(enter, house, size, shade):
    context = enter(viewport={"width": size[0], "height": size[1]}, color_scheme=shade)
    faults, asked = Faults(), []
    faults.watch(context)
    page = context.new_page()
    page.on("request", lambda request: asked.append(request.url))
    page.goto("/model")
    asked_to_sign_in(page)
    assert page.get_by_role("link").all_inner_texts() == ["Sign in with Mock", "Sign in with Certified"]
    assert axe(page) == []
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert [url for url in asked if not url.startswith("data:")] == [f"{house.origin}/model"]
    assert not faults
    screenshot(page, f"sign-in-{size[0]}-{shade}")


@pytest.mark.parametrize(("provider", "sub"), [("Mock", "ann"), ("Certified", "cora")])
def test_a_sign_in_leads_to_where_the_person_was_going(enter, provider, sub):
    context = enter()
    faults = Faults()
    faults.watch(context)
    page = context.new_page()
    page.goto("/subjects?kept=1")
    page.get_by_role("link", name=f"Sign in with {provider}").click()
    page.get_by_role("button", name=sub, exact=True).click()
    page.wait_for_url(re.compile(r"/subjects\?kept=1$"))
    faults.clear()  # the providers' own pages are not ours to mend
    page.reload()
    at_rest(page)
    expect(main_part(page)).to_contain_text(f"{sub.capitalize()} (analyst)")
    kept = {cookie["name"]: cookie for cookie in context.cookies()}
    assert kept[COOKIE]["httpOnly"] and kept[COOKIE]["sameSite"] == "Lax"
    assert not [name for name in kept if name.startswith("_streamlit_user")], "only the server holds what a token says"
    assert not faults, "\n".join(faults)


def test_any_name_of_this_machine_leads_to_the_one_that_the_provider_knows(enter, house):
    page = enter().new_page()
    page.goto(house.origin.replace("localhost", "127.0.0.1") + "/model?row=5")
    assert page.url == f"{house.origin}/model?row=5"
    page.get_by_role("link", name="Sign in with Mock").click()
    page.get_by_role("button", name="nora", exact=True).click()
    page.wait_for_url(f"{house.origin}/model?row=5*")


def test_a_sign_in_that_is_called_off_is_told(enter):
    for provider, no in (("Mock", "Deny"), ("Certified", "Deny")):
        page = enter().new_page()
        page.goto("/")
        page.get_by_role("link", name=f"Sign in with {provider}").click()
        page.get_by_role("button", name=no).click()
        asked_to_sign_in(page, "called off at the provider")


@pytest.mark.parametrize(("provider", "sub"), [("Mock", "ann"), ("Certified", "cora")])
def test_signing_out_ends_it_here_and_at_the_provider_and_a_copied_cookie_is_worth_nothing(enter, house, provider, sub):
    context = enter()
    page = context.new_page()
    page.goto("/subjects")
    page.get_by_role("link", name=f"Sign in with {provider}").click()
    page.get_by_role("button", name=sub, exact=True).click()
    at_rest(page)
    copied = next(cookie["value"] for cookie in context.cookies() if cookie["name"] == COOKIE)
    page.get_by_role("button", name="Sign out").click()
    page.wait_for_url(f"{house.providers[provider.lower()]}/**")
    page.get_by_role("button").first.click()
    page.wait_for_url(f"{house.origin}/")
    asked_to_sign_in(page)
    assert COOKIE not in [cookie["name"] for cookie in context.cookies()]

    thief = enter()
    carry(thief, house, copied)
    page = thief.new_page()
    page.goto("/subjects")
    asked_to_sign_in(page, "you signed out")
    assert thief.request.get("/_stcore/host-config").status == 401


@pytest.mark.parametrize(
    ("rules", "why"), [("max_age = 1", "it was made more than"), ("idle = 1", "it was idle for more than")]
)
def test_an_open_page_whose_sign_in_has_run_out_asks_for_another(enter, house, settings_again, rules, why):
    page = opened(enter("ann"), "/subjects")
    house.write(sessions=rules)
    asked_to_sign_in(page, why)
    assert page.url == f"{house.origin}/subjects", "signing in again leads back here"


def test_a_page_that_looks_at_itself_again_and_again_does_not_count_as_somebody_being_there(
    enter, house, settings_again
):
    house.write(sessions="idle = 14")
    page = opened(enter("ann"), "/subjects")
    asked_to_sign_in(page, "it was idle for more than")


def test_an_ended_sign_in_is_noticed_at_the_next_click(enter, sessions):
    page = opened(enter("ann"), "/subjects")
    sessions.end_all(_id(sessions, "Ann"), "ended")
    page.get_by_role("link", name="Whole model").first.click()
    asked_to_sign_in(page, "an administrator ended it")


def test_a_role_that_is_taken_away_is_gone_from_an_open_page(enter, house, settings_again):
    page = opened(enter("ann"), "/subjects")
    house.write(roles={**ROLES, "analyst": ("somebody-else",)})
    expect(main_part(page)).to_contain_text("You may not", timeout=PATIENCE)
    expect(main_part(page)).to_contain_text("you have no role here")


def test_whoever_is_blocked_is_out_and_does_not_come_in_again(enter, sessions):
    page = opened(enter("bert"), "/subjects")
    bert = _id(sessions, "Bert")
    sessions.block(bert)
    asked_to_sign_in(page, "an administrator has blocked you")
    page.get_by_role("link", name="Sign in with Mock").click()
    page.get_by_role("button", name="bert", exact=True).click()
    asked_to_sign_in(page, "blocked")
    sessions.block(bert, blocked=False)


def test_another_role_at_the_next_sign_in_ends_the_sign_ins_before_it(enter, house, settings_again):
    page = opened(enter("ann"), "/subjects")
    house.write(roles={**ROLES, "viewer": ("assay-analyst",)})
    house.signed_in("ann")
    asked_to_sign_in(page, "your roles have changed")


def test_three_hundred_groups_fit(enter, house):
    context = enter("gil")
    page = opened(context, "/")
    expect(main_part(page)).to_contain_text("Gil (viewer)")
    page.get_by_role("button", name="Sign out").click()
    page.wait_for_url(f"{house.providers['mock']}/**")
    assert len(page.url) < 2000


def test_somebody_without_a_role_is_told_what_to_do(enter):
    page = opened(enter("nora"), "/")
    expect(main_part(page)).to_contain_text(re.compile("You may not .*you have no role here.*Ask an administrator"))


def test_what_needs_a_second_factor_is_refused_without_one(house):
    assert house.signed_in("ada").get("/_stcore/metrics").status_code == 200
    assert house.signed_in("abe").get("/_stcore/metrics").status_code == 403


def _id(sessions: Sessions, name: str) -> str:
    return next(each.person.id for each in sessions.listed() if each.person.name == name)


def test_signing_in_and_out_stands_in_the_log(house, sessions):
    client = house.signed_in("nora")
    client.get("/auth/logout")
    nora = person_id(house.providers["mock"], "nora")
    written = Log(stores().database, stores().vault).entries(person=nora, count=2)
    assert [(each.action, each.outcome) for each in written] == [("sign-out", "allowed"), ("sign-in", "allowed")]
    assert "nora" not in "".join(each.text for each in written).lower()
