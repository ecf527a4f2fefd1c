"""Sharing in a real browser: frozen and granted by an analyst, checked by an auditor, taken back while they look."""

import io
import json
import re
import zipfile
from collections.abc import Iterator

import pytest
from playwright.sync_api import Page, expect

from access.sessions import COOKIE
from tests.browser.harness import DESKTOP, PHONE, at_rest, axe, too_wide, visit
from tests.browser.screen import LONGEST, PATIENCE, heading, reads, saved
from tests.providers.hosted import Hosted, hosted
from tests.providers.providers import Somebody

PEOPLE = [
    Somebody("ann", ["assay-analyst"], amr=["pwd", "mfa"]),
    Somebody("bob", ["assay-auditor"]),
    Somebody("eve", ["assay-auditor"]),
    Somebody("ada", ["assay-admin"], amr=["mfa"]),
]
VIEWS = ("rows", "sample", "own", "again", "said")


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hosted]:
    with hosted(tmp_path_factory.mktemp("shared"), PEOPLE) as running:
        yield running


@pytest.fixture(scope="module")
def granted(browser, house: Hosted) -> str:
    """The tumours frozen by Ann and granted to Bob, two columns hidden, a small budget; the frozen subject's name."""
    context = browser.new_context(base_url=house.origin)
    cookie = house.signed_in("ann").cookies[COOKIE]
    context.add_cookies([{"name": COOKIE, "value": cookie, "url": house.origin}])
    page = context.new_page()
    visit(page, "/share")
    reads(page, "is not frozen yet")
    page.get_by_label("What this version is called").fill("For the audit")
    page.get_by_role("button", name="Freeze it").click()
    reads(page, "has 1 frozen version; outside this house nobody sees one")
    place = page.get_by_role("link", name="For the audit").get_attribute("href")
    name = re.search(r"subject=(frozen-[0-9a-f]{12})", place)
    grant(page, "bob@example.org")
    reads(page, "1 person sees one")
    context.close()
    return name[1]


def grant(page: Page, to: str) -> None:
    page.get_by_role("textbox", name="To whom").fill(to)
    page.get_by_role("spinbutton", name="Rows that may be computed anew").fill("60")
    box = page.get_by_role("combobox", name="Columns whose values are hidden")
    for column in ("mean_radius", "worst_radius"):
        box.focus()
        box.press_sequentially(column)
        page.get_by_role("option", name=column).first.wait_for()
        box.press("Enter")
    page.keyboard.press("Escape")
    page.get_by_role("button", name="Grant it").click()
    at_rest(page)


def test_the_auditor_sees_what_was_granted_and_nothing_else(enter, granted: str) -> None:
    page = enter("bob")
    visit(page, "/")
    expect(page.get_by_text("Frozen on")).to_be_visible()
    expect(page.get_by_text("hidden").first).to_be_attached()
    links = page.get_by_role("navigation").get_by_role("link").all_inner_texts()
    assert "Check it yourself" in links and "Share" not in links and "People" not in links
    visit(page, "/check?subject=tumours")
    expect(page.get_by_text(re.compile("There is no subject 'tumours'|You may not see"))).to_be_visible()
    stranger = enter("eve")
    visit(stranger, f"/check?subject={granted}")
    expect(stranger.get_by_text("There is nothing here that you may see")).to_be_visible()


@pytest.mark.parametrize("view", VIEWS)
def test_every_way_to_check_reads_well(enter, granted: str, view: str) -> None:
    for size in (DESKTOP, PHONE):
        page = enter("bob", size)
        visit(page, f"/check?subject={granted}&check={view}")
        expect(heading(page)).to_be_visible()
        assert [each for each in axe(page) if "stFileUploaderDropzone" not in each] == []
        assert too_wide(page) == 0
        if size == DESKTOP:
            assert page.evaluate("document.querySelector('[data-testid=stMain]').scrollHeight") <= LONGEST


def test_a_row_of_the_list_leads_to_its_decision(enter, granted: str) -> None:
    page = enter("bob")
    visit(page, f"/check?subject={granted}&right=wrong")
    reads(page, r"^\d+ of 569 patients fit")
    grid = page.locator("[data-testid=stDataFrame]").first
    box = grid.bounding_box()
    place = box["x"] + 0.81 * box["width"], box["y"] + 54  # the word "open" in the first line
    page.mouse.move(*place)
    page.wait_for_timeout(300)
    with page.context.expect_page() as opened:
        page.mouse.click(*place)
    at_rest(opened.value)
    assert f"subject={granted}" in opened.value.url and "row=" in opened.value.url
    expect(heading(opened.value)).to_contain_text("Patient ")


def test_stored_answers_are_asked_again_and_taken_away(enter, granted: str, tmp_path) -> None:
    page = enter("bob")
    visit(page, f"/check?subject={granted}&check=again&again=1")
    page.get_by_role("button", name="Ask again").click()
    reads(page, r"^(1 of 1 answer came out the same|0 of 1)")
    with page.expect_download() as download:
        page.get_by_role("button", name=re.compile("Download the evidence")).click()
    with zipfile.ZipFile(io.BytesIO(saved(download.value, tmp_path))) as archive:
        manifest = json.loads(archive.read("manifest.json"))
        assert granted == f"frozen-{manifest['snapshot'][:12]}"
        assert manifest["masked"]
        assert len(archive.namelist()) > 3


def test_a_finding_is_read_and_answered(enter, granted: str) -> None:
    page = enter("bob")
    visit(page, f"/check?subject={granted}&check=said")
    page.get_by_label("What you have to say").fill("The reference is too small.")
    page.get_by_role("button", name="Send").click()
    expect(page.get_by_text("The reference is too small.")).to_be_visible()
    ann = enter("ann")
    visit(ann, "/share")
    expect(ann.get_by_text("The reference is too small.")).to_be_visible()
    ann.get_by_text("Answer", exact=True).first.click()
    ann.get_by_label("Your answer").first.fill("It is larger in the next version.")
    ann.get_by_role("button", name="Send").first.click()
    at_rest(ann)
    page.reload()
    at_rest(page)
    expect(page.get_by_text("It is larger in the next version.")).to_be_visible()


def test_what_changed_since_is_said(enter, granted: str) -> None:
    page = enter("ann")
    visit(page, "/share")
    page.get_by_text("What has changed since").first.click()
    expect(page.get_by_text(re.compile(r"answers? (was|were) added|Nothing differs"))).to_be_visible(timeout=PATIENCE)


def test_a_grant_taken_back_closes_the_page_that_is_open(enter, granted: str) -> None:
    page, ann = enter("bob"), enter("ann")
    visit(page, f"/check?subject={granted}")
    expect(page.locator("[data-testid=stDataFrame]")).to_be_visible()
    visit(ann, "/share")
    ann.get_by_role("button", name="Take it back").first.click()
    reads(ann, "nobody sees one")
    expect(page.get_by_text("There is nothing here that you may see")).to_be_visible(timeout=PATIENCE)
    expect(page.locator("[data-testid=stDataFrame]")).to_have_count(0)
    grant(ann, "bob@example.org")
    reads(ann, "1 person sees one")


@pytest.mark.parametrize("slug", ["log", "people"])
def test_the_administrators_pages_read_well(enter, granted: str, slug: str) -> None:
    for size in (DESKTOP, PHONE):
        page = enter("ada", size)
        visit(page, f"/{slug}")
        expect(heading(page)).to_be_visible()
        assert axe(page) == []
        assert too_wide(page) == 0
