"""The rows that were agreed on: what is read as what, and the sentence for the first value that is not."""

import io

import numpy as np
import pyarrow
import pytest
from pyarrow import parquet

from core.errors import UserFacingError
from core.facts import Wanted
from core.nouns import Feature
from data_files import extract_data, inspect_data


def extract(text, wanted):
    data = text.encode()
    return extract_data(data, "csv", inspect_data(data).dialect, wanted)


def extract_typed(columns, wanted):
    stream = io.BytesIO()
    parquet.write_table(pyarrow.table(columns), stream)
    return extract_data(stream.getvalue(), "parquet", {}, wanted)


def refusal(text, wanted):
    with pytest.raises(UserFacingError) as caught:
        extract(text, wanted)
    return caught.value.sentence


def number(name, **more):
    return Feature(name, lower=-100, upper=100, **more)


def test_features_come_in_the_order_of_the_model():
    text = "c,skip,b,a\nx,?,yes,1.5\ny,!,no,2\n"
    wanted = Wanted((number("a"), Feature("b", "boolean"), Feature("c", "category", categories=("y", "x"))))
    found = extract(text, wanted)
    assert found.rows.tolist() == [[1.5, 1.0, 1.0], [2.0, 0.0, 0.0]]
    assert found.rows.dtype == np.float64
    assert found.row_ids == ("1", "2")
    assert np.isnan(found.labels).all()
    assert found.held_out.tolist() == [True, True]
    assert found.texts == ()


@pytest.mark.parametrize(
    ("classes", "cells"),
    [
        (("0", "1"), ["0", "1.0", "true", ""]),
        (("0.0", "1.0"), ["0", "1", "TRUE", "  "]),
        (("False", "True"), ["false", "1", "true", ""]),
        (("no", "yes"), ["no", "yes", "yes", ""]),
        (("1", "NA"), ["1", "NA", "NA", ""]),
    ],
)
def test_labels_are_told_by_name_or_by_value(classes, cells):
    wanted = Wanted((number("a"),), label="y", classes=classes)
    found = extract("a,y\n" + "".join(f"1,{cell}\n" for cell in cells), wanted)
    assert found.labels.tolist()[:3] == [0, 1, 1]
    assert found.labels.tolist()[3] == -1 or cells[3].strip() == ""
    assert found.labels.dtype == np.int64


@pytest.mark.parametrize("values", [[0, 1, None], [0.0, 1.0, np.nan], [False, True, None], ["0", "1", ""]])
@pytest.mark.parametrize("classes", [("0", "1"), ("0.0", "1.0"), ("false", "true")])
def test_typed_labels_are_the_same_classes(values, classes):
    column = pyarrow.array(values, from_pandas=True)
    found = extract_typed({"y": column, "a": [1, 2, 3]}, Wanted((number("a"),), label="y", classes=classes))
    assert found.labels.tolist() == [0, 1, -1]


def test_names_with_leading_zeros_are_not_numbers():
    wanted = Wanted((Feature("z", "category", categories=("007", "7")),))
    assert extract("z,b\n007,1\n7,2\n", wanted).rows.ravel().tolist() == [0.0, 1.0]
    assert "'07', which is none of the column's categories" in refusal("z,b\n007,1\n07,2\n", wanted)


def test_a_number_to_predict_is_a_number():
    found = extract("a,y\n1,2.5\n2,NA\n3,-1e3\n", Wanted((number("a"),), label="y"))
    np.testing.assert_array_equal(found.labels, [2.5, np.nan, -1000.0])


def test_an_unknown_label_is_named_with_its_row():
    wanted = Wanted((number("a"),), label="y", classes=("no", "yes"))
    assert "Row 2 holds 'maybe', which is none of the classes" in refusal("a,y\n1,no\n2,maybe\n", wanted)
    assert "the classes are 'no', 'yes'" in refusal("a,y\n1,no\n2,maybe\n", wanted)


def test_ids_texts_and_held_out_rows():
    text = "id,review,split\nr7,good,yes\nr9,,0\nr1,bad,TRUE\n"
    found = extract(text, Wanted(text="review", id="id", held_out="split"))
    assert found.row_ids == ("r7", "r9", "r1")
    assert found.texts == ("good", "", "bad")
    assert found.held_out.tolist() == [True, False, True]
    assert found.rows.shape == (3, 0)


