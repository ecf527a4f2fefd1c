"""Asking again: the question of every stored answer is built anew and has the same key."""

from dataclasses import replace

import numpy as np
import pytest

from attacks import ATTACKS
from core.errors import UserFacingError
from core.nouns import MethodId, Query, Subject, Target
from core.options import options_of, with_options
from core.results import Attribution, Prediction
from engine.again import question_again
from engine.predict import Predict
from explainers import EXPLAINERS
from storage.evidence import question_key


def answered(tumours: Subject, method: MethodId, rows: int = 1) -> Attribution:
    """Some answer by a method, as it is kept."""
    data, spec = tumours.dataset, tumours.model().spec
    query = Query(spec.digest, data.rows[:rows], data.row_ids[:rows], Target(1, "margin"), tumours.reference(3), 5)
    return Attribution(query, method, np.zeros((rows, *spec.shape)), np.zeros(rows), np.zeros(rows))


def unusual(kind: type) -> dict[str, object]:
    """Options of a method that are not its defaults."""
    values = {}
    for each in options_of(kind):
        if each.kind == "choice":
            values[each.name] = each.choices[-1]
        elif each.kind == "boolean":
            values[each.name] = not each.default
        else:
            values[each.name] = each.default + 1 if each.high is None or each.default < each.high else each.low
    return values


@pytest.mark.parametrize("kind", [*EXPLAINERS, *ATTACKS], ids=lambda kind: kind.name)
def test_the_question_of_an_answer_has_its_key(tumours: Subject, kind: type) -> None:
    for options in ({}, unusual(kind)):
        found = answered(tumours, with_options(kind, options).method)
        question = question_again(tumours.model(), found)
        assert question.key == question_key(found.query, found.method)
        assert question.lane == "quick"


def test_a_prediction_too_and_many_rows_are_a_long_question(tumours: Subject) -> None:
    data, spec = tumours.dataset, tumours.model().spec
    query = Query(spec.digest, data.rows[:9], data.row_ids[:9], Target(0, "margin"))
    question = question_again(tumours.model(), Prediction(query, Predict().method, np.zeros((9, 1))))
    assert (question.key, question.lane) == (question_key(query, Predict().method), "long")


@pytest.mark.parametrize(
    ("method", "why"),
    [(replace(Predict().method, version="0.1"), "It is version 1 now"), (MethodId("gone", "1"), "no such method")],
)
def test_a_method_that_is_another_by_now_is_not_asked(tumours: Subject, method: MethodId, why: str) -> None:
    with pytest.raises(UserFacingError, match=why):
        question_again(tumours.model(), answered(tumours, method))
