"""What differs between two versions, said whole and without a value of the data."""

from dataclasses import replace

import numpy as np
import pytest

from core.results import Prediction
from engine.predict import Predict
from engine.questions import prediction_query
from reports.compare import Version, differences
from storage.evidence import question_key
from tests.reports.conftest import World

FILES = {"subject.toml": "1" * 64, "data.parquet": "2" * 64, "model.bin": "3" * 64}
SAME = "Nothing differs: files, rows, models and answers are the same."


def version(world: World, files: dict[str, str] | None = None, answers: dict[str, Prediction] | None = None) -> Version:
    kept = answers or {}
    return Version(
        replace(world.subject, example=world.subject.dataset.row_ids[3]),
        FILES if files is None else files,
        {key: result.digest for key, result in kept.items()},
        kept.__getitem__,
    )


def changed(old: Version, **fields: object) -> Version:
    """A version whose data have other values in some fields."""
    data = old.subject.dataset
    return replace(old, subject=replace(old.subject, dataset=replace(data, **fields)))


def predicted(world: World, old: Version, output: float) -> dict[str, Prediction]:
    """The example row's prediction by its question's key."""
    query = prediction_query(old.subject, world.model, [3])
    found = Prediction(query, Predict().method, np.array([[output]]))
    return {question_key(query, found.method): found}


@pytest.fixture(params=["loans", "scans", "houses", "reviews"])
def any_world(request: pytest.FixtureRequest) -> World:
    return request.getfixturevalue(request.param)


def test_equal_versions_differ_in_nothing(any_world: World) -> None:
    assert differences(version(any_world), version(any_world)) == [SAME]


def test_rows_that_came_went_and_changed_are_named(any_world: World) -> None:
    old = version(any_world)
    data, noun = old.subject.dataset, old.subject.row_noun
    rows = data.rows.copy()
    rows[5] += 1
    keep = [i for i in range(len(data)) if i != 7]
    new = changed(
        old,
        rows=np.concatenate([rows[keep], rows[:1]]),
        row_ids=(*(data.row_ids[i] for i in keep), "new"),
        labels=np.concatenate([data.labels[keep], data.labels[:1]]),
        held_out=np.concatenate([data.held_out[keep], data.held_out[:1]]),
    )
    assert differences(old, new) == [
        f"1 {noun} was added: new.", f"1 {noun} was removed: 1007.", f"1 {noun} was changed: 1005."
    ]  # fmt: skip


def test_many_rows_are_counted_and_five_named(loans: World) -> None:
    old = version(loans)
    rows = old.subject.dataset.rows.copy()
    rows[10:30, 0] += 1
    (said,) = differences(old, changed(old, rows=rows))
    assert said == "20 applications were changed: 1010, 1011, 1012, 1013, 1014 and 15 more."


def test_a_value_that_goes_missing_is_a_change_and_one_that_is_missing_still_is_none(loans: World) -> None:
    old = version(loans)
    rows = old.subject.dataset.rows.copy()
    rows[4, 3] = np.nan
    gone = changed(old, rows=rows)
    assert differences(old, gone) == ["1 application was changed: 1004."]
    assert differences(gone, changed(old, rows=rows.copy())) == [SAME]


def test_labels_order_and_columns(loans: World) -> None:
    old = version(loans)
    data = old.subject.dataset
    labels = data.labels.copy()
    labels[2] = 1
    assert differences(old, changed(old, labels=labels)) == ["1 application was given another true answer: 1002."]
    turned = changed(old, rows=data.rows[::-1], row_ids=data.row_ids[::-1], labels=data.labels[::-1])
    assert "stand in another order" in differences(old, turned)[0]
    (said,) = differences(old, changed(old, rows=data.rows[:, :-1]))
    assert said.startswith("200 applications were given other columns")


def test_files_the_rule_and_models(loans: World) -> None:
    old = version(loans)
    subject = old.subject
    spec = replace(loans.model.spec, digest="f" * 64)
    other = replace(loans.model, spec=spec)
    second = replace(loans.model, name="second", title="A network")
    new = replace(
        version(loans, files={"subject.toml": "9" * 64, "model.bin": "3" * 64, "README.md": "4" * 64}),
        subject=replace(subject, cutoff=0.5, reference_seed=8, models=(other, second)),
    )
    assert differences(old, new) == [
        "subject.toml was changed.",
        "README.md was added.",
        "data.parquet was removed.",
        "The cut-off was 0.6 and is 0.5.",
        "The reference was 100 rows of seed 7 and is 100 of seed 8.",
        "The model A network was added.",
        "The model Gradient-boosted trees is another: digest aaaaaaaa before, ffffffff now.",
    ]
    assert "The model A network was removed." in differences(new, old)


def test_answers_and_how_the_decision_on_the_example_moved(loans: World) -> None:
    old = version(loans)
    first = version(loans, answers=predicted(loans, old, 1.0))
    second = version(loans, answers=predicted(loans, old, -1.0))
    assert differences(old, first) == ["1 answer was added."]
    assert differences(first, old) == ["1 answer was left out."]
    said = differences(first, second)
    (key,) = first.answers
    assert said[0] == f"1 question got another answer: {key[:8]}."
    assert said[1] == (
        "Application 1003, by Gradient-boosted trees: declined (score 0.73, cut-off 0.60) before, "
        "approved (score 0.27, cut-off 0.60) now."
    )


def test_the_example_is_compared_under_another_model_of_the_same_name_too(loans: World) -> None:
    first = version(loans, answers=predicted(loans, version(loans), 1.0))
    model = replace(loans.model, spec=replace(loans.model.spec, digest="f" * 64))
    world = World(replace(loans.subject, models=(model,)), model)
    second = version(world, answers=predicted(world, version(world), -1.0))
    said = differences(first, second)
    assert said[-1].endswith("declined (score 0.73, cut-off 0.60) before, approved (score 0.27, cut-off 0.60) now.")


def test_no_value_of_a_changed_row_is_said(loans: World) -> None:
    old = version(loans)
    rows = old.subject.dataset.rows.copy()
    rows[6, 0] = 77_777
    text = " ".join(differences(old, changed(old, rows=rows)))
    assert "77,777" not in text and "77777" not in text and "income" not in text
