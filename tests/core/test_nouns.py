"""The nouns: what they show, draw and refuse."""

import pickle
from dataclasses import FrozenInstanceError, replace

import numpy as np
import pytest

from core.digest import digest
from core.errors import UserFacingError
from core.nouns import (
    Dataset,
    Feature,
    MethodId,
    ModelFile,
    ModelSpec,
    Pixels,
    Query,
    Reference,
    Subject,
    Target,
    Vocabulary,
)


@pytest.mark.parametrize(
    ("feature", "value", "shown"),
    [
        (Feature("income", unit="EUR", decimals=0), 31000.4, "31,000 EUR"),
        (Feature("rate"), 0.126, "0.13"),
        (Feature("rate", decimals=1), -1234.56, "-1,234.6"),
        (Feature("rate", decimals=0), -0.2, "0"),
        (Feature("rate"), -0.001, "0.00"),
        (Feature("age", kind="integer", unit="years"), 41.0, "41 years"),
        (Feature("year", kind="integer"), 2012.0, "2012"),
        (Feature("steps", kind="integer"), 12012.0, "12,012"),
        (Feature("job", kind="category", categories=("none", "full time")), 1.0, "full time"),
        (Feature("owner", kind="boolean"), 1.0, "yes"),
        (Feature("owner", kind="boolean"), 0.0, "no"),
        (Feature("income", unit="EUR"), np.nan, "missing"),
        (Feature("job", kind="category", categories=("none",)), np.nan, "missing"),
        (Feature("p", kind="pixel", decimals=0), 12.0, "12"),
    ],
)
def test_values_are_shown_as_people_read_them(feature, value, shown):
    assert feature.show(value) == shown


def test_a_feature_has_a_plain_title_and_a_unit_of_size():
    assert Feature("years_employed").title == "years employed"
    assert Feature("x_17", label="Income").title == "Income"
    assert Feature("x", lower=-2.0, upper=8.0).span == 10.0
    assert Feature("x", lower=3.0, upper=3.0).span == 1.0


SPEC = ModelSpec("table", (2,), (Feature("a"), Feature("b")), ("approved", "declined"), "margin", "d" * 64)


@pytest.mark.parametrize(("output", "columns"), [("margin", 1), ("value", 1), ("logit", 2), ("probability", 2)])
def test_a_specification_knows_its_columns(output, columns):
    assert replace(SPEC, output=output).columns == columns
    assert replace(SPEC, output=output).task == ("regression" if output == "value" else "classification")


def test_classes_are_found_by_name():
    assert SPEC.class_index("declined") == 1
    with pytest.raises(UserFacingError, match="approved, declined"):
        SPEC.class_index("maybe")


