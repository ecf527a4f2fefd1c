"""The letter: about one row, in plain words, on one page; it abstains in words, and names nothing that it may not."""

from dataclasses import replace
from datetime import date

import numpy as np
import pypdfium2
import pytest

from core.errors import UserFacingError
from core.nouns import Target
from reports import pdf
from reports.letter import FEWEST, Letter, check_reference, report
from reports.reasons import Grounds, candidates
from reports.report import Stamp
from tests.reports.conftest import LOAN_EFFECTS, LOAN_ROW, TEXT_EFFECTS, TEXT_ROW, World
from tests.reports.test_words import FORBIDDEN

DRAFT = Stamp(date(2026, 11, 23))
MARGIN = Target(1, "margin")
NAMES = ["#panic(1)", "*bold* _it_", "$x^2$ @ref", '<a href="x">', "= heading", "\\u{1F600}"]


def letter(world: World, row: np.ndarray, effects: np.ndarray, target: Target, outputs: np.ndarray, **fields) -> Letter:
    """A letter whose swap test every factor stands, and which four resamples bear out."""
    spec = world.model.spec
    if spec.vocabulary is not None:
        reference = replace(world.subject.reference(1), rows=spec.vocabulary.masked(row)[None])
    else:
        reference = world.subject.reference(20)
    found = world.attribution(row, effects, target, **fields)
    found = replace(found, query=replace(found.query, reference=reference))
    tested = candidates(found, spec, 0)
    pushed = np.repeat(outputs[None], 1 + len(tested) * len(reference), axis=0).astype(float)
    column = 0 if spec.columns == 1 else target.output
    for place, factor in enumerate(tested):
        start = 1 + place * len(reference)
        pushed[start : start + len(reference), column] -= factor.effect
    swapped = world.prediction(np.repeat(row[None], len(pushed), axis=0), pushed)
    ids = ("1042", *(f"1042, part {number}" for number in range(1, len(pushed))))
    swapped = replace(swapped, query=replace(swapped.query, row_ids=ids))
    return Letter(world.subject, world.model, Grounds(0, found, swapped, (found,) * 4))


@pytest.fixture
def declined(loans) -> Letter:
    return letter(loans, LOAN_ROW, LOAN_EFFECTS, MARGIN, np.array([1.18]))


def said(found: Letter, stamp: Stamp = DRAFT) -> tuple[str, int]:
    """All text of the printed letter, and its pages."""
    pages = list(pypdfium2.PdfDocument(pdf.build(report(found, stamp))))
    text = " ".join(page.get_textpage().get_text_bounded() for page in pages)
    return " ".join(text.replace("\u200b", "").replace("\ufffe", "").split()), len(pages)


def every(loans, scans, houses, reviews, declined) -> list[Letter]:
    features = tuple(replace(each, upper=200.0) for each in houses.model.spec.features)
    model = replace(houses.model, spec=replace(houses.model.spec, features=features))
    houses = World(replace(houses.subject, models=(model,)), model)
    effects = np.zeros((8, 8, 1))
    effects[3:5, 3:5] = 1.0
    scan = scans.subject.dataset.rows[7]
    return [
        declined,
        letter(scans, scan, effects, Target(0, "logit"), np.array([5.0, 1, 0])),
        letter(houses, np.array([80.0, 3.0]), np.array([2.0, -1.0]), Target(0, "value"), np.array([1.1])),
        letter(reviews, TEXT_ROW, -TEXT_EFFECTS, Target(1, "logit"), np.array([0.0, 1.0])),
    ]


