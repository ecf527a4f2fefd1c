"""What travels between the engine and a worker: frames of one kind byte, a length and a body.

Towards the worker a body may be pickled, for the engine is trusted; a file goes ahead of the request that is about
it, in a frame of its own. What comes back from a worker, which holds a file that is not, is never unpickled and is
bounded: a number, a result or a finding in `core.codec`'s form, or JSON.
"""

import json
import struct
from collections.abc import Mapping
from typing import Any, BinaryIO

from core import codec
from core.errors import UserFacingError

REQUEST, FILE, PROGRESS, RESULT, FOUND, REFUSED, BROKEN = b"Q", b"F", b"P", b"R", b"D", b"E", b"X"

QUESTIONS = {FILE: 4 << 30, REQUEST: 4 << 30}
"""The frames towards a worker and how many bytes each may have."""
ANSWERS = {PROGRESS: 8, RESULT: codec.LARGEST, FOUND: codec.LARGEST, REFUSED: 1 << 16, BROKEN: 1 << 16}
"""The frames from a worker and how many bytes each may have."""

_HEAD = struct.Struct("<cQ")
_LONGEST = 4000  # characters of a sentence


def send(stream: BinaryIO, kind: bytes, body: bytes) -> None:
    """Writes one frame."""
    stream.write(_HEAD.pack(kind, len(body)))
    stream.write(body)
    stream.flush()


def receive(stream: BinaryIO, largest: Mapping[bytes, int]) -> tuple[bytes, bytes]:
    """Reads one frame; EOFError where the other side is gone, ValueError where it sent none of those in `largest`."""
    kind, length = _HEAD.unpack(_exactly(stream, _HEAD.size))
    if length > largest.get(kind, -1):
        raise ValueError(f"a frame of kind {kind!r} and {length} bytes")
    return kind, _exactly(stream, length)


def refused(error: UserFacingError) -> bytes:
    """The body of a frame that says why there is no answer."""
    parts = (error.what, error.why, error.remedy, error.code)
    return json.dumps([part[:_LONGEST] for part in parts]).encode()


def refusal(body: bytes) -> UserFacingError:
    """What a worker refused with, its parts as they may be shown. Raises ValueError where it is no refusal."""
    try:
        parts = json.loads(body)
    except RecursionError as error:
        raise ValueError("a refusal without a bottom") from error
    return told(parts)


def told(parts: Any) -> UserFacingError:
    """The error of these three or four texts. Raises ValueError where they are not."""
    texts = isinstance(parts, list) and all(isinstance(part, str) and len(part) <= _LONGEST for part in parts)
    if not texts or len(parts) not in (3, 4):
        raise ValueError("a refusal is three or four texts")
    return UserFacingError(*map(shown, parts))


def shown(text: str) -> str:
    """`text` without what would move a terminal's cursor or change its colours."""
    return "".join(char if char.isprintable() or char == "\n" else "\N{REPLACEMENT CHARACTER}" for char in text)


def _exactly(stream: BinaryIO, size: int) -> bytes:
    body = stream.read(size)
    if body is None or len(body) < size:
        raise EOFError("the stream ended")
    return body
