"""Encryption: streams in chunks for objects, whole for small values. XChaCha20-Poly1305 of libsodium.

A stream is a header, libsodium's own header and chunks; each chunk is authenticated together with the header and the
kind, and the last carries the final tag. So no chunk can be left out, moved or put under another name unnoticed.
"""

import hashlib
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Protocol

from nacl import bindings
from nacl.exceptions import CryptoError

CHUNK = 1 << 20
KEY = bindings.crypto_secretstream_xchacha20poly1305_KEYBYTES
_EXTRA = bindings.crypto_secretstream_xchacha20poly1305_ABYTES
_START = bindings.crypto_secretstream_xchacha20poly1305_HEADERBYTES
_MESSAGE = bindings.crypto_secretstream_xchacha20poly1305_TAG_MESSAGE
_FINAL = bindings.crypto_secretstream_xchacha20poly1305_TAG_FINAL
_NONCE = bindings.crypto_aead_xchacha20poly1305_ietf_NPUBBYTES
_MAGIC = b"ASSAYV1\n"


class Readable(Protocol):
    """Whatever gives its next bytes."""

    def read(self, size: int) -> bytes:
        """The next `size` bytes, fewer at the end."""


class Broken(Exception):
    """Ciphertext is not what was written; the message ends the sentence "its file ..."."""


@dataclass(frozen=True)
class Slip:
    """What a stream belongs to: its kind, the slot of its name and its blob, the latter two hexadecimal."""

    kind: str
    slot: str
    blob: str

    @property
    def header(self) -> bytes:
        """64 bytes that open the stream: magic, blob, slot and a checksum of these."""
        body = _MAGIC + bytes.fromhex(self.blob) + bytes.fromhex(self.slot)
        return body + hashlib.sha256(body).digest()[:8]

    @property
    def bound(self) -> bytes:
        """What every chunk is authenticated with."""
        return self.header + self.kind.encode()


class Encrypting:
    """Iterates over the ciphertext of `body`; `size` is the number of bytes taken in so far."""

    def __init__(self, key: bytes, slip: Slip, body: Iterable[bytes]) -> None:
        self.size = 0
        self._key, self._slip, self._body = key, slip, body

    def __iter__(self) -> Iterator[bytes]:
        state = bindings.crypto_secretstream_xchacha20poly1305_state()
        yield self._slip.header + bindings.crypto_secretstream_xchacha20poly1305_init_push(state, self._key)
        bound = self._slip.bound
        for chunk, last in _with_last(_even(self._body)):
            self.size += len(chunk)
            tag = _FINAL if last else _MESSAGE
            yield bindings.crypto_secretstream_xchacha20poly1305_push(state, chunk, bound, tag)


def decrypted(key: bytes, slip: Slip, size: int, file: Readable) -> Iterator[bytes]:
    """The chunks of a stream of `size` plain bytes, each verified. Raises Broken."""
    head = _exactly(file, len(slip.header) + _START)
    _check_header(head[:-_START], slip)
    state = bindings.crypto_secretstream_xchacha20poly1305_state()
    bindings.crypto_secretstream_xchacha20poly1305_init_pull(state, head[-_START:], key)
    bound, left, tag = slip.bound, size, _MESSAGE
    while tag != _FINAL:
        expected = min(left, CHUNK)
        sealed = _exactly(file, expected + _EXTRA)
        try:
            chunk, tag = bindings.crypto_secretstream_xchacha20poly1305_pull(state, sealed, bound)
        except (CryptoError, RuntimeError, ValueError) as error:
            raise Broken("was changed or damaged") from error
        left -= expected
        if (tag == _FINAL) != (left == 0):
            raise Broken("is not as long as it was")
        yield chunk
    if file.read(1):
        raise Broken("has more in it than was written")


def seal(key: bytes, text: bytes, about: bytes) -> bytes:
    """A small value encrypted and bound to `about`: nonce and ciphertext."""
    nonce = os.urandom(_NONCE)
    return nonce + bindings.crypto_aead_xchacha20poly1305_ietf_encrypt(text, about, nonce, key)


def unseal(key: bytes, sealed: bytes, about: bytes) -> bytes:
    """What `seal` was given. Raises Broken where anything differs."""
    try:
        return bindings.crypto_aead_xchacha20poly1305_ietf_decrypt(sealed[_NONCE:], about, sealed[:_NONCE], key)
    except (CryptoError, ValueError) as error:
        raise Broken("was changed or damaged") from error


def _check_header(header: bytes, slip: Slip) -> None:
    """Tells a stream that belongs to another object from a damaged one."""
    if header == slip.header:
        return
    whole = header[:-8]
    if header.startswith(_MAGIC) and hashlib.sha256(whole).digest()[:8] == header[-8:]:
        raise Broken("belongs to another object")
    raise Broken("was changed or damaged")


def _exactly(file: Readable, size: int) -> bytes:
    found = file.read(size)
    if len(found) < size:
        raise Broken("is cut short")
    return found


def _even(body: Iterable[bytes]) -> Iterator[bytes]:
    """The same bytes in chunks of CHUNK, the last shorter; at least one, perhaps empty."""
    if isinstance(body, bytes | bytearray | memoryview):
        view = memoryview(body).cast("B")
        yield from (bytes(view[start : start + CHUNK]) for start in range(0, max(len(view), 1), CHUNK))
        return
    kept, whole = bytearray(), False
    for piece in body:
        view = memoryview(piece).cast("B")
        while len(view):
            taken = view[: CHUNK - len(kept)]
            kept += taken
            view = view[len(taken) :]
            if len(kept) == CHUNK:
                yield bytes(kept)
                kept.clear()
                whole = True
    if kept or not whole:
        yield bytes(kept)


def _with_last(chunks: Iterator[bytes]) -> Iterator[tuple[bytes, bool]]:
    """Each chunk with whether it is the last."""
    before = next(chunks)
    for chunk in chunks:
        yield before, False
        before = chunk
    yield before, True
