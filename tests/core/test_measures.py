"""Figures over many rows, against counting and the formulas written out."""

import math

import numpy as np
import pytest

from core import measures
from core.measures import (
    calibration,
    confusion,
    fit,
    importance,
    ranking,
    rates,
    robustness,
    roc,
    token_effects,
    wilson,
)
from core.nouns import MethodId, Query, Target
from core.results import Attacked

Z = 1.959964


def test_importance_by_hand():
    given = importance(np.array([[1.0, -2.0], [-3.0, 0.0]]))
    assert given.mean.tolist() == [2.0, 1.0]
    assert (given.low <= given.mean).all() and (given.mean <= given.high).all()


def test_importance_of_images_is_flat_and_seeded(rng):
    values = rng.normal(size=(30, 2, 2, 1))
    given, again, other = importance(values, 1), importance(values, 1), importance(values, 2)
    assert given.mean == pytest.approx(np.abs(values).mean(axis=0).ravel())
    assert given.low.tolist() == again.low.tolist() != other.low.tolist()


def test_one_row_has_no_spread():
    given = importance(np.array([[1.0, -2.0]]))
    assert given.low.tolist() == given.high.tolist() == given.mean.tolist()


def test_the_interval_of_importance_holds_the_truth(rng):
    # |x| of x ~ N(0, 1) has mean sqrt(2 / pi); a 95% interval misses it in about 5% of 400 cases
    truth, values = math.sqrt(2 / math.pi), rng.normal(size=(100, 400))
    given = importance(values)
    held = np.mean((given.low <= truth) & (truth <= given.high))
    assert 0.90 <= held <= 0.98


def test_the_ranking_is_by_size_with_ties_in_order():
    assert ranking(np.array([[1.0, -5.0, 1.0], [1.0, 3.0, -1.0]])).tolist() == [1, 0, 2]


