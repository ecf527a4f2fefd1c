"""Parquet, Arrow files and Arrow streams: one table, three files, one answer; and what is refused."""

import datetime
import io

import numpy as np
import pyarrow
import pyarrow.parquet.encryption
import pytest
from pyarrow import feather, parquet

from core.errors import UserFacingError
from core.facts import Wanted
from core.nouns import Feature
from data_files import extract_data, inspect_data


def as_parquet(table, **options):
    stream = io.BytesIO()
    parquet.write_table(table, stream, **options)
    return stream.getvalue()


def as_stream(table, compression=None, batch=None):
    stream = io.BytesIO()
    options = pyarrow.ipc.IpcWriteOptions(compression=compression)
    with pyarrow.ipc.new_stream(stream, table.schema, options=options) as writer:
        writer.write_table(table, batch)
    return stream.getvalue()


def as_file(table, compression=None, batch=None):
    stream = io.BytesIO()
    options = pyarrow.ipc.IpcWriteOptions(compression=compression)
    with pyarrow.ipc.new_file(stream, table.schema, options=options) as writer:
        writer.write_table(table, batch)
    return stream.getvalue()


def as_feather(table):
    stream = io.BytesIO()
    feather.write_feather(table, stream)
    return stream.getvalue()


WRITERS = {"parquet": as_parquet, "arrow": as_stream, "file": as_file, "feather": as_feather}


def refusal(data):
    with pytest.raises(UserFacingError) as caught:
        inspect_data(data)
    return caught.value.sentence


@pytest.fixture
def table(rng):
    words = np.array(["low", "middle", "high"])[rng.integers(0, 3, 700)]
    return pyarrow.table(
        {
            "real": rng.normal(size=700),
            "word": pyarrow.array(words, mask=rng.random(700) < 0.1),
            "coded": pyarrow.array(words).dictionary_encode(),
            "flag": rng.integers(0, 2, 700).astype(bool),
            "key": [f"k{i}" for i in range(700)],
            "day": pyarrow.array([datetime.date(2024, 1, 1 + i % 20) for i in range(700)]),
            "view": pyarrow.array(words, pyarrow.string_view()),
            "large": pyarrow.array(words, pyarrow.large_string()),
            "nothing": pyarrow.nulls(700),
        }
    )


@pytest.mark.parametrize("name", WRITERS)
def test_every_file_of_one_table_says_the_same(name, table):
    expected = inspect_data(as_parquet(table.drop_columns("nothing")))
    facts = inspect_data(WRITERS[name](table))
    assert facts.rows == 700
    assert facts.columns[:-1] == expected.columns
    assert (facts.columns[-1].missing, facts.columns[-1].notes[0]) == (700, "missing in every row")
    assert [column.kind for column in facts.columns] == [
        "real", "category", "category", "boolean", "text", "text", "category", "category", "real",
    ]  # fmt: skip


@pytest.mark.parametrize("name", WRITERS)
def test_rows_are_what_pandas_reads(name, table):
    order = ("middle", "low", "high")
    wanted = Wanted(
        (
            Feature("coded", "category", categories=order),
            Feature("real", lower=-10, upper=10),
            Feature("word", "category", categories=order, missing=True),
        ),
        label="flag",
        classes=("false", "true"),
        id="key",
    )
    data = WRITERS[name](table)
    found = extract_data(data, inspect_data(data).format, {}, wanted)
    frame = table.to_pandas()
    np.testing.assert_array_equal(found.rows[:, 1], frame["real"])
    np.testing.assert_array_equal(found.rows[:, 0], [order.index(each) for each in frame["coded"]])
    known = frame["word"].notna()
    np.testing.assert_array_equal(found.rows[known, 2], [order.index(each) for each in frame["word"][known]])
    assert np.isnan(found.rows[~known, 2]).all()
    np.testing.assert_array_equal(found.labels, frame["flag"].astype(int))
    assert found.row_ids == tuple(frame["key"])


@pytest.mark.parametrize("write", [as_stream, as_file])
@pytest.mark.parametrize("compression", [None, "lz4", "zstd"])
@pytest.mark.parametrize("batch", [None, 64])
def test_batches_and_compression_change_nothing(write, compression, batch, table):
    assert inspect_data(write(table, compression, batch)).columns == inspect_data(write(table)).columns


@pytest.mark.parametrize("options", [{"row_group_size": 50}, {"use_dictionary": False}, {"compression": "zstd"}])
def test_how_parquet_is_written_changes_nothing(options, table):
    assert inspect_data(as_parquet(table, **options)).columns == inspect_data(as_parquet(table)).columns


