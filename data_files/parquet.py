"""Parquet files. Their size is read from the metadata and bounded before a page is; encrypted ones are refused."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from core.errors import UserFacingError
from core.facts import Column, DataFacts, Extracted, Wanted
from data_files.base import BATCH, Table, check_names, damaged, not_taken
from data_files.columns import describe
from data_files.limits import check_expanded, check_rows
from data_files.rows import extract as extract_rows
from data_files.values import check_types

if TYPE_CHECKING:
    import pyarrow

TITLE = "Parquet"
_MAGIC, _ENCRYPTED = b"PAR1", b"PARE"


def recognises(data: bytes) -> bool:
    """Whether `data` begins as a Parquet file does."""
    return data[:4] in (_MAGIC, _ENCRYPTED)


def inspect(data: bytes) -> DataFacts:
    """What each column is. Columns that pandas wrote as its index are marked."""
    table, schema = _table(data)
    rows, columns = describe(table)
    index = _index_columns(schema)
    return DataFacts("parquet", TITLE, rows, tuple(_marked(each, index) for each in columns), "")


def extract(data: bytes, dialect: Mapping[str, Any], wanted: Wanted) -> Extracted:
    """The wanted columns of the file. `dialect` says nothing that a Parquet file does not say itself."""
    return extract_rows(_table(data)[0], wanted)


def _table(data: bytes) -> tuple[Table, "pyarrow.Schema"]:
    """The file as a table, bounded by what its metadata say, and its columns' types."""
    import pyarrow
    from pyarrow import parquet

    if _ENCRYPTED in (data[:4], data[-4:]):
        raise _encrypted()
    try:
        metadata = parquet.read_metadata(pyarrow.BufferReader(data))
        schema = metadata.schema.to_arrow_schema()
        check_rows(metadata.num_rows, len(schema.names))
        check_expanded(sum(metadata.row_group(i).total_byte_size for i in range(metadata.num_row_groups)), len(data))
    except (pyarrow.ArrowException, OSError) as error:
        raise _unreadable(error) from error
    check_names(schema.names)
    check_types(schema)
    # Texts come as dictionaries, so that one long text in a million rows is held once.
    words = [field.name for field in schema if pyarrow.types.is_string(field.type)]
    return Table(tuple(schema.names), lambda places: _batches(data, schema.names, words, places)), schema


def _batches(
    data: bytes, names: Sequence[str], words: list[str], places: Sequence[int]
) -> Iterator[list["pyarrow.Array"]]:
    """The columns at `places`, a batch of rows at a time."""
    import pyarrow
    from pyarrow import parquet

    chosen = [names[place] for place in places]
    try:
        file = parquet.ParquetFile(pyarrow.BufferReader(data), read_dictionary=words)
        for batch in file.iter_batches(BATCH, columns=chosen, use_threads=False):
            batch.validate(full=True)
            yield [batch.column(batch.schema.get_field_index(name)) for name in chosen]
    except (pyarrow.ArrowException, OSError) as error:
        raise _unreadable(error) from error


def _unreadable(error: Exception) -> UserFacingError:
    return _encrypted() if "crypt" in str(error) else damaged("Parquet", str(error))


def _encrypted() -> UserFacingError:
    return not_taken("It is encrypted", "Write it without encryption")


def _index_columns(schema: "pyarrow.Schema") -> frozenset[str]:
    """The columns that pandas would make the index of its table."""
    try:
        index = json.loads((schema.metadata or {}).get(b"pandas", b"{}"))["index_columns"]
    except (ValueError, KeyError, TypeError, RecursionError):
        return frozenset()
    return frozenset(each for each in index if isinstance(each, str)) if isinstance(index, list) else frozenset()


def _marked(column: Column, index: frozenset[str]) -> Column:
    if column.name not in index:
        return column
    return replace(column, notes=("the index of a pandas table", *column.notes))
