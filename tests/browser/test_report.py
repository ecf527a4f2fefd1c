"""The report is seen before it is taken away, and what was left out is not in it."""

import io
import json
import re
import zipfile
from collections.abc import Iterator

import pypdfium2
import pytest
from playwright.sync_api import expect

from tests.browser.harness import PHONE, at_rest, axe, too_wide, visit
from tests.browser.screen import LONGEST, PATIENCE, go_to, heading, reads, refusal, sign, taken_away
from tests.providers.hosted import Hosted, hosted
from tests.providers.providers import Somebody

QUESTIONS = {
    "The decision and its row": "Where does this case stand?",
    "What moved it, by both methods": "What raised and lowered the score?",
    "The same decision under attack": "What would change it?",
    "Every choice and digest": "How was this computed?",
}


OF_PAGES = r": a report of \d+ pages?, resting on \d+ answers\.$"


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
    pdf = taken_away(page, "Download the draft", tmp_path).read_bytes()
    assert pdf.startswith(b"%PDF")
    assert decision in text(pdf)
    assert all(question in text(pdf) for question in QUESTIONS.values())
    assert taken_away(page, "Download the draft", tmp_path).read_bytes() == pdf, (
        "the same evidence gives the same bytes"
    )


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
    said = text(taken_away(page, "Download the draft", tmp_path).read_bytes())
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


# --- the other kinds of reports --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("audience", "said"),
    [
        ("letter", "Patient 275 .*: a letter of "),
        ("full", "143 held-out patients as labelled: a report "),
        ("summary", ": a report of 1 "),
    ],
)
def test_a_kind_of_report_lives_in_the_address(page, tmp_path, audience, said):
    page.goto(f"/report?subject=tumours&row=275&audience={audience}")
    expect(heading(page)).to_have_text(re.compile(f"{said}.*resting on"), timeout=5 * PATIENCE)
    at_rest(page)
    assert refusal(page).count() == 0
    assert axe(page) == []
    bundle = taken_away(page, "Evidence", tmp_path)
    with zipfile.ZipFile(io.BytesIO(bundle.read_bytes())) as archive:
        told = json.loads(archive.read("manifest.json"))
    assert told["audience"] == audience
    assert f"--audience {audience}" in told["command"]


def test_a_report_in_the_making_is_called_off(page):
    page.goto("/report?subject=loans&row=1096&audience=full")
    expect(page.get_by_text(re.compile("^Gathering the evidence, "))).to_be_visible()
    page.get_by_role("button", name="Cancel").click()
    expect(refusal(page)).to_have_text(re.compile("^This was cancelled"))
    expect(page.get_by_role("button", name="Start again")).to_be_visible()
    page.get_by_text("A letter", exact=True).click()
    reads(page, "^Application 1096 was .*: a letter of ")


# --- signing ---------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hosted]:
    people = [Somebody("vic", ["assay-viewer"], amr=["mfa"])]
    people += [Somebody("pat", ["assay-analyst"], amr=["pwd"]), Somebody("ann", ["assay-analyst"], amr=["mfa"])]
    with hosted(tmp_path_factory.mktemp("signing"), people) as running:
        yield running


VIEW = "/report?subject=tumours&row=275&section.attack=no"


@pytest.mark.parametrize(("who", "why"), [("vic", "needs the role analyst"), ("pat", "with a second factor")])
def test_who_may_not_sign_reads_why(enter, who, why):
    page = enter(who)
    visit(page, VIEW)
    expect(page.get_by_text(re.compile(f"^You may not sign a report.*{why}"))).to_be_visible()
    expect(page.get_by_role("button", name="Sign as final")).to_have_count(0)
    expect(page.get_by_role("button", name="Download the draft")).to_be_visible()


def test_what_is_shown_is_what_is_signed_and_the_log_has_it(enter, tmp_path):
    page = enter("ann")
    visit(page, VIEW)
    drafted = page.get_by_text(re.compile("^A draft, not signed")).inner_text()
    sign(page)
    signed = page.get_by_text(re.compile("^Signed as final on ")).inner_text()
    assert drafted.split(": ")[1] == signed.split(": ")[1], "it is the same report"
    said = text(taken_away(page, "Signed report", tmp_path).read_bytes())
    assert "Author Ann" in said and "Draft" not in said
    bundle = taken_away(page, "Evidence", tmp_path)
    told = json.loads(zipfile.ZipFile(bundle).read("manifest.json"))
    assert told["stamp"]["author"] == "Ann" and told["stamp"]["final"] is True
    assert told["stamp"]["log"][0] > 1
    page.reload()
    expect(page.get_by_role("button", name="Sign as final")).to_be_visible()


def test_a_report_without_an_author_is_not_signed(page):
    visit(page, VIEW)
    page.get_by_role("button", name="Sign as final").click()
    dialog = page.get_by_role("dialog")
    expect(dialog.get_by_text("cannot be changed afterwards")).to_be_visible()
    expect(dialog.get_by_text("enters the log")).to_be_visible()
    dialog.get_by_role("button", name="Sign it for good").click()
    expect(dialog.get_by_text("The author is not named")).to_be_visible()
    assert axe(page, "[role=dialog]") == []
    page.keyboard.press("Escape")
    expect(page.get_by_role("button", name="Sign as final")).to_be_visible()


@pytest.mark.parametrize("tone", ["light", "dark"])
def test_the_signed_report_reads_well(open_page, tone):
    for size in (None, PHONE):
        page = open_page(size, tone) if size else open_page(shade=tone)
        visit(page, VIEW)
        sign(page, "Grace Hopper")
        assert axe(page) == []
        assert too_wide(page) == 0
        assert page.evaluate("document.querySelector('[data-testid=stMain]').scrollHeight") <= LONGEST
