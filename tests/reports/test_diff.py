"""What changed between two reports: every topic in a sentence with both sides, and nothing where nothing did."""

import weakref
from collections.abc import Iterator
from dataclasses import replace
from datetime import date

import numpy as np
import pytest

from access.desk import Desk
from attacks import attack
from core.codec import load
from core.digest import digest
from core.errors import UserFacingError
from core.nouns import Target
from core.results import Attacked
from engine.questions import default_pair
from engine.subjects import load_subject
from reports import bundle, decision
from reports.bundle import Bundle
from reports.diff import Change, changes, opened
from reports.gather import gather
from reports.report import Exhibit, Report, Stamp
from reports.signing import publish
from tests.reports.signed import house
from tests.reports.test_words import FORBIDDEN

DRAFT = Stamp(date(2026, 11, 23))
SECTIONS = ("decision", "attributions", "attack")


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    with house(tmp_path_factory.mktemp("diff") / "home") as found:
        yield found


def made(desk: Desk, model: str, seed: int = 7) -> Report:
    """The report on the decision about one tumour."""
    subject = load_subject("tumours")
    found = subject.model(model)
    pair = tuple(kind() for kind in default_pair(found.spec))
    method = attack("random_search", norm="linf", size=0.05)
    reference, position = subject.reference(5, seed), subject.position("17")
    case = gather(desk, subject, found, position, Target(1, "margin"), reference, pair, method, SECTIONS)
    return decision.report(case, DRAFT)


@pytest.fixture(scope="module")
def first(desk: Desk) -> Report:
    return made(desk, "xgboost")


def packed(report: Report) -> Bundle:
    return bundle.read(bundle.pack(report))


def of(topic: str, found: list[Change]) -> list[Change]:
    return [each for each in found if each.topic == topic]


def test_a_report_differs_in_nothing_from_itself(first) -> None:
    assert changes(packed(first), packed(first)) == []


def test_another_model_is_told_with_its_decisions_effects_and_figures(desk, first) -> None:
    found = changes(packed(first), packed(made(desk, "mlp")))
    (model,) = [each for each in of("model", found) if "digest" in each.sentence]
    assert model.before == first.model.spec.digest and model.sentence.startswith("The model is another: digest ")
    assert of("figures", found), "the score on the cover is another"
    (decided,) = [each for each in of("decisions", found) if each.sentence.startswith("decision:")]
    assert "of 1 patient 0 are decided otherwise" in decided.sentence or "is decided otherwise" in decided.sentence
    effects = of("effects", found)
    assert any("the largest effects for patient 17 were" in each.sentence for each in effects)
    assert not of("data", found) and not of("subject", found)
    for each in found:
        assert not FORBIDDEN.search(each.sentence)


def test_a_decision_that_turned_is_named_with_both_sides(first) -> None:
    (name, was), *_ = [(each.name, each.result) for each in first.exhibits if each.name == "decision"]
    turned = _with(first, name, replace(was, outputs=-was.outputs))
    (decided,) = of("decisions", changes(packed(first), packed(turned)))
    assert decided.sentence.startswith("decision: of 1 patient 1 is decided otherwise: 17 (malignant ")
    assert decided.before.keys() == decided.after.keys() == {"17"}
    assert decided.after["17"].startswith("benign ")


def test_an_attack_that_turns_other_rows_is_counted(first) -> None:
    (attacked,) = [each.result for each in first.exhibits if isinstance(each.result, Attacked)]
    other = replace(attacked, attacked_class=1 - attacked.attacked_class)
    (turned,) = of("attacks", changes(packed(first), packed(_with(first, "attack", other))))
    assert {turned.before, turned.after} == {0.0, 1.0}
    assert "of 1 patient the attack turned" in turned.sentence


def _with(report: Report, name: str, result: object) -> Report:
    exhibits = [Exhibit(each.name, result) if each.name == name else each for each in report.exhibits]
    return replace(report, exhibits=tuple(exhibits))


