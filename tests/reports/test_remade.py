"""The pages of a report come out of its answers again, and what was printed beside them is told."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from datetime import date

import pytest

from access.desk import Desk
from access.masks import masked
from core.nouns import Subject, Target
from core.results import Attribution
from engine.questions import default_pair
from engine.subjects import load_subject
from explainers import explainer
from reports import batch, bundle, decision, full, gather, letter, summary
from reports.bundle import Bundle
from reports.dossier import Dossier
from reports.recompute import Difference, recompute
from reports.remade import pages
from reports.report import Report, Stamp
from reports.verifying import Line
from tests.reports.conftest import World
from tests.reports.dossiers import dossier
from tests.reports.signed import house
from tests.reports.test_recompute import quick_attack

STAMP = Stamp(date(2026, 11, 26), author="A. Person")
SAME = "Worked out again from the answers, every word and number on its pages is the same."
MODELS = {"tumours": "xgboost", "loans": "lightgbm", "digits": "cnn"}
ALL = ("decision", "attributions", "attack", "ledger")
FEW = {"JUDGED": 60, "SURVEYED": 5, "ATTACKED": 3}


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    with house(tmp_path_factory.mktemp("house") / "home") as found:
        yield found


def target_of(subject: Subject, name: str) -> Target:
    spec = subject.model(name).spec
    return Target(1, default_pair(spec)[0]().scales(spec)[0])


def a_letter(desk: Desk, name: str, place: int = 3) -> Report:
    subject = load_subject(name)
    data, model = subject.dataset, subject.model(MODELS[name])
    mailing = batch.Mailing(subject, model, data.rows[[place]], (data.row_ids[place],), subject.reference(20, 1), STAMP)
    return letter.report(*batch.letters(desk, mailing, [0]), STAMP, "letter")


def a_decision(desk: Desk, subject: Subject, sections: Sequence[str] = ALL) -> Report:
    model = subject.model(MODELS[subject.name])
    attack = quick_attack(model.spec) if "attack" in sections else None
    methods = (
        tuple(kind() for kind in default_pair(model.spec)) if subject.name != "digits" else (explainer("deeplift"),)
    )
    target, reference = target_of(subject, model.name), subject.reference(20, 1)
    case = gather.gather(desk, subject, model, 3, target, reference, methods, attack, tuple(sections))
    return decision.report(case, STAMP, "python assay.py report")


@pytest.fixture(scope="module")
def whole(desk: Desk) -> Callable[[str], Dossier]:
    """The dossier on a subject's model, of few rows."""
    made: dict[str, Dossier] = {}

    def find(name: str) -> Dossier:
        if name not in made:
            subject = load_subject(name)
            model = subject.model(MODELS[name])
            with pytest.MonkeyPatch.context() as patch:
                for constant, count in FEW.items():
                    patch.setattr(gather, constant, {model.spec.modality: count})
                patch.setattr(gather, "RESAMPLES", 2)
                patch.setattr(gather, "attacks_for", lambda spec: [type(quick_attack(spec))])
                reference = subject.reference(20, 1)
                made[name] = gather.gather_dossier(desk, subject, model, target_of(subject, model.name), reference)
        return made[name]

    return find


def read(report: Report) -> Bundle:
    return bundle.read(bundle.pack(report))


def answered(report: Report) -> list[Difference]:
    """What asking again gives where every answer is the same."""
    told = [(each.name, each.result) for each in report.exhibits]
    return [Difference(name, result.method.name, 1, 0.0, 0.0, answer=result) for name, result in told]


def judged(report: Report, subject: Subject | None = None) -> Line:
    return pages(read(report), subject or load_subject(report.subject.name), answered(report))


def assert_same(report: Report) -> None:
    assert judged(report) == Line(True, SAME)


# --- what is as it should be -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", MODELS)
def test_a_letter_comes_out_again(desk: Desk, name: str) -> None:
    assert_same(a_letter(desk, name))


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("sections", [ALL, ("attributions",), ("decision", "ledger")])
def test_a_decision_comes_out_again_with_the_sections_it_has(desk: Desk, name: str, sections: Sequence[str]) -> None:
    assert_same(a_decision(desk, load_subject(name), sections))


@pytest.mark.parametrize("name", MODELS)
def test_a_whole_model_comes_out_again(whole: Callable[[str], Dossier], name: str) -> None:
    assert_same(full.report(whole(name), STAMP, "full"))
    assert_same(summary.report(whole(name), STAMP, "summary"))


