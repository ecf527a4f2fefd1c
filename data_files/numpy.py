"""NumPy's arrays: NPY and NPZ. Headers are read and bounded first; nothing that would have to be unpickled is taken.

Two dimensions are a table, three or four are pictures. The arrays of an NPZ are told by their usual names.
"""

import io
import math
import tokenize
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from core.errors import UserFacingError
from core.facts import DataFacts, Extracted, Wanted
from data_files.archives import ZIP, Archive
from data_files.base import BATCH, Table, check_names, damaged, listed, not_taken, shown
from data_files.columns import describe
from data_files.limits import check_rows, check_shape
from data_files.rows import extract as extract_rows

if TYPE_CHECKING:
    import pyarrow

TITLE = "NumPy"
_MAGIC = b"\x93NUMPY"
_ROWS = ("x", "features", "images", "data", "inputs")
_LABELS = ("y", "label", "labels", "target", "targets")
_NAMES = ("feature_names", "columns")
_HEADER = 20_000
_UNREADABLE = (ValueError, TypeError, KeyError, EOFError, SyntaxError, RecursionError, MemoryError, tokenize.TokenError)


@dataclass(frozen=True)
class _Arrays:
    """What a file holds: the rows as (n, d) or (n, height, width, channels), and columns beside them, each (n,)."""

    title: str
    rows: np.ndarray
    names: tuple[str, ...] = ()
    beside: Mapping[str, np.ndarray] = field(default_factory=dict)
    layout: str = ""
    notes: tuple[str, ...] = ()


def recognises(data: bytes) -> bool:
    """Whether `data` is an array, or an archive of arrays."""
    if data.startswith(ZIP):
        archive = Archive(data)
        return bool(archive.members) and archive.head(archive.members[0]).startswith(_MAGIC)
    return data.startswith(_MAGIC)


def inspect(data: bytes) -> DataFacts:
    """The shape of the rows, and what each column is; for pictures the columns beside them."""
    arrays = _arrays(data)
    if arrays.layout:
        return _inspect_pictures(arrays)
    rows, columns = describe(_table(arrays))
    return DataFacts("numpy", arrays.title, rows, columns, "", notes=arrays.notes)


def extract(data: bytes, dialect: Mapping[str, Any], wanted: Wanted) -> Extracted:
    """The wanted columns, or the pictures, as `dialect["layout"]` says how they lie."""
    arrays = _arrays(data)
    if arrays.layout != dialect.get("layout", ""):
        raise UserFacingError(
            "The arrays cannot be read as agreed",
            f"Their layout is {arrays.layout or 'that of a table'} and should be {dialect.get('layout') or 'a table'}",
            "Choose the file anew",
        )
    if not arrays.layout:
        return extract_rows(_table(arrays), wanted)
    pictures = arrays.rows.astype(np.float64)
    bad = np.flatnonzero(~np.isfinite(pictures).all(axis=(1, 2, 3)))
    if len(bad):
        raise not_taken(f"Picture {bad[0] + 1:,} holds a pixel that is no finite number", "Correct it, or leave it out")
    beside = extract_rows(_beside(arrays), replace(wanted, features=(), text=""))
    return replace(beside, rows=pictures)


def _inspect_pictures(arrays: _Arrays) -> DataFacts:
    columns = describe(_beside(arrays))[1] if arrays.beside else ()
    finite = arrays.rows[np.isfinite(arrays.rows)] if arrays.rows.dtype.kind == "f" else arrays.rows
    if not finite.size:
        raise not_taken("Its pictures hold no finite number", "Export the data again")
    least, most = float(finite.min()), float(finite.max())
    lower, upper = _pixel_range(least, most)
    notes = [f"pixels lie between {least:g} and {most:g}, which was read as a range of {lower:g} to {upper:g}"]
    if finite.size < arrays.rows.size:
        notes.append("some pixels are no finite numbers, which no explanation can use")
    return DataFacts(
        "numpy",
        arrays.title,
        len(arrays.rows),
        columns,
        "",
        {"layout": arrays.layout},
        arrays.rows.shape[1:],
        lower,
        upper,
        (*arrays.notes, *notes),
    )


