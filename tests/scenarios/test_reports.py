"""What an auditor does with reports, from end to end: by the files that they get and the command that checks them.

Two of the ten scenarios are walked in a browser, in tests/browser/test_scenarios.py: an auditor's own seed and rows
(3), and what contains them (10).
"""

import re
from datetime import date
from pathlib import Path

import lightgbm
import numpy as np
import pytest
from pyarrow import parquet

from core.nouns import Reference, Target
from core.results import agreement
from engine.subjects import load_subject
from explainers import explainer
from reports import bundle, decision
from reports.gather import gather
from reports.report import Stamp
from reports.signing import publish
from tests.reports.signed import house as opened
from tests.scenarios.places import ROOT, Place, text_of

LOANS = ROOT / "sample_models" / "loans"
FILES = ("--model", str(LOANS / "lightgbm.txt"), "--data", str(LOANS / "data.parquet"))
DECLINED = "1096"
SIGNED = ("--final", "--author", "Ada", "--reviewer", "Bo", "--use", "Pre-screening of consumer loans")


@pytest.fixture(scope="module")
def report(house: Place) -> Path:
    """A signed report on one declined application."""
    house.assay("report", "loans", "--row", DECLINED, *SIGNED, "--out", "decision.pdf")
    return house.folder / "decision.pdf"


@pytest.fixture(scope="module")
def whole(house: Place) -> Path:
    """The signed report on a whole model."""
    house.assay("report", "loans", "--audience", "full", *SIGNED, "--out", "full.pdf")
    return house.folder / "full.pdf"


@pytest.fixture(scope="module")
def letter(house: Place) -> Path:
    """The signed letter about the same application."""
    house.assay("report", "loans", "--audience", "letter", "--row", DECLINED, *SIGNED, "--out", "letter.pdf")
    return house.folder / "letter.pdf"


def evidence(pdf: Path) -> bundle.Bundle:
    """The evidence beside a report."""
    return bundle.read(pdf.with_suffix(".assay").read_bytes())


def test_1_an_auditor_verifies_offline(report: Path, stranger: Place) -> None:
    stranger.take(report)
    told = stranger.assay("verify", "decision.pdf", "--trust", "signer.pem")
    assert told.splitlines()[-1] == "Verified."
    assert "The PDF is as it was signed." in told and "The evidence is whole" in told
    assert not (stranger.folder / "home" / "assay.db").exists()  # it took neither a database nor a key
    assert "Whose it is was not checked" in stranger.assay("verify", "decision.pdf", status=1)


@pytest.mark.parametrize("name", ["report", "letter", "whole"])
def test_2_an_auditor_reproduces_every_number(name: str, request: pytest.FixtureRequest, stranger: Place) -> None:
    published = request.getfixturevalue(name)
    stranger.take(published)
    told = stranger.assay("verify", published.name, "--trust", "signer.pem", "--recompute", *FILES)
    compared = dict(re.findall(r"^(\S+): [\d,]+ numbers? compared, (.+)$", told, re.MULTILINE))
    exhibits = evidence(published).manifest["exhibits"]
    assert compared.keys() == {each["name"] for each in exhibits}
    exact = [each["name"] for each in exhibits if each["method"]["name"] == "tree_shap"]
    assert exact and all(compared[each] == "no difference." for each in exact)
    assert "Printed again from its evidence" in told
    assert "Worked out again from the answers, every word and number on its pages is the same." in told
    assert told.splitlines()[-1] == "Verified."


def test_4_an_auditor_sees_a_planted_reference(house: Place, stranger: Place) -> None:
    """Only approved applications to compare with, said to be the draw of the usual seed, and signed by the house."""
    with opened(house.folder / "home") as desk:
        subject = load_subject("loans")
        model, row = subject.model(), subject.position(DECLINED)
        chosen = np.flatnonzero(subject.dataset.labels == 0)[:100]
        planted = Reference(subject.dataset.rows[chosen], tuple(subject.dataset.row_ids[i] for i in chosen), 7)
        sections = ("decision", "attributions", "ledger")
        methods = (explainer("tree_shap"), explainer("occlusion"))
        case = gather(desk, subject, model, row, Target(1, "margin"), planted, methods, None, sections)
        published = publish(desk, decision.report(case, Stamp(date(2026, 11, 26))))
    (stranger.folder / "planted.pdf").write_bytes(published.pdf)
    assert "Warning: the reference is not like the applications of the data" in text_of(stranger.folder / "planted.pdf")
    told = stranger.assay("verify", "planted.pdf", "--trust", "signer.pem", "--recompute", *FILES, status=1)
    assert "is not the draw of 100 rows that the seed 7 gives" in told


