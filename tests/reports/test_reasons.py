"""Reasons stand two tests or are withheld; a row unlike the data gets none."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest

from core.nouns import Feature, MethodId, ModelSpec, Reference, Target
from core.results import Attribution, Prediction
from engine.questions import explain_query, resampled_queries, swap_query
from reports import words
from reports.factors import Factor
from reports.reasons import MOST, RESAMPLES, Grounds, Reasons, candidates, reasons, warnings
from tests.reports.conftest import World, world
from tests.reports.test_words import FORBIDDEN

MARGIN = Target(1, "margin")
NAMES = ("a", "b", "c", "d", "e", "f")


class Linear:
    """A world of six numbers whose model is linear: what is said of it can be worked out by hand."""

    def __init__(self, weights: Sequence[float], classes: tuple[str, ...] = ("no", "yes")) -> None:
        features = tuple(Feature(name, lower=-9, upper=9) for name in NAMES)
        output = "margin" if classes else "value"
        spec = ModelSpec("table", (6,), features, classes, output, "a" * 64, outcome=Feature("price", unit="EUR"))
        rows = np.random.default_rng(5).normal(size=(400, 6))
        rows[0] = [1.5, 1.4, -1.3, 1.2, 1.1, 0.0]
        self.weights, self.world = np.array(weights, dtype=float), world("Things", "thing", spec, rows)
        self.subject, self.model = self.world.subject, self.world.model
        self.target = Target(1, "margin") if classes else Target(0, "value")

    def explained(self, query, effects: np.ndarray | None = None, **fields) -> Attribution:
        """Its SHAP values, or the ones given."""
        centre = query.reference.rows.mean(axis=0)
        values = (query.rows - centre) * self.weights if effects is None else effects
        base = np.full(len(query), centre @ self.weights)
        settings = {"tolerance": None if effects is not None else 1e-6, **fields}
        return Attribution(query, MethodId("linear_shap", "1"), values, base, query.rows @ self.weights, **settings)

    def predicted(self, query) -> Prediction:
        return Prediction(query, MethodId("predict", "1"), (query.rows @ self.weights)[:, None])

    def grounds(self, row: int = 0, effects: np.ndarray | None = None, lost: int = 0, **fields) -> Grounds:
        """Those of one row; in `lost` of the resamples the first feature has no effect."""
        query = explain_query(self.subject, self.model, [row], self.target, self.subject.reference())
        first = self.explained(query, effects, **fields)
        parts = [each.positions for each in candidates(first, self.model.spec, 0)]
        others = []
        for place, each in enumerate(resampled_queries(self.subject, query, RESAMPLES)):
            found = self.explained(each, effects)
            values = found.values.copy()
            values[0, 0] *= place >= lost
            others.append(replace(found, values=values, tolerance=None))
        return Grounds(0, first, self.predicted(swap_query(query, 0, parts)), tuple(others))

    def reasons(self, *given, **options) -> Reasons:
        return reasons(self.subject, self.model, self.grounds(*given, **options))


def titles(factors: Sequence[Factor]) -> list[str]:
    return [each.title for each in factors]


def test_reasons_are_what_moved_the_score_towards_the_decision() -> None:
    found = Linear([3, 2, 1, 0, 0, 0]).reasons()
    assert titles([each.factor for each in found.found]) == ["a", "b"], "c lowers it, the others do nothing"
    assert not found.abstained and not found.withheld
    for reason, weight, value in zip(found.found, (3, 2), (1.5, 1.4), strict=True):
        reference = Linear([3, 2, 1, 0, 0, 0]).subject.reference().rows[:, NAMES.index(reason.factor.title)]
        assert reason.change == pytest.approx(reason.effect) == pytest.approx(weight * (value - reference.mean()))
        assert reason.error == pytest.approx(weight * reference.std(ddof=1) / 10)
        assert (reason.held, reason.resamples) == (RESAMPLES, RESAMPLES)


def test_a_decision_the_other_way_has_the_other_reasons() -> None:
    found = Linear([-3, -2, -1, 0, 0, 0]).reasons()
    assert titles([each.factor for each in found.found]) == ["a", "b"] and found.found[0].effect < 0


def test_a_predicted_number_has_reasons_either_way() -> None:
    linear = Linear([3, 2, 1, 0, 0, 0], ())
    found = linear.reasons()
    assert titles([each.factor for each in found.found]) == ["a", "b", "c"] and found.found[2].effect < 0
    said = words.reasons_paragraph(linear.subject, linear.model, linear.grounds().explained.query, found)
    assert "the predicted price was moved most by A 1.50 (+" in said


def test_at_most_four_and_never_padded() -> None:
    found = Linear([3, 2.5, -3, 2, 1.5, 0]).reasons()
    assert len(found.found) == MOST and titles([each.factor for each in found.found]) == ["a", "c", "b", "d"]
    alone = Linear([3, 0, 0, 0, 0, 0]).reasons()
    assert titles([each.factor for each in alone.found]) == ["a"]


def test_nothing_within_its_error_is_named() -> None:
    linear = Linear([3, 2, 1, 0, 0, 0])
    errors = np.array([[0.1, 5.0, 0.1, 0.1, 0.1, 0.1]])
    assert titles([each.factor for each in linear.reasons(error=errors).found]) == ["a"]
    none = linear.reasons(error=np.full((1, 6), 9.0))
    assert not none.found and none.abstained.startswith("No reasons are named: no single factor moved")


@pytest.mark.parametrize("claimed", [3.0, -1.0])
def test_an_effect_that_the_swap_does_not_show_is_withheld(claimed: float) -> None:
    """b is said to matter and the model never reads it; c is said to raise and lowers, or to lower: no reason then."""
    effects = np.array([[4.0, 2.0, claimed, 0.0, 0.0, 0.0]])
    linear = Linear([3, 0, 1, 0, 0, 0])
    found = linear.reasons(effects=effects)
    assert titles([each.factor for each in found.found]) == ["a"]
    withheld = {each.factor.title: each.sentence for each in found.withheld}
    assert set(withheld) == ({"b", "c"} if claimed > 0 else {"b"})
    assert "but with it at the reference's values the score for yes changes by" in withheld["b"]


def test_a_change_within_its_standard_error_is_withheld() -> None:
    """At a value like the reference's mean, the swap says nothing about which way it went."""
    linear = Linear([3, 1, 0, 0, 0, 0])
    rows = linear.subject.dataset.rows.copy()
    rows[0, 1] = linear.subject.reference().rows[:, 1].mean() + 0.15
    linear.subject = replace(linear.subject, dataset=replace(linear.subject.dataset, rows=rows))
    found = linear.reasons()
    assert titles([each.factor for each in found.found]) == ["a"]
    assert titles([each.factor for each in found.withheld]) == ["b"]


