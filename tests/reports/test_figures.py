"""Shapes on paper: one scale side by side, nothing hidden, readable without colour."""

from dataclasses import replace

import numpy as np

from core.nouns import Feature, ModelSpec, Pixels, Target
from reports import figures
from tests.reports.conftest import TEXT_EFFECTS, TEXT_ROW

MARGIN = Target(1, "margin")
ROW = np.array([31_000.0, 61.0, 3.0, np.nan, 1.0, 0.0])
EFFECTS = np.array([-0.4, 0.8, 0.2, 0.0, 0.0, 0.0])


def test_columns_that_compare_share_one_scale(loans) -> None:
    first = loans.attribution(ROW, EFFECTS, MARGIN)
    second = loans.attribution(ROW, EFFECTS / 2, MARGIN)
    drawn = figures.bar_rows([("a", first), ("b", second)], loans.model.spec)
    zeros = [column["zero"] for column in drawn["columns"]]
    assert np.allclose(zeros, 0.4 / 1.2)
    widths = [column["bars"][0]["to"] - column["bars"][0]["from"] for column in drawn["columns"]]
    assert np.isclose(widths[0], 2 * widths[1])
    assert drawn["columns"][0]["bars"][0]["text"] == "+0.80"


def test_a_method_that_compares_with_nothing_has_its_own_scale(loans) -> None:
    first = loans.attribution(ROW, EFFECTS, MARGIN)
    saliency = loans.attribution(
        ROW, 1000 * np.abs(EFFECTS), MARGIN, base=float("nan"), tolerance=None, output=np.array([0.0])
    )
    drawn = figures.bar_rows([("a", first), ("b", saliency)], loans.model.spec)
    assert np.isclose(drawn["columns"][0]["bars"][0]["to"], 1.0)
    assert drawn["columns"][1]["zero"] == 0.0


def test_a_factor_that_grows_under_attack_is_not_hidden_among_the_others(loans) -> None:
    before = loans.attribution(ROW, EFFECTS, MARGIN)
    after = loans.attribution(ROW, EFFECTS + np.array([0, 0, 0, 0, 0, 3.0]), MARGIN)
    drawn = figures.bar_rows([("a", before), ("b", after)], loans.model.spec, most=2)
    assert [label[0] for label in drawn["labels"]] == ["Debt ratio", "Guarantor", "3 others"]
    assert drawn["columns"][1]["bars"][1]["text"] == "+3.00"
    for column, attribution in zip(drawn["columns"], (before, after), strict=True):
        total = sum(float(bar["text"].replace("−", "-")) for bar in column["bars"])
        assert np.isclose(total, attribution.values.sum())


def test_what_is_within_its_error_is_drawn_as_unsure_with_its_interval(loans) -> None:
    attribution = loans.attribution(ROW, EFFECTS, MARGIN, error=np.full((1, 6), 0.15))
    bars = figures.bar_rows([("a", attribution)], loans.model.spec)["columns"][0]["bars"]
    assert [bar["kind"] for bar in bars[:3]] == ["raises", "lowers", "unsure"]
    assert all(0 <= bar["interval"][0] < bar["interval"][1] <= 1 for bar in bars)


def test_strip_places_case_cutoff_and_population() -> None:
    strip = figures.strip(0.71, np.array([0.1, 0.1, 0.9]), 0.6, 0.0, 1.0)
    assert strip["own"] == 0.71 and strip["cutoff"] == 0.6
    assert max(strip["heights"]) == 1.0 and np.isclose(sum(strip["heights"]), 1.5)


def test_pictures_keep_their_lightness_and_effects_their_sign(scans) -> None:
    spec = scans.model.spec
    row = np.zeros((8, 8, 1))
    row[0, 0] = 16
    picture = figures.picture(row, spec)
    assert picture.shape == (8, 8, 3) and picture[0, 0].max() == 0 and picture[7, 7].min() == 255
    effects = np.zeros((8, 8))
    effects[1, 1], effects[2, 2], effects[3, 3] = 1.0, -1.0, 0.1
    red, _, blue = figures.overlay(row, effects, 1.0, spec)[1, 1].astype(int)
    assert red > blue
    red, _, blue = figures.overlay(row, effects, 1.0, spec)[2, 2].astype(int)
    assert blue > red
    assert [(mark["x"], mark["up"]) for mark in figures.marks(effects, 1.0)] == [(1.5 / 8, True), (2.5 / 8, False)]
    assert figures.marks(np.zeros((8, 8)), 0.0) == []


