"""Charts: nothing overlaps or runs off where there is much to show, and one scale for what stands side by side."""

import numpy as np

from core import measures
from core.measures import TokenEffect
from core.nouns import Feature, MethodId, ModelSpec, Pixels, Query, Reference, Target, Vocabulary
from core.results import Attribution
from reports.palette import LIGHT
from ui import charts


def attribution(spec: ModelSpec, values: np.ndarray, scale: str = "value") -> Attribution:
    rows = np.zeros((1, *spec.shape))
    query = Query(spec.digest, rows, ("0",), Target(0, scale), Reference(rows, ("r",)))
    output = np.array([values.sum()])
    return Attribution(query, MethodId("occlusion", "1"), values[None], np.zeros(1), output)


def test_two_features_whose_short_names_are_alike_keep_their_own_bars() -> None:
    names = [f"the number {i} of a very long row of sensors in the hall" for i in range(3)]
    spec = ModelSpec("table", (3,), tuple(Feature(name) for name in names), (), "value", "a" * 64)
    figure = charts.attribution_bars(attribution(spec, np.array([3.0, 2.0, 1.0])), spec, LIGHT, 3.0)
    assert list(figure.data[0].y) == [0, 1, 2]
    assert len(set(figure.layout.yaxis.ticktext)) == 3


def test_a_long_name_keeps_both_ends() -> None:
    short = charts.literal("measurement 886 of the long array of sensors in hall north 1.29")
    assert len(short) <= 44 and short.startswith("measurement 886") and short.endswith("1.29")
    assert charts.literal("<b>&", 44) == "&lt;b&gt;&amp;"


def test_of_many_classes_the_likeliest_are_drawn() -> None:
    chances = np.full(40, 0.01)
    chances[[7, 30]] = 0.3
    figure = charts.class_bars(chances, [f"class {i}" for i in range(40)], 7, LIGHT)
    assert len(figure.data[0].x) == charts.MANY_CLASSES
    assert {"class 7", "class 30"} <= set(figure.data[0].customdata)
    assert "28" in figure.layout.xaxis.title.text


def test_of_many_classes_the_counts_are_left_to_the_hover() -> None:
    counts = np.arange(900).reshape(30, 30)
    figure = charts.confusion_table(counts, [f"class {i}" for i in range(30)], LIGHT)
    assert not figure.layout.annotations
    assert tuple(figure.data[0].customdata[2][5]) == ("class 2", "class 5", 65)
    assert charts.confusion_alt(counts, [f"class {i}" for i in range(30)]).count("truly") == charts.MANY_CLASSES
    few = charts.confusion_table(counts[:3, :3], ["a", "b", "c"], LIGHT)
    assert len(few.layout.annotations) == 9


def test_the_scale_of_a_colour_picture_is_that_of_whole_pixels() -> None:
    spec = ModelSpec("image", (2, 2, 3), Pixels((2, 2, 3), 0.0, 255.0), ("a", "b"), "logit", "a" * 64)
    found = attribution(spec, np.full((2, 2, 3), 0.5), "logit")
    assert charts.bar_limit(found) == 1.5
    seen = charts.picture(np.full((2, 2, 3), [255.0, 0.0, 51.0]), spec, LIGHT).data[0].z
    assert seen[0][0].tolist() == [255, 0, 51]


def test_a_predicted_number_stands_on_its_own_scale() -> None:
    outcome = Feature("price", unit="EUR", decimals=0)
    spec = ModelSpec("table", (1,), (Feature("a"),), (), "value", "a" * 64, outcome=outcome)
    figure = charts.value_strip(np.array([1e5, 2e5]), 3e5, spec, LIGHT, "house")
    low, high = figure.layout.xaxis.range
    assert low < 1e5 and high > 3e5
    assert figure.layout.annotations[0].text == "this house 300,000 EUR"
    flat = charts.value_strip(np.full(3, 7.0), 7.0, spec, LIGHT, "house").layout.xaxis.range
    assert flat[0] < flat[1]


def test_very_many_rows_are_drawn_as_a_sample() -> None:
    spec = ModelSpec("table", (1,), (Feature("a"),), (), "value", "a" * 64)
    truth = np.arange(5000.0)
    figure = charts.fitted(truth, truth + 1, spec, LIGHT)
    assert len(figure.data[1].x) == charts.MOST_POINTS
    assert set(figure.data[1].y - figure.data[1].x) == {1.0}
    missed = charts.residuals(truth, truth + 1, spec, LIGHT).data[0]
    assert set(missed.y) == {1.0}
    assert "off by 1.00" in charts.fit_alt(truth, truth + 1, spec, measures.fit(truth, truth + 1))


def test_words_are_named_with_the_texts_that_hold_them() -> None:
    known = Vocabulary(((5, " <dull>"),), mask=3, pad=0, special=(0,))
    spec = ModelSpec("text", (1,), (Feature("t", "token"),), ("a", "b"), "logit", "a" * 64, vocabulary=known)
    figure = charts.token_bars([TokenEffect(5, -0.5, 0.6, 9)], spec, LIGHT, "logits")
    assert figure.layout.yaxis.ticktext == ("“&lt;dull&gt;”, 9 texts",)
    assert figure.data[0].marker.color == (LIGHT.lowers,)
