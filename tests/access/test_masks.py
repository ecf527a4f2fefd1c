"""Masked columns: hidden wherever a value is said, blank in what is taken away, and no digest changes."""

from dataclasses import replace

import numpy as np
import pytest

from access.masks import hidden, maskable, masked, masked_result
from core.digest import digest
from core.errors import UserFacingError
from core.nouns import Dataset, Feature, MethodId, ModelFile, ModelSpec, Query, Reference, Subject, Target
from core.results import Attacked, Attribution, Prediction

FEATURES = (
    Feature("income", unit="EUR", upper=90_000, decimals=0),
    Feature("purpose", "category", categories=("car", "house"), upper=1),
    Feature("guarantor", "boolean"),
)
ROWS = np.array([[31_000.0, 1.0, 0.0], [np.nan, 0.0, 1.0]])


@pytest.fixture
def subject() -> Subject:
    spec = ModelSpec("table", (3,), FEATURES, ("approved", "declined"), "margin", "a" * 64)
    data = Dataset(ROWS, ("1", "2"), np.array([0, 1]), np.ones(2))
    models = tuple(ModelFile(name, name, "xgboost", f"{name}.json", spec) for name in ("first", "second"))
    return Subject("loans", "Loans", "", "application", data, models, 0.6)


def query() -> Query:
    return Query("a" * 64, ROWS, ("1", "2"), Target(1, "margin"), Reference(ROWS[:1], ("1",), 7), 3)


def test_a_hidden_feature_says_no_value_of_any_kind() -> None:
    for feature, values in zip(FEATURES, ROWS.T, strict=True):
        assert {replace(feature, hidden=True).show(value) for value in values} == {"hidden"}
    assert Feature("income").show(31_000.0) == "31,000.00"


def test_masking_changes_what_is_shown_in_every_model_and_no_digest(subject: Subject) -> None:
    seen = masked(subject, ["income", "guarantor"])
    for model in seen.models:
        assert [feature.hidden for feature in model.spec.features] == [True, False, True]
        assert model.spec == subject.model().spec
        assert digest(model.spec) == digest(subject.model().spec)
    assert np.array_equal(seen.dataset.rows, subject.dataset.rows, equal_nan=True)
    assert seen.dataset.digest == subject.dataset.digest
    assert not any(feature.hidden for feature in subject.model().spec.features), "the whole subject stays as it was"


def test_hidden_is_no_part_of_a_features_digest() -> None:
    # The digest that this feature had before there were masks: every question ever asked keeps its key.
    known = "cc2e8a145d1cb98638f424e26c3ec17da15232dcf274592b68832484daad32ff"
    assert digest(FEATURES[0]) == digest(replace(FEATURES[0], hidden=True)) == known
    assert FEATURES[0] == replace(FEATURES[0], hidden=True)


def test_no_column_masked_is_the_same_subject(subject: Subject) -> None:
    assert masked(subject, []) is subject


def test_a_column_that_there_is_not_is_refused_and_hides_nothing_silently(subject: Subject) -> None:
    with pytest.raises(UserFacingError, match="'incme' cannot be masked"):
        masked(subject, ["income", "incme"])


def test_pictures_have_no_columns_to_mask(subject: Subject) -> None:
    spec = ModelSpec("image", (2, 2, 1), (Feature("pixel_0_0", "pixel"),) * 4, ("a", "b"), "logit", "b" * 64)
    pictures = replace(subject, models=(replace(subject.model(), spec=spec),))
    assert maskable(pictures) == ()
    assert hidden(spec) == ()
    with pytest.raises(UserFacingError, match="cannot be masked"):
        masked(pictures, ["pixel_0_0"])


def holds(result: Prediction | Attribution | Attacked, value: float) -> bool:
    """Whether `value` stands anywhere in the arrays of a result: looked for by walking all of them."""
    arrays, nouns = [], [result]
    while nouns:
        for each in vars(nouns.pop()).values():
            arrays += [each] if isinstance(each, np.ndarray) else []
            nouns += [each] if isinstance(each, Query | Reference) else []
    return any(value in array for array in arrays if array.dtype.kind in "fi")


def test_what_is_taken_away_holds_no_masked_value(subject: Subject) -> None:
    spec, outputs = masked(subject, ["income"]).model().spec, np.array([[0.1], [0.2]])
    said = Prediction(query(), MethodId("predict", "1"), outputs)
    why = Attribution(query(), MethodId("tree_shap", "1"), np.zeros((2, 3)), np.zeros(2), np.zeros(2))
    attack = Attacked(
        query(), MethodId("pgd", "1"), "linf", 0.1, ROWS + [[1, 0, 0]], ROWS + [[2, 0, 0]],
        *(np.zeros(2),) * 2, *(outputs,) * 3, *(np.zeros(2, dtype=int),) * 3, 7,
    )  # fmt: skip
    for result in (said, why, attack):
        assert holds(result, 31_000.0)
        blank = masked_result(result, spec)
        assert type(blank) is type(result)
        assert not any(holds(blank, value) for value in (31_000.0, 31_001.0, 31_002.0))
        assert np.array_equal(blank.query.rows[:, 1:], ROWS[:, 1:])
        assert np.isnan(blank.query.reference.rows[:, 0]).all()
    assert np.array_equal(masked_result(said, spec).outputs, outputs)


def test_without_masks_a_result_stays_itself(subject: Subject) -> None:
    said = Prediction(query(), MethodId("predict", "1"), np.zeros((2, 1)))
    assert masked_result(said, subject.model().spec) is said