@pytest.mark.parametrize("world", ["loans", "scans", "houses", "reviews"])
def test_a_dossier_is_put_together_from_its_exhibits(
    world: str, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: World = request.getfixturevalue(world)
    told = dossier(made)
    monkeypatch.setattr("reports.dossier.choose", lambda *_: told.cases)
    found = Dossier.of(told.subject, told.model, {each.name: each.result for each in told.exhibits()})
    assert full.report(found, STAMP).digest == full.report(told, STAMP).digest
    assert found.target == told.target and len(found.shifted) == len(told.shifted)


def test_answers_asked_for_again_go_in(desk: Desk) -> None:
    found, subject = read(a_letter(desk, "tumours")), load_subject("tumours")
    assert pages(found, subject, recompute(desk, found, subject)) == Line(True, SAME)


def test_masked_columns_stay_hidden(desk: Desk) -> None:
    subject = load_subject("loans")
    column = subject.model().spec.features[0].name
    report = a_decision(desk, masked(subject, [column]), ("decision", "attributions"))
    assert judged(report) == Line(True, SAME)
    found = judged(a_decision(desk, subject, ("decision",)), masked(subject, [column]))
    assert found.good is None and "hidden from you" in found.sentence


# --- what is not -----------------------------------------------------------------------------------------------------


def test_a_forged_title_is_told(desk: Desk) -> None:
    report = a_letter(desk, "tumours")
    title = report.printed["title"]
    found = judged(replace(report, printed={**report.printed, "title": title.replace("was read as", "is not")}))
    assert found.good is False and "differ in 1 place. title: “" in found.sentence
    assert "is not" in found.sentence and "was read as" in found.sentence


def test_a_forged_number_in_a_table_is_told(desk: Desk) -> None:
    report = a_letter(desk, "loans")
    sections = read(report).sheet["sections"]
    rows = next(block for block in sections[0]["blocks"] if block["kind"] == "table")["rows"]
    told = rows[0][1]
    rows[0][1] = "1,234,567"
    found = judged(replace(report, printed={**report.printed, "sections": sections}))
    assert found.good is False and "differ in 1 place" in found.sentence
    assert f"rows[1][2]: “1,234,567” is printed, “{told}” comes out." in found.sentence


def test_the_pages_of_another_row_are_told(desk: Desk) -> None:
    found = judged(replace(a_letter(desk, "tumours"), printed=a_letter(desk, "tumours", 8).printed))
    assert found.good is False and "title: " in found.sentence and len(found.sentence) < 1000


def test_a_finding_left_out_of_a_summary_is_told(whole: Callable[[str], Dossier]) -> None:
    report = summary.report(whole("loans"), STAMP)
    left = {**report.printed, "limits": "", "missing": report.printed["missing"][1:], "more": 1}
    found = judged(replace(report, printed=left))
    assert found.good is False and "comes out" in found.sentence and "nothing" in found.sentence


def test_an_answer_that_such_a_report_does_not_rest_on_is_told(desk: Desk) -> None:
    report = a_decision(desk, load_subject("tumours"), ("decision",))
    less = replace(report, exhibits=report.exhibits[:-1])
    assert "answers[" not in judged(report).sentence and judged(less).good is False
    other = replace(report, exhibits=(replace(report.exhibits[0], name="other"), *report.exhibits[1:]))
    assert judged(other) == Line(
        False, "Its pages cannot be worked out again: such a report does not rest on its answers."
    )


def test_another_cut_off_and_another_label_here_are_told(desk: Desk) -> None:
    report, subject = a_letter(desk, "loans"), load_subject("loans")
    found = judged(report, replace(subject, cutoff=0.99))
    assert found.good is False and "0.99" in found.sentence
    model = subject.model(MODELS["loans"])
    features = tuple(replace(each, label="Too") for each in model.spec.features)
    named = replace(subject, models=(replace(model, spec=replace(model.spec, features=features)),))
    found = judged(report, named)
    assert found.good is False and "Too" in found.sentence


def test_nothing_moves_a_terminal_and_nothing_is_long(desk: Desk) -> None:
    report = a_letter(desk, "tumours")
    printed = {**report.printed, "title": "\x1b]0;mine\x07" * 1000, "\x1b[2J" * 500: "x" * 5000, "opening": "\n\n"}
    found = judged(replace(report, printed=printed))
    assert found.good is False and found.sentence.isprintable() and len(found.sentence) < 1000


def test_another_version_is_named(desk: Desk) -> None:
    report = a_letter(desk, "tumours")
    found = read(replace(report, printed={**report.printed, "title": "Otherwise."}))
    told = {**found.manifest, "environment": {**found.manifest["environment"], "assay": "0.0.1"}}
    line = pages(replace(found, manifest=told), load_subject("tumours"), answered(report))
    assert line.good is False and "Assay 0.0.1 made it" in line.sentence


# --- answers that are not the same -----------------------------------------------------------------------------------


def rounded(report: Report, **facts: object) -> list[Difference]:
    """What another machine gives: explanations that differ in the last digits."""
    found = answered(report)
    for place, each in enumerate(found):
        answer = each.answer
        if isinstance(answer, Attribution):
            other = replace(answer, values=answer.values * (1 + 1e-12), facts={**answer.facts, **facts})
            found[place] = replace(each, largest=1e-12, tolerance=1e-5, answer=other)
    return found


def test_the_digests_of_a_report_that_differs_by_rounding_are_its_own(desk: Desk) -> None:
    subject = load_subject("digits")
    for report in (a_decision(desk, subject), a_letter(desk, "digits")):
        assert pages(read(report), subject, rounded(report)) == Line(True, SAME)


def test_what_computed_an_answer_is_the_reports_own_word_and_no_more(desk: Desk) -> None:
    report, subject = a_decision(desk, load_subject("digits"), ("ledger",)), load_subject("digits")
    found = pages(read(report), subject, rounded(report, device="another"))
    assert found.good is True and "its own word" in found.sentence and "explanation-1" in found.sentence
    found = pages(read(report), subject, rounded(report, reviewed="by nobody"))
    assert found.good is False


def test_where_an_answer_is_another_the_pages_are_not_judged(desk: Desk) -> None:
    report = a_letter(desk, "tumours")
    first, *others = answered(report)
    for bad in (replace(first, problem="it is another."), replace(first, answer=None)):
        found = pages(read(report), load_subject("tumours"), [bad, *others])
        assert found.good is None and "not worked out again" in found.sentence
