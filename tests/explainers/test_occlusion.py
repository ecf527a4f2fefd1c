"""Occlusion against the plain loops it stands for."""

import numpy as np
import pytest

from core.errors import UserFacingError
from explainers import explainer
from tests import oracles
from tests.explainers.cases import BlackBox, Case, case, spec, tangled, with_reference


def slow_table(function, rows, reference):
    """The score of each row less its mean score with one feature from each reference row."""
    values = np.zeros(rows.shape)
    for r, row in enumerate(rows):
        for i in range(rows.shape[1]):
            changed = np.repeat(row[None], len(reference), axis=0)
            changed[:, i] = reference[:, i]
            values[r, i] = function(row[None])[0] - sum(function(changed)) / len(reference)
    return values


def slow_image(function, image, reference, window):
    """For each pixel the mean, over the windows that cover it, of the score that the window loses."""
    height, width, _ = image.shape
    total, covers = np.zeros(image.shape), np.zeros(image.shape)
    for top in range(height - window + 1):
        for left in range(width - window + 1):
            patch = slice(top, top + window), slice(left, left + window)
            lost = 0.0
            for other in reference:
                changed = image.copy()
                changed[patch] = other[patch]
                lost += (function(image[None])[0] - function(changed[None])[0]) / len(reference)
            total[patch] += lost
            covers[patch] += 1
    return total / covers


def test_a_linear_model_is_exact():
    asked = case("linear")
    weights = asked.model.coefficients()[0][0]
    found = explainer("occlusion").explain(asked.model, asked.query())
    np.testing.assert_allclose(found.values, oracles.linear_shap(weights, asked.rows, asked.reference), rtol=1e-6)


def test_a_black_box_loses_one_feature_at_a_time():
    asked = case("black_box")
    found = explainer("occlusion").explain(asked.model, asked.query())
    np.testing.assert_allclose(found.values, slow_table(tangled, asked.rows, asked.reference), rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("scale", ["margin", "probability"])
def test_trees_lose_one_feature_at_a_time(scale):
    asked = case("trees")

    def score(rows):
        margins = asked.model.predict(rows)[:, 0]
        return margins if scale == "margin" else 1 / (1 + np.exp(-margins))

    found = explainer("occlusion").explain(asked.model, asked.query(scale=scale))
    np.testing.assert_allclose(found.values, slow_table(score, asked.rows, asked.reference), atol=1e-5)


@pytest.mark.parametrize("window", [1, 2, 3, 4])
@pytest.mark.parametrize("channels", [1, 3])
def test_images_lose_a_sliding_window(rng, window, channels):
    images = rng.random((5, 4, 5, channels))
    weights = rng.normal(size=images.shape[1:])

    def function(rows):
        return np.tanh((rows * weights).sum(axis=(1, 2, 3)))

    model = BlackBox(function, spec("value", shape=images.shape[1:]))
    asked = Case("images", model, images[:1], images[1:])
    found = explainer("occlusion", window=window).explain(model, asked.query())
    np.testing.assert_allclose(found.values[0], slow_image(function, images[0], images[1:], window), rtol=1e-5)


def test_a_window_larger_than_the_image_is_refused():
    asked = case("image_network")
    with pytest.raises(UserFacingError, match="Choose from 1 to 4"):
        explainer("occlusion", window=5).explain(asked.model, asked.query())


def test_categories_and_missing_values_reach_the_model_whole():
    def strict(rows):
        assert np.isin(rows[~np.isnan(rows)], (0.0, 1.0, 2.0)).all()
        return np.nansum(rows, axis=1) + 3.0 * np.isnan(rows[:, 0])

    rows, reference = np.array([[np.nan, 2.0, 1.0]]), np.array([[0.0, np.nan, 1.0], [2.0, 1.0, np.nan]])
    model = BlackBox(strict, spec("value", shape=(3,)))
    asked = Case("gaps", model, rows, reference)
    found = explainer("occlusion").explain(model, asked.query())
    np.testing.assert_allclose(found.values, slow_table(strict, rows, reference), rtol=1e-6)


def test_the_model_is_asked_in_few_calls():
    sizes = []

    def counting(rows):
        sizes.append(len(rows))
        return tangled(rows)

    rows = np.random.default_rng(0).normal(size=(101, 30))
    model = BlackBox(counting, spec("value", shape=(30,)))
    asked = Case("wide", model, rows[:1], rows[1:])
    explainer("occlusion").explain(model, asked.query())
    assert len(sizes) == 4, "the row itself, all features at once, and the check's two"


def test_it_promises_no_sum_and_shows_what_is_left():
    asked = case("black_box")
    found = explainer("occlusion").explain(asked.model, asked.query())
    assert found.complete is None and np.abs(found.residual).max() > 0


def test_the_reference_itself_loses_nothing():
    asked = case("black_box")
    query = with_reference(asked.query(rows=asked.rows[:1]), asked.rows[:1])
    np.testing.assert_array_equal(explainer("occlusion").explain(asked.model, query).values, 0.0)


def test_the_window_grows_with_the_picture_unless_it_is_chosen(rng):
    images = rng.random((3, 32, 32, 1))
    sent = []

    def counting(rows):
        sent.append(len(rows))
        return rows[:, 4:8, 8:12].mean(axis=(1, 2, 3))

    model = BlackBox(counting, spec("value", shape=images.shape[1:]))
    asked = Case("large", model, images[:1], images[1:])
    found = explainer("occlusion").explain(model, asked.query())
    assert sum(sent) < 2 * (15 * 15) + 10, "windows of 4, moved by 2"
    outside = found.values[0].copy()
    outside[2:10, 6:14] = 0
    np.testing.assert_allclose(outside, 0.0, atol=1e-9)
    small = BlackBox(lambda rows: rows.mean(axis=(1, 2, 3)), spec("value", shape=(1, 5, 1)))
    tiny = Case("tiny", small, images[:1, :1, :5], images[1:, :1, :5])
    assert np.isfinite(explainer("occlusion").explain(small, tiny.query()).values).all()


def test_what_is_the_same_on_both_sides_loses_exactly_nothing(rng):
    rows, reference = rng.normal(size=(1, 6)), rng.normal(size=(4, 6))
    reference[:, 2] = rows[0, 2]
    noisy = iter(range(1000))
    model = BlackBox(lambda x: tangled(x) + 1e-9 * next(noisy), spec("value", shape=(6,)))
    found = explainer("occlusion").explain(model, Case("same", model, rows, reference).query())
    assert found.values[0, 2] == 0