def test_it_says_what_was_decided_why_and_what_can_be_asked_for(declined) -> None:
    text, pages = said(declined)
    assert pages == 1
    for sentence in (
        "Application 1042 was declined.",
        "From 0.60 upwards the decision is declined",
        "What spoke for this decision most",
        "1. Debt ratio 61 %",
        "2. Payment history: late payments",
        "compared with 20 applications drawn with seed 7",
        "Each reason stood two tests",
        "They do not say what brings anything about in the world",
        "have a person look at the decision again",
        "correct what is wrong",
        "Not for decisions about people.",
        "Income 31,000 EUR",
    ):
        assert sentence in text, sentence
    assert "1. Income" not in text, "what speaks against the decision is no reason for it"


def test_what_is_usual_is_that_of_the_rows_compared_with(declined) -> None:
    reference = declined.grounds.explained.query.reference.rows
    (table,) = [block for block in report(declined, DRAFT).printed["sections"][0]["blocks"] if block["kind"] == "table"]
    assert table["head"] == ["", "this application", "usual"]
    assert table["rows"][0] == ["1. Debt ratio", "61 %", f"{np.median(reference[:, 1]):.0f} %"]
    assert [row[0] for row in table["rows"][1:3]] == [
        "2. Payment history: late payments",
        "2. Payment history: oldest account",
    ]
    assert len({row[0][0] for row in table["rows"]}) <= 4, "at most four reasons"


def test_every_kind_of_model_gets_one_page_without_a_forbidden_word(loans, scans, houses, reviews, declined) -> None:
    for each in every(loans, scans, houses, reviews, declined):
        text, pages = said(each)
        assert pages == 1
        assert not FORBIDDEN.search(text), FORBIDDEN.search(text)
        assert "log-odds" not in text and "logit" not in text, "no figure that is read as a percentage"


def test_pictures_texts_and_numbers_in_their_own_words(loans, scans, houses, reviews, declined) -> None:
    _, scan, house, review = (said(each)[0] for each in every(loans, scans, houses, reviews, declined))
    assert "Scan 1042 was read as 3." in scan and "the strongest first: the centre" in scan
    assert "House 1042 is valued at 1 EUR." in house and "raised it" in house and "lowered it" in house
    assert "Review 1042 was read as positive." in review and "“dull”" in review
    assert "the same review with every word hidden" in review and "the films the dull." in review


def test_a_final_letter_says_how_to_check_it_and_a_draft_that_it_is_none(declined) -> None:
    final = replace(DRAFT, final=True, log=(7, "a" * 64), author="A. Author", reviewer="R. Reviewer", use="Lending.")
    text, pages = said(declined, final)
    assert pages == 1
    assert "This letter is signed" in text and "python assay.py verify" in text
    assert report(declined, final).id in text and "Draft" not in text
    assert "A. Author" in text and "R. Reviewer" in text and "Lending." in text
    draft, _ = said(declined)
    assert "This is a draft and is not signed." in draft and "Draft" in draft and "verify" not in draft


def test_a_row_unlike_the_data_gets_no_reasons_and_a_sentence(loans) -> None:
    row = LOAN_ROW.copy()
    row[0] = 400_000.0
    text, _ = said(letter(loans, row, LOAN_EFFECTS, MARGIN, np.array([1.18])))
    assert "Why no reasons are named" in text and "unlike the data" in text
    assert "How sure this is" not in text and "1. Debt ratio" not in text
    assert "What you can ask for" in text and "does not say that nothing counted" in text


def test_reasons_that_fail_a_test_are_left_out_or_all_of_them(declined) -> None:
    grounds = declined.grounds
    unmoved = replace(grounds.swapped, outputs=np.full_like(grounds.swapped.outputs, 1.18))
    text, _ = said(replace(declined, grounds=replace(grounds, swapped=unmoved)))
    assert "Why no reasons are named" in text and "none stood its tests" in text
    values = grounds.explained.values.copy()
    values[0, 4] = 0.0
    others = tuple(replace(each, values=values) for each in grounds.resampled)
    text, _ = said(replace(declined, grounds=replace(grounds, resampled=others)))
    assert "Put to them too, and not named: purpose." in text and "1. Debt ratio" in text
    assert "Purpose house house" not in text


