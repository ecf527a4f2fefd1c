"""Everything a report rests on comes out again, and what does not is named."""

import tomllib
from collections.abc import Iterator
from dataclasses import replace
from datetime import date
from pathlib import Path

import numpy as np
import pytest
import tomli_w

from access.desk import Desk
from access.masks import masked
from attacks.base import Attack
from core.errors import UserFacingError
from core.nouns import ModelSpec, Query, Reference, Subject, Target
from core.results import Attacked, Attribution, Prediction
from engine.engine import Engine, Question
from engine.places import SAMPLES
from engine.predict import Predict
from engine.questions import (
    ATTACK_SIZES,
    attacks_for,
    default_pair,
    explain_query,
    population_query,
    prediction_query,
    swap_query,
)
from engine.queue import Cancelled
from engine.subjects import load_subject
from explainers import explainer
from reports import bundle, decision
from reports.bundle import Bundle
from reports.gather import gather
from reports.pdf import build
from reports.reasons import candidates
from reports.recompute import Difference, recompute, subject_from, subject_here, taken_on_trust
from reports.report import Exhibit, Report, Stamp
from tests.reports.signed import house

STAMP = Stamp(date(2026, 11, 26))
FILES = {"mlp": "mlp.safetensors", "xgboost": "xgboost.json", "lightgbm": "lightgbm.txt", "cnn": "cnn.safetensors"}
MARGIN = Target(1, "margin")


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    with house(tmp_path_factory.mktemp("first") / "home") as found:
        yield found


@pytest.fixture(scope="module")
def bare(desk: Desk, tmp_path_factory) -> Iterator[Engine]:
    """An engine that knows nothing, as a stranger has it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ASSAY_HOME", str(tmp_path_factory.mktemp("second") / "home"))
        engine = Engine.open()
        yield engine
        engine.close()


def quick_attack(spec: ModelSpec) -> Attack:
    """The attack of the page with little patience."""
    kind = attacks_for(spec)[0]
    return kind(size=ATTACK_SIZES[spec.modality], **{"random_search": {"queries": 40}, "pgd": {"steps": 5}}[kind.name])


def made(desk: Desk, name: str, model: str, reference: Reference | None = None) -> Report:
    """The decision report on the subject's example."""
    subject = load_subject(name)
    spec = subject.model(model).spec
    methods = tuple(kind() for kind in default_pair(spec))
    attack = quick_attack(spec)
    row, target = subject.position(subject.example), Target(1, methods[0].scales(spec)[0])
    return decision.report(
        gather(
            desk, subject, subject.model(model), row, target, reference or subject.reference(), methods, attack,
            ("decision", "attributions", "attack", "ledger"),
        ),
        STAMP,
    )  # fmt: skip


def given(found: Bundle, name: str, model: str) -> Subject:
    """The subject as a stranger has it: two files."""
    return subject_from(found, SAMPLES / name / FILES[model], SAMPLES / name / "data.parquet")


def again(engine: Engine, report: Report) -> dict[str, Difference]:
    found = bundle.read(bundle.pack(report))
    model = report.model.name
    return {each.name: each for each in recompute(engine, found, given(found, report.subject.name, model))}


@pytest.mark.parametrize(
    ("name", "model"), [("tumours", "xgboost"), ("tumours", "mlp"), ("loans", "lightgbm"), ("digits", "cnn")]
)
def test_every_number_comes_out_again_from_two_files_and_the_bundle(desk, bare, name: str, model: str) -> None:
    report = made(desk, name, model)
    found = bundle.read(bundle.pack(report))
    shares: list[float] = []
    differences = recompute(bare, found, given(found, name, model), shares.append)
    assert [each.name for each in differences] == [each.name for each in report.exhibits]
    assert all(each.ok for each in differences), [each.sentence for each in differences]
    assert shares == sorted(shares) and shares[-1] == 1.0
    exact = [each for each in differences if each.method == "tree_shap"]
    assert all((each.largest, each.tolerance) == (0.0, 0.0) and each.numbers for each in exact)
    assert bool(exact) == (model in ("xgboost", "lightgbm"))
    assert build(found) == build(report)
    assert not bare.store.has(report.exhibits[0].question)


def short(report: Report) -> Report:
    """The report without its attack, which takes its time."""
    return replace(report, exhibits=report.exhibits[:4])


def changed(report: Report, name: str, **fields: object) -> Report:
    """A forger's report: one exhibit is another, and every digest fits."""
    exhibits = tuple(
        replace(each, result=replace(each.result, **fields)) if each.name == name else each for each in report.exhibits
    )
    return replace(report, exhibits=exhibits)


