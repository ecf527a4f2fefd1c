"""Permutation SHAP against brute force, and its errors against what they claim."""

from dataclasses import replace

import numpy as np
import pytest

from core.errors import UserFacingError
from explainers import explainer
from tests import oracles
from tests.explainers.cases import SIZE, BlackBox, LinearModel, case, network, spec, tangled, with_reference


def black_box(function, shape=(SIZE,)):
    return BlackBox(function, spec("value", shape=shape))


def question(rows, reference, seed=0):
    return with_reference(case("black_box").query(rows=rows, seed=seed), reference)


def test_a_linear_model_is_exact_and_says_so(rng):
    weights = rng.normal(size=SIZE)
    model = LinearModel(weights[None], np.zeros(1), spec("value", ("linear",)))
    rows, reference = rng.normal(size=(4, SIZE)), rng.normal(size=(9, SIZE))
    found = explainer("permutation_shap").explain(model, question(rows, reference))
    np.testing.assert_allclose(found.values, oracles.linear_shap(weights, rows, reference), atol=1e-12)
    np.testing.assert_allclose(found.error, 0.0, atol=1e-12)


def test_interactions_of_two_features_are_exact(rng):
    """An order and its reverse together share any interaction of two equally."""
    rows, reference = rng.normal(size=(2, SIZE)), rng.normal(size=(5, SIZE))
    model = black_box(lambda x: x[:, 0] * x[:, 1] - np.maximum(x[:, 2], x[:, 3]))
    found = explainer("permutation_shap").explain(model, question(rows, reference))
    np.testing.assert_allclose(found.values, oracles.brute_force_shapley(model._function, rows, reference), atol=1e-12)


@pytest.mark.parametrize("scale", ["margin", "probability"])
def test_a_network_agrees_with_brute_force_within_its_error(scale):
    asked = case("network")

    def score(rows):
        margins = asked.model.predict(rows)[:, 0]
        return margins if scale == "margin" else 1 / (1 + np.exp(-margins))

    found = explainer("permutation_shap", pairs=3000).explain(asked.model, asked.query(scale=scale))
    truth = oracles.brute_force_shapley(score, asked.rows, asked.reference)
    assert (np.abs(found.values - truth) <= 4 * found.error + 1e-6).all()
    assert found.error.max() < 0.02 * np.abs(truth).max()


@pytest.mark.parametrize(("size", "pairs"), [(1, 64), (12, 64), (22, 64), (40, 64), (60, 300)])
def test_the_95_percent_interval_holds_the_truth(rng, size, pairs):
    model = black_box(tangled)
    scaled = []
    for seed in range(200):
        row, reference = rng.normal(size=(1, SIZE)), rng.normal(size=(size, SIZE))
        found = explainer("permutation_shap", pairs=pairs).explain(model, question(row, reference, seed))
        truth = oracles.brute_force_shapley(tangled, row, reference)
        scaled.append(((found.values - truth) / np.maximum(found.error, 1e-12))[0, :-1])
    assert np.mean(np.abs(scaled) <= 1.96) >= 0.90
    assert 0.5 < np.median(np.abs(scaled)) < 0.85, "about 0.67: the errors are not too large either"


def test_the_error_falls_as_the_root_of_the_pairs():
    asked = case("black_box")
    few, many = (
        explainer("permutation_shap", pairs=pairs).explain(asked.model, asked.query()).error[:, :-1]
        for pairs in (120, 12_000)
    )
    assert np.mean(few / many) == pytest.approx(10.0, rel=0.25)


def test_every_sum_is_exact_whatever_was_sampled(rng):
    model = black_box(tangled)
    found = explainer("permutation_shap", pairs=64).explain(
        model, question(rng.normal(size=(5, SIZE)), rng.normal(size=(7, SIZE)))
    )
    np.testing.assert_allclose(found.residual, 0.0, atol=1e-12)


def test_pairs_are_rounded_up_to_whole_rounds_of_the_reference(rng):
    model, rows = black_box(tangled), rng.normal(size=(1, SIZE))
    for size, pairs, used in ((1, 64, 64), (7, 64, 70), (50, 64, 150)):
        asked = question(rows, rng.normal(size=(size, SIZE)))
        assert explainer("permutation_shap", pairs=pairs).explain(model, asked).facts["pairs"] == used


def test_the_ledger_counts_the_rows_sent_to_the_model(rng):
    sent = []

    def counting(rows):
        sent.append(len(rows))
        return tangled(rows)

    asked = question(rng.normal(size=(2, SIZE)), rng.normal(size=(30, SIZE)))
    found = explainer("permutation_shap").explain(black_box(counting), asked)
    assert found.facts["model_rows"] == sum(sent) - 2 - 30, "all but the check's own"
    assert max(sent) <= 4096


def test_another_seed_draws_other_orders():
    asked = case("black_box")
    first, second = (explainer("permutation_shap").explain(asked.model, asked.query(seed=seed)) for seed in (1, 2))
    assert (first.values[:, :-1] != second.values[:, :-1]).any()


def test_a_single_feature_gets_everything():
    model = black_box(lambda x: x[:, 0] ** 2, shape=(1,))
    found = explainer("permutation_shap").explain(model, question(np.array([[3.0]]), np.array([[1.0], [2.0]])))
    np.testing.assert_allclose(found.values, [[9.0 - 2.5]])


