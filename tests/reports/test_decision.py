"""The report on one decision: its exhibits, its reasons with their tests, its warnings."""

from dataclasses import replace
from datetime import date

import numpy as np
import pytest

from core.nouns import MethodId
from core.results import Prediction
from engine.questions import resampled_queries, swap_query
from reports import decision, pdf
from reports.case import CaseFile
from reports.reasons import Grounds, candidates
from reports.report import Stamp
from tests.reports.test_pdf import EFFECTS, MARGIN, ROW, case, predicted, text_of

__all__ = ["case"]
STAMP = Stamp(date(2026, 11, 26))


@pytest.fixture
def reasoned(loans, case) -> CaseFile:
    """The case with grounds whose swaps move the score as claimed."""
    first = case.attributions[0]
    parts = candidates(first, loans.model.spec, 0)
    query = swap_query(first.query, 0, [each.positions for each in parts])
    size = (len(query) - 1) // len(parts)
    own = float(first.output[0])
    outputs = np.concatenate([[own], *(np.full(size, own - each.effect) for each in parts)])[:, None]
    swapped = Prediction(query, MethodId("predict", "1"), outputs)
    others = tuple(replace(first, query=each) for each in resampled_queries(loans.subject, first.query, 10))
    return replace(case, grounds=Grounds(0, first, swapped, others))


def test_every_answer_is_an_exhibit_once(case, reasoned) -> None:
    names = [exhibit.name for exhibit in decision.report(reasoned, STAMP).exhibits]
    assert len(names) == len(set(names)) and {"decision", "swapped", "resample-10", "after-noise"} <= set(names)
    told = {exhibit.result.digest for exhibit in decision.report(reasoned, STAMP).exhibits}
    assert told == {result.digest for result in reasoned.results}
    fewer = [exhibit.name for exhibit in decision.report(replace(case, sections=("decision",)), STAMP).exhibits]
    assert not {"attack", "after-attack"} & set(fewer)


def test_every_exhibit_has_its_digest_in_print(reasoned) -> None:
    report = decision.report(reasoned, STAMP, "python assay.py report loans --row 1042")
    text = text_of(pdf.build(report))
    assert all(exhibit.result.digest in text and exhibit.question for exhibit in report.exhibits)
    assert "python assay.py report loans --row 1042" in text and report.digest in text


def test_reasons_are_told_with_their_tests(reasoned) -> None:
    text = text_of(pdf.build(decision.report(reasoned, STAMP)))
    assert [reason.factor.title for reason in reasoned.reasons.found] == ["debt ratio", "payment history", "purpose"]
    assert "score less swapped" in text and "10 of 10" in text
    abstained = replace(reasoned, grounds=replace(reasoned.grounds, resampled=reasoned.grounds.resampled[:0]))
    assert "no others" in text_of(pdf.build(decision.report(abstained, STAMP)))


def test_a_row_unlike_the_data_is_warned_of(loans) -> None:
    odd = ROW.copy()
    odd[0] = 9_000_000.0
    found = loans.attribution(odd, EFFECTS, MARGIN, name="linear_shap")
    population = loans.population(found.query.reference, np.linspace(-2, 2, 100)[:, None])
    outputs = predicted(loans, odd, found.output)
    strange = CaseFile(loans.subject, loans.model, outputs, population, (found,))
    text = text_of(pdf.build(decision.report(strange, STAMP)))
    assert text.count("is unlike the data") == 2, "on the cover and beside the effects"