def dataset(n: int = 20) -> Dataset:
    rows = np.arange(2.0 * n).reshape(n, 2)
    return Dataset(rows, tuple(f"row {i}" for i in range(n)), np.arange(n) % 2, np.arange(n) >= n // 2)


def test_a_sample_is_seeded_sorted_and_without_repeats():
    data = dataset()
    drawn = data.sample(8, seed=3)
    assert drawn.tolist() == data.sample(8, seed=3).tolist() == sorted(set(drawn.tolist()))
    assert len(drawn) == 8
    assert drawn.tolist() != data.sample(8, seed=4).tolist()


def test_a_sample_of_held_out_rows_holds_no_others():
    data = dataset()
    assert data.sample(100, seed=0, judged_only=True).tolist() == list(range(10, 20))
    assert (data.sample(5, seed=0, judged_only=True) >= 10).all()


def test_every_row_is_drawn_equally_often():
    data = dataset(10)
    counts = np.bincount(np.concatenate([data.sample(3, seed=s) for s in range(2000)]), minlength=10)
    assert counts.min() > 500 and counts.max() < 700


def test_rows_are_found_by_their_id():
    assert dataset().index("row 7") == 7
    with pytest.raises(UserFacingError, match="'row 99'") as caught:
        dataset().index("row 99")
    assert "row 0" in caught.value.why and "row 19" in caught.value.why


MODELS = tuple(ModelFile(name, name.title(), "xgboost", f"{name}.json", SPEC) for name in ("trees", "network"))
SUBJECT = Subject("loans", "Loans", "", "application", dataset(), MODELS, 0.6, reference_size=5, reference_seed=1)


def test_a_reference_is_a_seeded_sample_that_names_its_rows():
    reference = SUBJECT.reference()
    assert (len(reference), reference.seed) == (5, 1)
    for row, row_id in zip(reference.rows, reference.row_ids, strict=True):
        assert row.tolist() == SUBJECT.dataset.rows[SUBJECT.dataset.index(row_id)].tolist()
    assert reference.digest == SUBJECT.reference(5, 1).digest
    assert reference.digest != SUBJECT.reference(5, 2).digest
    assert len(SUBJECT.reference(20)) == 20


@pytest.mark.parametrize("size", [0, -1, 21, 10**9])
def test_a_reference_that_cannot_be_drawn_is_refused(size):
    with pytest.raises(UserFacingError) as caught:
        SUBJECT.reference(size)
    assert caught.value.remedy.startswith("Ask for")


def test_models_are_found_by_name():
    assert SUBJECT.model() is MODELS[0]
    assert SUBJECT.model("network") is MODELS[1]
    with pytest.raises(UserFacingError, match="trees, network"):
        SUBJECT.model("forest")


def test_verdicts_have_words():
    assert SUBJECT.verdict(1, SPEC) == "was read as declined"
    assert replace(SUBJECT, verdicts=("was approved", "was declined")).verdict(1, SPEC) == "was declined"


QUERY = Query("m" * 64, np.zeros((1, 2)), ("a",), Target(1, "margin"), Reference(np.ones((3, 2)), ("x", "y", "z"), 7))


@pytest.mark.parametrize(
    "change",
    [
        {"model": "n" * 64}, {"rows": np.full((1, 2), 1e-12)}, {"row_ids": ("b",)}, {"target": Target(0, "margin")},
        {"target": Target(1, "probability")}, {"reference": None}, {"seed": 1}, {"cutoff": 0.5}, {"cutoff": 0.0},
        {"reference": Reference(np.ones((3, 2)), ("x", "y", "z"), 8)},
        {"reference": Reference(np.ones((3, 2)), ("x", "y", "w"), 7)},
        {"reference": Reference(np.ones((2, 2)), ("x", "y"), 7)},
    ],
)  # fmt: skip
def test_every_field_is_in_the_digest_of_a_query(change):
    assert replace(QUERY, **change).digest != QUERY.digest


def test_a_digest_does_not_depend_on_where_the_rows_came_from():
    wide = np.zeros((2, 4))
    assert replace(QUERY, rows=wide[:1, ::2]).digest == QUERY.digest
    assert replace(QUERY, rows=-np.zeros((1, 2))).digest == QUERY.digest
    assert replace(QUERY, rows=np.zeros((1, 2), np.float32)).digest == QUERY.digest


def test_methods_differ_by_name_version_and_options():
    methods = [MethodId("a", "1"), MethodId("b", "1"), MethodId("a", "2"), MethodId("a", "1", (("n", 1),))]
    assert len({each.digest for each in methods}) == 4


def test_nouns_cannot_be_changed():
    rows = np.zeros((1, 2))
    query = replace(QUERY, rows=rows)
    rows[0, 0] = 5.0
    assert query.rows[0, 0] == 0.0
    with pytest.raises(ValueError, match="read-only"):
        query.rows[0, 0] = 1.0
    with pytest.raises(FrozenInstanceError):
        query.seed = 2


def test_a_read_only_view_of_someone_elses_array_is_copied():
    owner = np.zeros((1, 2))
    view = owner.view()
    view.flags.writeable = False
    query = replace(QUERY, rows=view)
    owner[0, 0] = 5.0
    assert query.rows[0, 0] == 0.0


def test_errors_read_as_sentences():
    error = UserFacingError("There is no row 7", "This data set has\n  3 rows.", "Choose one of them")
    assert str(error) == "There is no row 7. This data set has 3 rows. Choose one of them."


def test_pixels_are_features_made_when_asked_for():
    pixels = Pixels((2, 3, 2), 0.0, 255.0)
    listed = list(pixels)
    assert len(pixels) == len(listed) == 12
    assert (listed[0].name, listed[-1].name) == ("pixel_0_0_0", "pixel_1_2_1")
    assert pixels[7] == listed[7] and pixels[-1] == listed[-1] and pixels[2:4] == tuple(listed[2:4])
    assert pixels[7].title == "Row 2, column 1, channel 2" and pixels[7].upper == 255.0
    assert Pixels((2, 3, 1), 0.0, 1.0)[5].name == "pixel_1_2"
    with pytest.raises(IndexError):
        pixels[12]


def test_a_large_picture_is_said_in_few_bytes():
    large = replace(SPEC, modality="image", shape=(128, 128, 3), features=Pixels((128, 128, 3), 0.0, 255.0))
    assert len(pickle.dumps(large)) < 2000
    assert digest(large) != digest(replace(large, features=Pixels((128, 128, 3), 0.0, 1.0)))


def test_a_vocabulary_tells_a_texts_own_tokens_and_hides_them():
    known = Vocabulary(((1, " [CLS]"), (5, " good"), (6, "ness"), (7, ".")), mask=3, pad=0, special=(0, 1, 2))
    row = np.array([1.0, 5, 6, 3, 7, 2, 0])
    assert known.ordinary(row).tolist() == [False, True, True, True, True, False, False]
    assert known.masked(row).tolist() == [1, 3, 3, 3, 3, 2, 0]
    assert known.text(row) == "goodness [hidden]."
    assert known.piece(99) == " [unknown]"


def test_labels_of_a_regression_are_numbers():
    data = Dataset(np.zeros((4, 1)), tuple("abcd"), np.array([1.5, np.nan, -2.0, 0.0]), np.array([1, 1, 1, 0]))
    assert data.labels.dtype == np.float64
    assert data.judged.tolist() == [0, 2]
    assert data.sample(9, seed=0, judged_only=True).tolist() == [0, 2]


def test_a_text_is_compared_with_itself_hidden():
    known = Vocabulary((), mask=3, pad=0, special=(0, 1, 2))
    data = Dataset(np.array([[1.0, 5, 2], [1, 6, 2]]), ("a", "b"), np.array([0, 1]), np.ones(2))
    subject = Subject("s", "S", "", "text", data, (), None)
    reference = subject.masked(1, known)
    assert reference.rows.tolist() == [[1, 3, 2]]
    assert (reference.row_ids, reference.seed) == (("b hidden",), None)
