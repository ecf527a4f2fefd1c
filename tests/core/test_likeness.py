"""How unlike the data a row or a reference is, held to a slow count of the same."""

from dataclasses import replace

import numpy as np
import pytest

from core.likeness import NEIGHBOURS, SAMPLE, SAMPLE_SEED, drift, gower, squares, units, unlike
from core.nouns import Dataset, Feature, ModelSpec, Pixels, Reference, Vocabulary
from engine.subjects import load_subject

FEATURES = (
    Feature("size", lower=-10, upper=10),
    Feature("count", "integer", lower=0, upper=30),
    Feature("kind", "category", categories=("a", "b", "c", "d"), upper=3),
    Feature("flag", "boolean"),
)
SPEC = ModelSpec("table", (4,), FEATURES, ("no", "yes"), "margin", "a" * 64)


def data(rows: np.ndarray, labels: np.ndarray | None = None) -> Dataset:
    ids = tuple(f"r{place}" for place in range(len(rows)))
    return Dataset(rows, ids, np.full(len(rows), -1) if labels is None else labels, np.ones(len(rows)))


@pytest.fixture
def table(rng: np.random.Generator) -> Dataset:
    rows = np.column_stack([rng.normal(size=300), rng.poisson(4, 300), rng.integers(0, 3, 300), rng.random(300) < 0.2])
    rows[rng.random(300) < 0.1, 0] = np.nan
    return data(rows)


def slow_distance(one: np.ndarray, other: np.ndarray, ranges: list[float]) -> float:
    """Gower's mean, feature by feature."""
    parts = []
    for place, (a, b) in enumerate(zip(one, other, strict=True)):
        if np.isnan(a) or np.isnan(b):
            parts.append(float(np.isnan(a) != np.isnan(b)))
        elif FEATURES[place].kind in ("category", "boolean"):
            parts.append(float(a != b))
        else:
            parts.append(abs(a - b) / ranges[place])
    return sum(parts) / len(parts)


def slow_nearest(row: np.ndarray, others: list[np.ndarray], ranges: list[float]) -> float:
    return sorted(slow_distance(row, other, ranges) for other in others)[NEIGHBOURS - 1]


def test_distances_and_what_is_usual_are_those_of_a_slow_count(table: Dataset) -> None:
    chosen = table.sample(SAMPLE, SAMPLE_SEED)
    sample = [table.rows[place] for place in chosen]
    ranges = []
    for column in range(4):
        known = [row[column] for row in sample if not np.isnan(row[column])]
        low, high = np.percentile(known, [5, 95])
        ranges.append(high - low or max(known) - min(known))
    strange = np.array([[7.0, 4.0, 1.0, 0.0], [np.nan, 29.0, 2.0, 1.0]])
    found = unlike(table, SPEC, strange)
    assert found.distance == pytest.approx([slow_nearest(row, sample, ranges) for row in strange])
    own = [slow_nearest(row, sample[:place] + sample[place + 1 :], ranges) for place, row in enumerate(sample)]
    assert found.usual == pytest.approx(sorted(own)[int(np.ceil(0.99 * (len(own) - 1)))])
    rows = unlike(table, SPEC, table.rows, table.row_ids)
    assert rows.distance[chosen] == pytest.approx(own)
    assert rows.unlike.mean() <= 0.01


def test_a_row_of_the_data_leaves_itself_out(table: Dataset) -> None:
    alone = unlike(table, SPEC, table.rows[:5]).distance
    known = unlike(table, SPEC, table.rows[:5], table.row_ids[:5]).distance
    assert (alone <= known).all() and (alone < known).any()


def test_a_far_value_a_new_category_and_a_value_out_of_bounds_are_unlike(table: Dataset) -> None:
    usual = np.array([0.1, 4.0, 1.0, 0.0])
    rows = np.array([usual, [9.9, 30, 1, 0], [0.1, 4, 3, 0], [0.1, -1, 1, 0], [np.nan, 4, 1, 0]])
    found = unlike(table, SPEC, rows)
    assert found.unlike.tolist() == [False, True, True, True, False]
    assert found.outside == ((), (), (2,), (1,), ())


