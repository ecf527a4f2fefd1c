"""Streams and small values: every size comes back, every change is told, and the format is what its docstring says."""

import io
import os
from collections.abc import Iterator

import pytest
from nacl import bindings

from storage.sealing import CHUNK, Broken, Encrypting, Slip, decrypted, seal, unseal

KEY = bytes(range(32))
SLIP = Slip("note", "5" * 64, "b" * 32)
SIZES = [0, 1, CHUNK - 1, CHUNK, CHUNK + 1, 2 * CHUNK, 2 * CHUNK + 7]


def stream(body: bytes, slip: Slip = SLIP) -> bytes:
    return b"".join(Encrypting(KEY, slip, body))


def opened(sealed: bytes, size: int, slip: Slip = SLIP, key: bytes = KEY) -> bytes:
    return b"".join(decrypted(key, slip, size, io.BytesIO(sealed)))


def pieces(body: bytes, size: int) -> Iterator[bytes]:
    return (body[start : start + size] for start in range(0, len(body), size))


@pytest.mark.parametrize("size", SIZES)
def test_every_size_comes_back_whole_and_in_pieces(size: int) -> None:
    body = os.urandom(size)
    assert opened(stream(body), size) == body
    for piece in (1000, CHUNK, CHUNK + 1):
        taken = Encrypting(KEY, SLIP, pieces(body, piece))
        sealed = b"".join(taken)
        assert taken.size == size
        assert len(sealed) == len(stream(body))
        assert opened(sealed, size) == body


def test_empty_pieces_and_other_buffers_are_taken() -> None:
    body = [b"", bytearray(b"ab"), b"", memoryview(b"cd"), b""]
    assert opened(b"".join(Encrypting(KEY, SLIP, body)), 4) == b"abcd"
    assert opened(b"".join(Encrypting(KEY, SLIP, [])), 0) == b""
    assert opened(stream(bytearray(b"xyz")), 3) == b"xyz"


def test_the_format_is_libsodiums_behind_our_header() -> None:
    """Taken apart by hand: 64 bytes of ours, 24 of libsodium's, then chunks with 17 bytes more than they hold."""
    body = os.urandom(CHUNK + 5)
    sealed = stream(body)
    assert sealed[:8] == b"ASSAYV1\n"
    assert sealed[8:56] == bytes.fromhex("b" * 32 + "5" * 64)
    state = bindings.crypto_secretstream_xchacha20poly1305_state()
    bindings.crypto_secretstream_xchacha20poly1305_init_pull(state, sealed[64:88], KEY)
    first, last = sealed[88 : 88 + CHUNK + 17], sealed[88 + CHUNK + 17 :]
    pull = bindings.crypto_secretstream_xchacha20poly1305_pull
    assert pull(state, first, sealed[:64] + b"note") == (body[:CHUNK], 0)
    assert pull(state, last, sealed[:64] + b"note") == (body[CHUNK:], 3)


def test_two_streams_of_the_same_bytes_differ() -> None:
    assert stream(b"same")[64:] != stream(b"same")[64:]


def test_every_flipped_bit_is_told() -> None:
    sealed = stream(b"thirteen byte")
    for position in range(len(sealed)):
        changed = sealed[:position] + bytes([sealed[position] ^ 1]) + sealed[position + 1 :]
        with pytest.raises(Broken, match="changed or damaged"):
            opened(changed, 13)


def test_every_cut_is_told() -> None:
    body = os.urandom(CHUNK + 40)
    sealed = stream(body)
    ends = [*range(0, 100), 88 + CHUNK + 17 - 1, 88 + CHUNK + 17, 88 + CHUNK + 18, len(sealed) - 1]
    for end in ends:
        with pytest.raises(Broken, match="cut short"):
            opened(sealed[:end], len(body))


def test_more_bytes_and_another_size_are_told() -> None:
    sealed = stream(b"abc")
    with pytest.raises(Broken, match="more in it"):
        opened(sealed + b"x", 3)
    with pytest.raises(Broken):
        opened(sealed, 2)
    two = stream(bytes(2 * CHUNK))
    with pytest.raises(Broken, match="not as long"):
        opened(two, CHUNK)


def test_chunks_that_change_places_are_told() -> None:
    sealed = stream(os.urandom(3 * CHUNK))
    part = CHUNK + 17
    chunks = [sealed[88 + start : 88 + start + part] for start in range(0, 3 * part, part)]
    for order in ([1, 0, 2], [0, 0, 2], [0, 2, 1], [2, 1, 0]):
        with pytest.raises(Broken):
            opened(sealed[:88] + b"".join(chunks[i] for i in order), 3 * CHUNK)
    with pytest.raises(Broken):  # one left out in the middle
        opened(sealed[:88] + chunks[0] + chunks[2], 2 * CHUNK)


@pytest.mark.parametrize(
    ("slip", "says"),
    [
        (Slip("note", "5" * 64, "c" * 32), "belongs to another object"),
        (Slip("note", "6" * 64, "b" * 32), "belongs to another object"),
        (Slip("grant", "5" * 64, "b" * 32), "changed or damaged"),
    ],
)
def test_a_stream_of_another_object_is_told(slip: Slip, says: str) -> None:
    with pytest.raises(Broken, match=says):
        opened(stream(b"abc", slip), 3)


def test_a_header_written_anew_does_not_help() -> None:
    """The header is authenticated with every chunk, so another's stream cannot be given this one's header."""
    other = stream(b"abc", Slip("note", "6" * 64, "b" * 32))
    with pytest.raises(Broken, match="changed or damaged"):
        opened(SLIP.header + other[64:], 3)


def test_another_key_opens_nothing() -> None:
    with pytest.raises(Broken):
        opened(stream(b"abc"), 3, key=bytes(32))


def test_small_values_are_bound_to_what_they_are_about() -> None:
    sealed = seal(KEY, b"value", b"row 1")
    assert b"value" not in sealed
    assert seal(KEY, b"value", b"row 1") != sealed
    assert unseal(KEY, sealed, b"row 1") == b"value"
    for key, text, about in [(KEY, sealed, b"row 2"), (bytes(32), sealed, b"row 1"), (KEY, sealed[:-1], b"row 1")]:
        with pytest.raises(Broken):
            unseal(key, text, about)
    for position in range(len(sealed)):
        with pytest.raises(Broken):
            unseal(KEY, sealed[:position] + bytes([sealed[position] ^ 1]) + sealed[position + 1 :], b"row 1")
    for length in range(len(sealed)):
        with pytest.raises(Broken):
            unseal(KEY, sealed[:length], b"row 1")
