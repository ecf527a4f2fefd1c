"""Files made to do harm, and files that are damaged: a sentence for each, and never another exception."""

import gzip
import io
import os
import struct
import zipfile
import zlib

import numpy as np
import pyarrow
import pytest
from PIL import Image
from pyarrow import parquet

from core.errors import UserFacingError
from core.facts import Wanted
from core.nouns import Feature
from data_files import FORMATS, extract_data, inspect_data
from data_files.limits import SETTINGS, limits
from engine.intake import look_at_data


def refusal(data):
    with pytest.raises(UserFacingError) as caught:
        inspect_data(data)
    return caught.value.sentence


def as_parquet(table, **options):
    stream = io.BytesIO()
    parquet.write_table(table, stream, **options)
    return stream.getvalue()


def as_stream(table, compression=None):
    stream = io.BytesIO()
    with pyarrow.ipc.new_stream(
        stream, table.schema, options=pyarrow.ipc.IpcWriteOptions(compression=compression)
    ) as writer:
        writer.write_table(table)
    return stream.getvalue()


def packed(files, method=zipfile.ZIP_DEFLATED):
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", method) as archive:
        for name, body in files.items():
            archive.writestr(name, body)
    return stream.getvalue()


def picture(width, height):
    stream = io.BytesIO()
    Image.fromarray(np.arange(height * width, dtype=np.uint8).reshape(height, width)).save(stream, "PNG")
    return stream.getvalue()


def chunk(kind, body):
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def hundred_megapixels():
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", 10_000, 10_000, 8, 0, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(bytes(10_001))) + chunk(b"IEND", b"")


