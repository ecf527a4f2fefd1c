"""A signed report is given to the page Verify: it holds as it was signed, and with any byte changed it does not."""

import re
from collections.abc import Mapping
from pathlib import Path

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.browser.harness import DESKTOP, PHONE, at_rest, axe, too_wide, visit
from tests.browser.screen import LONGEST, heading, reads, refusal, sign, taken_away

FILES = ("Signed report", "Evidence", "Signature of the evidence", "Certificate")
HOSTILE = {
    "half.pdf": b"%PDF-1.7\n/ByteRange [0 5 9 999999999]",
    "bomb.assay": b"PK\x03\x04" + b"\xff" * 4096,
    "open-end.pdf": b"%PDF-1.7\n/ByteRange [0 9999999999 0 0] /Contents <" + b"30" * 20_000,
    "null.assay": b"PK\x03\x04" + bytes(100_000),
}


@pytest.fixture(scope="module")
def signed(browser, app_url: str, tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Path]:
    """The files of a report that was signed on the page, by the names of their buttons."""
    folder = tmp_path_factory.mktemp("signed")
    context = browser.new_context(base_url=app_url, accept_downloads=True)
    page = context.new_page()
    visit(page, "/report?subject=tumours&row=275&section.attack=no")
    sign(page, "Grace Hopper")
    files = {label: taken_away(page, label, folder) for label in FILES}
    context.close()
    return files


def give(page: Page, *files: Path | tuple[str, bytes]) -> None:
    """Gives files to the page, the first as the report, the next as what belongs to it."""
    for place, file in enumerate(files):
        chosen = file if isinstance(file, Path) else {"name": file[0], "mimeType": "", "buffer": file[1]}
        inputs = page.locator("[data-testid=stFileUploader] input[type=file]")
        inputs.nth(place).set_input_files(chosen)
        expect(page.locator("[data-testid=stFileChip]")).to_have_count(place + 1)
        page.wait_for_timeout(300)
        at_rest(page)


def failures(page: Page) -> Locator:
    return page.locator("p").filter(has_text="Fails.")


def test_before_a_file_is_given_the_page_says_what_to_do(page: Page) -> None:
    visit(page, "/verify")
    reads(page, "^Give a report")
    expect(page.get_by_text("Give the PDF as you got it")).to_be_visible()


def test_a_report_that_was_signed_here_holds_and_is_computed_again(page: Page, signed) -> None:
    visit(page, "/verify")
    give(page, signed["Signed report"])
    reads(page, r"holds: \d+ checks, none failed\.$")
    assert failures(page).count() == 0
    expect(page.get_by_text("patient 275. As of ")).to_contain_text("by Grace Hopper; reviewer: not named.")
    page.get_by_role("button", name="Compute it again").click()
    expect(page.locator("[data-testid=stDataFrame]")).to_be_visible()
    expect(page.get_by_text(re.compile(r"^(\d+) of \1 answers came out as the report has them"))).to_be_visible()
    expect(page.get_by_text("Printed again from its evidence, the PDF is the same")).to_be_visible()
    expect(page.get_by_text("every word and number on its pages is the same")).to_be_visible()
    assert refusal(page).count() == 0


def test_evidence_holds_with_its_signature_and_by_a_certificate_that_is_given(page: Page, signed) -> None:
    visit(page, "/verify?trust=other")
    give(page, signed["Evidence"], signed["Signature of the evidence"], signed["Certificate"])
    reads(page, "holds")
    assert failures(page).count() == 0


def test_evidence_without_its_signature_does_not_hold(page: Page, signed) -> None:
    visit(page, "/verify")
    give(page, signed["Evidence"])
    reads(page, "does not hold: 1 check failed")
    expect(failures(page)).to_contain_text("has no signature")


@pytest.mark.parametrize("label", ["Signed report", "Evidence"])
@pytest.mark.parametrize("share", [0.02, 0.5, 0.98])
def test_a_file_with_one_byte_changed_does_not_hold(page: Page, signed, label: str, share: float) -> None:
    body = bytearray(signed[label].read_bytes())
    body[int(share * len(body))] ^= 1
    visit(page, "/verify")
    give(page, (f"changed{signed[label].suffix}", bytes(body)), *([signed[FILES[2]]] if label == "Evidence" else []))
    reads(page, "does not hold")
    expect(failures(page).first).to_be_visible()
    expect(page.get_by_role("button", name="Compute it again")).to_have_count(0)


def test_a_draft_does_not_hold(page: Page, tmp_path: Path) -> None:
    visit(page, "/report?subject=tumours&row=275")
    draft = taken_away(page, "Download the draft", tmp_path)
    visit(page, "/verify")
    give(page, draft)
    reads(page, "does not hold")
    expect(failures(page)).to_contain_text("it is a draft")


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_file_gets_one_sentence(page: Page, name: str) -> None:
    visit(page, "/verify")
    give(page, (name, HOSTILE[name]))
    reads(page, "does not hold: 1 check failed")
    assert refusal(page).count() == 0


def test_what_is_no_report_is_said_to_be_none(page: Page) -> None:
    visit(page, "/verify")
    give(page, ("notes.txt", b"hello"))
    expect(refusal(page)).to_contain_text("It is neither a PDF nor evidence")


@pytest.mark.parametrize("tone", ["light", "dark"])
@pytest.mark.parametrize("size", [DESKTOP, PHONE], ids=["desk", "phone"])
def test_the_page_reads_well_empty_good_and_bad(open_page, signed, tone: str, size: tuple[int, int]) -> None:
    page = open_page(size, tone)
    visit(page, "/verify")
    states = [[], [signed["Signed report"]], [("changed.pdf", signed["Signed report"].read_bytes() + b"more")]]
    for files in states:
        give(page, *files)
        expect(heading(page)).to_have_text(re.compile("hold|Give"))
        assert [each for each in axe(page) if "stFileUploaderDropzone" not in each] == []
        assert too_wide(page) == 0
        assert page.evaluate("document.querySelector('[data-testid=stMain]').scrollHeight") <= LONGEST
