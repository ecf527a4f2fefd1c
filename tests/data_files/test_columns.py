"""What a column seems to be, and which columns belong together; the same table as CSV and as Parquet."""

import io

import numpy as np
import pyarrow
import pytest
from pyarrow import parquet

from data_files import csv, inspect_data


def as_parquet(columns):
    stream = io.BytesIO()
    parquet.write_table(pyarrow.table(columns), stream)
    return stream.getvalue()


def described(columns):
    return {column.name: column for column in inspect_data(as_parquet(columns)).columns}


def table(text):
    return {column.name: column for column in inspect_data(text.encode()).columns}


def test_kinds_of_numbers(rng):
    found = described(
        {
            "real": [0.5, 1.25, -3.0, None],
            "integer": [3, 5, 5, 7],
            "whole": [3.0, 5.0, None, 7.0],
            "flag": [0, 1, 1, 0],
            "truth": [True, None, False, True],
            "zeros": [0, 0, 0, 0],
        }
    )
    kinds = {name: column.kind for name, column in found.items()}
    assert kinds == {
        "real": "real",
        "integer": "integer",
        "whole": "integer",
        "flag": "boolean",
        "truth": "boolean",
        "zeros": "integer",
    }
    assert (found["real"].lower, found["real"].upper, found["real"].decimals) == (-3.0, 1.25, 2)
    assert [found[name].missing for name in ("real", "whole", "truth")] == [1, 1, 1]
    assert found["integer"].categories == ("3", "5", "7")
    assert found["integer"].why == "every value is a whole number"
    assert "the same in every row" in found["zeros"].notes


def test_missing_and_distinct_values_are_counted_as_numpy_counts_them(rng):
    values = rng.integers(0, 500, 5000).astype(float) / 4
    values[rng.random(5000) < 0.1] = np.nan
    found = described({"a": values, "b": np.where(np.isnan(values), None, values.astype(str))})
    present = values[~np.isnan(values)]
    for name in ("a", "b"):
        assert found[name].missing == int(np.isnan(values).sum())
        assert found[name].distinct == len(np.unique(present))
    assert (found["a"].lower, found["a"].upper, found["a"].decimals) == (present.min(), present.max(), 2)
    assert found["a"].categories == ()  # too many to be one


@pytest.mark.parametrize(
    ("words", "kind"),
    [
        (["no", "yes"], "boolean"),
        (["False", "TRUE"], "boolean"),
        (["n", "Y"], "boolean"),
        (["yes", "maybe"], "category"),
        (["yes", "false"], "category"),
        (["yes", "yes"], "category"),
    ],
)
def test_words_of_yes_and_no(words, kind):
    column = table("a,b\n" + f"{words[0]},1\n{words[1]},2\n{words[0]},3\n{words[1]},4\n")["a"]
    assert column.kind == kind
    if kind == "boolean":
        assert column.categories == tuple(words)  # the one that means no first


def test_few_texts_are_a_category_and_many_are_text():
    few = [f"kind {i % 200}" for i in range(1000)]
    many = [f"kind {i % 201}" for i in range(1000)]
    rare = [f"kind {i}" for i in range(999)] + ["kind 0"]
    found = described({"few": few, "many": many, "rare": rare, "each": [f"row {i}" for i in range(1000)]})
    assert [column.kind for column in found.values()] == ["category", "text", "text", "text"]
    assert found["few"].categories == tuple(sorted(set(few)))
    assert found["many"].categories == ()
    assert found["each"].notes == ("different in every row, as an identifier is",)
    assert found["few"].why == "it holds 200 different texts in 1,000 rows"


def test_dates_stay_text():
    text = "".join(f"2024-0{i % 9 + 1}-11,{i % 12 + 1}.3.24,1{i % 3}:30,{i}\n" for i in range(40))
    found = table("iso,german,time,n\n" + text)
    for name in ("iso", "german", "time"):
        assert found[name].kind == "text"
        assert "dates or times" in found[name].notes[0]
    assert found["n"].notes == ("different in every row, as an identifier is",)


