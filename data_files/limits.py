"""How much data is taken: every bound in one place, checked before anything of that size is allocated."""

import math
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields

from core.errors import UserFacingError

MIB = 1 << 20


@dataclass(frozen=True)
class Limits:
    """The bounds; `ASSAY_MAX_CELLS` and its like, in the environment, set them.

    `expanded` is how many bytes a file may have once unpacked, and `ratio` how many times more than before;
    `entries` are the files of an archive, `cells` the values of a table or array in all, `text` the bytes of one
    value, `pixels` those of one picture.
    """

    expanded: int = 2048 * MIB
    ratio: int = 200
    entries: int = 100_000
    rows: int = 5_000_000
    columns: int = 20_000
    cells: int = 50_000_000
    text: int = MIB
    pixels: int = 16_000_000


def setting(bound: str) -> str:
    """The environment variable that sets a bound."""
    return f"ASSAY_MAX_{bound.upper()}"


SETTINGS = tuple(setting(field.name) for field in fields(Limits))


def limits() -> Limits:
    """The bounds in force. Raises UserFacingError for a setting that is not a whole number above zero."""
    return Limits(**{field.name: _read(setting(field.name), field.default) for field in fields(Limits)})


def _read(name: str, default: int) -> int:
    value = os.environ.get(name, str(default))
    if not value.isascii() or not value.isdigit() or int(value) < 1:
        raise UserFacingError(
            f"The setting {name} cannot be used",
            f"It is {value!r} and should be a whole number above zero",
            "Correct it where Assay is started, or take it away",
        )
    return int(value)


def check_rows(rows: int, columns: int, or_more: bool = False) -> None:
    """Refuses a table of more rows, columns or cells than the bounds allow; `or_more` where rows are still coming."""
    bounds, more = limits(), " or more" if or_more else ""
    if rows > bounds.rows:
        raise too_large("rows", f"It holds {rows:,} rows{more} and {bounds.rows:,} are taken at most")
    if columns > bounds.columns:
        raise too_large("columns", f"It holds {columns:,} columns and {bounds.columns:,} are taken at most")
    if rows * columns > bounds.cells:
        raise too_large(
            "cells",
            f"It holds {rows:,} rows{more} of {columns:,} columns, {rows * columns:,} values, "
            f"and {bounds.cells:,} are taken at most",
        )


def check_shape(shape: Sequence[int]) -> None:
    """Refuses an array of more numbers than the bound on cells, or more rows than that on rows."""
    numbers = math.prod(shape)
    if numbers > limits().cells:
        raise too_large(
            "cells",
            f"It holds an array of shape {tuple(shape)}, {numbers:,} values, and {limits().cells:,} are taken at most",
        )
    check_rows(shape[0] if shape else 0, 0)


def check_expanded(size: int, packed: int) -> None:
    """Refuses what grows from `packed` bytes to `size` (so far): too much, or too many times over.

    Small files may be packed as tightly as they like.
    """
    bounds = limits()
    if size > bounds.expanded:
        raise too_large("expanded", f"Unpacked it has {size:,} bytes or more and {bounds.expanded:,} are taken at most")
    if size > 64 * MIB and size > bounds.ratio * packed:
        raise too_large(
            "ratio",
            f"Unpacked it is more than {bounds.ratio:,} times as large as packed "
            f"({packed:,} bytes become {size:,} or more)",
        )


def bounded(blocks: Iterator[bytes], packed: int) -> Iterator[bytes]:
    """`blocks`, unpacked from `packed` bytes, for as long as they keep within the bounds."""
    size = 0
    for block in blocks:
        size += len(block)
        check_expanded(size, packed)
        yield block


def too_large(bound: str, why: str) -> UserFacingError:
    """The error for data beyond a bound, which it names by its setting."""
    return UserFacingError(
        "This data file is too large", why, f"Take a part of it, or raise {setting(bound)} where Assay is started"
    )