@pytest.mark.parametrize(
    ("cells", "feature", "sentence"),
    [
        (["1", "abc"], number("a"), "Row 2 holds 'abc', which is not a number"),
        (["1", "101"], number("a"), "Row 2 holds 101, outside -100 to 100"),
        (["1", "NA"], number("a"), "Row 2 is missing"),
        (["1", "1.5"], number("a", kind="integer"), "Row 2 holds 1.5, which is not a whole number"),
        (["1", "inf"], number("a"), "Row 2 is infinite"),
        (["1", "9007199254740993"], Feature("a", upper=1e30), "would lose digits"),
        (["yes", "sure"], Feature("a", "boolean"), "Row 2 holds 'sure', which is neither yes nor no"),
        (["1", "2"], Feature("a", "boolean"), "Row 2 holds 2, outside 0 to 1"),
        (["x", "z"], Feature("a", "category", categories=("x", "y")), "Row 2 holds 'z', which is none"),
        (["x", ""], Feature("a", "category", categories=("x", "y")), "Row 2 is missing"),
    ],
)
def test_a_value_that_was_not_agreed_is_named(cells, feature, sentence):
    text = "a,b\n" + "".join(f"{cell},1\n" for cell in cells)
    found = refusal(text, Wanted((feature,)))
    assert "The column 'a' cannot be read as agreed" in found
    assert sentence in found


def test_the_first_problem_is_named_by_row_and_then_by_column():
    text = "a,b\n1,1\n2,x\nx,2\n"
    for order in (("a", "b"), ("b", "a")):
        assert "'b' cannot be read as agreed. Row 2" in refusal(text, Wanted(tuple(map(number, order))))
    assert "'a' cannot be read as agreed. Row 1" in refusal("a,b\nx,x\n", Wanted((number("a"), number("b"))))
    bounds = Wanted((Feature("a", lower=0, upper=10, missing=True),))
    assert "Row 2 holds 11" in refusal("a,b\n1,\n11,\nx,\n", bounds)
    assert "Row 2 holds 'x'" in refusal("a,b\n1,\nx,\n11,\n", bounds)


def test_missing_values_are_not_a_number_where_allowed():
    text = "a,c,d,e\n1,x,1,yes\nNA,,?,\n,y,2,no\n"
    wanted = Wanted(
        (
            number("a", missing=True),
            Feature("c", "category", categories=("x", "y"), missing=True),
            Feature("d", "category", categories=("1", "2"), missing=True),
            Feature("e", "boolean", missing=True),
        )
    )
    np.testing.assert_array_equal(
        extract(text, wanted).rows, [[1, 0, 0, 1], [np.nan, np.nan, np.nan, np.nan], [np.nan, 1, 1, 0]]
    )


def test_seven_is_a_number_where_it_was_agreed_to_be_one():
    assert extract("a,b\n007,1\n010,2\n", Wanted((number("a"),))).rows.ravel().tolist() == [7.0, 10.0]


@pytest.mark.parametrize(
    ("wanted", "sentence"),
    [
        (Wanted((number("z"),)), "It has no column 'z'; its columns are 'a', 'b'"),
        (Wanted((number("a"),), label="z"), "no column 'z'"),
        (Wanted((number("a"),), id="b"), "Rows 1 and 3 are both called 'x'"),
        (Wanted((number("a"),), held_out="b"), "Row 1 holds 'x', which is neither yes nor no"),
    ],
)
def test_columns_that_cannot_be_what_they_should(wanted, sentence):
    assert sentence in refusal("a,b\n1,x\n2,y\n3,x\n", wanted)


def test_an_id_and_a_split_must_be_there_in_every_row():
    wanted = Wanted((number("a"),), id="i")
    assert "Row 2 has no id" in refusal("a,i\n1,x\n2,\n", wanted)
    assert "Row 2 does not say" in refusal("a,s\n1,yes\n2,\n3,maybe\n", Wanted((number("a"),), held_out="s"))


def test_wanting_nothing_gives_rows_without_columns():
    found = extract("a,b\n1,2\n3,4\n", Wanted())
    assert found.rows.shape == (2, 0)
    assert found.row_ids == ("1", "2")


def test_typed_columns_are_read_as_what_was_agreed():
    columns = {
        "d": pyarrow.array(["x", "y", "x"]).dictionary_encode(),
        "i": pyarrow.array([3, 4, 5], pyarrow.int8()),
        "h": pyarrow.array([0.5, 1.5, 2.5], pyarrow.float16()),
        "m": pyarrow.array(["1.50", "2.25", "3.00"]).cast(pyarrow.decimal128(9, 2)),
        "t": [True, False, True],
        "s": ["1", " 2", "3.5"],
    }
    wanted = Wanted(
        (
            Feature("d", "category", categories=("y", "x")),
            number("i", kind="integer"),
            number("h"),
            number("m"),
            Feature("t", "boolean"),
            number("s"),
        ),
        id="i",
    )
    found = extract_typed(columns, wanted)
    assert found.rows.tolist() == [[1, 3, 0.5, 1.5, 1, 1], [0, 4, 1.5, 2.25, 0, 2], [1, 5, 2.5, 3, 1, 3.5]]
    assert found.row_ids == ("3", "4", "5")
