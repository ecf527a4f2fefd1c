"""A case and a whole model are gathered by asking, and asking again costs nothing."""

from dataclasses import replace
from datetime import date

import numpy as np
import pypdfium2
import pytest

from access.desk import Desk
from access.log import Log
from access.people import LOCAL
from attacks import attack
from attacks.base import Attack
from core.errors import UserFacingError
from core.models import Model
from core.nouns import ModelSpec, Target
from core.results import Result
from engine.engine import Engine, Question
from engine.predict import Predict
from engine.subjects import load_subject
from explainers import explainer
from explainers.base import Explainer
from reports import decision
from reports import gather as gathering
from reports.case import CaseFile
from reports.dossier import Dossier
from reports.gather import gather, gather_dossier
from reports.pdf import build, preview
from reports.reasons import RESAMPLES, reasons
from reports.report import Report, Stamp
from storage.stores import close_stores, stores
from tests.reports.conftest import World


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


# --- whole models ----------------------------------------------------------------------------------------------------


class LinearModel(Model):
    """A linear model of a world made by hand, in this process."""

    def __init__(self, spec: ModelSpec) -> None:
        self.spec = spec
        spans = np.array([feature.span for feature in spec.features])
        self._weights = np.random.default_rng(2).normal(size=(spec.columns, len(spans))) / spans

    def predict(self, rows: np.ndarray) -> np.ndarray:
        flat = np.nan_to_num(rows.reshape(len(rows), -1))
        return (flat - flat.mean() * 0.5) @ self._weights.T


class Answered:
    """An answer that is there at once."""

    progress = 1.0

    def __init__(self, answer: Result) -> None:
        self._answer = answer

    def wait(self, seconds: float) -> bool:
        return True

    def result(self) -> Result:
        return self._answer


class AtHand:
    """A desk that has every question answered in this process, and counts those that are new."""

    def __init__(self, model: Model) -> None:
        self._model, self.answers = model, {}

    def submit(self, question: Question) -> Answered:
        question.check()
        if question.key not in self.answers:
            method, query = question.method, question.query
            verb = {Explainer: "explain", Attack: "attack", Predict: "predict"}
            name = next(name for kind, name in verb.items() if isinstance(method, kind))
            self.answers[question.key] = getattr(method, name)(self._model, query)
        return Answered(self.answers[question.key])


def gathered(world: World, monkeypatch, labels: np.ndarray | None = None, progress=None) -> tuple[Dossier, AtHand]:
    """The dossier of a world, of few rows each."""
    for name, size in (("JUDGED", 60), ("SURVEYED", 12), ("ATTACKED", 8)):
        kinds = [kind for kind in ("table", "image", "text") if kind in getattr(gathering, name)]
        monkeypatch.setattr(gathering, name, dict.fromkeys(kinds, size))
    subject, spec = world.subject, world.model.spec
    data = replace(subject.dataset, labels=subject.dataset.labels if labels is None else labels)
    target = Target(1 if spec.classes else 0, spec.natural_scale)
    desk = AtHand(LinearModel(spec))
    subject = replace(subject, dataset=data)
    return gather_dossier(desk, subject, world.model, target, subject.reference(20), progress), desk


def test_a_whole_table(loans: World, monkeypatch) -> None:
    labels = np.random.default_rng(1).integers(0, 2, 200)
    shares: list[float] = []
    found, desk = gathered(loans, monkeypatch, labels, shares.append)
    assert shares == sorted(shares) and shares[-1] == 1.0
    assert len(found.judged.query) == 60 and len(found.surveyed.query) == 12 and len(found.population.query) == 20
    assert found.judged.query.row_ids == tuple(found.subject.dataset.row_ids[i] for i in data_sample(found, 60))
    ids = tuple(found.subject.dataset.row_ids[each.position] for each in found.cases)
    assert {each.kind for each in found.cases} == {"typical", "borderline", "wrong", "unlike"}
    assert len(found.grounds) == len(ids) and [each.index for each in found.grounds] == list(range(len(ids)))
    (seconds,) = found.seconds
    assert seconds.query.row_ids == found.grounds[0].explained.query.row_ids == ids
    assert seconds.method.name != found.grounds[0].explained.method.name
    for row_id, each in zip(ids, found.grounds, strict=True):
        assert each.swapped.query.row_ids[0] == row_id and len(each.resampled) == RESAMPLES
        assert [other.query.reference.seed for other in each.resampled] == list(range(8, 8 + RESAMPLES))
    assert [each.size for each in found.strongest] == [0.025, 0.05, 0.1] and found.extreme.size == 1.0
    assert len({each.query.row_ids for each in found.attacked}) == 1 and len(found.attacked[0].query) == 8
    before, after, noise = found.shifted
    usual = found.attacked[1]
    np.testing.assert_array_equal(after.query.rows, usual.perturbed[: len(before.query)])
    np.testing.assert_array_equal(noise.query.rows, usual.noise[: len(before.query)])
    asked = len(desk.answers)
    again = gather_dossier(desk, found.subject, found.model, found.target, found.subject.reference(20))
    assert len(desk.answers) == asked
    assert [each.result.digest for each in again.exhibits()] == [each.result.digest for each in found.exhibits()]