def test_an_index_of_pandas_is_marked(table):
    frame = table.select(["real", "flag", "key"]).to_pandas().set_index("key")
    stream = io.BytesIO()
    frame.to_parquet(stream)
    columns = {column.name: column for column in inspect_data(stream.getvalue()).columns}
    assert columns["key"].notes[0] == "the index of a pandas table"
    assert not columns["real"].notes
    stream = io.BytesIO()
    frame.reset_index().sample(frac=1, random_state=0).to_parquet(stream)
    columns = {column.name: column for column in inspect_data(stream.getvalue()).columns}
    assert columns["__index_level_0__"].notes[0] == "the index of a pandas table"


def test_names_with_dots_are_not_paths():
    data = as_parquet(pyarrow.table({"a": [1, 2], "a.b": ["x", "y"], "b.": [3.5, 4.5]}))
    assert [column.name for column in inspect_data(data).columns] == ["a", "a.b", "b."]
    wanted = Wanted((Feature("b.", upper=9), Feature("a", upper=9)), id="a.b")
    found = extract_data(data, "parquet", {}, wanted)
    assert found.rows.tolist() == [[3.5, 1.0], [4.5, 2.0]]
    assert found.row_ids == ("x", "y")


@pytest.mark.parametrize("write", WRITERS.values())
@pytest.mark.parametrize(
    "values",
    [
        pyarrow.array([[1, 2], [3]]),
        pyarrow.array([{"x": 1}, {"x": 2}]),
        pyarrow.array([b"a", b"b"]),
        pyarrow.array([[("k", 1)], []], pyarrow.map_("string", "int8")),
    ],
    ids=["list", "struct", "binary", "map"],
)
def test_nested_columns_are_refused_by_name(write, values):
    assert "'inside' holds values of the type" in refusal(write(pyarrow.table({"a": [1, 2], "inside": values})))


@pytest.mark.parametrize("write", [as_parquet, as_stream, as_file])
def test_names_given_twice_and_empty_tables_are_refused(write):
    twice = pyarrow.Table.from_arrays([pyarrow.array([1]), pyarrow.array([2])], names=["a", "a"])
    assert "both called 'a'" in refusal(write(twice))
    assert "no rows" in refusal(write(pyarrow.table({"a": pyarrow.array([], pyarrow.int64())})))
    assert "no column" in refusal(write(pyarrow.table({})))


def test_long_whole_numbers_stay_text():
    data = as_parquet(
        pyarrow.table({"key": [2**53 + 1, 2**53 + 2], "a": pyarrow.array([2**64 - 1, 3], pyarrow.uint64())})
    )
    assert [(column.kind, column.distinct) for column in inspect_data(data).columns] == [("text", 2), ("text", 2)]
    found = extract_data(data, "parquet", {}, Wanted(id="key"))
    assert found.row_ids == (str(2**53 + 1), str(2**53 + 2))


class _Keys(pyarrow.parquet.encryption.KmsClient):
    def __init__(self, _config):
        super().__init__()

    def wrap_key(self, key, _master):
        return key.hex()

    def unwrap_key(self, key, _master):
        return bytes.fromhex(key)


@pytest.mark.parametrize("plain_footer", [True, False])
def test_an_encrypted_file_is_refused(plain_footer):
    encryption = pyarrow.parquet.encryption
    factory = encryption.CryptoFactory(_Keys)
    config = encryption.EncryptionConfiguration(
        footer_key="f", column_keys={"c": ["a"]}, plaintext_footer=plain_footer, internal_key_material=True
    )
    properties = factory.file_encryption_properties(encryption.KmsConnectionConfig(), config)
    data = as_parquet(pyarrow.table({"a": [1, 2], "b": [3, 4]}), encryption_properties=properties)
    assert "encrypt" in refusal(data)


def test_an_old_feather_file_is_refused_with_a_remedy():
    assert "version=2" in refusal(b"FEA1" + bytes(64) + b"FEA1")


def test_text_that_is_no_utf_8_is_refused():
    data = as_stream(pyarrow.table({"a": ["abcdefgh", "ijklmnop"]}))
    assert "cannot be read" in refusal(data.replace(b"abcdefgh", b"abcd\xff\xfe\xfdh"))
    data = as_parquet(pyarrow.table({"a": ["abcdefgh", "ijklmnop"]}), compression="none", write_statistics=False)
    assert "cannot be read" in refusal(data.replace(b"abcdefgh", b"abcd\xff\xfe\xfdh"))


def test_offsets_that_lead_outside_are_refused():
    data = as_stream(pyarrow.table({"a": ["abcdefgh", "ijklmnop"]}))
    offsets = np.array([0, 8, 16], np.int32).tobytes()
    assert data.count(offsets) == 1
    assert "cannot be read" in refusal(data.replace(offsets, np.array([0, 8, 2_000_000], np.int32).tobytes()))
