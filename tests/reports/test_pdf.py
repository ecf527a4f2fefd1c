"""The report: the same bytes from the same evidence, literal names, chosen sections only, readable by machines."""

import ctypes
import hashlib
import pickle
import subprocess
import sys
from dataclasses import replace
from datetime import date
from pathlib import Path

import numpy as np
import pypdfium2
import pytest

from core.errors import UserFacingError
from core.nouns import Feature, Target
from reports import pdf
from reports.case import SECTIONS, CaseFile
from reports.decision import report
from reports.report import Stamp
from tests.reports.conftest import TEXT_EFFECTS, TEXT_ROW, world

ROW = np.array([31_000.0, 61.0, 3.0, np.nan, 1.0, 0.0])
EFFECTS = np.array([-0.33, 0.84, 0.42, 0.10, 0.05, 0.0])
MARGIN = Target(1, "margin")
STAMP = Stamp(date(2026, 11, 26))
QUESTIONS = {
    "decision": "Where does this case stand?",
    "attributions": "What raised and lowered the score?",
    "attack": "What would change it?",
    "ledger": "How was this computed?",
}


def predicted(world, row: np.ndarray, outputs: np.ndarray):
    found = world.prediction(row[None], outputs[None])
    return replace(found, query=replace(found.query, row_ids=("1042",)))


@pytest.fixture
def case(loans) -> CaseFile:
    first = loans.attribution(ROW, EFFECTS, MARGIN, name="linear_shap")
    second = loans.attribution(ROW, EFFECTS * 0.9, MARGIN, name="permutation_shap", error=np.full((1, 6), 0.05))
    moved, noise = ROW.copy(), ROW.copy()
    moved[1], noise[1] = 56.0, 66.0
    attacked = loans.attacked(ROW, moved, noise, (first.output, np.array([-0.2]), first.output), MARGIN)
    population = loans.population(first.query.reference, np.linspace(-2, 2, 100)[:, None])
    return CaseFile(
        loans.subject,
        loans.model,
        predicted(loans, ROW, first.output),
        population,
        (first, second),
        loans.comparison(attacked, (EFFECTS, -EFFECTS, EFFECTS), MARGIN),
        SECTIONS,
    )


@pytest.fixture
def scan_case(scans) -> CaseFile:
    row, target = np.full((8, 8, 1), 8.0), Target(0, "logit")
    effects = np.linspace(-1, 2, 64).reshape(8, 8, 1)
    outputs = (np.array([5.0, 1, 0]), np.array([0.0, 3, 0]), np.array([5.0, 1, 0]))
    attacked = scans.attacked(row, row + 2.4, row - 2.4, outputs, target, size=0.15)
    population = scans.population(scans.subject.reference(100), np.zeros((100, 3)))
    saliency = scans.attribution(
        row, np.abs(effects), target, base=float("nan"), tolerance=None, name="saliency", output=np.array([5.0])
    )
    return CaseFile(
        scans.subject,
        scans.model,
        predicted(scans, row, outputs[0]),
        population,
        (scans.attribution(row, effects, target, name="integrated_gradients"), saliency),
        scans.comparison(attacked, (effects, -effects, effects), target),
        SECTIONS,
    )


def built(case: CaseFile) -> bytes:
    return pdf.build(report(case, STAMP))


def text_of(data: bytes) -> str:
    """All text, pages one after the other, line breaks as spaces."""
    pages = [page.get_textpage().get_text_bounded() for page in pypdfium2.PdfDocument(data)]
    return " ".join(" ".join(pages).replace("\u200b", "").replace("\ufffe", "").split())


def test_the_report_says_what_the_evidence_says(case) -> None:
    text = text_of(built(case))
    assert "Application 1042 was declined: score 0.76, cut-off 0.60." in text
    assert "Debt ratio raised the score for declined most" in text or "Debt ratio 61 % raised" in text
    assert "A change of at most 5% of each feature's range turns the decision on this application" in text
    assert "Linear SHAP, class declined, log-odds, 100 reference rows (seed 7), adds up" in text
    for digest in (
        report(case, STAMP).digest,
        *(result.digest for result in case.attributions),
        case.model.spec.digest,
    ):
        assert digest in text
    pages = len(pypdfium2.PdfDocument(built(case)))
    assert all(f"Page {page} of {pages}" in text for page in range(1, pages + 1))


def test_pictures_make_a_report_too(scan_case) -> None:
    text = text_of(built(scan_case))
    assert "Scan 1042 was read as 3: probability 0.98, next 8 at 0.02." in text
    assert "A change of at most 2.4 of 16 in each pixel turns the decision on this scan from 3 to 8." in text