def test_a_changed_number_is_seen(desk, bare) -> None:
    report = short(made(desk, "tumours", "xgboost"))
    values = report.exhibits[2].result.values.copy()
    values[0, 3] += 1e-9
    outputs = report.exhibits[1].result.outputs + 1e-4
    forged = changed(changed(report, "explanation-1", values=values), "reference-scores", outputs=outputs)
    found = again(bare, forged)
    assert [name for name, each in found.items() if not each.ok] == ["reference-scores", "explanation-1"]
    assert 0 < found["explanation-1"].largest < 1e-9
    assert "beyond" in found["explanation-1"].sentence
    looser = again(bare, changed(report, "explanation-1", tolerance=0.5))
    assert [name for name, each in looser.items() if not each.ok] == ["explanation-1"]


def test_a_changed_row_is_seen(desk, bare) -> None:
    report = short(made(desk, "tumours", "xgboost"))
    query = report.exhibits[2].result.query
    rows = query.rows.copy()
    rows[0, 0] += 1
    found = again(bare, changed(report, "explanation-1", query=replace(query, rows=rows)))["explanation-1"]
    assert found.problem == "its rows are neither those of the data nor made by an attack of this report."
    whole, other = replace(report, audience="full", row_ids=()), replace(query, row_ids=("nobody",))
    found = again(bare, changed(whole, "explanation-1", query=other))["explanation-1"]
    assert found.problem == "its rows are not in the data, and nothing in this report makes them."


def test_a_planted_reference_is_seen_however_consistent_all_the_rest_is(desk, bare) -> None:
    """Only benign tumours, under the name of the seed: every number follows, and the draw is another."""
    subject = load_subject("tumours")
    chosen = np.flatnonzero(subject.dataset.labels == 0)[:100]
    ids = tuple(subject.dataset.row_ids[place] for place in chosen)
    planted = Reference(subject.dataset.rows[chosen], ids, 7)
    found = again(bare, short(made(desk, "tumours", "xgboost", planted)))
    assert found["explanation-1"].problem == ("its reference is not the draw of 100 rows that the seed 7 gives.")
    assert not found["explanation-1"].ok and found["explanation-1"].largest == 0
    unseeded = again(bare, short(made(desk, "tumours", "xgboost", replace(planted, seed=None))))
    assert "not drawn by a seed" in unseeded["explanation-1"].problem


def test_rows_that_somebody_chose_are_seen(desk, bare) -> None:
    report = replace(short(made(desk, "tumours", "xgboost")), audience="full", row_ids=())
    query = prediction_query(report.subject, report.model, range(100))
    scores = desk.ask(Question(report.model, Predict(), query))
    exhibits = (report.exhibits[0], Exhibit("reference-scores", scores), *report.exhibits[2:])
    found = again(bare, replace(report, exhibits=exhibits))["reference-scores"]
    assert not found.ok and found.largest == 0
    assert found.problem == "its rows are neither a reference of this report nor a draw by its seed."


def test_a_reference_of_other_values_is_seen(desk, bare) -> None:
    report = short(made(desk, "tumours", "xgboost"))
    query = report.exhibits[2].result.query
    reference = replace(query.reference, rows=query.reference.rows * 1.5)
    found = again(bare, changed(report, "explanation-1", query=replace(query, reference=reference)))
    assert found["explanation-1"].problem == "the rows of its reference are not those of the data."


def test_a_method_that_is_gone_is_named(desk, bare) -> None:
    report = short(made(desk, "tumours", "xgboost"))
    method = replace(report.exhibits[2].result.method, version="0")
    found = again(bare, changed(report, "explanation-1", method=method))["explanation-1"]
    assert not found.ok and "cannot be asked for again" in found.sentence


def test_other_files_are_refused_with_a_sentence_each(desk, tmp_path: Path) -> None:
    found = bundle.read(bundle.pack(made(desk, "tumours", "xgboost")))
    model, data = SAMPLES / "tumours" / "xgboost.json", SAMPLES / "tumours" / "data.parquet"
    flipped = tmp_path / "model.json"
    flipped.write_bytes(model.read_bytes().replace(b"1", b"2", 1))
    with pytest.raises(UserFacingError, match="model.json is not the model of this report"):
        subject_from(found, flipped, data)
    with pytest.raises(UserFacingError, match="other.parquet is not the data of this report"):
        subject_from(found, model, another_data(data, tmp_path / "other.parquet"))
    with pytest.raises(UserFacingError, match="nowhere.json cannot be read"):
        subject_from(found, tmp_path / "nowhere.json", data)
    with pytest.raises(UserFacingError, match="This is not the model of the report"):
        recompute(desk, found, load_subject("digits"))


