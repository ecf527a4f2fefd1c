"""Tables as text: how a file is written, what its columns are, what is refused."""

import csv as plain_csv
import gzip
import io
import zipfile

import numpy as np
import pytest

from core.errors import UserFacingError
from core.facts import Wanted
from core.nouns import Feature
from data_files import csv, extract_data, inspect_data


def found(text, encoding="utf-8"):
    facts = inspect_data(text.encode(encoding))
    return facts, {column.name: column for column in facts.columns}


def refusal(data):
    data = data.encode() if isinstance(data, str) else data
    with pytest.raises(UserFacingError) as caught:
        inspect_data(data)
    return caught.value.sentence


def real(name, lower=-1e9, upper=1e9, **more):
    return Feature(name, lower=lower, upper=upper, **more)


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_delimiters_and_line_ends_are_told(delimiter, end):
    rows = [["a", "b", "c"], ["1", "x y", "0.5"], ["2", "z", "1.5"]]
    facts, columns = found(end.join(delimiter.join(row) for row in rows))
    assert facts.dialect["delimiter"] == delimiter
    assert (facts.rows, [*columns]) == (2, ["a", "b", "c"])
    assert [column.kind for column in facts.columns] == ["integer", "text", "real"]


def test_a_text_of_one_column_keeps_its_commas():
    facts, columns = found("review\ngood\nfine, really\nwell, well, well\n")
    assert facts.rows == 3
    assert columns["review"].examples == ("good", "fine, really", "well, well, well")


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32", "cp1252"])
def test_the_encoding_is_told_and_shown(encoding):
    facts, columns = found('"name";v\n"Zürich";1,5\nGenève;2,5\n', encoding)
    assert facts.dialect["encoding"] == encoding
    assert columns["name"].categories == ("Genève", "Zürich")
    assert any("guessed" in note for note in facts.notes) == (encoding == "cp1252")
    wanted = Wanted((real("v"),), id="name")
    extracted = extract_data('"name";v\n"Zürich";1,5\nGenève;2,5\n'.encode(encoding), "csv", facts.dialect, wanted)
    assert extracted.row_ids == ("Zürich", "Genève")
    assert extracted.rows.ravel().tolist() == [1.5, 2.5]


def test_letters_that_are_not_latin_are_told():
    text = "город,население\nМосква на реке,13\nНовгород Великий,2\n"
    facts, columns = found(text, "cp1251")
    assert columns["город"].examples[0] == "Москва на реке"


def test_an_accent_late_in_a_long_file_is_not_missed():
    text = "a,b\n" + "1,x\n" * 400_000 + "2,né\n"
    facts, columns = found(text, "cp1252")
    assert facts.dialect["encoding"] == "cp1252"
    assert columns["b"].categories == ("né", "x")


@pytest.mark.parametrize(
    ("cells", "values", "decimal", "thousands"),
    [
        (["1,5", "22,25"], [1.5, 22.25], ",", ""),
        (["1.234,5", "12"], [1234.5, 12.0], ",", "."),
        (["1,234.5", "12"], [1234.5, 12.0], ".", ","),
        (["1 234", "12"], [1234.0, 12.0], ".", " "),
        (["1\u00a0234,5", "12"], [1234.5, 12.0], ",", " "),
        (["1'234.5", "12"], [1234.5, 12.0], ".", "'"),
        (["1,234,567", "12"], [1234567.0, 12.0], ".", ","),
        (["0,123", "12"], [0.123, 12.0], ",", ""),
        (["-1,5e3", "+2"], [-1500.0, 2.0], ",", ""),
    ],
)
def test_marks_in_numbers_are_told(cells, values, decimal, thousands):
    data = ("n;t\n" + "".join(f"{cell};x\n" for cell in cells)).encode()
    facts = inspect_data(data)
    assert (facts.dialect["decimal"], facts.dialect["thousands"]) == (decimal, thousands)
    assert (facts.columns[0].lower, facts.columns[0].upper) == (min(values), max(values))
    extracted = extract_data(data, "csv", facts.dialect, Wanted((real("n"),)))
    assert extracted.rows.ravel().tolist() == values


@pytest.mark.parametrize(
    ("text", "first"), [("n;t\n1,234;x\n2,345;y\n", "1,234"), ("n;t;p\n1,5;x;0.5\n2,5;y;0.25\n", "1,5")]
)
def test_marks_that_may_mean_two_things_leave_text(text, first):
    facts, columns = found(text)
    assert columns["n"].kind == "text"
    assert any(repr(first) in note and "read as text" in note for note in facts.notes)


