"""Which factors are named, in which order, and which are left out."""

from dataclasses import replace

import numpy as np

from core.nouns import Target
from reports.factors import bars, companions, drivers, factors, families, importance
from tests.reports.conftest import TEXT_EFFECTS, TEXT_ROW

MARGIN = Target(1, "margin")
ROW = np.array([31_000.0, 61.0, 3.0, np.nan, 1.0, 0.0])
EFFECTS = np.array([-0.33, 0.84, 0.42, 0.10, 0.05, 0.0])


def test_groups_are_summed_before_ranking(loans) -> None:
    ranked = factors(loans.attribution(ROW, EFFECTS, MARGIN), loans.model.spec)
    assert [factor.title for factor in ranked] == ["debt ratio", "payment history", "income", "purpose", "guarantor"]
    assert ranked[1].effect == EFFECTS[2] + EFFECTS[3]
    assert ranked[1].label == "Payment history (late payments 3, oldest account missing)"
    assert ranked[2].label == "Income 31,000 EUR"


def test_opposite_effects_of_one_group_cancel(loans) -> None:
    named = drivers(loans.attribution(ROW, np.array([0.1, 0, 2.0, -2.0, 0, 0]), MARGIN), loans.model.spec)
    assert [factor.title for factor in named] == ["income"]


def test_ties_keep_the_order_of_the_schema(loans) -> None:
    named = drivers(loans.attribution(ROW, np.array([0.5, -0.5, 0, 0, 0.5, 0.5]), MARGIN), loans.model.spec)
    assert [factor.title for factor in named] == ["income", "debt ratio", "purpose", "guarantor"]


def test_what_is_within_its_error_is_not_named(loans) -> None:
    error = np.array([[0.2, 0.1, 0.1, 0.1, 0.1, 0.1]])
    attribution = loans.attribution(ROW, EFFECTS, MARGIN, error=error)
    assert [factor.title for factor in drivers(attribution, loans.model.spec)] == ["debt ratio", "payment history"]


def test_what_is_within_the_residual_is_not_named(loans) -> None:
    attribution = loans.attribution(ROW, EFFECTS, MARGIN, output=np.array([0.1 + EFFECTS.sum() + 0.45]))
    assert [factor.title for factor in drivers(attribution, loans.model.spec)] == ["debt ratio", "payment history"]


def test_a_method_that_does_not_promise_to_add_up_is_not_held_to_its_residual(loans) -> None:
    attribution = loans.attribution(ROW, EFFECTS, MARGIN, output=np.array([9.0]), tolerance=None)
    assert len(drivers(attribution, loans.model.spec)) == 4


def test_reasons_are_never_padded(loans) -> None:
    attribution = loans.attribution(ROW, np.array([0.0, 0.84, 0, 0, 0.0001, 0]), MARGIN)
    assert [factor.title for factor in drivers(attribution, loans.model.spec)] == ["debt ratio"]
    assert drivers(loans.attribution(ROW, np.zeros(6), MARGIN), loans.model.spec) == []


def test_bars_fold_the_rest_into_others_and_lose_nothing(loans) -> None:
    attribution = loans.attribution(ROW, EFFECTS, MARGIN)
    shown = bars(attribution, loans.model.spec, most=2)
    assert shown[-1].title == "3 others"
    assert np.isclose(sum(factor.effect for factor in shown), EFFECTS.sum())
    assert sorted(position for factor in shown for position in factor.positions) == list(range(6))
    assert len(bars(attribution, loans.model.spec, most=4)) == 5


def test_a_picture_is_told_by_its_nine_regions(scans) -> None:
    parts = families(scans.model.spec)
    assert [part.title for part in parts][:5] == ["upper left", "upper centre", "upper right", "middle left", "centre"]
    assert sorted(position for part in parts for position in part.positions) == list(range(64))
    effects = np.zeros((8, 8, 1))
    effects[7, 0] = 1.5
    row = np.zeros((8, 8, 1))
    named = drivers(scans.attribution(row, effects, Target(0, "logit")), scans.model.spec)
    assert [(factor.label, factor.effect) for factor in named] == [("Lower left", 1.5)]


def test_importance_is_the_mean_size_whichever_way_it_points(houses) -> None:
    one = houses.attribution(np.array([80.0, 3.0]), np.array([2.0, 1.0]), Target(0, "value"))
    rows = np.array([[80.0, 3.0], [90.0, 4.0]])
    query = replace(one.query, rows=rows, row_ids=("a", "b"))
    both = replace(one, query=query, values=np.array([[2.0, 1.0], [-2.0, 0.0]]), base=np.zeros(2), output=np.zeros(2))
    ranked = importance(both, houses.model.spec)
    assert [(factor.title, factor.effect) for factor in ranked] == [("area", 2.0), ("rooms", 0.5)]
    assert ranked[0].error == 0 and ranked[1].error == 0.5


def test_the_factors_of_a_text_are_its_own_words(reviews) -> None:
    found = reviews.attribution(TEXT_ROW, TEXT_EFFECTS, Target(1, "logit"))
    named = factors(found, reviews.model.spec)
    assert [factor.label for factor in named][:4] == ["“dull”", "“film”", "“s”", "“the” (1 of 2)"]
    assert {factor.positions[0] for factor in named} == {1, 2, 3, 4, 5, 6}, "neither frame nor padding"


def test_features_that_go_together_are_named_the_closest_first_and_never_a_category(loans) -> None:
    rng = np.random.default_rng(4)
    data = loans.subject.dataset
    rows = data.rows.copy()
    income = rows[:, 0]
    rows[:, 1] = -income  # the order turned round counts as well
    rows[:, 3] = np.where(rng.random(len(rows)) < 0.1, np.nan, income + rng.normal(0, 0.2 * income.std(), len(rows)))
    rows[:, 4] = income > np.median(income)  # a category has no order
    together = replace(data, rows=rows)
    assert companions(together, loans.model.spec, [0]) == [1, 3]
    assert companions(together, loans.model.spec, [4]) == []
    assert companions(data, loans.model.spec, [0]) == []


def test_pictures_have_no_features_that_go_together(scans) -> None:
    assert companions(scans.subject.dataset, scans.model.spec, [0]) == []
