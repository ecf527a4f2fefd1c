"""The questions that page, command line and report share."""

from dataclasses import replace

import numpy as np
import pytest

from attacks import ATTACKS
from core.errors import UserFacingError
from core.nouns import Dataset, Feature, MethodId, ModelFile, ModelSpec, Subject, Target, Vocabulary
from core.results import Attacked
from engine.questions import (
    attack_query,
    attack_refusals,
    attacks_for,
    default_class,
    default_pair,
    default_survey,
    explain_query,
    explainers_for,
    prediction_query,
    resampled_queries,
    shifted_queries,
    swap_query,
)
from engine.subjects import load_subject, subject_names

EVERY_MODEL = [(name, model.name) for name in subject_names() for model in load_subject(name).models]


@pytest.mark.parametrize(("name", "model"), EVERY_MODEL)
def test_every_sample_is_explained_by_both_families_and_attacked(name: str, model: str) -> None:
    spec = load_subject(name).model(model).spec
    shap, captum = default_pair(spec)
    assert (shap.family, captum.family) == ("shap", "captum")
    assert default_survey(spec) in explainers_for(spec)
    assert attacks_for(spec)


def test_trees_get_the_exact_method_and_networks_the_strongest_attack() -> None:
    trees, network = (load_subject("tumours").model(name).spec for name in ("xgboost", "mlp"))
    assert default_pair(trees)[0].name == default_survey(trees).name == "tree_shap"
    assert [kind.name for kind in attacks_for(trees)] == ["random_search"]
    assert default_pair(network)[1].name == "integrated_gradients"
    assert attacks_for(network)[0].name == "pgd"


def test_queries_name_the_model_the_rows_and_what_matters_to_the_answer() -> None:
    subject = load_subject("loans")
    model, reference = subject.model(), subject.reference(5, 3)
    asked = explain_query(subject, model, [2, 0], Target(1, "margin"), reference, seed=4)
    assert asked.model == model.spec.digest
    assert asked.row_ids == (subject.dataset.row_ids[2], subject.dataset.row_ids[0])
    np.testing.assert_array_equal(asked.rows, subject.dataset.rows[[2, 0]])
    assert (asked.reference, asked.seed, asked.cutoff) == (reference, 4, None)
    assert attack_query(subject, model, [0]).cutoff == subject.cutoff
    assert prediction_query(subject, model, [0]).reference is None


def test_the_class_to_explain_is_the_event_of_two_and_the_decided_of_many() -> None:
    loans, digits = load_subject("loans"), load_subject("digits")
    assert default_class(loans, loans.model(), np.array([[-3.0]])) == 1
    assert default_class(digits, digits.model(), np.eye(10)[[4]]) == 4


def texts() -> tuple[Subject, ModelFile]:
    known = Vocabulary(((5, " a"), (6, " b")), mask=3, pad=0, special=(0, 1, 2))
    features = (Feature("token_1", "token", upper=6.0),) * 4
    spec = ModelSpec("text", (4,), features, ("no", "yes"), "logit", "a" * 64, vocabulary=known)
    rows = np.array([[1.0, 5, 6, 2], [1, 6, 2, 0], [1, 5, 2, 0]])
    model = ModelFile("m", "M", "hugging_face", "m.zip", spec)
    data = Dataset(rows, ("a", "b", "c"), np.array([0, 1, 1]), np.ones(3))
    return Subject("s", "S", "", "text", data, (model,), None, 2), model


def test_a_text_is_compared_with_itself_whatever_the_reference() -> None:
    subject, model = texts()
    asked = explain_query(subject, model, [1], Target(1, "logit"), subject.reference(2))
    assert asked.reference.rows.tolist() == [[1, 3, 2, 0]]
    with pytest.raises(UserFacingError, match="Ask about one at a time"):
        explain_query(subject, model, [0, 1], Target(1, "logit"), subject.reference(2))


def test_texts_and_predicted_numbers_are_explained_and_not_attacked() -> None:
    text = texts()[1].spec
    number = replace(text, modality="table", classes=(), output="value", vocabulary=None)
    assert [kind.name for kind in default_pair(text)] == ["permutation_shap", "occlusion"]
    assert default_survey(text).name == "occlusion"
    for spec in (text, number):
        assert default_pair(spec)[0].family == "shap"
        assert attacks_for(spec) == []
        refusals = attack_refusals(spec)
        assert len(refusals) == len(ATTACKS)
    assert all("hide single words" in sentence for _, sentence in attack_refusals(text))
    assert all("predicts a number" in sentence for _, sentence in attack_refusals(number))


def test_a_swap_puts_one_part_after_the_other_at_the_references_values() -> None:
    subject = load_subject("loans")
    model, reference = subject.model(), subject.reference(4, 3)
    query = explain_query(subject, model, [9, 5], Target(1, "margin"), reference)
    asked = swap_query(query, 1, [(2,), (4, 5)])
    assert len(asked) == 1 + 2 * 4 and asked.row_ids[0] == subject.dataset.row_ids[5]
    assert len(set(asked.row_ids)) == len(asked) and (asked.target, asked.reference) == (query.target, None)
    row, swapped = query.rows[1], asked.rows[1:].reshape(2, 4, -1)
    np.testing.assert_array_equal(asked.rows[0], row)
    for part, rows in zip([(2,), (4, 5)], swapped, strict=True):
        np.testing.assert_array_equal(rows[:, part], reference.rows[:, part])
        kept = [place for place in range(len(row)) if place not in part]
        np.testing.assert_array_equal(rows[:, kept], np.tile(row[kept], (4, 1)))
    few = swap_query(query, 0, [(2,)], most=2 * len(row))
    np.testing.assert_array_equal(few.rows[1:, 2], reference.rows[[0, 3], 2])
    assert len(swap_query(query, 0, [])) == 1


def test_resamples_are_other_references_of_the_same_size() -> None:
    subject = load_subject("tumours")
    query = explain_query(subject, subject.model(), [1], Target(1, "margin"), subject.reference(30, 4))
    found = resampled_queries(subject, query, 3)
    assert [(each.reference.seed, len(each.reference)) for each in found] == [(5, 30), (6, 30), (7, 30)]
    assert all(replace(each, reference=query.reference).digest == query.digest for each in found)
    every = replace(query, reference=subject.reference(len(subject.dataset)))
    chosen = replace(query, reference=replace(query.reference, seed=None))
    assert resampled_queries(subject, every, 3) == resampled_queries(subject, chosen, 3) == []


def test_shifted_questions_are_about_the_first_of_the_attacked_rows() -> None:
    subject = load_subject("digits")
    model = subject.model()
    asked = attack_query(subject, model, [3, 4, 5])
    moved, nothing, decided = asked.rows + 1, np.zeros((3, 10)), np.zeros(3)
    found = Attacked(
        asked, MethodId("pgd", "1"), "linf", 0.1, moved, asked.rows, decided, decided, nothing, nothing, nothing,
        decided, decided, decided, 1,
    )  # fmt: skip
    query = explain_query(subject, model, [3, 4], Target(1, "logit"), subject.reference(5))
    before, after, noise = shifted_queries(query, found)
    assert before is query and (after.row_ids, after.reference) == (query.row_ids, query.reference)
    np.testing.assert_array_equal(after.rows, query.rows + 1)
    np.testing.assert_array_equal(noise.rows, query.rows)
