"""One file a format of data: bytes in, columns and rows out.

Opening a data file may use up memory and crash a library, so `inspect_data` and `extract_data` are for workers
only. Files are told by content, and what is in them is bounded (`data_files.limits`) before it is unpacked. Importing
this package loads no library.
"""

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, TypeVar

from core.errors import UserFacingError
from core.facts import DataFacts, Extracted, Wanted
from data_files import arrow, csv, images, numpy, parquet
from data_files.base import damaged, not_taken

# In the order in which they are asked: whatever is text, or packed, is a CSV unless another claims it.
FORMATS = {"parquet": parquet, "arrow": arrow, "numpy": numpy, "images": images, "csv": csv}
_OTHERS = {
    b"\xd0\xcf\x11\xe0": ("an old Excel workbook", "Save its sheet as CSV in UTF-8"),
    b"\x89HDF": ("an HDF5 file", "Write the table as Parquet: pandas.read_hdf(...).to_parquet(...)"),
    b"SQLite format 3": ("a database", "Export one table as CSV"),
    b"\x80": ("a Python pickle, which runs code when it is opened", "Write the table with to_parquet"),
    b"ORC": ("an ORC file", "Write the table as Parquet"),
    b"Obj\x01": ("an Avro file", "Write the table as Parquet"),
    b"BZh": ("packed with bzip2", "Unpack it, or pack it with gzip"),
    b"\xfd7zXZ": ("packed with xz", "Unpack it, or pack it with gzip"),
    b"\x28\xb5\x2f\xfd": ("packed with zstd", "Unpack it, or pack it with gzip"),
    b"\x89PNG": ("a single picture", "Pack all pictures into a zip, each in the folder of its class"),
    b"\xff\xd8\xff": ("a single picture", "Pack all pictures into a zip, each in the folder of its class"),
    b"%PDF": ("a PDF", "Save its table as CSV"),
}
_Answer = TypeVar("_Answer")


def inspect_data(data: bytes) -> DataFacts:
    """What the data file in `data` is, told by its content, and what each column is.

    Raises UserFacingError for one that is not taken.
    """
    if not data:
        raise not_taken("It is empty", "Choose a file with at least one row of data")
    for start, (what, remedy) in _OTHERS.items():
        if data.startswith(start):
            raise not_taken(f"It is {what}", remedy)
    for module in FORMATS.values():
        if module.recognises(data):
            facts = _safely(module.TITLE, lambda: module.inspect(data))  # noqa: B023 - called at once
            return replace(facts, digest=hashlib.sha256(data).hexdigest())
    raise not_taken("Its content is of no known format", "Save it as CSV, Parquet, Arrow, NPZ, or a zip of pictures")


def extract_data(data: bytes, format: str, dialect: Mapping[str, Any], wanted: Wanted) -> Extracted:
    """The rows, labels and ids that were agreed on, from a file that `inspect_data` called `format`.

    Raises UserFacingError for a file that is another, and for the first value that is not what was agreed.
    """
    if format not in FORMATS:
        raise UserFacingError(
            f"There is no data format {format!r}", f"The formats are: {', '.join(FORMATS)}", "Choose one of them"
        )
    module = FORMATS[format]
    if not data or not module.recognises(data):
        raise not_taken(f"It is no {module.TITLE} file", "Choose the file whose columns were agreed on")
    return _safely(module.TITLE, lambda: module.extract(data, dialect, wanted))


def _safely(title: str, ask: Callable[[], _Answer]) -> _Answer:
    """The answer of a format, with what its library raises for a damaged file in words."""
    import pyarrow

    try:
        return ask()
    except MemoryError as error:
        raise not_taken("Reading it takes more memory than there is", "Take a part of it") from error
    except (pyarrow.ArrowException, OSError, UnicodeError) as error:
        raise damaged(title, str(error)) from error