def test_a_regression_makes_a_report_too(houses) -> None:
    row, target = np.array([80.0, 3.0]), Target(0, "value")
    attribution = houses.attribution(row, np.array([2.0, -1.0]), target, name="linear_shap")
    population = houses.population(attribution.query.reference, np.linspace(0, 3, 100)[:, None])
    case = CaseFile(
        houses.subject, houses.model, predicted(houses, row, attribution.output), population, (attribution,)
    )
    text = text_of(built(case))
    assert "House 1042 is valued at 1 EUR." in text
    assert "What raised and lowered the prediction?" in text and "predicted price, 100 reference houses" in text


def test_a_text_makes_a_report_too(reviews) -> None:
    target = Target(1, "logit")
    found = reviews.attribution(TEXT_ROW, TEXT_EFFECTS, target, name="permutation_shap")
    population = reviews.population(found.query.reference, np.tile([1.0, 0.0], (100, 1)))
    case = CaseFile(
        reviews.subject, reviews.model, predicted(reviews, TEXT_ROW, np.array([1.0, 0.4])), population, (found, found)
    )
    text = text_of(built(case))
    assert "the films the dull." in text, "the text as the model read it"
    assert "dull−" in text, "a strong word carries its sign"
    assert "same review with every word hidden" in text and "100 sampled reviews" in text


def test_of_very_many_features_the_strongest_are_listed(loans) -> None:
    features = tuple(Feature(f"feature_{i}", group="all" if i % 2 else "") for i in range(300))
    spec = replace(loans.model.spec, features=features, shape=(300,))
    wide = world("Wide", "reading", spec, np.random.default_rng(0).random((120, 300)))
    effects = np.linspace(0.0, 1.0, 300)
    found = wide.attribution(np.zeros(300), effects, Target(1, "margin"))
    population = wide.population(found.query.reference, np.zeros((100, 1)))
    case = CaseFile(wide.subject, wide.model, predicted(wide, np.zeros(300), found.output), population, (found,))
    tables = [
        block
        for section in report(case, STAMP).printed["sections"]
        for block in section["blocks"]
        if block["kind"] == "table"
    ]
    assert [len(block["rows"]) for block in tables] == [80, 80]
    assert {row[0] for row in tables[0]["rows"]} == {f"Feature {i}" for i in range(220, 300)}
    assert all("Of 300 features the 80 with the largest effects are listed." in block["note"] for block in tables)


_CHILD = """
import hashlib, pickle, sys
from datetime import date
from reports import pdf
from reports.decision import report
from reports.report import Stamp
print(hashlib.sha256(pdf.build(report(pickle.load(sys.stdin.buffer), Stamp(date(2026, 11, 26))))).hexdigest())
assert not {"torch", "shap", "captum", "matplotlib", "streamlit"} & set(sys.modules)
"""


def test_the_same_evidence_gives_the_same_bytes_in_another_process(case, monkeypatch) -> None:
    here = hashlib.sha256(built(case)).hexdigest()
    root = Path(pdf.__file__).parents[1]
    for salt in ("1", "2"):
        monkeypatch.setenv("PYTHONHASHSEED", salt)
        monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parent))
        done = subprocess.run(
            [sys.executable, "-c", f"import sys; sys.path.insert(0, {str(root)!r}){_CHILD}"],
            input=pickle.dumps(case),
            capture_output=True,
            check=True,
        )
        assert done.stdout.decode().strip() == here


def test_other_evidence_gives_another_digest(case) -> None:
    fewer = replace(case, sections=("decision",))
    told = replace(case, subject=replace(case.subject, limits="Other limits."))
    assert len({case.digest, fewer.digest, told.digest}) == 3
    assert replace(case).digest == case.digest


def test_it_is_pdf_a_and_pdf_ua_and_tagged(case) -> None:
    data = built(case)
    assert b"<pdfaid:part>3</pdfaid:part>" in data and b"<pdfaid:conformance>A</pdfaid:conformance>" in data
    assert b"<pdfuaid:part>1</pdfuaid:part>" in data
    opened = pypdfium2.PdfDocument(data)
    assert opened.is_tagged()
    assert opened.get_metadata_dict()["Title"].startswith("Application 1042 was declined")


def test_every_figure_has_alternative_text(case, scan_case) -> None:
    for each in (case, scan_case):
        blocks = [block for section in report(each, STAMP).printed["sections"] for block in section["blocks"]]
        figures = [block for block in blocks if block["kind"] in ("strip", "bars", "classes")]
        figures += [panel for block in blocks for panel in block.get("panels", [])]
        assert len(figures) >= 3
        assert all(len(figure["alt"]) > 15 for figure in figures)