def test_5_an_auditor_sees_no_silent_fallback(house: Place, whole: Path) -> None:
    refused = house.assay(
        "explain", "loans", "--method", "integrated_gradients", "--rows", "0:1", "--out", "explained.json", status=2
    )
    assert refused.startswith("error: ") and "gradients" in refused and len(refused.splitlines()) == 1
    assert not (house.folder / "explained.json").exists()
    refused = house.assay("report", "loans", "--row", DECLINED, "--attack", "pgd", "--out", "attacked.pdf", status=2)
    assert "gradients" in refused and not (house.folder / "attacked.pdf").exists()
    said, used = text_of(whole), {each["method"]["name"] for each in evidence(whole).manifest["exhibits"]}
    assert used == {"predict", "tree_shap", "occlusion", "random_search"}
    assert "(tree_shap)" in said and "(occlusion)" in said  # the ledger names what was computed, and nothing else
    untested = said[said.index("What was not tested") :]
    assert "Fast gradient (FGSM): It follows gradients and this model has none" in untested
    assert "Projected gradient (PGD): It follows gradients and this model has none" in untested


def test_6_an_auditor_traces_a_denial_from_the_letter_to_the_raw_row(letter: Path) -> None:
    said, found = text_of(letter), evidence(letter)
    assert "Application 1096 was declined." in said and found.manifest["id"] in said
    assert found.manifest["row_ids"] == [DECLINED]
    data = parquet.read_table(LOANS / "data.parquet").to_pandas().set_index("application")
    row = data.loc[int(DECLINED)]
    shown = f"{row['income']:,.0f} EUR a month", f"{row['savings']:,.0f} EUR", f"{row['age']:.0f} years"
    assert all(each in said for each in shown), shown
    asked = next(each.result for each in found.exhibits if each.name == "explanation").query
    spec = load_subject("loans").model().spec
    raw = [_number(feature, row[feature.name]) for feature in spec.features]
    np.testing.assert_array_equal(asked.rows[0], raw)
    own = lightgbm.Booster(model_file=str(LOANS / "lightgbm.txt")).predict(np.array([raw]))[0]
    assert f"the model's probability of declined, {own:.2f}." in said and own > 0.6


def _number(feature, value) -> float:
    """A raw value as the model reads it."""
    return float(feature.categories.index(value)) if feature.kind == "category" else float(value)


def test_7_an_auditor_sees_abstention_on_an_unlike_row(house: Place, whole: Path) -> None:
    table = parquet.read_table(LOANS / "data.parquet").slice(0, 1)
    strange = table.to_pandas().assign(
        age=75, income=20_000.0, credit_limit=50_000.0, savings=200_000.0, debt=60_000.0, late_payments=8, term=12
    )
    strange.to_csv(house.folder / "strange.csv", index=False)
    house.assay("report", "loans", "--audience", "letter", "--rows", "strange.csv", "--out", "letters")
    (pdf,) = (house.folder / "letters").glob("*.pdf")
    said = text_of(pdf)
    assert "Why no reasons are named" in said and "is unlike the data" in said and "Have a person look at it" in said
    assert "What spoke for this decision most" not in said
    assert re.search("A case unlike the data Application [0-9]+ was .+ No reasons are named", text_of(whole))


def test_8_an_auditor_reads_where_methods_disagree(whole: Path) -> None:
    """The printed agreement is that of the two explanations in the evidence, the least of them below full marks."""
    found = {each.name: each.result for each in evidence(whole).exhibits}
    first, second = found["case-1-explained"], found["case-1-second-method"]
    said = text_of(whole)
    table = said[said.index("Do both methods agree?") :].partition("Two methods that agree may still both mislead")[0]
    printed = re.findall(r"(\d) of 5 (\d+)% (0\.\d+|1\.00)", table)
    own = [agreement(a, b) for a, b in zip(first.values, second.values, strict=True)]
    assert len(printed) == len(own) == 5
    assert [(int(shared), float(rank)) for shared, _, rank in printed] == [
        (each.shared_top, round(each.rank, 2)) for each in own
    ]
    assert min(each.shared_top for each in own) < 5


def test_9_an_auditor_judges_robustness_with_noise_and_failures(whole: Path) -> None:
    found, said = evidence(whole), text_of(whole)
    labels = load_subject("loans").dataset
    attacks = [each.result for each in found.exhibits if each.name.startswith("random_search-")]
    assert [each.size for each in attacks] == [0.025, 0.05, 0.1]
    for each in attacks:
        true = labels.labels[[labels.index(row_id) for row_id in each.query.row_ids]]
        right = each.clean_class == true  # a row that was wrong from the start counts as wrong throughout
        before, after, noise = (
            int((right & (decided == true)).sum())
            for decided in (each.clean_class, each.attacked_class, each.noise_class)
        )
        line = rf"Random search \[E\d+\] {100 * each.size:g}% {before} {after} {noise} {each.model_calls:,}"
        assert re.search(line, said), line
        assert after < noise  # the attack is no noise
    assert "Random search behaves as an attack should" in said
    for untested in ("Poisoning", "Membership inference", "Extraction"):
        assert untested in said[said.index("What was not tested") :]