def reread(found: Bundle, **about: object) -> Bundle:
    """The bundle with another schema, as whoever signs it can have it."""
    tables = tomllib.loads(found.files["subject.toml"].decode())
    for name, value in about.items():
        table = {"label": tables["feature"][0], "model_title": tables["model"][0]}.get(name, tables["subject"])
        table["title" if name == "model_title" else name] = value
    return replace(found, files={**found.files, "subject.toml": tomli_w.dumps(tables).encode()})


@pytest.mark.parametrize(
    ("what", "about"),
    [
        ("cut-off", {"cutoff": 0.99}),
        ("classes", {"classes": ["malignant", "benign"]}),
        ("verdicts", {"verdicts": ["was let go", "was kept"]}),
        ("title", {"title": "Other tumours"}),
        ("title of its model", {"model_title": "Oracle"}),
        ("word for a row", {"row_noun": "case"}),
        ("limits", {"limits": "None."}),
        ("features", {"label": "Worst area"}),
        ("cut-off and features", {"cutoff": 0.99, "label": "Worst area"}),
    ],
)
def test_a_report_that_reads_its_subject_in_another_way_is_refused(desk, what: str, about: dict) -> None:
    found = bundle.read(bundle.pack(short(made(desk, "tumours", "xgboost"))))
    with pytest.raises(UserFacingError, match=f"here differs from it in {what}. Ask"):
        recompute(desk, reread(found, **about), load_subject("tumours"))


def test_another_digest_of_the_schema_is_refused(desk) -> None:
    found = bundle.read(bundle.pack(short(made(desk, "tumours", "xgboost"))))
    told = {**found.manifest, "subject": {**found.manifest["subject"], "schema": "0" * 64}}
    with pytest.raises(UserFacingError, match="here differs from it in schema. Ask"):
        recompute(desk, replace(found, manifest=told), load_subject("tumours"))


def test_what_no_file_says_is_told(desk) -> None:
    found = reread(bundle.read(bundle.pack(short(made(desk, "tumours", "xgboost")))), cutoff=0.99)
    assert taken_on_trust(given(found, "tumours", "xgboost")) == (
        "Neither file says where the cut-off is, nor how the classes and features are called. The report says: benign "
        "and malignant; malignant is decided from 0.99 upwards."
    )
    assert taken_on_trust(load_subject("digits")).endswith("8 and 9; the largest output decides.")


def test_the_subject_here_is_found_by_its_name_and_by_no_path(desk) -> None:
    found = bundle.read(bundle.pack(short(made(desk, "tumours", "xgboost"))))
    assert subject_here(found).name == "tumours"
    for name in (str(SAMPLES / "tumours"), "./tumours", "../x", "a/b"):
        told = {**found.manifest, "subject": {**found.manifest["subject"], "name": name}}
        with pytest.raises(UserFacingError, match="no name that a subject can have"):
            subject_here(replace(found, manifest=told))


def another_data(data: Path, place: Path) -> Path:
    """The data with one value changed."""
    from pyarrow import parquet

    table = parquet.read_table(data)
    values = table.column(1).to_pylist()
    parquet.write_table(table.set_column(1, table.schema.field(1), [[values[0] + 1, *values[1:]]]), place)
    return place


def test_the_same_data_written_otherwise_are_taken(desk, tmp_path: Path) -> None:
    from pyarrow import parquet

    found = bundle.read(bundle.pack(made(desk, "tumours", "xgboost")))
    place = tmp_path / "packed.parquet"
    parquet.write_table(parquet.read_table(SAMPLES / "tumours" / "data.parquet"), place, compression="gzip")
    subject = subject_from(found, SAMPLES / "tumours" / "xgboost.json", place)
    assert subject.dataset.digest == found.manifest["data"]["digest"]


# --- what is made from other answers, and what is withheld -----------------------------------------------------------