def test_figures_that_moved_are_told_by_their_names(first) -> None:
    cover = {
        **first.printed["cover"],
        "figures": [["0.10", caption] for _, caption in first.printed["cover"]["figures"]],
    }
    found = of("figures", changes(packed(first), packed(replace(first, printed={**first.printed, "cover": cover}))))
    figure, caption = first.printed["cover"]["figures"][0]
    assert f"{caption}: {figure} before, 0.10 now." in [each.sentence for each in found]


def test_the_rule_and_the_features_are_compared(first) -> None:
    old = packed(first)
    toml = old.files["subject.toml"]
    changed = toml.replace(b"cutoff = 0.5", b"cutoff = 0.7").replace(b'name = "mean_radius"', b'name = "girth"')
    assert changed != toml
    changed = changed.replace(b'label = "Mean radius"', b'label = "Girth"')
    found = changes(old, replace(old, files={**old.files, "subject.toml": changed}))
    assert [each.sentence for each in of("rule", found)] == ["The cut-off was 0.5 and is 0.7."]
    assert [each.sentence for each in of("subject", found)] == [
        "1 feature was added: Girth.",
        "1 feature was removed: Mean radius.",
    ]


def test_another_data_set_is_told_by_digest_and_rows(first) -> None:
    old = packed(first)
    data = {**old.manifest["data"], "digest": digest("other"), "rows": 570}
    found = changes(old, replace(old, manifest={**old.manifest, "data": data}))
    assert [each.sentence for each in of("data", found)] == [
        f"The data set is another: digest {first.subject.dataset.digest[:8]} before, {digest('other')[:8]} now.",
        "The data set had 569 rows and has 570.",
    ]


def test_reports_of_two_kinds_are_not_compared(first) -> None:
    old = packed(first)
    with pytest.raises(UserFacingError, match="cannot be compared"):
        changes(old, replace(old, manifest={**old.manifest, "audience": "full"}))


PAGES = [
    {"sections": [{"heading": "x"}]},
    {"sections": 1},
    {"cover": {"figures": [["0.1"]]}},
    {"cover": {"figures": [["0.1", []]]}},
    {"sections": [{"blocks": [{"kind": "table", "head": ["Finding"], "rows": [[]]}]}]},
]


@pytest.mark.parametrize("strange", range(len(PAGES)))
def test_pages_made_otherwise_are_refused_in_a_sentence(first, strange: int) -> None:
    old = packed(first)
    with pytest.raises(UserFacingError, match="does not hold what a report of its kind does"):
        changes(old, replace(old, sheet={**old.sheet, **PAGES[strange]}))


def test_numbers_that_do_not_fit_their_classes_are_refused_in_a_sentence(first) -> None:
    (was,) = [each.result for each in first.exhibits if each.name == "decision"]
    other = _with(first, "decision", replace(was, outputs=np.zeros((1, 0))))
    with pytest.raises(UserFacingError, match="does not hold what a report of its kind does"):
        changes(packed(first), packed(other))


def test_two_answers_at_most_are_unpacked_at_a_time(desk, first, monkeypatch) -> None:
    old, new = packed(first), packed(made(desk, "mlp"))
    alive = most = 0

    def loaded(filed: bundle.Filed) -> object:
        nonlocal alive, most
        alive, result = alive + 1, load(filed.body)
        most = max(most, alive)
        weakref.finalize(result, gone)
        return result

    def gone() -> None:
        nonlocal alive
        alive -= 1

    monkeypatch.setattr(bundle.Filed, "result", property(loaded))
    assert changes(old, new)
    assert 2 <= most <= 4, "a pair, and the one before until its names are taken"


def test_the_evidence_is_taken_out_of_a_signed_report(desk, first) -> None:
    published = publish(desk, first)
    assert opened(published.pdf).manifest == opened(published.bundle).manifest
    for broken in (b"%PDF-1.7 no more", b"PK\x03\x04", b"", np.random.default_rng(0).bytes(500)):
        with pytest.raises(UserFacingError):
            opened(broken)
