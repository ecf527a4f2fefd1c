"""What travels between the engine and a worker: frames of one kind byte, a length and a body.

Towards the worker a body may be pickled, for the engine is trusted; a file goes ahead of the request that is about
it, in a frame of its own. What comes back from a worker, which holds a file that is not, is never unpickled: a
number, a result or a finding in `core.codec`'s form, or JSON.
"""

import struct
from typing import BinaryIO

REQUEST, FILE, PROGRESS, RESULT, FOUND, REFUSED, BROKEN = b"Q", b"F", b"P", b"R", b"D", b"E", b"X"

_HEAD = struct.Struct("<cQ")
LARGEST = 4 << 30


def send(stream: BinaryIO, kind: bytes, body: bytes) -> None:
    """Writes one frame."""
    stream.write(_HEAD.pack(kind, len(body)))
    stream.write(body)
    stream.flush()


def receive(stream: BinaryIO) -> tuple[bytes, bytes]:
    """Reads one frame; EOFError where the other side is gone, ValueError where it sent no frame."""
    kind, length = _HEAD.unpack(_exactly(stream, _HEAD.size))
    if length > LARGEST:
        raise ValueError("a frame larger than any result")
    return kind, _exactly(stream, length)


def _exactly(stream: BinaryIO, size: int) -> bytes:
    body = stream.read(size)
    if body is None or len(body) < size:
        raise EOFError("the stream ended")
    return body
