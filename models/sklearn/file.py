"""skops files, read by our own reader.

A skops file is a flat zip: `schema.json` is a tree of nodes, each with a loader, a class and its content; arrays lie
beside it as `.npy`. skops itself imports whatever class or function a node names; here every object is built
from our own list, by one reader, so that what was checked is what is built.
"""

import io
import json
import struct
import zipfile
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from typing import Any

import numpy as np

from core.errors import UserFacingError
from models.base import broken
from models.sklearn.allowed import (
    ABSTRACT,
    CLASSES,
    DICTIONARIES,
    ELEMENTWISE,
    FAILURES,
    NUMBERS,
    SEARCHES,
    SELECTION_SCORES,
    TITLE,
    TRAINING,
    TYPES,
    allowed,
    why_not,
)
from models.sklearn.trees import check_nodes, check_tree

_MOST_ENTRIES = 100_000
_MOST_DIRECTORY = 16 << 20  # bytes
_MOST_SCHEMA = 64 << 20  # bytes; a forest of 1,000 trees has 15 MB
_MOST_BYTES = 1 << 30
_MOST_RATIO = 200
_MOST_DEPTH = 100
_MOST_HEADER = 10_000  # bytes of an array's header
_NUMERIC = "?bhilqBHILQefdU"  # the letters of the types that arrays may have
_SPARSE = ("csr", "csc")


@dataclass(frozen=True)
class Opened:
    """A model and every estimator in it, itself last; `version` of scikit-learn that wrote it."""

    model: Any
    made: tuple[Any, ...]
    version: str


def looks_like_skops(data: bytes) -> bool:
    """Whether `data` is a zip with a `schema.json`. Never raises."""
    try:
        return data.startswith(b"PK\x03\x04") and "schema.json" in _open(data).namelist()
    except (UserFacingError, *_DAMAGE):
        return False


def read(data: bytes) -> Opened:
    """The model in `data`. Raises UserFacingError for a file that is damaged, too large, or holds what is not taken."""
    try:
        archive = _open(data)
        _check_entries(archive)
        schema = json.loads(archive.read("schema.json"))
        reader = _Reader(archive)
        model = reader.read(schema)
    except _DAMAGE as error:
        raise broken(TITLE, "The file is damaged or cut short") from error
    return Opened(model, tuple(reader.made), reader.version)


_DAMAGE = (zipfile.BadZipFile, zlib.error, struct.error, *FAILURES)


def _open(data: bytes) -> zipfile.ZipFile:
    """The zip, its directory bounded before it is read."""
    end = data.rfind(b"PK\x05\x06")
    if end < 0:
        raise broken(TITLE, "The file is damaged or cut short")
    (directory,) = struct.unpack("<I", data[end + 12 : end + 16])
    if directory > _MOST_DIRECTORY:
        raise broken(TITLE, f"It holds more than {_MOST_ENTRIES:,} arrays", "Train a smaller model")
    return zipfile.ZipFile(io.BytesIO(data))


def _check_entries(archive: zipfile.ZipFile) -> None:
    entries = archive.infolist()
    if len(entries) > _MOST_ENTRIES:
        raise broken(TITLE, f"It holds more than {_MOST_ENTRIES:,} arrays", "Train a smaller model")
    names = {entry.filename for entry in entries}
    if len(names) < len(entries) or any(set(name) & set("/\\:\0") or name.startswith(".") for name in names):
        raise broken(TITLE, "A name in the file occurs twice or leads to a folder")
    if any(entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED) for entry in entries):
        raise broken(TITLE, "It is packed in a way that skops does not use")
    whole, packed = sum(entry.file_size for entry in entries), sum(entry.compress_size for entry in entries)
    if whole > min(_MOST_BYTES, _MOST_RATIO * packed + (1 << 20)):
        raise broken(TITLE, f"It unpacks to {whole / 1e6:,.0f} MB, more than is opened", "Train a smaller model")
    if archive.getinfo("schema.json").file_size > _MOST_SCHEMA:
        raise broken(TITLE, "Its description is too large", "Train a smaller model")


