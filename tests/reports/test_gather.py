"""A case is gathered by asking, and asking again costs nothing."""

from datetime import date

import pypdfium2
import pytest

from access.desk import Desk
from access.log import Log
from access.people import LOCAL
from attacks import attack
from core.nouns import Target
from engine.engine import Engine
from engine.subjects import load_subject
from explainers import explainer
from reports import decision
from reports.case import CaseFile
from reports.gather import gather
from reports.pdf import build, preview
from reports.report import Report, Stamp
from storage.stores import close_stores, stores


@pytest.fixture
def desk(tmp_path, monkeypatch):
    monkeypatch.setenv("ASSAY_HOME", str(tmp_path / "home"))
    engine, opened = Engine.open(), stores()
    yield Desk(LOCAL, engine, opened, Log(opened.database, opened.vault))
    engine.close()
    close_stores()


def case(desk: Desk, progress=None):
    subject = load_subject("tumours")
    model = subject.model("mlp")
    methods = (explainer("permutation_shap", pairs=64), explainer("integrated_gradients"))
    sections = ("decision", "attributions", "attack", "ledger")
    row = subject.position(subject.example)
    return gather(
        desk,
        subject,
        model,
        row,
        Target(1, "margin"),
        subject.reference(10),
        methods,
        attack("pgd", size=0.05),
        sections,
        progress,
    )


def printed(found: CaseFile) -> Report:
    return decision.report(found, Stamp(date(2026, 11, 26)))


def test_a_case_holds_every_answer_and_a_second_one_is_the_same(desk) -> None:
    shares = []
    first = case(desk, shares.append)
    assert shares == sorted(shares) and shares[-1] == 1.0
    assert [each.method.name for each in first.attributions] == ["permutation_shap", "integrated_gradients"]
    attacked = first.comparison.attacked
    assert (first.comparison.after.query.rows == attacked.perturbed).all()
    assert (first.comparison.noise.query.rows == attacked.noise).all()
    second = case(desk)
    assert second.digest == first.digest
    assert build(printed(second)) == build(printed(first))


def test_the_preview_has_a_picture_for_each_page(desk) -> None:
    found = printed(case(desk))
    pictures = preview(found)
    assert all(picture.startswith(b"\x89PNG") for picture in pictures)
    assert len(pictures) == len(pypdfium2.PdfDocument(build(found)))