def test_colour_pictures_stay_as_they_are() -> None:
    pixels = tuple(Feature(f"p{i}", "pixel", upper=255) for i in range(12))
    spec = ModelSpec("image", (2, 2, 3), pixels, ("a", "b"), "logit", "d" * 64)
    row = np.arange(12.0).reshape(2, 2, 3) * 20
    assert (figures.picture(row, spec) == row).all()
    wide = replace(spec, shape=(32, 32, 3))
    assert figures.marks(np.ones(wide.shape[:2]), 1.0) == []


def test_difference_is_white_where_nothing_changed() -> None:
    before = np.zeros((2, 2, 1))
    after = before.copy()
    after[0, 0] = -2.0
    drawn = figures.difference(before, after, 2.0)
    assert (drawn[1, 1] == 255).all() and (drawn[0, 0] < 255).any()


def test_pictures_show_colours_ink_and_light() -> None:
    row = np.zeros((2, 2, 3))
    row[0, 1] = [255.0, 128.0, 0.0]
    colour = ModelSpec("image", (2, 2, 3), Pixels((2, 2, 3), 0.0, 255.0), ("a", "b"), "logit", "e" * 64)
    assert figures.picture(row, colour)[0].tolist() == [[0, 0, 0], [255, 128, 0]]
    ink = replace(colour, shape=(2, 2, 1), features=Pixels((2, 2, 1), 0.0, 255.0))
    assert figures.picture(row[..., :1], ink)[0].tolist() == [[255] * 3, [0] * 3]
    assert figures.picture(row[..., :1], replace(ink, inked=False))[0].tolist() == [[0] * 3, [255] * 3]


def test_words_are_shaded_by_their_share_and_the_strong_ones_marked(reviews) -> None:
    found = reviews.attribution(TEXT_ROW, TEXT_EFFECTS, Target(1, "logit"))
    shown = figures.shaded_words(found, 0.9, reviews.model.spec)
    assert "".join((" " if word["space"] else "") + word["text"] for word in shown) == " the films the dull."
    dull = shown[4]
    assert (dull["share"], dull["up"], dull["marked"]) == (1.0, False, True)
    assert (shown[1]["up"], shown[1]["marked"]) == (True, False)


def test_a_chart_places_by_shares_and_labels_where_there_is_room() -> None:
    axis = figures.Axis("x", 10.0, 20.0, ((10.0, "ten"), (20.0, "twenty")))
    chart = figures.Chart("t", "alt", axis, figures.Axis.shares("y")).line([10, 15, 20], [0, 0.5, 1])
    drawn = chart.dot(15, 0.5, (0.25, 0.75)).label(19, 0.5, "right").label(11, 0.5, "left").drawn
    assert drawn["lines"][0]["points"] == [[0.0, 0.0], [0.5, 0.5], [1.0, 1.0]]
    assert drawn["dots"][0]["interval"] == [0.25, 0.75] and drawn["across"]["ticks"] == [[0.0, "ten"], [1.0, "twenty"]]
    assert [label["end"] for label in drawn["labels"]] == [True, False]


def test_a_line_of_very_many_points_keeps_its_ends() -> None:
    xs = np.linspace(0, 1, 10_001)
    chart = figures.Chart("", "", figures.Axis.shares(""), figures.Axis.shares("")).line(xs, xs)
    points = chart.drawn["lines"][0]["points"]
    assert len(points) < 300 and points[0] == [0.0, 0.0] and points[-1] == [1.0, 1.0]


def test_shares_are_points_and_nothing_is_nothing() -> None:
    (column,) = figures.share_rows([("of all", [(0.5, (0.25, 0.75)), None])])
    assert column["bars"][0]["to"] == 0.5 and column["bars"][0]["interval"] == [0.25, 0.75]
    assert column["bars"][1]["kind"] == "none" and column["bars"][1]["text"] == "none"


def test_a_large_picture_is_drawn_by_means() -> None:
    pixels = np.zeros((300, 200, 3), np.uint8)
    pixels[:3, :3] = 90
    drawn = figures.panel("t", pixels, "alt")
    assert (drawn["step"], drawn["height"], drawn["width"]) == (3, 100, 66) and drawn["pixels"][:4] == [90, 90, 90, 0]
    assert len(drawn["pixels"]) == 100 * 66 * 3 and figures.panel("t", pixels[:8, :8], "alt")["step"] == 1


def test_an_axis_of_one_value_has_one_tick() -> None:
    assert len(figures.Axis.around("", np.array([2.0, 2.0])).ticks) == 1
