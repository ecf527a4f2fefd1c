"""A whole model's figures: each is what the evidence says, worked out here another way."""

import numpy as np
import pytest

from core.scores import probabilities
from reports.whole import Whole
from tests.reports.dossiers import dossier


@pytest.fixture
def whole(loans) -> Whole:
    return Whole(dossier(loans))


def figure(whole: Whole, start: str) -> str:
    return next(each.figure for each in whole.findings() if each.what.startswith(start))


def test_marks_are_the_places_of_exhibits_and_run_together(whole: Whole) -> None:
    results = [exhibit.result for exhibit in whole.exhibits]
    assert whole.mark(results[0]) == "E1" and whole.mark(results[3], results[1], results[2]) == "E2 to E4"
    assert whole.mark(results[0], results[2]) == "E1, E3" and whole.mark(results[0], None) == "E1"


def test_performance_is_that_of_the_judged_rows(whole: Whole) -> None:
    subject, judged = whole.subject, whole.dossier.judged
    labels = subject.dataset.labels[[subject.position(row_id) for row_id in judged.query.row_ids]]
    chances = probabilities(judged.outputs, whole.spec)[:, 1]
    right = np.mean((chances >= subject.cutoff) == labels)
    assert figure(whole, "Decided as labelled") == f"{right:.1%}"
    pairs = [(p > q) + (p == q) / 2 for p in chances[labels == 1] for q in chances[labels == 0]]
    assert figure(whole, "Area under the ROC curve") == f"{np.mean(pairs):.3f}"


def test_held_rows_are_counted_under_attack(whole: Whole) -> None:
    usual = whole.usual
    assert usual.size == 0.05, "the middle size where no other attack was run"
    labels = [whole.subject.dataset.labels[whole.subject.position(row_id)] for row_id in usual.query.row_ids]
    right = np.array(labels) == usual.clean_class
    held = right & (usual.attacked_class == usual.clean_class)
    assert figure(whole, "Still decided as labelled") == f"{held.sum()} of {right.sum()}"


def test_the_conclusion_names_what_was_found(whole: Whole, request) -> None:
    assert "of 40 held-out applications are decided as labelled" in whole.conclusion
    assert "right decisions" in whole.conclusion and "stood their tests" in whole.conclusion
    houses = Whole(dossier(request.getfixturevalue("houses")))
    assert houses.conclusion.startswith("Predictions for 40 held-out houses are") and "turns" not in houses.conclusion


def test_the_second_method_is_found_in_one_answer_or_in_one_each(whole: Whole, request) -> None:
    assert [whole.second(place)[1] for place in range(4)] == [0, 1, 2, 3]
    reviews = Whole(dossier(request.getfixturevalue("reviews")))
    assert [reviews.second(place)[1] for place in range(4)] == [0, 0, 0, 0]
    for world in (whole, reviews):
        for place, chosen in enumerate(world.dossier.cases):
            found, index = world.second(place)
            assert found.query.row_ids[index] == world.subject.dataset.row_ids[chosen.position]