def test_a_header_is_told_from_numbers():
    assert found("1,2\n3,4\n")[1].keys() == {"x0", "x1"}
    assert found("a,b\n3,4\n")[1].keys() == {"a", "b"}
    assert found("city,2019,2020\nx,1,2\ny,3,4\n")[0].dialect["header"] is False
    assert found("0,1,2\n7,8,9\n")[1].keys() == {"0", "1", "2"}  # as pandas names columns that have no name
    assert found(",age\n0,31\n1,40\n")[1].keys() == {"Unnamed: 0", "age"}


def test_a_file_without_a_header_keeps_its_first_row():
    data = b"1,2\n3,4\n"
    facts = inspect_data(data)
    extracted = extract_data(data, "csv", facts.dialect, Wanted((real("x1"), real("x0"))))
    assert extracted.rows.tolist() == [[2.0, 1.0], [4.0, 3.0]]


@pytest.mark.parametrize("rows", [["1,2", "3,4,5", "6"], ["1,2", "3", "4,5,6"]])
def test_a_ragged_row_is_named_with_its_count(rows):
    sentence = refusal("a,b\n" + "\n".join(rows))
    assert "Row 2 below the names" in sentence
    assert f"has {rows[1].count(',') + 1:,} field" in sentence
    assert "row of names has 2" in sentence


def test_a_ragged_row_far_down_is_named():
    assert "Row 500,001 below the names, '7,8,9', has 3 fields" in refusal("a,b\n" + "1,2\n" * 500_000 + "7,8,9\n")


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ('a,b\n1,"x\n2,y\n', "1 quotation mark, so that one is never closed"),
        ('a,b\n1,"x\n2,y\n3,"z\n', "in line 4"),
        ('a,b\n1,5" pipe\n2,6" pipe\n', "in line 2"),
    ],
)
def test_quotation_marks_that_swallow_rows_are_refused(text, part):
    assert part in refusal(text)


def test_the_check_of_quotation_marks_does_not_depend_on_blocks(monkeypatch):
    good = 'a,b\n"x ""y"" z","p\nq"\n"","r"\n' * 20
    good = good.replace("a,b\n", "1,2\n").replace("1,2\n", "a,b\n", 1)
    bad = good + '"x"y,1\n'
    for size in range(1, 12):
        monkeypatch.setattr(csv, "MIB", size)
        assert inspect_data(good.encode()).rows == good.count("\n") - 1 - good.count("p\n")
        assert f"line {good.count(chr(10)) + 1:,}" in refusal(bad)


def test_quoted_fields_are_read_as_the_standard_library_reads_them():
    rows = [["a", "b"], ['say "hi"', "x,y"], ["two\nlines", "z"], ["", "end"]]
    stream = io.StringIO()
    plain_csv.writer(stream).writerows(rows)
    data = stream.getvalue().encode()
    extracted = extract_data(data, "csv", inspect_data(data).dialect, Wanted(text="a", id="b"))
    assert extracted.texts == tuple(row[0] for row in rows[1:])
    assert extracted.row_ids == tuple(row[1] for row in rows[1:])
    assert extracted.rows.shape == (3, 0)


def test_namibia_is_a_country_and_a_marker_among_numbers_is_missing():
    facts, columns = found("country,n\nNA,1\nDE,NA\nNA,3\nDE,?\n")
    assert columns["country"].categories == ("DE", "NA")
    assert columns["country"].missing == 0
    assert "'NA' read as a value" in columns["country"].notes[0]
    assert (columns["n"].kind, columns["n"].missing) == ("integer", 2)
    assert "'?', 'NA' read as missing" in columns["n"].notes[0]


def test_leading_zeros_and_long_numbers_stay_names():
    _, columns = found("zip,key,n\n00701,9007199254740993,1\n10115,9007199254740992,2\n")
    assert (columns["zip"].kind, columns["zip"].categories) == ("text", ("00701", "10115"))
    assert "leading zeros, such as '00701'" in columns["zip"].why
    assert columns["key"].kind == "text"
    assert columns["key"].distinct == 2


def test_a_column_that_mixes_numbers_and_words_says_so():
    _, columns = found("a,b\n1,1\nabc,2\n3,3\n")
    assert "2 of 3 values are numbers; the first that is none is 'abc' in row 2" in columns["a"].notes


