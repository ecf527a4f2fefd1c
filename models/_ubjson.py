"""Whether bytes are UBJSON as XGBoost writes it: where they are not, its own reader leaves them, or never ends.

Format: https://ubjson.org and XGBoost's JSON and UBJSON reference; lists of one type (`[$`) hold numbers only.
"""

import struct

_NUMBERS = {b"i": "b", b"U": "B", b"I": "h", b"l": "i", b"L": "q", b"d": "f", b"D": "d"}
_WHOLE = (b"i", b"U", b"I", b"l", b"L")
_EMPTY = (b"Z", b"T", b"F")
_DEEPEST = 64


def check(data: bytes) -> None:
    """Raises ValueError for bytes that are not exactly one object."""
    if not data.startswith(b"{") or _Walk(data).value(0, 0) != len(data):
        raise ValueError("not one object")


class _Walk:
    """Steps over values; each method takes the place where something begins and gives the one behind it."""

    def __init__(self, data: bytes) -> None:
        self._data = data

    def value(self, at: int, depth: int) -> int:
        """Over a value with its marker."""
        if depth > _DEEPEST:
            raise ValueError("too deep")
        marker = self._marker(at)
        if marker in _NUMBERS:
            return self._over(at + 1, struct.calcsize(_NUMBERS[marker]))
        if marker in _EMPTY:
            return at + 1
        if marker == b"S":
            return self._text(at + 1)
        if marker == b"[":
            return self._list(at + 1, depth)
        if marker == b"{":
            return self._object(at + 1, depth)
        raise ValueError(f"no value begins with {marker!r}")

    def _object(self, at: int, depth: int) -> int:
        while self._marker(at) != b"}":
            at = self.value(self._text(at), depth + 1)
        return at + 1

    def _list(self, at: int, depth: int) -> int:
        if self._marker(at) == b"$":
            kind, sign = self._marker(at + 1), self._marker(at + 2)
            if kind not in _NUMBERS or sign != b"#":
                raise ValueError("a list of no numbers")
            at, count = self._count(at + 3)
            return self._over(at, count * struct.calcsize(_NUMBERS[kind]))
        if self._marker(at) == b"#":
            at, count = self._count(at + 1)
            for _ in range(count):
                at = self.value(at, depth + 1)
            return at
        while self._marker(at) != b"]":
            at = self.value(at, depth + 1)
        return at + 1

    def _text(self, at: int) -> int:
        at, size = self._count(at)
        return self._over(at, size)

    def _count(self, at: int) -> tuple[int, int]:
        """Over a whole number at or above 0, with it."""
        marker = self._marker(at)
        if marker not in _WHOLE:
            raise ValueError("a size is no whole number")
        end = self._over(at + 1, struct.calcsize(_NUMBERS[marker]))
        count = int.from_bytes(self._data[at + 1 : end], "big", signed=marker != b"U")
        if count < 0:
            raise ValueError("a size is negative")
        return end, count

    def _marker(self, at: int) -> bytes:
        self._over(at, 1)
        return self._data[at : at + 1]

    def _over(self, at: int, size: int) -> int:
        if at + size > len(self._data):
            raise ValueError("cut short")
        return at + size