@pytest.mark.parametrize("n", [1, 3, 20, 400])
def test_wilson_ends_where_the_score_test_turns(n):
    # the ends p solve (share - p)^2 = z^2 p (1 - p) / n
    for successes in {0, 1, n // 2, n}:
        share = successes / n
        low, high = wilson(successes, n)
        assert 0 <= low <= share <= high <= 1
        for end in (low, high):
            if 1e-12 < end < 1 - 1e-12:
                assert (share - end) ** 2 == pytest.approx(Z**2 * end * (1 - end) / n, rel=1e-9)


def test_nothing_counted_says_nothing():
    assert wilson(0, 0) == (0.0, 1.0)


def test_confusion_by_counting(rng):
    labels, decided = rng.integers(0, 3, 50), rng.integers(0, 3, 50)
    given = confusion(labels, decided, 4)
    for true in range(4):
        for said in range(4):
            assert given[true, said] == sum(a == true and b == said for a, b in zip(labels, decided, strict=True))


def test_rates_by_hand():
    happened = np.array([True, True, True, False, False])
    decided = np.array([True, True, False, True, False])
    assert rates(happened, decided) == (0.5, pytest.approx(2 / 3))


def slow_area(labels, chance):
    """The share of pairs in which the one it happened to has the larger chance, ties counting half."""
    yes = [c for label, c in zip(labels, chance, strict=True) if label == 1]
    no = [c for label, c in zip(labels, chance, strict=True) if label == 0]
    return sum((a > b) + (a == b) / 2 for a in yes for b in no) / (len(yes) * len(no))


@pytest.mark.parametrize("levels", [2, 5, 10**6])
def test_the_area_under_roc_counts_pairs(rng, levels):
    labels = np.array([0, 1] * 20)
    chance = rng.integers(0, levels, 40) / levels
    given = roc(labels, chance)
    assert given.area == pytest.approx(slow_area(labels, chance))
    assert (given.false_positive[0], given.true_positive[0]) == (0.0, 0.0)
    assert (given.false_positive[-1], given.true_positive[-1]) == (1.0, 1.0)
    assert len(given.true_positive) == len(set(chance)) + 1


def test_every_point_of_roc_is_the_rates_at_a_threshold(rng):
    labels, chance = np.array([0, 1] * 10), rng.integers(0, 6, 20) / 6
    given = roc(labels, chance)
    points = [rates(labels == 1, chance >= bar) for bar in sorted(set(chance), reverse=True)]
    drawn = np.column_stack([given.false_positive, given.true_positive])
    assert drawn[1:] == pytest.approx(np.array(points))


def test_calibration_by_hand():
    chance = np.array([0.9, 0.1, 0.2, 0.8])
    given = calibration(np.array([True, False, True, True]), chance, bins=2)
    assert given.stated == pytest.approx([0.15, 0.85])
    assert given.observed.tolist() == [0.5, 1.0]
    assert given.count.tolist() == [2, 2]
    assert (given.low[0], given.high[0]) == wilson(1, 2)


def test_calibration_uses_every_row_once(rng):
    chance = rng.uniform(size=137)
    given = calibration(rng.uniform(size=137) < chance, chance)
    assert given.count.sum() == 137
    assert given.count.max() - given.count.min() <= 1
    assert len(calibration(np.ones(3, bool), np.full(3, 0.5)).count) == 3


def test_robustness_by_hand():
    labels, clean = np.array([0, 1, 1, 0]), np.array([0, 1, 0, 0])
    attacked, noise = np.array([0, 0, 1, 1]), np.array([0, 1, 1, 1])
    given = robustness(labels, clean, attacked, noise)
    # the third row was wrong from the start and stays wrong, though the attack happens to mend it
    assert (given.rows, given.accuracy, given.attacked, given.noise) == (4, 0.75, 0.25, 0.5)
    assert given.attacked_interval == wilson(1, 4)


def test_a_fit_is_what_scikit_learn_makes_of_it():
    from sklearn.metrics import mean_absolute_error, r2_score

    rng = np.random.default_rng(0)
    truth = rng.normal(size=300)
    predicted = truth + rng.normal(0, 0.5, 300)
    found = fit(truth, predicted)
    assert found.r2 == pytest.approx(r2_score(truth, predicted))
    assert found.error == pytest.approx(mean_absolute_error(truth, predicted))
    assert found.usual == pytest.approx(mean_absolute_error(truth, np.full(300, np.median(truth))))
    assert found.error_interval[0] < found.error < found.error_interval[1]
    assert found.r2_interval[0] < found.r2 < found.r2_interval[1]
    assert fit(truth, predicted) == found, "the same draws every time"


def test_the_95_percent_interval_of_the_error_holds_the_truth():
    rng, hits = np.random.default_rng(1), 0
    for _ in range(200):
        low, high = fit(np.zeros(80), rng.normal(size=80), draws=200).error_interval
        hits += low <= np.sqrt(2 / np.pi) <= high
    assert 0.88 <= hits / 200 <= 0.99


def test_a_fit_to_numbers_that_are_all_alike_has_no_share():
    found = fit(np.ones(20), np.linspace(0, 1, 20))
    assert np.isnan(found.r2) and found.error == pytest.approx(0.5)


def test_tokens_are_ranked_by_the_size_of_their_effects_over_texts():
    rows = [np.array([1.0, 5, 6, 5]), np.array([1.0, 5, 7, 0]), np.array([1.0, 5, 6, 8]), np.array([1.0, 6, 8, 0])]
    values = [np.array([9.0, 0.5, -1, 0.5])] + [np.array([9.0, 1.0, -2, 9.0])] * 2 + [np.array([9.0, 3.0, 0.1, 9])]
    found = token_effects(rows, values, lambda row: row > 1)
    assert [(each.token, each.texts) for each in found] == [(6, 3), (5, 3)], "7 and 8 stand in too few texts"
    assert found[0].mean == pytest.approx(0.0) and found[0].size == pytest.approx(2.0)
    assert found[1].mean == pytest.approx(1.0), "twice in one text counts together"


# --- estimates, groups and attacks -----------------------------------------------------------------------------------


def slow_delong(labels: np.ndarray, chance: np.ndarray) -> tuple[float, float]:
    """The area and its variance by DeLong's formulas, pair by pair."""
    hits, others = chance[labels == 1], chance[labels == 0]
    above = np.array([[float(a > b) + (a == b) / 2 for b in others] for a in hits])
    of_hits, of_others = above.mean(axis=1), above.mean(axis=0)
    area = above.mean()
    spread = [sum((each - area) ** 2 for each in part) / (len(part) - 1) / len(part) for part in (of_hits, of_others)]
    return float(area), float(sum(spread))


@pytest.mark.parametrize("decimals", [1, 8])
def test_the_area_and_its_interval_are_delongs(rng, decimals) -> None:
    labels = (rng.random(120) < 0.3).astype(int)
    chance = (1 / (1 + np.exp(-(labels + rng.normal(size=120))))).round(decimals)
    expected, variance = slow_delong(labels, chance)
    found = measures.area(labels, chance)
    assert found.value == pytest.approx(expected) == pytest.approx(measures.roc(labels, chance).area)
    middle, reach = np.log(expected / (1 - expected)), 1.959964 * np.sqrt(variance) / (expected * (1 - expected))
    ends = 1 / (1 + np.exp(-(middle + np.array([-reach, reach]))))
    np.testing.assert_allclose([found.low, found.high], ends)


def test_the_areas_interval_is_that_of_a_bootstrap(rng) -> None:
    labels = (rng.random(400) < 0.4).astype(int)
    chance = labels + rng.normal(size=400)
    found = measures.area(labels, chance)
    drawn = rng.integers(400, size=(500, 400))
    low, high = np.percentile([slow_delong(labels[each], chance[each])[0] for each in drawn], [2.5, 97.5])
    assert (found.low, found.high) == pytest.approx((low, high), abs=0.012)


def test_an_area_of_few_rows_says_how_little_is_known() -> None:
    sure = measures.area(np.array([0] * 50 + [1] * 30), np.arange(80.0))
    assert (sure.value, sure.low, sure.high) == (1.0, pytest.approx(0.9), 1.0)
    assert measures.area(np.array([0, 1]), np.array([0.9, 0.1])) == measures.Estimate(0.0, 0.0, 1.0)
    assert measures.area(np.array([0, 1, 0]), np.array([1.0, 2.0, 3.0])) == measures.Estimate(0.5, 0.0, 1.0)
    assert np.isnan(measures.area(np.zeros(4), np.arange(4.0)).value)


def test_groups_of_a_category_beside_all_others() -> None:
    values = np.array([0.0] * 70 + [1.0] * 80)
    rate = np.arange(150) < 56
    rate[70:118] = True
    wrong, known = np.zeros(150, dtype=bool), np.arange(150) < 70
    first, second = measures.groups(values, True, rate, wrong, known)
    assert (first.rows, second.rows) == (70, 80) and first.inside.sum() == 70
    # Newcombe 1998, table II, column (a): 56 of 70 less 48 of 80, method 10
    gap = first.rate_gap
    assert (gap.value, gap.low, gap.high) == pytest.approx((0.2, 0.0524, 0.3339), abs=1e-4)
    assert second.rate_gap == measures.Estimate(-gap.value, pytest.approx(-gap.high), pytest.approx(-gap.low))
    assert (first.wrong.value, first.wrong_gap, second.wrong) == (0.0, None, None)


def test_groups_of_numbers_are_quarters_with_ties_together_and_the_missing_apart(rng) -> None:
    values = np.concatenate([np.arange(1.0, 101), [np.nan] * 7])
    always = np.ones(107, dtype=bool)
    found = measures.groups(values, False, always, ~always, always)
    assert [(each.lower, each.upper, each.rows) for each in found[:4]] == [
        (1, 25, 25), (26, 50, 25), (51, 75, 25), (76, 100, 25)
    ]  # fmt: skip
    assert np.isnan(found[4].lower) and found[4].rows == 7
    mostly = np.where(rng.random(200) < 0.7, 0.0, rng.integers(1, 4, 200))
    told = measures.groups(mostly, False, mostly > 1, mostly > 1, mostly >= 0)
    assert told[0].upper == 0 and sum(each.rows for each in told) == 200
    assert len(measures.groups(np.zeros(5), False, always[:5], always[:5], always[:5])) == 1


def test_groups_of_predicted_numbers_compare_means(rng) -> None:
    values, predicted = np.repeat([0.0, 1.0], 200), rng.normal(size=400)
    predicted[200:] += 1
    one, other = measures.groups(values, True, predicted, np.abs(predicted), np.ones(400, dtype=bool))
    assert one.rate.low < predicted[:200].mean() < one.rate.high
    error = np.sqrt(sum(part.var(ddof=1) / 200 for part in (predicted[:200], predicted[200:])))
    assert other.rate_gap.high - other.rate_gap.value == pytest.approx(1.959964 * error)
    assert other.rate_gap.low > 0 > one.rate_gap.high


def attacked(turned: int, noisy: int = 0, size: float = 0.1, name: str = "pgd") -> Attacked:
    """Ten rows, of which the attack turns the first ones and the noise as many of its own."""
    rows, outputs = np.zeros((10, 1)), np.zeros((10, 2))
    query = Query("a" * 64, rows, tuple(map(str, range(10))), Target(0, "logit"))
    after, noise = ((np.arange(10) < count).astype(int) for count in (turned, noisy))
    return Attacked(
        query, MethodId(name, "1"), "linf", size, rows, rows, np.zeros(10), np.zeros(10), outputs, outputs, outputs,
        np.zeros(10), after, noise, 1,
    )  # fmt: skip


def test_checks_of_an_attack() -> None:
    growing = [attacked(2, size=0.05), attacked(5, 1), attacked(9, 2, 0.2)]
    weaker = attacked(4, name="fgsm")
    fine = measures.attack_checks(growing, [weaker], attacked(10, size=1.0))
    assert fine == measures.AttackChecks(True, (), True, 0)
    stuck = measures.attack_checks([*growing[:2], attacked(4, 5, 0.2)], [attacked(6, name="random_search")], growing[2])
    assert stuck == measures.AttackChecks(False, ("random_search",), False, 1)
    assert measures.attack_checks(growing[:1], [], None) == measures.AttackChecks(None, None, True, None)


def test_rank_correlations_are_those_of_scipy(rng):
    from scipy.stats import spearmanr

    rows = rng.normal(size=(60, 4)).round(1)
    rows[:, 3] = rows[:, 0] ** 3
    np.testing.assert_allclose(measures.rank_correlations(rows), spearmanr(rows).statistic, atol=1e-12)


def test_a_constant_column_goes_with_none_and_a_missing_value_is_the_middle():
    rows = np.array([[1.0, 5.0, 1.0], [2.0, 5.0, np.nan], [3.0, 5.0, 3.0]])
    found = measures.rank_correlations(rows)
    assert found[0, 1] == found[1, 1] == 0
    assert found[0, 2] == pytest.approx(1.0)