@pytest.mark.parametrize(("lost", "named"), [(0, True), (1, True), (2, False), (10, False)])
def test_a_reason_holds_against_nine_of_ten_other_references(lost: int, named: bool) -> None:
    found = Linear([3, 2, 1, 0, 0, 0]).reasons(lost=lost)
    assert ("a" in titles([each.factor for each in found.found])) is named
    if named:
        assert found.found[0].held == RESAMPLES - lost
    else:
        (withheld,) = found.withheld
        assert f"not separable from others: it is a reason against {10 - lost} of 10" in withheld.sentence


def test_where_every_reason_falls_it_is_said() -> None:
    found = Linear([3, 0, 0, 0, 0, 0]).reasons(lost=5)
    assert not found.found and len(found.withheld) == 1
    assert found.abstained == words.none_stood(Linear([1] * 6).subject)


def test_a_row_unlike_the_data_gets_no_reasons() -> None:
    linear = Linear([3, 2, 1, 0, 0, 0])
    rows = linear.subject.dataset.rows.copy()
    rows[0] = 8.5
    linear.subject = replace(linear.subject, dataset=replace(linear.subject.dataset, rows=rows))
    found = linear.reasons()
    assert not found.found and not found.withheld
    assert found.abstained.startswith("No reasons are named. Thing 1000 is unlike the data: its distance to the things")
    assert found.abstained.endswith("Have a person look at it.")
    rows[0] = [10, 0, 0, 0, 0, 0]
    linear.subject = replace(linear.subject, dataset=replace(linear.subject.dataset, rows=rows))
    assert "a lies outside what the data hold" in linear.reasons().abstained