class _Reader:
    """Builds the objects of one file, each once, inner before outer."""

    def __init__(self, archive: zipfile.ZipFile) -> None:
        self.made: list[Any] = []
        self.version = ""
        self._archive = archive
        self._known: dict[int, Any] = {}
        self._depth = 0
        self._left = _MOST_BYTES

    def read(self, node: Mapping[str, Any]) -> Any:
        """What `node` describes. The same number is the same object."""
        number = node.get("__id__")
        if isinstance(number, int) and number in self._known:
            return self._known[number]
        self._depth += 1
        if self._depth > _MOST_DEPTH:
            raise broken(TITLE, f"Its objects lie more than {_MOST_DEPTH} deep in each other")
        loader = _LOADERS.get(node["__loader__"])
        if loader is None:
            raise _refused(_qualified(node))
        found = loader(self, node)
        self._depth -= 1
        if isinstance(number, int):
            self._known[number] = found
        return found

    def _unpack(self, archive: zipfile.ZipFile, name: str) -> bytes:
        """The entry called `name`; everything that is read adds up, and one entry may be named many times."""
        self._left -= archive.getinfo(name).file_size
        if self._left < 0:
            raise broken(TITLE, f"Its arrays take more than {_MOST_BYTES / 1e6:,.0f} MB", "Train a smaller model")
        return archive.read(name)

    def array(self, node: Mapping[str, Any]) -> Any:
        """A numpy array or scalar; an array of objects is a list of nodes and its shape."""
        qualified = _qualified(node)
        scalar = qualified.startswith("numpy.") and qualified.removeprefix("numpy.") in NUMBERS
        if qualified != "numpy.ndarray" and not scalar:
            raise _refused(qualified)
        if node["type"] == "json":
            return self._objects(node)
        if node["type"] != "numpy":
            raise ValueError(node["type"])
        found = _array(self._unpack(self._archive, node["file"]))
        return found[()] if scalar else found

    def _objects(self, node: Mapping[str, Any]) -> np.ndarray:
        shape = self.read(node["shape"])
        items = [self.read(each) for each in node["content"]]
        for _ in shape[1:]:
            items = [inner for item in items for inner in item]
        found = np.empty(len(items), dtype=object)
        for position, item in enumerate(items):  # at once, numpy would look into items that are lists
            found[position] = item
        return found.reshape(shape)

    def dictionary(self, node: Mapping[str, Any]) -> dict[Any, Any]:
        if _qualified(node) not in DICTIONARIES:
            raise _refused(_qualified(node))
        kinds = [_kind(each) for each in node["key_types"]["content"]]
        content = node["content"]
        return {kind(key): self.read(value) for kind, (key, value) in zip(kinds, content.items(), strict=True)}

    def instance(self, node: Mapping[str, Any]) -> Any:
        """An object of a class on our list, its attributes set and no code of the file run."""
        qualified = _qualified(node)
        if qualified in SEARCHES:
            return self.read(node["content"]["content"]["best_estimator_"])
        if allowed(qualified, TRAINING):
            return None
        if qualified == "scipy.interpolate._bsplines.BSpline":
            return self._spline(node)
        if not allowed(qualified, CLASSES):
            raise _refused(qualified, node)
        state = (self.read(node["content"]) if "content" in node else None) or {}
        kind = getattr(import_module(node["__module__"]), node["__class__"])
        hidden = [name for name in state if name in dir(kind) and name not in _CLASS_DEFAULTS]
        if hidden:
            raise broken(TITLE, f"It puts something else in the place of {node['__class__']}.{hidden[0]}")
        self.version = state.pop("_sklearn_version", "") or self.version
        if node["__class__"] == "TreePredictor":
            check_nodes(state)
        found = kind.__new__(kind)
        found.__dict__.update(state)
        if node["__class__"] == "IsotonicRegression":
            found._build_f(found.X_thresholds_, found.y_thresholds_)
        self.made.append(found)
        return found

    def _spline(self, node: Mapping[str, Any]) -> Any:
        """A spline by its constructor, which checks its knots."""
        from scipy.interpolate import BSpline

        content = node["content"]["content"]
        knots, coefficients, degree, beyond = (self.read(content[name]) for name in ("_t", "_c", "k", "extrapolate"))
        return BSpline(knots, coefficients, degree, extrapolate=beyond)

    def tree(self, node: Mapping[str, Any]) -> Any:
        from sklearn.tree._tree import Tree

        if _qualified(node) != "sklearn.tree._tree.Tree":
            raise _refused(_qualified(node))
        arguments, state = self.read(node["__reduce__"]["args"]), self.read(node["content"])
        check_tree(arguments, state)
        found = Tree(*arguments)
        found.__setstate__(state)
        return found

    def sparse(self, node: Mapping[str, Any]) -> Any:
        """A sparse matrix, from the arrays that scipy's `save_npz` wrote; every index in its range."""
        import scipy.sparse

        inner = _open(self._unpack(self._archive, node["file"]))
        parts = {name.removesuffix(".npy"): _array(self._unpack(inner, name), "S") for name in inner.namelist()}
        form = parts["format"].item().decode()
        if form not in _SPARSE:
            raise _refused(f"a sparse matrix of the form {form!r}")
        kind = getattr(scipy.sparse, f"{form}_{'array' if '_is_array' in parts else 'matrix'}")
        shape = tuple(int(size) for size in parts["shape"])
        found = kind((parts["data"], parts["indices"], parts["indptr"]), shape=shape)
        found.check_format(full_check=True)
        return found

    def function(self, node: Mapping[str, Any]) -> Callable[..., Any]:
        """A function of the few that scikit-learn's own preprocessing takes."""
        module, name = node["__module__"], node["__class__"]
        if module.split(".")[0] == "numpy" and name in ELEMENTWISE:
            return getattr(np, name)
        if module == "sklearn.feature_selection._univariate_selection" and name in SELECTION_SCORES:
            return getattr(import_module(module), name)
        raise _refused(f"{module}.{name}")

    def partial(self, node: Mapping[str, Any]) -> Callable[..., Any]:
        """The one partial function that scikit-learn itself leaves in a model: histogram boosting's check of rows."""
        from sklearn.utils.validation import check_array

        inner = node["content"]["func"]
        if _qualified(inner) != "sklearn.utils.validation.check_array":
            raise _refused(f"functools.partial of {_qualified(inner)}")
        return partial(check_array, dtype=[np.float64], ensure_all_finite=False)


