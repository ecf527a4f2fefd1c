"""Arrow's own files: IPC streams, and IPC files, which Feather's second version is.

A file holds a stream between two marks, and it is read as that: what its footer claims does not matter. The sizes of
every batch stand in the messages before it (a FlatBuffer each) and are bounded before anything is unpacked.
Source: https://arrow.apache.org/docs/format/Columnar.html and the schemas Message.fbs and Schema.fbs there.
"""

import struct
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from core.facts import DataFacts, Extracted, Wanted
from data_files.base import BATCH, Table, check_names, damaged, not_taken
from data_files.columns import describe
from data_files.limits import check_expanded, check_rows
from data_files.rows import extract as extract_rows
from data_files.values import check_types

if TYPE_CHECKING:
    import pyarrow

TITLE = "Arrow"
_FILE, _STREAM, _OLD = b"ARROW1\0\0", b"\xff\xff\xff\xff", b"FEA1"
_DICTIONARY, _BATCH_OF_ROWS = 2, 3


def recognises(data: bytes) -> bool:
    """Whether `data` begins as an Arrow file, an Arrow stream or a Feather file."""
    return data.startswith((_FILE, _STREAM, _OLD))


def inspect(data: bytes) -> DataFacts:
    """What each column is."""
    rows, columns = describe(_table(data))
    title = "Arrow file (Feather)" if data.startswith(_FILE) else "Arrow stream"
    return DataFacts("arrow", title, rows, columns, "")


def extract(data: bytes, dialect: Mapping[str, Any], wanted: Wanted) -> Extracted:
    """The wanted columns of the file. `dialect` says nothing that an Arrow file does not say itself."""
    return extract_rows(_table(data), wanted)


def _table(data: bytes) -> Table:
    import pyarrow

    if data.startswith(_OLD):
        raise not_taken("It is a Feather file of the first version", "Write it again with version=2, or as Parquet")
    stream = memoryview(data)[len(_FILE) if data.startswith(_FILE) else 0 :]
    try:
        rows, unpacked = _claimed(stream)
        with pyarrow.ipc.open_stream(pyarrow.BufferReader(stream)) as reader:
            schema = reader.schema
    except (pyarrow.ArrowException, OSError, struct.error, IndexError) as error:
        raise damaged("Arrow", str(error)) from error
    check_names(schema.names)
    check_rows(rows, len(schema.names))
    check_expanded(unpacked, len(data))
    check_types(schema)
    return Table(tuple(schema.names), lambda places: _batches(stream, places))


def _batches(stream: memoryview, places: Sequence[int]) -> Iterator[list["pyarrow.Array"]]:
    """The columns at `places`, a batch of rows at a time."""
    import pyarrow

    try:
        with pyarrow.ipc.open_stream(pyarrow.BufferReader(stream)) as reader:
            for batch in reader:
                batch.validate(full=True)
                for start in range(0, batch.num_rows, BATCH):
                    yield [batch.column(place).slice(start, BATCH) for place in places]
    except (pyarrow.ArrowException, OSError) as error:
        raise damaged("Arrow", str(error)) from error


def _claimed(stream: memoryview) -> tuple[int, int]:
    """How many rows the messages of a stream claim, and how many bytes they unpack to.

    Raises struct.error or IndexError where the messages do not fit together.
    """
    rows = unpacked = at = 0
    while at + 8 <= len(stream) and bytes(stream[at : at + 4]) == _STREAM:
        (size,) = struct.unpack_from("<i", stream, at + 4)
        if size <= 0:
            break
        message = _Table(stream[at + 8 : at + 8 + size], 0)
        kind, body = message.number(1, "<B"), message.number(3, "<q")
        start = at + 8 + size
        if body < 0 or start + body > len(stream):
            raise IndexError("a message is longer than the file")
        if kind in (_DICTIONARY, _BATCH_OF_ROWS):
            batch = message.table(2) if kind == _BATCH_OF_ROWS else message.table(2).table(1)
            length = batch.number(0, "<q")
            rows += length if kind == _BATCH_OF_ROWS else 0
            # A dictionary is no row and still has to be held.
            check_rows(max(length, 0), 1)
            unpacked += _unpacked(batch, stream[start : start + body])
        at = start + body
    return rows, unpacked


def _unpacked(batch: "_Table", body: memoryview) -> int:
    """How many bytes the buffers of a batch take once their compression is undone."""
    buffers = list(batch.pairs(2))
    if not batch.has(3):
        return sum(length for _, length in buffers)
    # A compressed buffer begins with its size; -1 says that it was left as it is.
    sizes = [struct.unpack_from("<q", body, offset)[0] if length else 0 for offset, length in buffers]
    return sum(length if size < 0 else size for size, (_, length) in zip(sizes, buffers, strict=True))


class _Table:
    """One table of a FlatBuffer, read field by field; the first of a buffer where `at` is 0."""

    def __init__(self, buffer: memoryview, at: int) -> None:
        self._buffer = buffer
        self._at = at or struct.unpack_from("<I", buffer, 0)[0]
        self._fields = self._at - struct.unpack_from("<i", buffer, self._at)[0]
        if self._fields < 0:
            raise IndexError("a message points before its beginning")

    def _place(self, field: int) -> int:
        """Where a field stands; 0 where it is left out."""
        size = struct.unpack_from("<H", self._buffer, self._fields)[0]
        entry = 4 + 2 * field
        offset = struct.unpack_from("<H", self._buffer, self._fields + entry)[0] if entry < size else 0
        return self._at + offset if offset else 0

    def has(self, field: int) -> bool:
        return self._place(field) > 0

    def number(self, field: int, form: str) -> int:
        place = self._place(field)
        return struct.unpack_from(form, self._buffer, place)[0] if place else 0

    def table(self, field: int) -> "_Table":
        place = self._place(field)
        return _Table(self._buffer, place + struct.unpack_from("<I", self._buffer, place)[0])

    def pairs(self, field: int) -> Iterator[tuple[int, int]]:
        """A vector of two 64-bit numbers each."""
        place = self._place(field)
        if not place:
            return
        start = place + struct.unpack_from("<I", self._buffer, place)[0]
        (count,) = struct.unpack_from("<I", self._buffer, start)
        for each in range(count):
            yield struct.unpack_from("<qq", self._buffer, start + 4 + 16 * each)