def _pixel_range(least: float, most: float) -> tuple[float, float]:
    """0 to 1 or 0 to 255 where the pixels fill one of them, else the range that they have."""
    for upper in (1.0, 255.0):
        if least >= 0 and upper / 2 < most <= upper:
            return 0.0, upper
    return least, most if most > least else least + 1


def _arrays(data: bytes) -> _Arrays:
    if data.startswith(_MAGIC):
        rows, layout = _arranged(_array(data, "the array"), "the array")
        return _Arrays(f"NPY, shape {_size(rows.shape)}", rows, _default_names(rows), layout=layout)
    archive = Archive(data)
    for member in archive.members:  # all headers before the first array
        _header(archive.head(member, _HEADER), member.filename, member.file_size)
    found = {each.filename.removesuffix(".npy"): _array(archive.read(each), each.filename) for each in archive.members}
    return _chosen(found)


def _chosen(found: Mapping[str, np.ndarray]) -> _Arrays:
    """The rows, the labels and what else fits them, among the arrays of an NPZ."""
    rows_at = next(iter(found)) if len(found) == 1 else _only(found, _ROWS, "rows")
    rows, layout = _arranged(found[rows_at], rows_at)
    labels_at = _only(found, _LABELS, "labels", needed=False)
    beside, notes = {}, []
    for name, array in sorted(found.items(), key=lambda each: each[0] != labels_at):
        flat = array[:, 0] if array.ndim == 2 and array.shape[1] == 1 else array
        if name == rows_at or name.lower() in _NAMES:
            continue
        if flat.shape == rows.shape[:1]:
            beside["label" if layout and name == labels_at else name] = flat
        elif name == labels_at:
            raise not_taken(
                f"The array {shown(name)} has the shape {_size(array.shape)} and one label a row is needed, "
                f"{len(rows):,} in all",
                "Save one class number or name, or one true value, for each row",
            )
        else:
            notes.append(f"the array {shown(name)} of shape {_size(array.shape)} is not used")
    title = f"NPZ, rows in {shown(rows_at)} of shape {_size(found[rows_at].shape)}"
    if labels_at:
        title += f", labels in {shown(labels_at)}"
    return _Arrays(title, rows, _names(found, rows), beside, layout, tuple(notes))


def _only(found: Mapping[str, np.ndarray], usual: Sequence[str], what: str, needed: bool = True) -> str:
    """The one array with a usual name. Raises UserFacingError, which names them all, where that is not one."""
    matching = [name for name in found if name.lower() in usual]
    if len(matching) == 1 or not (matching or needed):
        return matching[0] if matching else ""
    raise not_taken(
        f"Which of its arrays holds the {what} cannot be told: {listed(list(found))}",
        f"Save it again with the {what} under the name {usual[0].upper() if what == 'rows' else usual[0]}",
    )


def _names(found: Mapping[str, np.ndarray], rows: np.ndarray) -> tuple[str, ...]:
    """The names of the columns, where an array gives them."""
    for name, array in found.items():
        if name.lower() in _NAMES and rows.ndim == 2 and array.shape == rows.shape[1:]:
            return tuple(map(str, array.tolist()))
    return _default_names(rows)


def _default_names(rows: np.ndarray) -> tuple[str, ...]:
    return tuple(f"x{place}" for place in range(rows.shape[1])) if rows.ndim == 2 else ()


