"""Results as bytes and back: a zip of one JSON header and NumPy arrays, no pickle.

The same result gives the same bytes.
"""

import io
import json
import math
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from typing import Any

import numpy as np

from core.nouns import MethodId, Query, Reference, Target
from core.results import Attacked, Attribution, Prediction, Result

FORMAT = "1"
"""The form of results and of their digests. It is raised when either changes, so that no old answer is misread."""
LARGEST = 512 << 20
"""Bytes that a result may have, packed and unpacked."""
_LARGEST_HEADER = 16 << 20
_MOST_ARRAYS = 10_000
_KINDS = "biufU"

_RESULTS = {kind.__name__: kind for kind in (Prediction, Attribution, Attacked)}
_NOUNS = {kind.__name__: kind for kind in (Query, MethodId, Reference, Target)}
_EPOCH = (1980, 1, 1, 0, 0, 0)


def dump(result: Result) -> bytes:
    """`result` as bytes."""
    arrays: dict[str, np.ndarray] = {}
    header = {"kind": type(result).__name__, "digest": result.digest, "fields": _pack(result, "", arrays)}
    return pack(header, arrays)


def load(data: bytes) -> Result:
    """The result in `data`. Raises ValueError where its content does not have the digest it names."""
    header, arrays = unpack(data)
    result = _RESULTS[header["kind"]](**_unpack_fields(header["fields"], arrays))
    if result.digest != header["digest"]:
        raise ValueError(f"a result that should be {header['digest']} is {result.digest}")
    return result


def pack(header: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> bytes:
    """JSON values and arrays as bytes."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        _write(archive, "header.json", json.dumps(header, sort_keys=True).encode())
        for name, array in sorted(arrays.items()):
            body = io.BytesIO()
            np.lib.format.write_array(body, array, allow_pickle=False)
            _write(archive, f"{name}.npy", body.getvalue())
    return buffer.getvalue()


def unpack(data: bytes) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """What `pack` made bytes of. Raises ValueError, before taking memory for it, for what is too large or not whole."""
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            entries = archive.infolist()
            if len(entries) > _MOST_ARRAYS or sum(entry.file_size for entry in entries) > LARGEST:
                raise ValueError("it unpacks to more than a result may have")
            bodies = {entry.filename: entry for entry in entries}
            if bodies["header.json"].file_size > _LARGEST_HEADER:
                raise ValueError("its header is larger than any")
            header = json.loads(_read(archive, bodies.pop("header.json")))
            arrays = {name.removesuffix(".npy"): _array(_read(archive, entry)) for name, entry in bodies.items()}
    except (zipfile.BadZipFile, zlib.error, KeyError, NotImplementedError, RecursionError, SyntaxError) as error:
        raise ValueError("it is not a packed result") from error
    if not isinstance(header, dict):
        raise ValueError("its header is no object")
    return header, arrays


def _read(archive: zipfile.ZipFile, entry: zipfile.ZipInfo) -> bytes:
    """An entry's bytes, no more than it says that it has: `ZipFile.read` unpacks all and cuts it off then."""
    with archive.open(entry) as body:
        return body.read(entry.file_size)


def _array(body: bytes) -> np.ndarray:
    """An array from its `.npy` form, whose header must claim what is there."""
    stream = io.BytesIO(body)
    if np.lib.format.read_magic(stream) != (1, 0):
        raise ValueError("an array in a form that is not written here")
    shape, _, dtype = np.lib.format.read_array_header_1_0(stream)
    if dtype.kind not in _KINDS:
        raise ValueError(f"an array of {dtype}: numbers and texts are read, never pickled objects")
    if math.prod(shape) * dtype.itemsize != len(body) - stream.tell():
        raise ValueError("an array that is not what its header says")
    stream.seek(0)
    return np.lib.format.read_array(stream, allow_pickle=False)


def _write(archive: zipfile.ZipFile, name: str, body: bytes) -> None:
    info = zipfile.ZipInfo(name, _EPOCH)
    info.compress_type = zipfile.ZIP_DEFLATED
    archive.writestr(info, body, compresslevel=1)


def _pack(noun: Any, path: str, arrays: dict[str, np.ndarray]) -> dict[str, Any]:
    """A noun's fields as JSON, its arrays put aside under their dotted path."""
    packed: dict[str, Any] = {}
    for field in fields(noun):
        value = getattr(noun, field.name)
        where = f"{path}{field.name}"
        if isinstance(value, np.ndarray):
            arrays[where] = value
            packed[field.name] = {"array": where}
        elif is_dataclass(value):
            packed[field.name] = {"noun": type(value).__name__, "fields": _pack(value, f"{where}.", arrays)}
        else:
            packed[field.name] = {"value": dict(value) if isinstance(value, Mapping) else value}
    return packed


def _unpack_fields(packed: dict[str, Any], arrays: dict[str, np.ndarray]) -> dict[str, Any]:
    return {name: _unpack(value, arrays) for name, value in packed.items()}


def _unpack(value: dict[str, Any], arrays: dict[str, np.ndarray]) -> Any:
    if "array" in value:
        return arrays[value["array"]]
    if "noun" in value:
        return _NOUNS[value["noun"]](**_unpack_fields(value["fields"], arrays))
    return _tuples(value["value"])


def _tuples(value: Any) -> Any:
    """JSON lists back as the tuples they were."""
    return tuple(_tuples(item) for item in value) if isinstance(value, list) else value
