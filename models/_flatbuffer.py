"""A reader of FlatBuffers that believes no offset: every step outside the buffer raises ValueError.

Layout: https://flatbuffers.dev/internals. Fields go by their number in the schema, from 0.
"""

import struct
from collections.abc import Iterator

import numpy as np

_LONGEST_NAME = 10_000


class Table:
    """A table that lies at byte `at` of `buffer`."""

    def __init__(self, buffer: bytes, at: int) -> None:
        self._buffer, self._at = buffer, at
        self._fields = at - self._read("<i", at)
        self._size = self._read("<H", self._fields)

    def number(self, field: int, code: str, default: float = 0) -> int | float:
        """A number of the struct module's `code`, `default` where the file leaves it out."""
        at = self._place(field)
        return default if at is None else self._read(f"<{code}", at)

    def array(self, field: int, dtype: str) -> np.ndarray:
        """A vector of numbers, a view of the buffer; empty where the file leaves it out."""
        at, count = self._vector(field)
        return (
            np.frombuffer(self._buffer, np.dtype(dtype).newbyteorder("<"), count, at) if count else np.empty(0, dtype)
        )

    def table(self, field: int) -> "Table":
        """A table within this one. Raises ValueError where the file leaves it out."""
        at = self._place(field)
        if at is None:
            raise ValueError(f"field {field} is missing")
        return Table(self._buffer, at + self._read("<I", at))

    def tables(self, field: int) -> Iterator["Table"]:
        """The tables of a vector."""
        for at in self._items(field):
            yield Table(self._buffer, at)

    def texts(self, field: int) -> Iterator[str]:
        """The strings of a vector."""
        for at in self._items(field):
            yield self._text(at, _LONGEST_NAME)

    def text(self, field: int, longest: int = _LONGEST_NAME) -> str:
        """A string of at most `longest` bytes, empty where the file leaves it out."""
        at = self._place(field)
        return "" if at is None else self._text(at + self._read("<I", at), longest)

    def _items(self, field: int) -> Iterator[int]:
        at, count = self._vector(field)
        if count * 4 > len(self._buffer) - at:
            raise ValueError("a vector is longer than the file")
        for item in range(at, at + 4 * count, 4):
            yield item + self._read("<I", item)

    def _vector(self, field: int) -> tuple[int, int]:
        """Where the items of a vector begin, and how many there are."""
        at = self._place(field)
        if at is None:
            return 0, 0
        start = at + self._read("<I", at)
        return start + 4, self._read("<I", start)

    def _text(self, at: int, longest: int) -> str:
        size = self._read("<I", at)
        if size > min(longest, len(self._buffer) - at - 4):
            raise ValueError("a text is too long")
        return self._buffer[at + 4 : at + 4 + size].decode(errors="replace")

    def _place(self, field: int) -> int | None:
        """Where a field lies, None where it is left out: its entry in the table of fields is 0 or not there."""
        entry = 4 + 2 * field
        offset = self._read("<H", self._fields + entry) if entry + 2 <= self._size else 0
        return self._at + offset if offset else None

    def _read(self, code: str, at: int) -> int | float:
        if not 0 <= at <= len(self._buffer) - struct.calcsize(code):
            raise ValueError("an offset leaves the file")
        return struct.unpack_from(code, self._buffer, at)[0]