def _arranged(array: np.ndarray, name: str) -> tuple[np.ndarray, str]:
    """Rows as (n, d), or as (n, height, width, channels) and how they lay before: NHW, NHWC or NCHW."""
    if array.ndim in (1, 2):
        return array.reshape(len(array), -1) if array.size else array.reshape(0, 1), ""
    if array.ndim == 3 and array.dtype.kind in "biuf":
        return array[..., np.newaxis], "NHW"
    if array.ndim == 4 and array.dtype.kind in "biuf":
        first, last = array.shape[1] in (1, 3), array.shape[3] in (1, 3)
        if first != last:
            return (np.moveaxis(array, 1, 3), "NCHW") if first else (array, "NHWC")
    raise not_taken(
        f"{shown(name)} has the shape {_size(array.shape)}, which is neither a table nor pictures that can be told",
        "Save a table as rows by columns, and pictures as number by height by width by 1 or 3 channels",
    )


def _array(data: bytes, name: str) -> np.ndarray:
    """The array in an NPY file; its numbers stay where they are in `data`."""
    dtype, shape, by_columns, start = _header(data[:_HEADER], name, len(data))
    flat = np.frombuffer(data, dtype, math.prod(shape), start) if math.prod(shape) else np.empty(0, dtype)
    array = flat.reshape(shape, order="F" if by_columns else "C")
    return np.char.decode(array, "utf-8") if dtype.kind == "S" else array


def _header(head: bytes, name: str, size: int) -> tuple[np.dtype, tuple[int, ...], bool, int]:
    """Type, shape, whether by columns, and where the numbers begin, from the first bytes of a file of `size` bytes.

    Raises UserFacingError for a header that is damaged, beyond the bounds, claims another size than the file has,
    or describes what is no number and no text.
    """
    stream = io.BytesIO(head)
    readers = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
    try:
        version = np.lib.format.read_magic(stream)
        shape, by_columns, dtype = readers.get(version, np.lib.format.read_array_header_2_0)(stream)
    except _UNREADABLE as error:
        raise damaged("NumPy", str(error)) from error
    if dtype.hasobject:
        raise not_taken(f"{shown(name)} holds Python objects, which only running code could read", _PLAIN)
    if dtype.kind not in "biufUS" or not dtype.itemsize:
        raise not_taken(f"{shown(name)} holds values of the type {str(dtype)[:60]}", _PLAIN)
    if any(each < 0 for each in shape):
        raise damaged("NumPy", "a size in its header is negative")
    check_shape(shape)
    if math.prod(shape) * dtype.itemsize != size - stream.tell():
        raise damaged("NumPy", f"its header claims the shape {_size(shape)}, which is not what follows")
    return dtype, shape, by_columns, stream.tell()


_PLAIN = "Save numbers or texts, such as with array.astype(float)"


def _size(shape: Sequence[int]) -> str:
    return " by ".join(f"{each:,}" for each in shape) or "a single value"


def _table(arrays: _Arrays) -> Table:
    """A table of the rows' columns and those beside them."""
    check_names((*arrays.names, *arrays.beside))
    check_rows(len(arrays.rows), len(arrays.names) + len(arrays.beside))
    return _slices((*arrays.names, *arrays.beside), [*arrays.rows.T, *arrays.beside.values()])


def _beside(arrays: _Arrays) -> Table:
    """A table of the columns beside the pictures, or of nothing but their number where there are none."""
    if not arrays.beside:
        return _slices(("",), [np.arange(1, len(arrays.rows) + 1)])
    check_names(tuple(arrays.beside))
    return _slices(tuple(arrays.beside), list(arrays.beside.values()))


def _slices(names: tuple[str, ...], columns: Sequence[np.ndarray]) -> Table:
    def read(places: Sequence[int]) -> Iterator[list["pyarrow.Array"]]:
        for start in range(0, len(columns[0]), BATCH):
            yield [_as_arrow(columns[place][start : start + BATCH]) for place in places]

    return Table(names, read)


def _as_arrow(values: np.ndarray) -> "pyarrow.Array":
    import pyarrow

    if values.dtype.kind == "U":
        return pyarrow.array(values.tolist(), pyarrow.string())
    return pyarrow.array(
        values.astype(np.float64) if values.dtype.kind == "f" else values.astype(values.dtype.newbyteorder("="))
    )
