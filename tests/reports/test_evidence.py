"""Evidence to take away: whole, readable without Assay, the same bytes from the same answers."""

import io
import json
import zipfile
from dataclasses import replace

import numpy as np
import pytest

from access.masks import masked
from core.nouns import Target
from core.results import Attacked, Attribution, Prediction
from reports import evidence
from tests.reports.conftest import LOAN_EFFECTS, LOAN_ROW, World
from tests.test_readme import ROOT

MARGIN = Target(1, "margin")


@pytest.fixture
def results(loans: World) -> dict[str, Prediction | Attribution | Attacked]:
    moved = LOAN_ROW + [1.0, 0, 0, 0, 0, 0]
    outputs = (np.array([0.9]), np.array([-0.5]), np.array([0.8]))
    return {
        "prediction": loans.prediction(LOAN_ROW[None], np.array([[0.9]])),
        "attribution": loans.attribution(LOAN_ROW, LOAN_EFFECTS, MARGIN),
        "attacked": loans.attacked(LOAN_ROW, moved, moved, outputs, MARGIN),
    }


@pytest.mark.parametrize("kind", ["prediction", "attribution", "attacked"])
def test_the_same_answer_gives_the_same_bytes_and_both_forms_say_the_same(loans: World, results, kind: str) -> None:
    told = evidence.contract(loans.subject, loans.model, results[kind])
    assert evidence.as_json(told) == evidence.as_json(evidence.contract(loans.subject, loans.model, results[kind]))
    assert evidence.as_npz(told) == evidence.as_npz(told)
    plain = json.loads(evidence.as_json(told))
    with np.load(io.BytesIO(evidence.as_npz(told))) as arrays:
        meta = json.loads(str(arrays["meta"]))
        assert plain == meta | {name: evidence.plain(arrays[name]) for name in arrays.files if name != "meta"}
    assert plain["digest"] == results[kind].digest
    assert plain["inputs"] == [[31000.0, 61.0, 3.0, None, 1.0, 0.0]]
    assert "masked" not in plain


def test_an_explanation_says_what_was_explained_and_against_what(loans: World, results) -> None:
    told = evidence.contract(loans.subject, loans.model, results["attribution"])
    assert told["target"] == {"class": "declined", "scale": "margin"}
    reference = results["attribution"].query.reference
    assert told["reference"] == {
        "rows": 100, "seed": 7, "digest": reference.digest, "row_ids": list(reference.row_ids)
    }  # fmt: skip
    assert np.array_equal(told["values"][0], LOAN_EFFECTS)
    assert told["method"] == {"name": "tree_shap", "version": "1.0", "options": {"steps": 50}}


def test_an_attack_says_what_it_changed(loans: World, results) -> None:
    told = evidence.contract(loans.subject, loans.model, results["attacked"])
    assert (told["clean_class"][0], told["attacked_class"][0]) == ("declined", "approved")
    assert told["perturbed"][0, 0] == 31_001


@pytest.mark.parametrize("kind", ["prediction", "attribution", "attacked"])
def test_masked_columns_are_blank_and_named(loans: World, results, kind: str) -> None:
    subject = masked(loans.subject, ["income"])
    told = evidence.contract(subject, subject.model(), results[kind])
    plain = evidence.as_json(told).decode()
    assert "31000" not in plain and "31001" not in plain
    assert (told["masked"], told["digest"]) == (["income"], results[kind].digest)
    assert np.isnan(told["inputs"][:, 0]).all() and told["inputs"][0, 1] == 61
    if kind == "attribution":
        assert told["reference"]["digest"] == results[kind].query.reference.digest


def test_every_key_is_written_down(loans: World, results) -> None:
    subject = masked(loans.subject, ["income"])
    page = (ROOT / "docs" / "command-line.md").read_text(encoding="utf-8")
    for result in results.values():
        assert all(f"`{key}`" in page for key in evidence.contract(subject, subject.model(), result))


def test_a_picture_and_a_prediction_of_numbers_go_out_too(scans: World, houses: World) -> None:
    for world in (scans, houses):
        rows = world.subject.dataset.rows[:2]
        told = evidence.contract(
            world.subject, world.model, world.prediction(rows, np.zeros((2, world.model.spec.columns)))
        )
        assert json.loads(evidence.as_json(told))["model"] == "first"
        assert told["inputs"].shape == rows.shape


def test_a_bundle_has_a_manifest_and_every_answer(loans: World, results) -> None:
    told = [evidence.contract(loans.subject, loans.model, each) for each in results.values()]
    whole = evidence.bundle({"snapshot": "a" * 64}, told)
    assert whole == evidence.bundle({"snapshot": "a" * 64}, told)
    with zipfile.ZipFile(io.BytesIO(whole)) as archive:
        assert json.loads(archive.read("manifest.json")) == {"snapshot": "a" * 64}
        names = {f"answers/{each['question'][:16]}.npz" for each in told}
        assert names <= set(archive.namelist()) and len(names) == 3
    model = replace(loans.model, name="other")
    assert evidence.contract(loans.subject, model, results["prediction"])["model"] == "other"
