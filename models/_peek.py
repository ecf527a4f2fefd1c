"""What a file shows of itself from outside: the names in it, its first bytes, the classes that a pickle asks for.

Nothing is opened, and what is read and unpacked is bounded, whatever the file claims. Nothing here raises.
"""

import bz2
import io
import lzma
import pickletools
import re
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass

HEAD = 1 << 20

_DIRECTORY_END, _DIRECTORY_ENTRY, _ENTRY = b"PK\5\6", b"PK\1\2", b"PK\3\4"
_COMMENT_LIMIT = 65_535 + 22
_OPCODE_LIMIT = 100_000
_PICKLE_LIMIT = 16 << 20
_LZMA_MEMORY = 128 << 20
_NAME = re.compile(r"[A-Za-z_][\w.]*")
_STRINGS = {"UNICODE", "BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8", "STRING", "BINSTRING", "SHORT_BINSTRING"}
_PACKED = (
    (b"\x1f\x8b", lambda: zlib.decompressobj(31)),
    (b"\x78", zlib.decompressobj),
    (b"BZh", bz2.BZ2Decompressor),
    (b"\xfd7zXZ\0", lambda: lzma.LZMADecompressor(memlimit=_LZMA_MEMORY)),
    (b"\x5d\0\0", lambda: lzma.LZMADecompressor(memlimit=_LZMA_MEMORY)),
)


@dataclass(frozen=True)
class Entry:
    """A file in a zip: `method` is how it is packed, `size` its packed bytes, `start` where its header stands."""

    name: str
    method: int
    size: int
    start: int


def zip_entries(data: bytes) -> tuple[Entry, ...]:
    """What the directory of a zip lists, as far as its first `HEAD` bytes go; nothing for what is not a zip."""
    end = data.rfind(_DIRECTORY_END, max(0, len(data) - _COMMENT_LIMIT))
    if not data.startswith(_ENTRY) or end < 0 or len(data) < end + 22:
        return ()
    size, start = struct.unpack_from("<II", data, end + 12)
    directory = data[start : start + min(size, HEAD)]
    return tuple(_listed(directory))


def _listed(directory: bytes) -> Iterator[Entry]:
    at = 0
    while directory.startswith(_DIRECTORY_ENTRY, at) and len(directory) >= at + 46:
        method, size = struct.unpack_from("<H8xI", directory, at + 10)
        name, extra, comment = struct.unpack_from("<HHH", directory, at + 28)
        (start,) = struct.unpack_from("<I", directory, at + 42)
        yield Entry(directory[at + 46 : at + 46 + name].decode("utf-8", "replace"), method, size, start)
        at += 46 + name + extra + comment


def entry_head(data: bytes, entry: Entry) -> bytes:
    """At most the first `HEAD` bytes of a file in a zip; nothing where it is packed in an unusual way."""
    if not data.startswith(_ENTRY, entry.start) or len(data) < entry.start + 30:
        return b""
    name, extra = struct.unpack_from("<HH", data, entry.start + 26)
    begin = entry.start + 30 + name + extra
    body = data[begin : begin + min(entry.size, HEAD)]
    if entry.method == 8:
        return _unpacked(zlib.decompressobj(-15), body)
    return body if entry.method == 0 else b""


def unpacked_head(data: bytes) -> bytes:
    """At most the first `HEAD` bytes of what gzip, zlib, bzip2, xz or LZMA packed; nothing for other data."""
    for magic, make in _PACKED:
        if data.startswith(magic):
            return _unpacked(make(), data[:HEAD])
    return b""


def _unpacked(decompressor: "zlib._Decompress | bz2.BZ2Decompressor | lzma.LZMADecompressor", data: bytes) -> bytes:
    try:
        return decompressor.decompress(data, HEAD)
    except (zlib.error, lzma.LZMAError, OSError, EOFError):
        return b""


def pickle_names(data: bytes) -> tuple[str, ...] | None:
    """The classes and functions that a pickle asks for, "module.name" each in their order; None for other data.

    Reads the opcodes and carries none out. A pickle that is cut short, or in which an array's bytes
    follow, is read as far as it goes. Old pickles (protocols 0 and 1) have no mark at their start:
    they count where they end as one does.
    """
    marked = data.startswith(tuple(b"\x80" + bytes([protocol]) for protocol in range(2, 6)))
    names: dict[str, None] = {}
    ended = False
    for name in _asked_for(data[:_PICKLE_LIMIT]):
        ended = name is None
        if name is not None:
            names[name] = None
    return tuple(names) if marked or (ended and names) else None


def _asked_for(data: bytes) -> Iterator[str | None]:
    """Each name as it comes, and None where a pickle ends; another one may follow at once (old `torch.save`)."""
    stream, left, strings = io.BytesIO(data), _OPCODE_LIMIT, ["", ""]
    try:
        while stream.tell() < len(data):
            for opcode, value, _ in pickletools.genops(stream):
                left -= 1
                if left < 0:
                    return
                if opcode.name in _STRINGS:
                    strings = [strings[1], value]
                elif opcode.name in ("GLOBAL", "INST") and all(map(_NAME.fullmatch, value.split(" "))):
                    yield value.replace(" ", ".")
                elif opcode.name == "STACK_GLOBAL" and all(map(_NAME.fullmatch, strings)):
                    yield ".".join(strings)
            yield None
    except ValueError:
        return