# Attributes that a class sets for all and an instance for itself.
_CLASS_DEFAULTS = frozenset({"_sklearn_output_config"})


def _json(_: _Reader, node: Mapping[str, Any]) -> Any:
    found = json.loads(node["content"])
    if not isinstance(found, str | int | float | None):
        raise ValueError(type(found))
    return found


def _list(reader: _Reader, node: Mapping[str, Any]) -> list[Any]:
    if _qualified(node) == "sklearn.compose._column_transformer._RemainderColsList":
        return reader.read(node["content"])
    if _qualified(node) != "builtins.list":
        raise _refused(_qualified(node))
    return [reader.read(each) for each in node["content"]]


def _tuple(reader: _Reader, node: Mapping[str, Any]) -> tuple[Any, ...]:
    found = tuple(reader.read(each) for each in node["content"])
    if _qualified(node) == "sklearn.impute._iterative._ImputerTriplet":
        from sklearn.impute._iterative import _ImputerTriplet

        return _ImputerTriplet(*found)
    if _qualified(node) != "builtins.tuple":
        raise _refused(_qualified(node))
    return found


def _set(reader: _Reader, node: Mapping[str, Any]) -> set[Any]:
    if _qualified(node) != "builtins.set":
        raise _refused(_qualified(node))
    return {reader.read(each) for each in node["content"]}


def _slice(_: _Reader, node: Mapping[str, Any]) -> slice:
    ends = [node["content"][name] for name in ("start", "stop", "step")]
    if not all(end is None or type(end) is int for end in ends):
        raise ValueError(ends)
    return slice(*ends)


def _dtype(reader: _Reader, node: Mapping[str, Any]) -> np.dtype:
    return reader.array(node["content"]).dtype


def _type(_: _Reader, node: Mapping[str, Any]) -> type:
    return _kind(node)


def _kind(node: Mapping[str, Any]) -> type:
    module, name = node["__module__"], node["__class__"]
    if module == "builtins" and name in TYPES:
        return {"bool": bool, "int": int, "float": float, "str": str, "object": object}[name]
    if module == "numpy" and name in NUMBERS | ABSTRACT:
        return getattr(np, name)
    raise _refused(f"{module}.{name}")


def _training_only(_: _Reader, node: Mapping[str, Any]) -> None:
    if not allowed(_qualified(node), TRAINING):
        raise _refused(_qualified(node))


_LOADERS: dict[str, Callable[[_Reader, Mapping[str, Any]], Any]] = {
    "DTypeNode": _dtype,
    "DictNode": _Reader.dictionary,
    "FunctionNode": _Reader.function,
    "JsonNode": _json,
    "ListNode": _list,
    "LossNode": _training_only,
    "NdArrayNode": _Reader.array,
    "ObjectNode": _Reader.instance,
    "PartialNode": _Reader.partial,
    "RandomGeneratorNode": _training_only,
    "RandomStateNode": _training_only,
    "SetNode": _set,
    "SliceNode": _slice,
    "SparseMatrixNode": _Reader.sparse,
    "TreeNode": _Reader.tree,
    "TupleNode": _tuple,
    "TypeNode": _type,
}


def _qualified(node: Mapping[str, Any]) -> str:
    return f"{node['__module__']}.{node['__class__']}"


def _refused(qualified: str, node: Mapping[str, Any] | None = None) -> UserFacingError:
    """The error for something that is not on our list."""
    why, remedy = why_not(qualified)
    if node is not None and qualified.startswith("sklearn.feature_extraction.text."):
        read = node["content"]["content"].get("input", {}).get("content")
        if read in ('"filename"', '"file"'):
            why = f"It holds {qualified} with input={read}, which opens the files that its rows name"
    return broken(TITLE, why, remedy)


def _array(raw: bytes, also: str = "") -> np.ndarray:
    """The array in `raw`, as numpy's `save` wrote it: its header is believed only where the bytes bear it out."""
    stream = io.BytesIO(raw)
    version = np.lib.format.read_magic(stream)
    readers = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
    shape, by_column, dtype = readers[version](stream, max_header_size=_MOST_HEADER)
    letters = [dtype[name].char for name in dtype.names] if dtype.names else [dtype.char]
    if dtype.hasobject:
        raise _refused("an array of pickled objects")
    if set(letters) - set(_NUMERIC + also) or not dtype.itemsize:
        raise _refused(f"an array of the type {dtype}")
    count = 1
    for size in shape:
        count *= size
    body = raw[stream.tell() :]
    if any(size < 0 or size > 1 << 30 for size in shape) or len(body) != count * dtype.itemsize:
        raise broken(TITLE, f"An array claims the shape {shape} and has {len(body):,} bytes")
    return np.frombuffer(body, dtype).reshape(shape, order="F" if by_column else "C").copy(order="K")