def gzip_of_rows(rows):
    squeeze = zlib.compressobj(9, zlib.DEFLATED, 31)
    block = b"1\n" * 100_000
    return b"".join(
        [squeeze.compress(b"a\n"), *(squeeze.compress(block) for _ in range(rows // 100_000)), squeeze.flush()]
    )


def gzip_of_zeros(mib):
    squeeze = zlib.compressobj(9, zlib.DEFLATED, 31)
    return b"".join([*(squeeze.compress(b"0" * 2**20) for _ in range(mib)), squeeze.flush()])


def parquet_of_rows(rows):
    stream = io.BytesIO()
    schema = pyarrow.schema({"a": pyarrow.int8()})
    with parquet.ParquetWriter(stream, schema) as writer:
        block = pyarrow.table({"a": pyarrow.array(np.zeros(5_000_000, np.int8))})
        for _ in range(rows // 5_000_000):
            writer.write_table(block)
    return stream.getvalue()


def test_ten_million_rows_in_a_small_gzip_are_refused():
    data = gzip_of_rows(10_000_000)
    assert len(data) < 25_000
    assert "rows or more and 5,000,000 are taken at most" in refusal(data)


def test_fifty_million_rows_in_a_small_parquet_are_refused():
    data = parquet_of_rows(50_000_000)
    assert len(data) < 200_000
    assert "It holds 50,000,000 rows and 5,000,000 are taken at most" in refusal(data)


@pytest.mark.parametrize("pack", [gzip_of_zeros, lambda mib: packed({"a.csv": b"0" * (mib << 20)})])
def test_what_unpacks_without_end_is_refused(pack):
    assert "more than 200 times as large as packed" in refusal(pack(80))


def test_a_picture_of_a_hundred_megapixels_is_refused_before_it_is_read():
    sentence = refusal(packed({"a.png": hundred_megapixels()}))
    assert "'a.png' has 100,000,000 pixels and 16,000,000 are taken at most" in sentence


def test_pictures_that_are_too_many_together_are_refused_before_they_are_read():
    files = {f"{i}.png": picture(1000, 1000) for i in range(51)}
    assert "shape (51, 1000, 1000, 1), 51,000,000 values" in refusal(packed(files, zipfile.ZIP_STORED))


def test_an_archive_of_too_many_files_is_refused(monkeypatch):
    monkeypatch.setenv("ASSAY_MAX_ENTRIES", "20")
    assert "The archive holds 30 files and 20 are taken at most" in refusal(
        packed({f"{i}.png": b"x" for i in range(30)})
    )


def test_files_that_overlap_are_refused():
    data = bytearray(packed({"a.png": picture(50, 50), "b.png": picture(50, 50)}, zipfile.ZIP_STORED))
    first, second = (at for at in range(len(data)) if data[at : at + 4] == b"PK\x01\x02")
    data[first + 20 : first + 28] = struct.pack("<II", len(data), len(data))
    assert "overlap" in refusal(bytes(data))
    assert second


@pytest.mark.parametrize("inner", ["gzip", "zip"])
def test_an_archive_in_an_archive_is_refused(inner):
    body = gzip.compress(b"a,b\n1,2\n") if inner == "gzip" else packed({"a.csv": b"a,b\n1,2\n"})
    assert "bytes that are not text" in refusal(packed({"a.csv": body}))
    assert "bytes that are not text" in refusal(gzip.compress(body))


def test_an_arrow_stream_that_claims_many_rows_is_refused():
    assert "1,000,000,000 rows and 5,000,000 are taken" in refusal(
        as_stream(pyarrow.table({"a": pyarrow.nulls(10**9)}))
    )


@pytest.mark.parametrize("compression", ["lz4", "zstd"])
def test_an_arrow_buffer_that_unpacks_to_much_is_refused(compression):
    data = bytearray(as_stream(pyarrow.table({"a": ["x" * 1000] * 100}), compression))
    at = data.rindex(struct.pack("<q", 100_000))  # the size of the text before compression
    data[at : at + 8] = struct.pack("<q", 2**40)
    assert "1,099,511,6" in refusal(bytes(data))


def test_one_long_text_in_many_rows_is_held_once():
    text = "x" * 500_000
    column = pyarrow.DictionaryArray.from_arrays(np.zeros(200_000, np.int32), [text])
    data = as_parquet(pyarrow.table({"a": column, "b": np.arange(200_000)}))
    assert inspect_data(data).columns[0].categories == (text,)
    found = extract_data(data, "parquet", {}, Wanted(text="a"))
    assert len(found.texts) == 200_000
    assert len({id(each) for each in found.texts}) < 10


def test_a_text_beyond_the_bound_is_refused():
    for write in (as_parquet, as_stream):
        sentence = refusal(write(pyarrow.table({"a": ["x", "y" * 2_000_000]})))
        assert "A value of the column 'a' has 2,000,000 bytes and 1,048,576 are taken at most" in sentence


def test_too_many_columns_are_refused():
    assert "holds 20,001 columns and 20,000 are taken" in refusal(
        (",".join(f"c{i}" for i in range(20_001)) + "\n").encode()
    )
    assert "20,001 columns and 20,000" in refusal(as_parquet(pyarrow.table({f"c{i}": [1] for i in range(20_001)})))


@pytest.mark.parametrize("setting", SETTINGS)
def test_every_bound_is_a_setting(setting, monkeypatch):
    name = setting.removeprefix("ASSAY_MAX_").lower()
    monkeypatch.setenv(setting, "7")
    assert getattr(limits(), name) == 7
    for wrong in ("0", "-3", "many", "1.5", ""):
        monkeypatch.setenv(setting, wrong)
        with pytest.raises(UserFacingError, match=setting):
            limits()


@pytest.mark.parametrize("bound", ["ROWS", "COLUMNS", "CELLS"])
def test_a_lower_bound_holds_in_every_format(bound, monkeypatch):
    files = [data for name, data, _ in samples() if name != "images"]
    monkeypatch.setenv(f"ASSAY_MAX_{bound}", "1")
    for data in files:
        assert f"raise ASSAY_MAX_{bound}" in refusal(data)


@pytest.mark.parametrize(
    ("start", "part"),
    [
        (b"\xd0\xcf\x11\xe0", "Excel"),
        (b"\x89HDF\r\n", "HDF5"),
        (b"SQLite format 3\0", "database"),
        (b"\x80\x04\x95", "pickle"),
        (b"\x89PNG\r\n", "single picture"),
        (b"%PDF-1.7", "PDF"),
        (b"\x00\x01\x02\x03", "no known format"),
    ],
)
def test_files_of_other_kinds_are_named(start, part):
    assert part in refusal(start + bytes(100))


def test_a_workbook_and_other_archives_are_refused():
    assert "neither pictures nor arrays" in refusal(packed({"[Content_Types].xml": "<x/>", "xl/workbook.xml": "<x/>"}))


def test_another_file_than_agreed_is_refused():
    with pytest.raises(UserFacingError, match="no Parquet file"):
        extract_data(b"a,b\n1,2\n", "parquet", {}, Wanted())
    with pytest.raises(UserFacingError, match="no data format"):
        extract_data(b"a,b\n1,2\n", "xlsx", {}, Wanted())
    assert "images" in FORMATS


def samples():
    """A good file of each kind, with what is wanted of it."""
    rng = np.random.default_rng(3)
    table = pyarrow.table(
        {
            "a": rng.normal(size=60),
            "b": rng.integers(0, 9, 60),
            "c": np.array(["x", "y", "z"])[rng.integers(0, 3, 60)],
            "d": pyarrow.array(["p", "q", None] * 20).dictionary_encode(),
        }
    )
    text = "a,b,c,d\n" + "".join(f'{i / 8},{i},{"xyz"[i % 3]},"p{i}"\n' for i in range(60))
    wanted = Wanted((Feature("a", lower=-9, upper=9), Feature("b", upper=99)), id="c")
    arrays = io.BytesIO()
    np.savez(arrays, x=rng.normal(size=(60, 2)), y=np.arange(60) % 2)
    packed_arrays = io.BytesIO()
    np.savez_compressed(packed_arrays, x=rng.normal(size=(60, 2)), y=np.arange(60) % 2)
    array = io.BytesIO()
    np.save(array, rng.normal(size=(60, 2)))
    jpeg = io.BytesIO()
    Image.fromarray(rng.integers(0, 255, (16, 16, 3), dtype=np.uint8)).save(jpeg, "JPEG")
    numeric = Wanted((Feature("x0", lower=-9, upper=9),), label="y", classes=("0", "1"))
    pictures = packed({"a/1.png": picture(9, 9), "b/2.png": picture(9, 9)}, zipfile.ZIP_STORED)
    return [
        ("parquet", as_parquet(table), wanted),
        ("parquet", as_parquet(table, compression="none", use_dictionary=False), wanted),
        ("arrow", as_stream(table), wanted),
        ("arrow", as_stream(table, "lz4"), wanted),
        ("csv", text.encode(), wanted),
        ("csv", text.encode("utf-16"), wanted),
        ("csv", gzip.compress(text.encode()), wanted),
        ("csv", packed({"t.csv": text}), wanted),
        ("numpy", array.getvalue(), Wanted((Feature("x1", lower=-9, upper=9),))),
        ("numpy", arrays.getvalue(), numeric),
        ("numpy", packed_arrays.getvalue(), numeric),
        ("images", pictures, Wanted(label="label", classes=("a", "b"))),
        ("images", packed({"1.jpg": jpeg.getvalue()}, zipfile.ZIP_STORED), Wanted()),
    ]


SAMPLES = samples()
ROUNDS = int(os.environ.get("ASSAY_FUZZ_ROUNDS", "60"))


@pytest.mark.parametrize(
    ("format", "data", "wanted"), SAMPLES, ids=[f"{i}-{each[0]}" for i, each in enumerate(SAMPLES)]
)
@pytest.mark.parametrize("how", ["cut", "flipped", "swapped"])
def test_a_damaged_file_is_read_or_refused(how, format, data, wanted):
    """Truncated, with bits flipped, with bytes put in: only the error that a person reads may come of it."""
    rng = np.random.default_rng(len(data))
    refused = 0
    for _ in range(ROUNDS):
        broken = bytearray(data)
        if how == "cut":
            del broken[int(rng.integers(0, len(data))) :]
        elif how == "flipped":
            for at in rng.integers(0, len(data), 3):
                broken[at] ^= 1 << int(rng.integers(8))
        else:
            at = int(rng.integers(0, len(data)))
            broken[at : at + 8] = rng.bytes(8) if rng.random() < 0.5 else b"\xff" * 8
        for ask in (inspect_data, lambda each: extract_data(each, format, dialect(format, data), wanted)):
            try:
                ask(bytes(broken))
            except UserFacingError as error:
                refused += 1
                assert error.why and error.remedy
    assert refused


DIALECTS = {}


def dialect(format, data):
    """How the file was read while it was whole."""
    if data not in DIALECTS:
        DIALECTS[data] = inspect_data(data).dialect
    return DIALECTS[data]


def test_a_bound_reaches_the_worker(monkeypatch):
    monkeypatch.setenv("ASSAY_MAX_ROWS", "2")
    with pytest.raises(UserFacingError, match="3 rows or more and 2 are taken"):
        look_at_data(b"a,b\n1,2\n3,4\n5,6\n")
