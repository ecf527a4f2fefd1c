"""What the formats of data files share: a table as a stream of columns, and the words for what is not taken."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from core.errors import UserFacingError
from data_files.limits import check_rows, limits, too_large

if TYPE_CHECKING:
    import pyarrow

BATCH = 65_536
NAME_LENGTH = 500


@dataclass(frozen=True)
class Style:
    """How numbers are written in a text file: the decimal mark, and what stands between thousands, if anything."""

    decimal: str = "."
    thousands: str = ""


@dataclass(frozen=True)
class Table:
    """A table that can be read more than once, from its first row to its last, a batch of rows at a time.

    `read` gives arrow arrays of equal length, one a column, for the positions that it is asked for.
    `style` is None where the columns have types, and says how numbers are written where all is text.
    """

    names: tuple[str, ...]
    read: Callable[[Sequence[int]], Iterator[Sequence[Any]]]
    style: Style | None = None

    def batches(self, names: Sequence[str]) -> Iterator[dict[str, "pyarrow.Array"]]:
        """The columns called `names`, a batch at a time. Raises UserFacingError past the bound on rows and cells."""
        rows = 0
        for arrays in self.read([self.names.index(name) for name in names]):
            rows += len(arrays[0])
            check_rows(rows, len(names), or_more=True)
            yield dict(zip(names, arrays, strict=True))


def check_names(names: Sequence[str]) -> None:
    """Refuses a table with too many columns, with none, or with two of one name."""
    if not names:
        raise not_taken("It holds no column", "Export the data again")
    check_rows(0, len(names))
    seen: dict[str, int] = {}
    for place, name in enumerate(names, 1):
        if len(name) > NAME_LENGTH:
            raise not_taken(
                f"The name of column {place} has {len(name):,} characters and {NAME_LENGTH} are taken at most",
                "Give it a shorter name",
            )
        if name in seen:
            raise not_taken(
                f"Columns {seen[name]} and {place} are both called {shown(name)}", "Give each column its own name"
            )
        seen[name] = place


def check_text(size: int, name: str) -> None:
    """Refuses a value of more bytes than `Limits.text`."""
    if size > limits().text:
        raise too_large(
            "text", f"A value of the column {shown(name)} has {size:,} bytes and {limits().text:,} are taken at most"
        )


def not_taken(why: str, remedy: str) -> UserFacingError:
    """The error for a data file that cannot be used as it is."""
    return UserFacingError("This data file is not taken", why, remedy)


def damaged(title: str, detail: str = "") -> UserFacingError:
    """The error for a file that ends early or whose parts do not fit together."""
    why = f"It begins as {title} and cannot be read to its end" + (f": {detail.strip()[:200]}" if detail else "")
    return not_taken(why, "Copy or export it again; it may have been cut short")


def shown(value: str) -> str:
    """A value from a file in quotation marks, cut to a length that a sentence bears."""
    return repr(value if len(value) <= 40 else value[:39] + "…")


def listed(values: Sequence[str]) -> str:
    """Values in quotation marks with commas, the first few of many."""
    few = ", ".join(shown(value) for value in values[:8])
    return few if len(values) <= 8 else f"{few} and {len(values) - 8:,} more"


def counted(number: int, noun: str) -> str:
    """A number and its noun: 1 row, 2 rows."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"