def test_one_extreme_value_does_not_hide_another(table: Dataset) -> None:
    rows = table.rows.copy()
    rows[0, 0] = 1e9
    spec = replace(SPEC, features=(replace(FEATURES[0], upper=1e10), *FEATURES[1:]))
    assert unlike(data(rows), spec, np.array([[80.0, 4, 1, 0]])).unlike[0]


def test_values_that_are_all_alike_have_a_unit() -> None:
    rows = np.array([[1.0, 2, 5], [1, 2, 5], [1, 3, np.nan]])
    assert units(np.vstack([rows, np.tile(rows[0], (40, 1))]), np.zeros(3, dtype=bool)).tolist() == [1, 1, 1]
    assert gower(rows[:1], rows, np.ones(3), np.array([False, True, False])).tolist() == [[0, 0, 2 / 3]]


def test_data_of_one_row_are_like_themselves() -> None:
    one = data(np.array([[1.0, 2, 0, 0]]))
    assert unlike(one, SPEC, one.rows, one.row_ids).unlike.tolist() == [False]


@pytest.mark.parametrize("shape", [(8, 8, 1), (7, 10, 3), (2, 2, 1), (100, 64, 1)])
def test_squares_of_pictures_are_means(rng: np.random.Generator, shape: tuple[int, ...]) -> None:
    pictures = rng.random((3, *shape))
    found = squares(pictures, 3)
    rows, columns = ([[i for i in range(size) if i * 3 // size == part] for part in range(3)] for size in shape[:2])
    slow = [
        pictures[:, part][:, :, other].mean(axis=(1, 2)) for part in rows if part for other in columns if other
    ]  # (n, channels) each
    np.testing.assert_allclose(found, np.concatenate(slow, axis=1))


def test_a_picture_of_noise_is_unlike_pictures_of_blobs(rng: np.random.Generator) -> None:
    spec = ModelSpec("image", (12, 12, 1), Pixels((12, 12, 1), 0.0, 1.0), ("x", "y"), "logit", "b" * 64)
    shapes = np.zeros((200, 12, 12, 1))
    shapes[:, 4:8, 4:8] = 0.8
    shapes += 0.05 * rng.random(shapes.shape)
    found = unlike(data(shapes), spec, np.stack([shapes[0], rng.random((12, 12, 1)), shapes[0] + 1]))
    assert found.unlike.tolist() == [False, True, True]
    assert not found.outside[1] and found.outside[2]


def test_a_text_of_unknown_words_is_unlike_the_texts(rng: np.random.Generator) -> None:
    known = Vocabulary((), mask=3, pad=0, special=(0, 1, 2))
    spec = ModelSpec("text", (10,), (Feature("t", "token"),) * 10, ("n", "p"), "logit", "c" * 64, vocabulary=known)
    rows = rng.integers(5, 40, (200, 10)).astype(float)
    rows[:, 0], rows[:, -2:] = 1, 0
    texts = data(rows)
    assert unlike(texts, spec, texts.rows, texts.row_ids).unlike.mean() <= 0.01
    strange = rows[0].copy()
    strange[1:6] = [90, 91, 92, 92, 3]
    ordinary = set(strange[known.ordinary(strange)]) - {3}
    found = unlike(texts, spec, strange[None])
    assert found.distance[0] == pytest.approx(3 / len(ordinary)) and found.unlike[0]


def drawn(dataset: Dataset, places: np.ndarray | list[int]) -> Reference:
    return Reference(dataset.rows[places], tuple(dataset.row_ids[place] for place in places), 1)


@pytest.mark.parametrize("name", ["loans", "tumours", "digits"])
@pytest.mark.parametrize("size", [1, 2, 5, 30, 100, 400])
def test_an_honest_draw_of_any_size_warns_in_under_one_of_a_hundred(name: str, size: int) -> None:
    subject = load_subject(name)
    spec = subject.model().spec
    warned = sum(drift(subject.dataset, spec, subject.reference(size, seed)).found for seed in range(200))
    assert warned < 2


def test_all_of_the_data_are_like_the_data() -> None:
    subject = load_subject("tumours")
    found = drift(subject.dataset, subject.model().spec, subject.reference(len(subject.dataset), 1))
    assert not found.found


def planted(name: str, where: np.ndarray, size: int) -> tuple[list[str], bool]:
    """What is said of a reference of rows where something holds, drawn with a seed."""
    subject = load_subject(name)
    spec = subject.model().spec
    places = np.random.default_rng(3).permutation(np.flatnonzero(where))[:size]
    found = drift(subject.dataset, spec, drawn(subject.dataset, places))
    assert found.found
    return [spec.features[place].name for place in found.features], found.answers


def test_a_planted_reference_is_named_with_its_features() -> None:
    loans, tumours = (load_subject(name).dataset for name in ("loans", "tumours"))
    income = loans.rows[:, [feature.name for feature in load_subject("loans").model().spec.features].index("income")]
    assert planted("loans", loans.labels == 0, 100)[1], "only approved applicants"
    assert planted("loans", loans.labels == 1, 20)[1], "only declined ones"
    for size in (5, 20, 100):
        assert planted("loans", income > np.quantile(income, 0.9), size)[0][0] == "income"
    named, answers = planted("tumours", tumours.labels == 0, 30)
    assert answers and "worst_area" in named


def test_rows_that_are_all_alike_or_repeated_are_named() -> None:
    subject = load_subject("loans")
    dataset, spec = subject.dataset, subject.model().spec
    repeated = drift(dataset, spec, drawn(dataset, [3] * 5))
    assert repeated.repeated == 4
    alike = drift(dataset, spec, Reference(np.tile(dataset.rows[3], (5, 1)), dataset.row_ids[:5], 1))
    assert alike.repeated == 0 and "income" in [spec.features[place].name for place in alike.features]


def test_pictures_of_one_class_differ_by_region_and_answer() -> None:
    subject = load_subject("digits")
    found = drift(
        subject.dataset, subject.model().spec, drawn(subject.dataset, np.flatnonzero(subject.dataset.labels == 3))
    )
    assert found.answers and 3 in found.features  # the middle left, where a 3 has no ink


def test_missing_values_count(rng: np.random.Generator) -> None:
    rows = np.column_stack([rng.normal(size=500), rng.poisson(4, 500), rng.integers(0, 3, 500), rng.random(500) < 0.2])
    rows[:50, 0], rows[50:100, 2] = np.nan, np.nan
    whole = data(rows)
    assert drift(whole, SPEC, drawn(whole, list(range(50)))).features == (0,)
    assert drift(whole, SPEC, drawn(whole, list(range(50, 100)))).features == (2,)


def test_texts_have_no_reference_to_look_at() -> None:
    known = Vocabulary((), mask=3, pad=0, special=(0,))
    spec = ModelSpec("text", (2,), (Feature("t", "token"),) * 2, ("n", "p"), "logit", "d" * 64, vocabulary=known)
    texts = data(np.array([[5.0, 6.0], [7.0, 8.0]]))
    assert drift(texts, spec, drawn(texts, [0])) is None


def test_large_data_are_known_from_a_sample(rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("core.likeness._POPULATION", 400)
    rows = np.column_stack([rng.normal(size=3000), rng.poisson(4, 3000), rng.integers(0, 3, 3000), np.zeros(3000)])
    whole = data(rows)
    draws = [np.random.default_rng(seed).permutation(3000)[:200] for seed in range(100)]
    assert sum(drift(whole, SPEC, drawn(whole, places)).found for places in draws) <= 1
    high = np.argsort(-rows[:, 0])[:100]
    assert drift(whole, SPEC, drawn(whole, high)).features[0] == 0