def test_a_word_after_many_numbers_counts_the_same(monkeypatch):
    text = "a,b\n" + "1,1\n1.0,2\n" * 300 + "x,3\n"
    whole = found(text)[1]["a"]
    monkeypatch.setattr(csv, "_BLOCK", 64)
    assert found(text)[1]["a"] == whole
    assert whole.distinct == 3


def test_infinities_are_noted_and_refused_as_rows():
    facts, columns = found("a,b\n1,x\ninf,y\n-Infinity,z\n")
    assert columns["a"].notes[0].startswith("infinite in 2 rows")
    assert (columns["a"].lower, columns["a"].upper) == (1.0, 1.0)
    with pytest.raises(UserFacingError, match="Row 2 is infinite"):
        extract_data(b"a,b\n1,x\ninf,y\n-Infinity,z\n", "csv", facts.dialect, Wanted((real("a"),)))


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("a,b,a\n1,2,3\n", "Columns 1 and 3 are both called 'a'"),
        ("a,b\n", "no rows"),
        ("", "empty"),
        (" \n\n", "empty"),
        ('[{"a": 1}]', "JSON"),
        ("<!DOCTYPE html><p>", "web page"),
        ("a,b\n1," + "x" * 9_000_000 + "\n", "9,000,000 bytes"),
        ("a,b\n1," + "x" * 2_000_000 + "\n", "1,048,576 are taken at most"),
        (b"a,b\n" + b"1,2\n" * 5000 + b"1,\x00\n", "bytes that are not text"),
        (b"a;b\n\x81\x8d;1\n" + bytes(range(128, 256)), "not"),
    ],
)
def test_what_is_no_table_is_refused(text, part):
    assert part in refusal(text)


def test_a_row_longer_than_a_block_is_refused():
    assert "One of its rows is longer than" in refusal('a,b\n1,"' + "x,\n" * 6_000_000 + '"\n')
    names = ",".join(f"{i:040}" for i in range(15_000))
    assert "Its first row is longer than" in refusal(f"{names}\n{'1,' * 14_999}1\n")


def packed(text, compression):
    if compression == "gzip":
        return gzip.compress(text.encode())
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("folder/table.csv", text)
        archive.writestr("__MACOSX/._table.csv", b"\0\1")
    return stream.getvalue()


@pytest.mark.parametrize("compression", ["gzip", "zip"])
def test_a_packed_file_is_the_same_table(compression):
    text = "a,b\n" + "".join(f"{i},{i / 8}\n" for i in range(1000))
    data = packed(text, compression)
    facts = inspect_data(data)
    assert facts.columns == inspect_data(text.encode()).columns
    assert facts.dialect["compression"] == compression
    wanted = Wanted((real("b"),), id="a")
    extracted = extract_data(data, "csv", facts.dialect, wanted)
    np.testing.assert_array_equal(extracted.rows[:, 0], np.arange(1000) / 8)
    with pytest.raises(UserFacingError, match="not packed"):
        extract_data(text.encode(), "csv", facts.dialect, wanted)


def test_a_dialect_corrected_by_hand_is_checked():
    data = b"a;b\n1;2\n"
    dialect = dict(inspect_data(data).dialect)
    for wrong in ({"delimiter": "x"}, {"encoding": "rot13"}, {"decimal": ",", "thousands": ","}, {"header": 3}):
        with pytest.raises(UserFacingError, match="cannot be read with"):
            extract_data(data, "csv", dialect | wrong, Wanted((real("a"),)))


def test_batches_do_not_change_the_answer(monkeypatch, rng):
    lines = [f"{rng.normal():.4f},{rng.integers(3)},{'NA' if i % 7 else 'x'},r{i}" for i in range(2000)]
    data = ("a,b,c,d\n" + "\n".join(lines)).encode()
    wanted = Wanted((real("a"), Feature("c", "category", categories=("NA", "x"))), label="b", classes=("0", "1", "2"))
    facts = inspect_data(data)
    extracted = extract_data(data, "csv", facts.dialect, wanted)
    monkeypatch.setattr(csv, "_BLOCK", 128)
    assert inspect_data(data) == facts
    again = extract_data(data, "csv", facts.dialect, wanted)
    np.testing.assert_array_equal(again.rows, extracted.rows)
    np.testing.assert_array_equal(again.labels, extracted.labels)
