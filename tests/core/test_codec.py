"""Results survive the way to bytes and back, and a changed byte is noticed."""

import io
import json
import struct
import tracemalloc
import zipfile
from dataclasses import replace

import numpy as np
import pytest

from core.codec import dump, load, unpack
from core.nouns import MethodId, Query, Reference, Target
from core.results import Attacked, Attribution, Prediction

ROWS = np.array([[1.0, np.nan, -0.0], [2.0, 1e300, 3.5]])
REFERENCE = Reference(ROWS * 2, ("p", "q"), seed=7)
QUERY = Query("m" * 64, ROWS, ("a", "b"), Target(1, "margin"), REFERENCE, seed=3, cutoff=0.6)
METHOD = MethodId("tree_shap", "1", (("norm", "linf"), ("size", 0.1), ("steps", 4), ("restart", True)))
ATTRIBUTION = Attribution(
    QUERY, METHOD, np.ones((2, 3)), np.zeros(2), np.full(2, 3.0), error=np.full((2, 3), 0.1), tolerance=1e-6,
    facts={"engine": "own", "steps": 50, "nodes": [1, 2], "none": None},
)  # fmt: skip
ATTACKED = Attacked(
    QUERY, METHOD, "linf", 0.1, ROWS, ROWS, np.zeros(2), np.zeros(2), np.zeros((2, 1)), np.ones((2, 1)),
    np.zeros((2, 1)), np.array([0, 1]), np.array([1, 1]), np.array([0, 1]), 42, {"device": "cpu"},
)  # fmt: skip
RESULTS = (
    Prediction(QUERY, METHOD, np.array([[0.5], [np.nan]])),
    Prediction(replace(QUERY, reference=None, cutoff=None), METHOD, np.zeros((2, 1))),
    ATTRIBUTION,
    replace(ATTRIBUTION, error=None, tolerance=None, facts={}),
    ATTACKED,
)


@pytest.mark.parametrize("result", RESULTS)
def test_a_result_comes_back_whole(result):
    back = load(dump(result))
    assert type(back) is type(result)
    assert back.digest == result.digest
    assert back.query.digest == result.query.digest
    assert back.query.row_ids == result.query.row_ids
    assert back.method == result.method
    assert back.facts == result.facts if hasattr(result, "facts") else True


def test_what_comes_back_is_exact_and_read_only():
    back = load(dump(ATTRIBUTION))
    np.testing.assert_array_equal(back.query.rows, ROWS)
    assert np.signbit(back.query.rows[0, 2])
    assert back.query.reference.seed == 7
    assert back.tolerance == 1e-6
    for array in (back.values, back.error, back.query.rows, back.query.reference.rows):
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 0.0


def test_an_attack_keeps_every_field():
    back = load(dump(ATTACKED))
    assert back.model_calls == 42
    assert back.success.tolist() == [True, False]
    for name in ("distance", "noise_distance", "clean_outputs", "clean_class", "noise_class", "perturbed"):
        np.testing.assert_array_equal(getattr(back, name), getattr(ATTACKED, name))


@pytest.mark.parametrize("result", RESULTS)
def test_the_same_result_gives_the_same_bytes(result):
    assert dump(result) == dump(result)
    assert dump(load(dump(result))) == dump(result)


def members(data: bytes) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def packed(parts: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, body in parts.items():
            archive.writestr(name, body)
    return buffer.getvalue()


@pytest.mark.parametrize("result", RESULTS)
def test_a_changed_number_in_any_array_is_noticed(result):
    parts = members(dump(result))
    assert load(packed(parts)).digest == result.digest
    for name in parts:
        if name.endswith(".npy"):
            body = bytearray(parts[name])
            body[-2] ^= 0x10
            with pytest.raises(ValueError, match="should be"):
                load(packed({**parts, name: bytes(body)}))


def leaves(tree, path=()):
    """The places of all plain values in the header's fields."""
    for key, value in tree.items() if isinstance(tree, dict) else enumerate(tree):
        if isinstance(value, dict | list):
            yield from leaves(value, (*path, key))
        elif key not in ("array", "noun"):
            yield (*path, key)


def other(value):
    return {str: lambda: value + "x", bool: lambda: not value, type(None): lambda: 0.5}.get(
        type(value), lambda: value + 1
    )()


@pytest.mark.parametrize("result", RESULTS)
def test_a_changed_word_in_the_header_is_noticed(result):
    parts = members(dump(result))
    header = json.loads(parts["header.json"])
    for path in leaves(header["fields"]):
        changed = json.loads(parts["header.json"])
        place = changed["fields"]
        for key in path[:-1]:
            place = place[key]
        place[path[-1]] = other(place[path[-1]])
        with pytest.raises(ValueError, match="should be"):
            load(packed({**parts, "header.json": json.dumps(changed).encode()}))


def test_every_flipped_byte_is_noticed_or_harmless():
    data = dump(RESULTS[1])
    for place in range(0, len(data), 7):
        broken = bytearray(data)
        broken[place] ^= 0xFF
        try:
            back = load(bytes(broken))
        except Exception:  # noqa: BLE001, S112 - any refusal will do
            continue
        assert back.digest == RESULTS[1].digest


def test_pickles_are_never_opened():
    parts = members(dump(RESULTS[0]))
    body = io.BytesIO()
    np.save(body, np.array([object()]), allow_pickle=True)
    with pytest.raises(ValueError, match="[Pp]ickle|Object arrays"):
        load(packed({**parts, "outputs.npy": body.getvalue()}))


@pytest.mark.parametrize(
    ("parts", "said"),
    [
        ({"a.npy": bytes((1 << 20) + 1)}, "more than a result may have"),
        ({f"{number}.npy": b"" for number in range(10_001)}, "more than a result may have"),
        ({"header.json": b" " * (17 << 20)}, "header is larger than any"),
        ({"header.json": b"[]"}, "no object"),
        ({"header.json": b"[" * 100_000}, "not a packed result"),
        ({"a.npy": b"not an array"}, "magic string"),
    ],
)
def test_what_would_take_too_much_is_refused_before_it_is_unpacked(parts, said, monkeypatch):
    if "header.json" not in parts:
        monkeypatch.setattr("core.codec.LARGEST", 1 << 20)
    data = packed({"header.json": b"{}", **parts})
    tracemalloc.start()
    try:
        with pytest.raises(ValueError, match=said):
            unpack(data)
        assert tracemalloc.get_traced_memory()[1] < 64 << 20
    finally:
        tracemalloc.stop()


def test_an_entry_that_unpacks_to_more_than_it_says_is_not_unpacked():
    data = bytearray(packed({"header.json": b"{}", "a.npy": bytes(40 << 20)}))
    said = struct.pack("<I", 40 << 20)
    assert data.count(said) >= 1
    data = bytes(data).replace(said, struct.pack("<I", 1000))
    tracemalloc.start()
    try:
        with pytest.raises(ValueError):
            unpack(data)
        assert tracemalloc.get_traced_memory()[1] < 8 << 20
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("shape", [(10**12,), (10**6, 10**6), (5,), ()])
def test_an_array_has_what_its_header_says(shape):
    body = io.BytesIO()
    np.lib.format.write_array_header_1_0(body, {"descr": "<f8", "fortran_order": False, "shape": shape})
    with pytest.raises(ValueError, match="not what its header says"):
        unpack(packed({"header.json": b"{}", "a.npy": body.getvalue() + bytes(16)}))
