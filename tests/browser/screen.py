"""What a person reads and uses on a page of the app, by its role and name."""

import re
from pathlib import Path
from urllib.parse import parse_qsl, urlencode, urlsplit

from playwright.sync_api import Locator, Page, expect

from tests.browser.harness import at_rest

PAGES = ("", "model", "attack", "report")
# Attacks on many rows are asked of a few here: what is tested is the page, not the attack.
FEW = {"attack": {"attack-rows": "6"}, "model": {"sample": "12"}}
PATIENCE = 40_000
LONGEST = 2_700  # three screens of 900 pixels

expect.set_options(timeout=PATIENCE)


def address(page_name: str, **choices: str) -> str:
    """The address of a page with its choices."""
    return f"/{page_name}?{urlencode(FEW.get(page_name, {}) | choices)}"


def said(page: Page) -> dict[str, str]:
    """What the page's address holds."""
    return dict(parse_qsl(urlsplit(page.url).query))


def holds(page: Page, **choices: str | None) -> None:
    """Waits until the address holds these choices; None: until it does not name them."""
    page.wait_for_function(
        "wanted => { const held = new URLSearchParams(location.search);"
        " return Object.entries(wanted).every(([name, value]) => held.get(name) === value) }",
        arg=choices,
        timeout=PATIENCE,
    )
    at_rest(page)


def heading(page: Page) -> Locator:
    return page.get_by_role("heading", level=1)


def reads(page: Page, pattern: str) -> None:
    """Waits until the heading is such a sentence."""
    expect(heading(page)).to_have_text(re.compile(pattern))
    at_rest(page)


def refusal(page: Page) -> Locator:
    """The sentences that say what could not be done."""
    return page.locator("[data-testid=stAlert], [data-testid=stException]")


def charts(page: Page) -> Locator:
    return page.locator("[data-testid=stPlotlyChart]")


def combobox(page: Page, label: str) -> Locator:
    return page.get_by_role("combobox", name=label, exact=True)


def pick(page: Page, label: str, option: str) -> None:
    """Chooses from a list by typing, as a person with a keyboard does."""
    box = combobox(page, label)
    box.focus()
    at_rest(page)  # a list that scrolls into view closes again
    box.fill(option)
    page.get_by_role("option", name=option, exact=True).wait_for()
    box.press("Enter")


def press(page: Page, key: str) -> None:
    """Presses the button with that key."""
    page.locator(f".st-key-{key}").get_by_role("button").first.click()


def go_to(page: Page, title: str) -> None:
    """Goes to another page by the navigation."""
    page.get_by_role("navigation").get_by_role("link", name=title).click()


def edited(page: Page) -> Locator:
    """What the what-if says about the change."""
    return page.get_by_text(re.compile(r"^(With |Without |Nothing is changed yet|.* with this patch )")).first


def saved(download, folder: Path) -> bytes:
    """The bytes of a download."""
    path = folder / download.suggested_filename
    download.save_as(path)
    return path.read_bytes()


def taken_away(page: Page, label: str, folder: Path) -> Path:
    """The file that the download button called `label` gives."""
    with page.expect_download() as coming:
        page.get_by_role("button", name=label, exact=True).click()
    path = folder / coming.value.suggested_filename
    coming.value.save_as(path)
    return path


def sign(page: Page, author: str = "") -> None:
    """Signs the report in view; where people sign in, the author is who signs."""
    page.get_by_role("button", name="Sign as final").click()
    dialog = page.get_by_role("dialog")
    expect(dialog).to_be_visible()
    at_rest(page)
    if author:
        dialog.get_by_label("Author").fill(author)
    dialog.get_by_role("button", name="Sign it for good").click()
    expect(page.get_by_text(re.compile("^Signed as final on "))).to_be_visible()
    at_rest(page)