def test_a_timestamp_of_parquet_is_text():
    moments = np.array(["2024-01-01", "2024-01-02", "2024-01-02"], dtype="datetime64[s]")
    column = described({"t": moments})["t"]
    assert column.kind == "text"
    assert column.examples[0].startswith("2024-01-01 00:00:00")
    assert "dates or times" in column.notes[0]


def test_a_repeated_column_names_the_first():
    found = described(
        {"a": [1, 2, None], "b": [1.0, 2.0, None], "c": [1, 2, 3], "d": ["x", "y", None], "e": ["x", "y", None]}
    )
    assert {name: column.duplicate_of for name, column in found.items()} == {
        "a": "",
        "b": "a",
        "c": "",
        "d": "",
        "e": "d",
    }


def one_hot(rng, rows, names):
    chosen = rng.integers(0, len(names), rows)
    return {name: (chosen == place).astype(int) for place, name in enumerate(names)}


def test_families_of_one_hot_columns_are_found(rng):
    names = ["job_blue_collar", "job_self_employed", "job_retired", "home=own", "home=rent"]
    columns = one_hot(rng, 200, names[:3]) | one_hot(rng, 200, names[3:]) | {"job_years": rng.integers(0, 2, 200)}
    groups = {name: column.group for name, column in described(columns).items()}
    assert groups == dict.fromkeys(names[3:], "home") | dict.fromkeys((*names[:3], "job_years"), "")
    del columns["job_years"]
    groups = {name: column.group for name, column in described(columns).items()}
    assert groups == dict.fromkeys(names[:3], "job") | dict.fromkeys(names[3:], "home")


def test_columns_that_overlap_in_one_row_are_no_family(rng):
    columns = one_hot(rng, 200, ["x_a", "x_b", "x_c"])
    assert {column.group for column in described(columns).values()} == {"x"}
    for value in (0, 1):
        broken = {name: values.copy() for name, values in columns.items()}
        broken["x_a"][7] = broken["x_b"][7] = broken["x_c"][7] = value
        assert {column.group for column in described(broken).values()} == {""}


def test_columns_that_are_missing_somewhere_are_no_family():
    found = described({"x_a": [1, 0, None], "x_b": [0, 1, 1]})
    assert {column.group for column in found.values()} == {""}


def test_a_number_with_many_digits_has_six_decimals_at_most():
    found = described({"a": [0.1, 0.25], "b": [1 / 3, 0.5], "c": [1e-9, 2e-9], "d": [123456.5, 1.0]})
    assert [column.decimals for column in found.values()] == [2, 6, 6, 1]


def test_a_column_with_nothing_in_it():
    found = table("a,b\n,1\n,2\n")["a"]
    assert (found.kind, found.missing, found.distinct, found.lower) == ("real", 2, 0, None)
    assert "missing in every row" in found.notes


def test_csv_and_parquet_agree(rng):
    columns = {
        "a": np.round(rng.normal(size=300), 3),
        "b": rng.integers(0, 9, 300),
        "c": np.array(["x", "y", "z"])[rng.integers(0, 3, 300)],
        "d": rng.integers(0, 2, 300).astype(bool),
    }
    text = "a,b,c,d\n" + "".join(",".join(map(str, row)) + "\n" for row in zip(*columns.values(), strict=True))
    ours, theirs = table(text), described(columns)
    for name in "abc":
        assert ours[name] == theirs[name]
    assert ours["d"].kind == theirs["d"].kind == "boolean"


def test_columns_do_not_depend_on_blocks(monkeypatch, rng):
    text = "a,b_x,b_y,c\n" + "".join(f"{i % 50},{i % 2},{1 - i % 2},w{i % 9}\n" for i in range(500))
    whole = table(text)
    monkeypatch.setattr(csv, "_BLOCK", 100)
    assert table(text) == whole
    assert whole["b_x"].group == whole["b_y"].group == "b"