def data_sample(found: Dossier, size: int) -> np.ndarray:
    """The rows that the seed of the judged prediction draws."""
    return found.subject.dataset.sample(size, found.judged.query.seed, judged_only=True)


def test_whole_pictures_of_many_classes_explain_what_was_decided(scans: World, monkeypatch) -> None:
    found, _ = gathered(scans, monkeypatch, np.random.default_rng(1).integers(0, 3, 120))
    places = {row_id: place for place, row_id in enumerate(found.judged.query.row_ids)}
    for each, second in zip(found.grounds, found.seconds, strict=True):
        query = each.explained.query
        (row_id,) = query.row_ids
        assert query.target.output == found.judged.outputs[places[row_id]].argmax()
        assert second.query.digest == query.digest
    assert found.surveyed.query.target.output == 1
    assert [each.size for each in found.strongest] == pytest.approx([0.075, 0.15, 0.3])


def test_a_whole_regression_has_no_attacks(houses: World, monkeypatch) -> None:
    found, _ = gathered(houses, monkeypatch, np.random.default_rng(1).random(120) * 100)
    assert [each.kind for each in found.cases] == ["typical", "wrong", "unlike"]
    assert (found.attacked, found.extreme, found.shifted) == ((), None, ())


def test_whole_texts_are_explained_one_by_one(reviews: World, monkeypatch) -> None:
    rows = reviews.subject.dataset.rows.copy()
    rows[:, 2:6] = np.random.default_rng(3).integers(5, 10, (len(rows), 4))
    world = replace(reviews, subject=replace(reviews.subject, dataset=replace(reviews.subject.dataset, rows=rows)))
    found, _ = gathered(world, monkeypatch)
    assert found.surveyed is None and not found.attacked
    assert len(found.seconds) == len(found.grounds) == len(found.cases)
    assert all(each.index == 0 and each.resampled == () and len(each.explained.query) == 1 for each in found.grounds)


def test_where_no_answer_is_known_all_rows_stand_for_the_data(loans: World, monkeypatch) -> None:
    found, _ = gathered(loans, monkeypatch, np.full(200, -1))
    assert len(found.judged.query) == 60 and "wrong" not in {each.kind for each in found.cases}
    assert len(found.attacked[0].query) == 8


def test_what_is_still_asked_is_called_off_where_one_is_refused(loans: World) -> None:
    left: list[object] = []

    class Refusing:
        def submit(self, question: Question) -> Answered:
            job = Answered(None)
            job.result = lambda: (_ for _ in ()).throw(UserFacingError("Stopped", "It was", "Ask again"))
            return job

        def cancel(self, job: Answered) -> None:
            left.append(job)

    with pytest.raises(UserFacingError, match="Stopped"):
        gather_dossier(Refusing(), loans.subject, loans.model, Target(1, "margin"), loans.subject.reference(5))
    assert len(left) == 1


def test_a_model_of_this_machine_is_gathered_by_its_workers(desk, monkeypatch) -> None:
    monkeypatch.setattr(gathering, "JUDGED", {"table": 40})
    monkeypatch.setattr(gathering, "SURVEYED", {"table": 10})
    monkeypatch.setattr(gathering, "ATTACKED", {"table": 5})
    subject = load_subject("tumours")
    model = subject.model("mlp")
    found = gather_dossier(desk, subject, model, Target(1, "margin"), subject.reference(10))
    assert [each.method.name for each in found.attacked] == ["pgd"] * 3 + ["fgsm", "random_search"]
    told = [reasons(subject, model, each) for each in found.grounds]
    assert all(each.found or each.abstained for each in told) and any(each.found for each in told)


def test_a_case_has_its_reasons_and_no_warning(desk) -> None:
    found = case(desk)
    assert found.reasons.found or found.reasons.abstained
    assert found.warnings == ()
    assert {each.digest for each in found.grounds.resampled} < {each.digest for each in found.results}
