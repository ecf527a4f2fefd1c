"""Results as bytes and back: a zip of one JSON header and NumPy arrays, no pickle.

The same result gives the same bytes.
"""

import io
import json
import zipfile
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from typing import Any

import numpy as np

from core.nouns import MethodId, Query, Reference, Target
from core.results import Attacked, Attribution, Prediction, Result

FORMAT = "1"
"""The form of results and of their digests. It is raised when either changes, so that no old answer is misread."""

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
    """What `pack` made bytes of."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        header = json.loads(archive.read("header.json"))
        arrays = {
            name.removesuffix(".npy"): np.lib.format.read_array(io.BytesIO(archive.read(name)), allow_pickle=False)
            for name in archive.namelist()
            if name.endswith(".npy")
        }
    return header, arrays


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