def test_a_protected_feature_is_never_a_reason_without_a_flag(loans) -> None:
    features = tuple(replace(each, protected=each.name == "debt") for each in loans.model.spec.features)
    model = replace(loans.model, spec=replace(loans.model.spec, features=features))
    guarded = World(replace(loans.subject, models=(model,)), model)
    text, _ = said(letter(guarded, LOAN_ROW, LOAN_EFFECTS, MARGIN, np.array([1.18])))
    assert "Debt ratio is something that such a decision should not rest on" in text
    away = np.array([-0.33, -0.84, 0.42, 0.10, 0.05, 0.0])
    text, _ = said(letter(guarded, LOAN_ROW, away, MARGIN, np.array([1.18])))
    assert "should not rest on" not in text, "no reason, no flag"


def test_an_explanation_that_does_not_add_up_is_said(declined) -> None:
    grounds = declined.grounds
    broken = replace(grounds.explained, output=np.array([9.0]), tolerance=1e-9)
    text, _ = said(replace(declined, grounds=replace(grounds, explained=broken)))
    assert "Warning: this explanation does not add up." in text or "Why no reasons are named" in text


def test_it_is_about_one_row_and_no_other(declined) -> None:
    other = replace(declined.grounds.explained.query, row_ids=("7",))
    strange = replace(declined.grounds.explained, query=other)
    with pytest.raises(ValueError, match="one row"):
        replace(declined, grounds=replace(declined.grounds, explained=strange))
    found = report(declined, DRAFT, "python assay.py report loans")
    assert found.audience == "letter" and found.row_ids == ("1042",)
    assert found.command == "python assay.py report loans"
    assert [each.name for each in found.exhibits] == [
        "decision-and-swaps", "explanation", "resample-1", "resample-2", "resample-3", "resample-4",
    ]  # fmt: skip


def test_what_is_usual_is_not_somebodys_own_value(loans, scans, declined) -> None:
    def compared(with_rows: int) -> Letter:
        query = declined.grounds.explained.query
        query = replace(query, reference=loans.subject.reference(with_rows))
        explained = replace(declined.grounds.explained, query=query)
        return replace(declined, grounds=replace(declined.grounds, explained=explained))

    assert compared(FEWEST)
    with pytest.raises(UserFacingError, match="compare with 19 rows, and what is usual among fewer than 20"):
        compared(FEWEST - 1)
    check_reference(scans.model.spec, scans.subject.reference(1))  # of pictures nothing is called usual


def test_hostile_names_print_as_they_are(loans) -> None:
    spec = loans.model.spec
    features = tuple(replace(each, label=name, group="") for each, name in zip(spec.features, NAMES, strict=True))
    model = replace(loans.model, spec=replace(spec, features=features), title='#import "x": *')
    hostile = World(replace(loans.subject, models=(model,), title='Loans #read("x")', limits="//no */ comment"), model)
    text, _ = said(letter(hostile, LOAN_ROW, LOAN_EFFECTS, MARGIN, np.array([1.18])))
    squeezed = text.replace(" ", "")
    for name in (*NAMES, model.title, hostile.subject.title, hostile.subject.limits):
        assert name.replace(" ", "") in squeezed, name


def test_very_many_features_are_not_listed(loans) -> None:
    features = tuple(replace(loans.model.spec.features[0], name=f"f{place}", group="") for place in range(60))
    spec = replace(loans.model.spec, features=features, shape=(60,))
    model = replace(loans.model, spec=spec)
    data = replace(loans.subject.dataset, rows=np.random.default_rng(0).random((200, 60)))
    wide = World(replace(loans.subject, models=(model,), dataset=data), model)
    effects = np.zeros(60)
    effects[3] = 1.0
    found = letter(wide, data.rows[5], effects, MARGIN, np.array([1.18]))
    assert report(found, DRAFT).printed["given"]["values"] == []
    assert said(found)[1] == 1