def reasoned(desk: Desk, audience: str, subject: Subject, rename: str = "") -> Report:
    """A report whose reasons rest on a batch, a swap and another reference, with an attack beside it.

    `rename`: what its row is called, which is then none of the data.
    """
    model, method = subject.model("xgboost"), explainer("tree_shap")

    def ask(method: object, query: Query) -> Attribution | Prediction | Attacked:
        return desk.ask(Question(model, method, query))

    query = explain_query(subject, model, [4] if rename else [4, 5], MARGIN, subject.reference(30))
    explained = ask(method, replace(query, row_ids=(rename,)) if rename else query)
    parts = [each.positions for each in candidates(explained, model.spec, 0)]
    asked = prediction_query(subject, model, [4])
    attacked = ask(quick_attack(model.spec), replace(asked, row_ids=explained.query.row_ids[:1]))
    after = replace(explained.query, rows=attacked.perturbed, row_ids=attacked.query.row_ids)
    results = {
        "swapped": ask(Predict(), swap_query(explained.query, 0, parts)),
        "after": ask(method, after),
        "explained": explained,
        "resampled": ask(method, replace(explained.query, reference=subject.reference(30, 8))),
        "attacked": attacked,
    }
    exhibits = tuple(Exhibit(name, result) for name, result in results.items())
    return Report(audience, subject, model, explained.query.row_ids[:1], exhibits, {"title": "Reasons"}, "", STAMP)


def test_swapped_and_attacked_rows_are_made_again(desk, bare) -> None:
    found = again(bare, reasoned(desk, "full", load_subject("tumours")))
    assert all(each.ok and not each.largest for each in found.values()), [each.sentence for each in found.values()]
    assert found["swapped"].numbers > 30


def test_a_letter_is_computed_again_though_others_are_withheld(desk, bare) -> None:
    report = reasoned(desk, "letter", load_subject("tumours"))
    found = again(bare, report)
    assert all(each.ok for each in found.values()), [each.sentence for each in found.values()]
    assert found["swapped"].numbers == 1
    values = report.exhibits[2].result.values.copy()
    values[1, 0] += 1  # of somebody whose numbers the letter has not
    found = again(bare, changed(report, "explained", values=values))["explained"]
    assert found.problem == "some of its numbers are withheld, and the digest of all of them is another."


def test_a_letter_about_a_row_that_somebody_brought_is_computed_again(desk, bare) -> None:
    report = reasoned(desk, "letter", load_subject("tumours"), rename="own 1")
    found = again(bare, report)
    assert all(each.ok for each in found.values()), [each.sentence for each in found.values()]
    said = "Its row 'own 1' is not in the data; its values are the report's own."
    assert {name for name, each in found.items() if each.sentence.endswith(said)} >= {"explained", "resampled"}
    assert not any(each.note for each in again(bare, reasoned(desk, "letter", load_subject("tumours"))).values())
    rows = report.exhibits[0].result.query.rows.copy()
    rows[1, 0] += 1  # a swap that the explanation does not lead to
    query = replace(report.exhibits[0].result.query, rows=rows)
    assert (
        "nothing in this report makes them" in again(bare, changed(report, "swapped", query=query))["swapped"].problem
    )


def test_a_masked_report_is_computed_again_where_the_subject_is(desk) -> None:
    limited = masked(load_subject("tumours"), [load_subject("tumours").model().spec.features[0].name])
    found = bundle.read(bundle.pack(reasoned(desk, "full", limited)))
    assert not any(each.whole for each in found.exhibits)
    differences = recompute(desk, found, load_subject("tumours"))
    assert all(each.ok for each in differences), [each.sentence for each in differences]
    with pytest.raises(UserFacingError, match="mean_radius"):
        given(found, "tumours", "xgboost")


def test_it_can_be_called_off(desk) -> None:
    found = bundle.read(bundle.pack(made(desk, "tumours", "mlp")))
    with pytest.raises(Cancelled):
        recompute(_Never(), found, load_subject("tumours"), cancelled=lambda: True)


def test_an_answer_of_which_nothing_is_shown_says_so(desk, bare) -> None:
    report = reasoned(desk, "letter", load_subject("tumours"))
    query = population_query(report.model, report.exhibits[2].result.query.reference)
    scores = Exhibit("reference-scores", desk.ask(Question(report.model, Predict(), query)))
    found = again(bare, replace(report, exhibits=(*report.exhibits, scores)))["reference-scores"]
    assert found.ok and found.sentence == (
        "reference-scores: none of its numbers are shown; the digest of all of them is the same."
    )


class _Never:
    """Nobody who is asked answers, until they are called off."""

    def __init__(self) -> None:
        self._off = False

    def submit(self, question: Question, *, fresh: bool) -> "_Never":
        assert fresh
        return self

    def cancel(self, job: "_Never") -> None:
        self._off = True

    def wait(self, seconds: float) -> bool:
        return self._off

    def result(self) -> None:
        raise Cancelled