def test_categories_and_missing_values_reach_the_model_whole():
    """No value is ever mixed: each one the model sees stands in the row or in a reference row."""

    def strict(rows):
        assert np.isin(rows[~np.isnan(rows)], (0.0, 1.0, 2.0)).all()
        return np.nansum(rows, axis=1) + 3.0 * np.isnan(rows[:, 0])

    rows, reference = np.array([[np.nan, 2.0, 1.0]]), np.array([[0.0, np.nan, 1.0], [2.0, 1.0, np.nan]])
    model = black_box(strict, shape=(3,))
    found = explainer("permutation_shap").explain(model, question(rows, reference))
    np.testing.assert_allclose(found.values, oracles.brute_force_shapley(strict, rows, reference), atol=1e-12)


def test_a_planted_patch_takes_the_mass():
    images = np.random.default_rng(3).random((7, 6, 6, 1))
    model = black_box(lambda x: np.tanh(x[:, 1:3, 1:3].sum(axis=(1, 2, 3)) - 2.0), shape=(6, 6, 1))
    found = explainer("permutation_shap").explain(model, question(images[:1], images[1:]))
    mass = np.abs(found.values[0, ..., 0])
    assert mass[1:3, 1:3].sum() >= 0.95 * mass.sum()


def test_too_few_pairs_are_refused():
    with pytest.raises(UserFacingError, match="at least 64|from 64"):
        explainer("permutation_shap", pairs=10)


def test_the_negative_class_has_the_negative_values():
    model = network()
    asked = case("network")
    no, yes = (explainer("permutation_shap").explain(model, asked.query(output=output)) for output in (0, 1))
    np.testing.assert_allclose(no.values, -yes.values, atol=1e-12)


def test_the_same_row_at_both_ends_gets_nothing():
    asked = case("black_box")
    query = with_reference(replace(asked.query(), rows=asked.rows[:1]), asked.rows[:1])
    np.testing.assert_array_equal(explainer("permutation_shap").explain(asked.model, query).values, 0.0)


def test_what_is_the_same_on_both_sides_gets_nothing_and_costs_nothing(rng):
    rows, reference = rng.normal(size=(1, SIZE)), rng.normal(size=(6, SIZE))
    reference[:, [0, 3]] = rows[0, [0, 3]]
    reference[:, 1] = rows[0, 1] = np.nan
    sent = []

    def counting(x):
        sent.append(len(x))
        return tangled(np.nan_to_num(x))

    found = explainer("permutation_shap", pairs=6000).explain(black_box(counting), question(rows, reference))
    assert (found.values[0, [0, 1, 3]] == 0).all() and (found.error[0, [0, 1, 3]] == 0).all()
    truth = oracles.brute_force_shapley(lambda x: tangled(np.nan_to_num(x)), rows, reference)
    assert (np.abs(found.values - truth) <= 4 * found.error + 1e-6).all()
    assert sum(sent) < 2 * 6000 * (SIZE - 3), "one turn less than what moves, there and back"


def test_the_pixels_of_a_large_picture_take_their_turns_in_squares(rng):
    shape = (20, 30, 3)
    images = rng.random((4, *shape))

    def function(x):
        return np.tanh(x[:, :4, :4].mean(axis=(1, 2, 3)) - x[:, 8:12, 20:24].mean(axis=(1, 2, 3)))

    model = black_box(function, shape=shape)
    found = explainer("permutation_shap", pairs=64).explain(model, question(images[:1], images[1:]))
    np.testing.assert_allclose(found.residual, 0.0, atol=1e-9)
    assert (found.values[0, :4, :4] == found.values[0, 0, 0, 0]).all(), "squares of 4: 5 x 8 of them"
    mass = np.abs(found.values[0])
    assert mass[:4, :4].sum() + mass[8:12, 20:24].sum() == pytest.approx(mass.sum())
    finer = explainer("permutation_shap", pairs=64, square=2).explain(model, question(images[:1], images[1:]))
    assert finer.values[0, 0, 0, 0] != finer.values[0, 2, 2, 0]


def test_squares_are_what_brute_force_makes_of_them(rng):
    shape = (4, 4, 1)
    images = rng.random((5, *shape))
    weights = rng.normal(size=16)

    def function(x):
        return np.tanh(x.reshape(len(x), 16) @ weights) + x[:, 0, 0, 0] * x[:, 3, 3, 0]

    def with_squares(taken, other):
        picked = np.kron(taken.reshape(-1, 2, 2), np.ones((1, 2, 2)))[..., None]
        return function(np.where(picked == 1, images[0], other))

    ends = np.ones((1, 4)), np.zeros((1, 4))
    each = [oracles.brute_force_shapley(lambda taken, by=by: with_squares(taken, by), *ends)[0] for by in images[1:]]
    truth = np.mean(each, axis=0)
    found = explainer("permutation_shap", pairs=4000, square=2).explain(
        black_box(function, shape=shape), question(images[:1], images[1:])
    )
    sums = found.values[0, ..., 0].reshape(2, 2, 2, 2).sum(axis=(1, 3)).ravel()
    errors = found.error[0, ..., 0].reshape(2, 2, 2, 2).sum(axis=(1, 3)).ravel()
    assert (np.abs(sums - truth) <= 4 * errors + 1e-6).all()