def test_a_method_that_compares_with_nothing_gives_no_reasons() -> None:
    linear = Linear([3, 2, 1, 0, 0, 0])
    grounds = linear.grounds()
    bare = replace(grounds, explained=replace(grounds.explained, base=np.full(1, np.nan)))
    found = reasons(linear.subject, linear.model, bare)
    assert not found.found and "compares with nothing" in found.abstained


def test_one_row_of_many_has_the_reasons_that_it_has_alone() -> None:
    linear = Linear([3, 2, 1, 0.5, 0, 0])
    places = [7, 0, 3]
    query = explain_query(linear.subject, linear.model, places, MARGIN, linear.subject.reference())
    together, spec = linear.explained(query), linear.model.spec
    others = tuple(linear.explained(each) for each in resampled_queries(linear.subject, query, RESAMPLES))
    for index, place in enumerate(places):
        parts = [each.positions for each in candidates(together, spec, index)]
        many = Grounds(index, together, linear.predicted(swap_query(query, index, parts)), others)
        found, alone = reasons(linear.subject, linear.model, many), linear.reasons(place)
        assert titles([each.factor for each in found.found]) == titles([each.factor for each in alone.found])
        assert [each.change for each in found.found] == pytest.approx([each.change for each in alone.found])


def test_words_of_a_text_are_hidden_and_there_are_no_resamples(reviews: World) -> None:
    subject, model, known = reviews.subject, reviews.model, reviews.model.spec.vocabulary
    query = explain_query(subject, model, [0], Target(1, "logit"), subject.reference())
    worth = {6: 1.0, 8: -2.0, 5: 0.25}

    def outputs(rows: np.ndarray) -> np.ndarray:
        total = np.array([sum(worth.get(int(token), 0.0) for token in row) for row in rows])
        return np.column_stack([-total / 2, total / 2])

    effects = np.array([worth.get(int(token), 0.0) / 2 for token in query.rows[0]])[None]
    base = np.zeros(1)
    explained = Attribution(query, MethodId("permutation_shap", "1"), effects, base, outputs(query.rows)[:, 1])
    parts = [each.positions for each in candidates(explained, model.spec, 0)]
    swaps = swap_query(query, 0, parts)
    assert len(swaps) == 1 + len(parts) and (swaps.rows[1:] == known.mask).sum(axis=1).tolist() == [1] * len(parts)
    swapped = Prediction(swaps, MethodId("predict", "1"), outputs(swaps.rows))
    assert resampled_queries(subject, query, RESAMPLES) == []
    found = reasons(subject, model, Grounds(0, explained, swapped))
    assert titles([each.factor for each in found.found]) == ["“dull”"], "the review is read as negative"
    assert found.found[0].resamples == 0
    said = words.reasons_paragraph(subject, model, query, found)
    assert "every word hidden, these lowered the score for positive, towards the decision: “dull” (−1.00)." in said


def test_warnings_are_said_of_rows_and_references_and_mostly_there_are_none() -> None:
    linear = Linear([3, 2, 1, 0, 0, 0])
    subject, model, rows = linear.subject, linear.model, linear.subject.dataset.rows
    assert warnings(subject, model, rows[0], "1000", subject.reference()) == ()
    assert warnings(subject, model, rows[0], "1000", None) == ()
    high = np.argsort(-rows[:, 2])[:40]
    chosen = Reference(rows[high], tuple(subject.dataset.row_ids[place] for place in high))
    strange, drifts = warnings(subject, model, np.full(6, 8.5), "new", chosen)
    assert strange.startswith("Thing new is unlike the data")
    assert drifts == (
        "Warning: the reference is not like the things of the data: it differs in c. What is compared with it may "
        "mislead. Draw one with a seed."
    )


def test_no_sentence_says_what_it_must_not(loans: World, scans: World) -> None:
    linear = Linear([3, 2, 1, 0, 0, 0])
    for found in (linear.reasons(), linear.reasons(lost=9), linear.reasons(error=np.full((1, 6), 9.0))):
        said = [found.abstained, *(each.sentence for each in found.withheld)]
        said.append(words.reasons_paragraph(linear.subject, linear.model, linear.grounds().explained.query, found))
        assert not [text for text in said if FORBIDDEN.search(text)]
