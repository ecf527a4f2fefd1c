"""The whole model on one page: the full report's figures, on exactly one page."""

from dataclasses import replace
from datetime import date

import pypdfium2
import pytest

from reports import full, pdf, summary
from reports.report import Stamp
from tests.reports.dossiers import dossier
from tests.reports.test_full import HOSTILE, WORLDS, strings
from tests.reports.test_pdf import text_of
from tests.reports.test_words import FORBIDDEN

STAMP = Stamp(date(2026, 11, 26), author="A. Author", use="to try out reports")


@pytest.mark.parametrize("name", WORLDS)
def test_it_is_one_page_and_says_what_the_full_report_says(name: str, request) -> None:
    found = dossier(request.getfixturevalue(name))
    page, whole = summary.report(found, STAMP), full.report(found, STAMP)
    built = pdf.build(page)
    assert len(pypdfium2.PdfDocument(built)) == 1
    assert page.exhibits == whole.exhibits and page.digest != whole.digest
    text = text_of(built)
    assert page.printed["conclusion"] in text and "Stated use: to try out reports." in text
    assert page.printed["conclusion"] == whole.printed["cover"]["statement"][0]
    for row in page.printed["findings"]["rows"]:
        assert row[1] in text
    assert not [said for said in strings(page.printed) if FORBIDDEN.search(said)]
    assert "Draft, not signed" in text and page.id in text


def test_long_names_stay_on_one_page(loans) -> None:
    model = replace(loans.model, title="A model with a long name that somebody chose with care " * 3)
    subject = replace(loans.subject, models=(model,), limits="Not for decisions about people, " * 10)
    assert len(pypdfium2.PdfDocument(pdf.build(summary.report(dossier(type(loans)(subject, model)), STAMP)))) == 1


def test_hostile_names_print_as_themselves_or_marked(loans) -> None:
    model = replace(loans.model, title=" ".join(HOSTILE[:5]))
    subject = replace(loans.subject, models=(model,), title=HOSTILE[2])
    text = text_of(pdf.build(summary.report(dossier(type(loans)(subject, model)), STAMP))).replace(" ", "")
    for name in ("a<b&c>d", HOSTILE[1], HOSTILE[2], "[U+202E]reversed", "[U+1F600]"):
        assert name.replace(" ", "") in text
