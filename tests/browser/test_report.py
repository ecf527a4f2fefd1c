"""The report is seen before it is taken away, and what was left out is not in it."""

import re

import pypdfium2
import pytest
from playwright.sync_api import Page, expect

from tests.browser.harness import at_rest, visit
from tests.browser.screen import go_to, heading, reads, saved

QUESTIONS = {
    "The decision and its row": "Where does this case stand?",
    "What moved it, by both methods": "What raised and lowered the score?",
    "The same decision under attack": "What would change it?",
    "Every choice and digest": "How was this computed?",
}


OF_PAGES = r": a report of \d+ pages?, resting on \d+ answers\.$"


def taken_away(page: Page, folder) -> bytes:
    with page.expect_download() as coming:
        page.get_by_role("button", name="Download the draft").click()
    return saved(coming.value, folder)


def text(pdf: bytes) -> str:
    pages = pypdfium2.PdfDocument(pdf)
    return " ".join(" ".join(page.get_textpage().get_text_bounded().split()) for page in pages)


@pytest.mark.parametrize("view", ["subject=tumours&row=275", "subject=digits&row=923"])
def test_the_report_says_what_the_page_says(page, tmp_path, view):
    visit(page, f"/?{view}")
    reads(page, " was read as ")
    decision = heading(page).inner_text()
    go_to(page, "Report")
    expect(page.get_by_role("button", name="Download the draft")).to_be_visible()
    at_rest(page)
    preview = page.get_by_role("img", name=re.compile("^Page 1 of"))
    expect(preview).to_be_visible()
    assert preview.evaluate("image => image.complete && image.naturalWidth > 500")
    pdf = taken_away(page, tmp_path)
    assert pdf.startswith(b"%PDF")
    assert decision in text(pdf)
    assert all(question in text(pdf) for question in QUESTIONS.values())
    assert taken_away(page, tmp_path) == pdf, "the same evidence gives the same bytes"


def test_what_is_unchecked_is_left_out(page, tmp_path):
    visit(page, "/report?subject=tumours&row=275")
    expect(page.get_by_role("img", name=re.compile("^Page 1 of"))).to_be_visible()
    reads(page, OF_PAGES)
    whole = heading(page).inner_text()
    left_out = list(QUESTIONS)[2:]
    for label in left_out:
        page.get_by_text(label, exact=True).click()
        expect(page.get_by_role("checkbox", name=label)).not_to_be_checked()
        at_rest(page)
    expect(heading(page)).not_to_have_text(whole)
    reads(page, OF_PAGES)
    said = text(taken_away(page, tmp_path))
    for label, question in QUESTIONS.items():
        assert (question in said) == (label not in left_out)


def test_pages_are_turned(page):
    visit(page, "/report?subject=tumours&row=275&page=2")
    expect(page.get_by_role("img", name=re.compile("^Page 2 of"))).to_be_visible()
    page.get_by_role("button", name="Page 3", exact=True).click()
    expect(page.get_by_role("img", name=re.compile("^Page 3 of"))).to_be_visible()


def test_an_address_leaves_sections_out(page):
    visit(page, "/report?subject=tumours&row=275&section.attack=no")
    expect(page.get_by_role("checkbox", name="The same decision under attack")).not_to_be_checked()
    expect(page.get_by_role("checkbox", name="The decision and its row")).to_be_checked()
    page.get_by_text("The same decision under attack", exact=True).click()
    expect(page.get_by_role("checkbox", name="The same decision under attack")).to_be_checked()
    page.wait_for_function("!location.search.includes('section')")