def test_only_the_bundled_typeface_is_used(case) -> None:
    names = set()
    for page in pypdfium2.PdfDocument(built(case)):
        for thing in page.get_objects(filter=[pypdfium2.raw.FPDF_PAGEOBJ_TEXT]):
            font, buffer = pypdfium2.raw.FPDFTextObj_GetFont(thing.raw), ctypes.create_string_buffer(100)
            pypdfium2.raw.FPDFFont_GetBaseFontName(font, buffer, 100)
            names.add(buffer.value.decode())
    assert names and all("SourceSans3" in name for name in names)


@pytest.mark.parametrize("left_out", SECTIONS)
def test_a_section_left_out_is_truly_out(case, left_out: str) -> None:
    chosen = tuple(name for name in SECTIONS if name != left_out)
    text = text_of(built(replace(case, sections=chosen)))
    assert QUESTIONS[left_out] not in text
    assert all(QUESTIONS[name] in text for name in chosen)
    only = text_of(built(replace(case, sections=())))
    assert "Application 1042 was declined" in only and not any(question in only for question in QUESTIONS.values())


def test_without_the_attack_nothing_of_it_is_told(case) -> None:
    text = text_of(built(replace(case, sections=("decision", "attributions", "ledger"))))
    assert "attack" not in text.lower() and case.comparison.attacked.digest not in text


HOSTILE = [
    "#panic(1)",
    "*bold* _it_ `code`",
    '<a href="x">y</a>',
    "$x^2$ @ref",
    "![](http://x) [l](http://y)",
    "= heading \\u{1F600}",
]


def test_hostile_names_print_literally(case) -> None:
    spec = case.model.spec
    features = tuple(
        replace(feature, label=name, group="") for feature, name in zip(spec.features, HOSTILE, strict=True)
    )
    model = replace(case.model, spec=replace(spec, features=features), title='#import "x": *')
    subject = replace(case.subject, title='Loans #read("/etc/passwd")', limits="//no */ comment /*")
    text = text_of(built(replace(case, subject=subject, model=model))).replace(" ", "")
    for name in (*HOSTILE, model.title, subject.title, subject.limits):
        assert name.replace(" ", "") in text


def test_glyphs_that_the_typeface_lacks_are_shown_and_said(case) -> None:
    subject = replace(case.subject, title="Loans 収入 😀 \u202ereversed\u0007")
    text = text_of(built(replace(case, subject=subject)))
    assert "[U+53CE][U+5165] [U+1F600] [U+202E]reversed[U+0007]" in text
    assert "lacks some characters" in text
    assert "lacks some characters" not in text_of(built(case))


def test_nothing_runs_off_the_page(case) -> None:
    features = tuple(replace(feature, label="x" * 300, group="") for feature in case.model.spec.features)
    model = replace(case.model, spec=replace(case.model.spec, features=features))
    for page in pypdfium2.PdfDocument(built(replace(case, model=model))):
        width = page.get_width()
        for thing in page.get_objects(filter=[pypdfium2.raw.FPDF_PAGEOBJ_TEXT]):
            left, _, right, _ = thing.get_bounds()
            assert left >= 0 and right <= width


def test_refusals_name_the_remedy(case) -> None:
    with pytest.raises(UserFacingError, match="no section called 'cover'"):
        replace(case, sections=("cover",))
    with pytest.raises(UserFacingError, match="no attack to show"):
        replace(case, comparison=None)
    with pytest.raises(UserFacingError, match="no explanation to show"):
        replace(case, attributions=())


def test_results_of_another_row_or_model_do_not_pass(loans, case) -> None:
    other = case.attributions[0]
    with pytest.raises(ValueError, match="of row|is of"):
        replace(case, attributions=(replace(other, query=replace(other.query, row_ids=("7",))),))
    with pytest.raises(ValueError, match="another model"):
        replace(case, attributions=(replace(other, query=replace(other.query, model="0" * 64)),))


def test_a_warning_is_printed_where_an_explanation_does_not_add_up(case) -> None:
    broken = replace(case.attributions[0], output=np.array([9.0]))
    assert "Warning: this explanation does not add up." in text_of(built(replace(case, attributions=(broken,))))


def test_pages_are_never_nearly_empty(case, scan_case) -> None:
    """Every page but the last is printed to below its middle."""
    for each in (case, scan_case):
        for page in list(pypdfium2.PdfDocument(built(each)))[:-1]:
            body = [thing.get_bounds() for thing in page.get_objects(filter=[pypdfium2.raw.FPDF_PAGEOBJ_TEXT])]
            lowest = min(bottom for _, bottom, _, _ in body if bottom > 75)
            assert lowest < page.get_height() / 2
