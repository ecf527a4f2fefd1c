"""The report on a whole model: every section there or said to be missing, every number with its exhibit."""

import re
from collections.abc import Iterator
from dataclasses import replace
from datetime import date
from typing import Any

import numpy as np
import pypdfium2
import pytest

from core.nouns import Feature
from reports import full, pdf
from reports.report import Report, Stamp
from reports.rules import SECTIONS, rules
from tests.reports.conftest import World
from tests.reports.dossiers import dossier
from tests.reports.test_pdf import text_of
from tests.reports.test_words import FORBIDDEN

STAMP = Stamp(date(2026, 11, 26), author="A. Author", use="to try out reports")
WORLDS = ("loans", "scans", "houses", "reviews")


@pytest.fixture(params=WORLDS)
def report(request) -> Report:
    return full.report(
        dossier(request.getfixturevalue(request.param)), STAMP, "python assay.py report x --audience full"
    )


def blocks_of(report: Report, kind: str) -> list[dict[str, Any]]:
    return [each for section in report.printed["sections"] for each in section["blocks"] if each["kind"] == kind]


def strings(value: Any) -> Iterator[str]:
    """What is printed of nested data."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for key, each in value.items():
            if key not in ("kind", "hue", "dash") and not re.fullmatch("[0-9a-f]{64}", str(each)):
                yield from strings(each)
    elif isinstance(value, list | tuple):
        for each in value:
            yield from strings(each)


def test_every_section_is_there(report) -> None:
    asked = [section["question"] for section in report.printed["sections"]]
    assert len(asked) == len(set(asked)) == len(SECTIONS) + 2, "each section, the conclusion and the rules"
    text = text_of(pdf.build(report))
    assert all(question in text for question in asked)


def test_what_was_not_examined_is_said_with_what_it_would_take(report) -> None:
    missing = blocks_of(report, "missing")
    assert missing and all(len(each["why"]) > 15 and len(each["needed"]) > 15 for each in missing)
    text = text_of(pdf.build(report))
    assert text.count("Not examined:") == len(missing)
    named = {each["what"] for each in missing}
    assert "how people oversee the decisions" in named
    modality = report.model.spec.modality
    assert ("attacks" in named) == (modality == "text" or not report.model.spec.classes)
    assert ("importance over many rows" in named) == (modality == "text")


def test_every_exhibit_is_resolved_and_every_mark_is_an_exhibit(report) -> None:
    (annex,) = blocks_of(report, "exhibits")
    assert [(row["question"], row["digest"]) for row in annex["rows"]] == [
        (exhibit.question, exhibit.result.digest) for exhibit in report.exhibits
    ]
    assert [row["mark"] for row in annex["rows"]] == [f"E{place + 1}" for place in range(len(report.exhibits))]
    marks = {int(mark) for mark in re.findall(r"\bE(\d{1,3})\b", " ".join(strings(report.printed)))}
    assert marks == set(range(1, len(report.exhibits) + 1))


def test_figures_carry_what_they_rest_on_and_what_they_say(report) -> None:
    for section in report.printed["sections"]:
        kinds = [block["kind"] for block in section["blocks"]]
        if {"bars", "strip", "classes", "charts", "matrix"} & set(kinds):
            assert "proof" in kinds or any("E" in block.get("note", "") for block in section["blocks"])
    drawn = [block for kind in ("bars", "strip", "classes", "matrix") for block in blocks_of(report, kind)]
    drawn += [chart for block in blocks_of(report, "charts") for chart in block["charts"]]
    assert drawn and all(len(each["alt"]) > 15 for each in drawn)


def test_it_claims_nothing_it_must_not(report) -> None:
    for said in strings(report.printed):
        assert not FORBIDDEN.search(said), said


def test_the_conclusion_is_scoped_to_the_stated_use(report) -> None:
    text = text_of(pdf.build(report))
    assert "Stated use: to try out reports." in text and "the report gives figures and no verdict" in text
    unstated = replace(report, stamp=replace(STAMP, use=""))
    assert "Stated use: not stated." in text_of(pdf.build(unstated))


def test_it_is_dated_by_its_rule_file_and_gives_its_command(report) -> None:
    text = text_of(pdf.build(report))
    assert rules().digest in text and "python assay.py report x --audience full" in text
    assert report.digest in text and report.id in text


def test_status_and_sign_off(report) -> None:
    draft, final = (text_of(pdf.build(each)) for each in (report, replace(report, stamp=replace(STAMP, final=True))))
    assert "Draft, not signed" in draft and "Signature and date" in draft and "A. Author" in draft
    assert "Final, signed" in final and "Draft" not in final


def test_pages_are_filled_and_nothing_is_cut(report) -> None:
    pages = list(pypdfium2.PdfDocument(pdf.build(report)))
    assert 8 <= len(pages) <= 30
    for page in pages:
        width, height = page.get_size()
        body = [thing.get_bounds() for thing in page.get_objects(filter=[pypdfium2.raw.FPDF_PAGEOBJ_TEXT])]
        assert all(left >= 0 and right <= width - 50 for left, _, right, _ in body)
        if page is not pages[-1]:
            assert min(bottom for _, bottom, _, _ in body if bottom > 75) < height * 0.55


HOSTILE = [
    "a<b & c>d",
    "![x](http://evil/x.png) [l](javascript:1)",
    '#read("/etc/passwd")',
    "\u202ereversed",
    "emoji \U0001f600",
    "x" * 10_000,
]


def test_hostile_names_print_as_themselves_or_marked(loans: World) -> None:
    spec = loans.model.spec
    features = tuple(
        replace(each, label=name, group="", categories=())
        if each.kind != "category"
        else replace(each, label=name, group="", categories=("#panic()", "*b*", "$x$"))
        for each, name in zip(spec.features, HOSTILE, strict=True)
    )
    model = replace(
        loans.model,
        spec=replace(spec, features=features, classes=("#let x", "<ok>")),
        title="*m* #eval(1)",
        card='**#use.** #include "x"',
    )
    subject = replace(
        loans.subject,
        title='_T_ #read("/etc/hostname")',
        models=(model,),
        limits="//no",
        source="@ref",
        row_noun="row#1",
    )
    report = full.report(dossier(World(subject, model)), replace(STAMP, author="<a>#b", use="#sys.inputs"))
    text = text_of(pdf.build(report)).replace(" ", "").lower()
    for name in (
        "a<b&c>d",
        HOSTILE[1],
        HOSTILE[2],
        "[U+202E]reversed",
        "[U+1F600]",
        "x" * 500,
        model.title,
        subject.title,
        "<a>#b",
        "#sys.inputs",
        "#panic()",
        '#include"x"',
    ):
        assert name.replace(" ", "").lower() in text, name[:40]
    assert text.count("x") > 10_000 and "root:" not in text


def test_hidden_columns_are_neither_drawn_nor_told(loans: World) -> None:
    spec = loans.model.spec
    hidden = tuple(replace(each, hidden=each.name in ("income", "purpose")) for each in spec.features)
    model = replace(loans.model, spec=replace(spec, features=hidden))
    found = dossier(World(replace(loans.subject, models=(model,)), model))
    report = full.report(found, STAMP)
    drawn = {chart["title"] for block in blocks_of(report, "charts") for chart in block["charts"]}
    assert not drawn & {"Income", "Purpose"} and "Late payments" in drawn
    incomes = {Feature("", unit="EUR", decimals=0).show(value) for value in found.judged.query.rows[:, 0]}
    assert not incomes & set(strings(report.printed))
    assert not any("250,000" in said for said in strings(report.printed))


def test_the_same_evidence_is_the_same_report(loans: World) -> None:
    first, second = (full.report(dossier(loans), STAMP, "x") for _ in range(2))
    assert first.digest == second.digest and pdf.build(first) == pdf.build(second)
    other = full.report(dossier(loans, seed=1), STAMP, "x")
    assert other.digest != first.digest


def test_failed_tolerances_are_warned_of(loans: World) -> None:
    found = dossier(loans)
    broken = replace(found.surveyed, output=found.surveyed.output + 1)
    text = text_of(pdf.build(full.report(replace(found, surveyed=broken), STAMP)))
    assert (
        "miss their own tolerance" in text and "FAILS" in text and "Warning: this explanation does not add up" in text
    )


def test_without_answers_performance_is_not_examined(loans: World) -> None:
    found = dossier(loans)
    data = replace(found.subject.dataset, labels=np.full(len(found.subject.dataset), -1))
    subject = replace(found.subject, dataset=data)
    text = text_of(pdf.build(full.report(replace(found, subject=subject), STAMP)))
    assert "how well it decides cannot be told" in text and "Not examined: performance" in text


def test_the_data_are_described(loans: World) -> None:
    text = text_of(pdf.build(full.report(dossier(loans), STAMP)))
    for said in (
        "Held out of training 200",
        "True answers 200:",
        "Reference 100 rows, drawn with seed 7",
        "Data digest",
    ):
        assert said in text


def test_an_attack_that_fails_a_check_is_said_to(loans: World) -> None:
    found = dossier(loans)
    first, *rest = found.attacked
    idle = replace(rest[-1], attacked_class=rest[-1].clean_class)
    turned = replace(first, attacked_class=1 - first.clean_class)
    text = text_of(pdf.build(full.report(replace(found, attacked=(turned, rest[0], idle)), STAMP)))
    assert "turns fewer decisions at a larger size" in text


def test_a_reference_unlike_the_data_is_warned_of(loans: World) -> None:
    found = dossier(loans)
    query = found.grounds[0].explained.query
    alike = replace(query.reference, rows=np.repeat(query.reference.rows[:1], len(query.reference), axis=0))
    planted = replace(found.grounds[0].explained, query=replace(query, reference=alike))
    grounds = (replace(found.grounds[0], explained=planted), *found.grounds[1:])
    assert "Warning: the reference is not like" in text_of(
        pdf.build(full.report(replace(found, grounds=grounds), STAMP))
    )


def test_answers_of_one_class_alone_rank_nothing(loans: World) -> None:
    found = dossier(loans)
    data = replace(found.subject.dataset, labels=np.zeros(len(found.subject.dataset), int))
    report = full.report(replace(found, subject=replace(found.subject, dataset=data)), STAMP)
    text = text_of(pdf.build(report))
    assert "Area under the ROC curve" not in text and "decision and label agree on" in text


def test_a_card_that_is_printed_can_be_printed_again_from_the_pages(loans: World) -> None:
    text = (
        "# A card\n\n**Data.** 200 rows,\nmade by `hand`.\n\n**Intended use**: tests. Nothing more: ever.\n\nAnd so on."
    )

    def pages(card: str) -> dict[str, Any]:
        found = dossier(loans)
        return full.report(replace(found, model=replace(found.model, card=card)), STAMP).printed

    printed = pages(text)
    again = full.card_in(printed)
    assert "**Data.** 200 rows, made by hand." in again and "**Intended use.** tests. Nothing more: ever." in again
    assert pages(again) == printed
    assert full.card_in(pages("")) == ""


def test_a_cards_lists_and_addresses_are_told_in_one_line(loans: World) -> None:
    card = "**Models.**\n- `a`: trees.\n- `b`: a network.\n\n**Scores**, held out:\n- a: 0.9\n- b: 0.8, <https://x.org>"
    found = dossier(loans)
    printed = full.report(replace(found, model=replace(found.model, card=card)), STAMP).printed
    told = full.card_in(printed)
    assert "**Models.** a: trees.; b: a network." in told
    assert "**Scores.** held out: a: 0.9; b: 0.8, https://x.org" in told
