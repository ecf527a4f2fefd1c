"""What each column of a table seems to be: its kind with the reason, bounds, missing values, kin among the others.

A table is read once for the columns that are numbers throughout and once more for the rest, so that nothing
depends on how the rows were cut into batches. Of a row 8 bytes a column are kept: the number, or a hash of the text.
"""

import hashlib
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np

from core.facts import Column
from data_files.base import Style, Table, check_names, counted, listed, not_taken, shown
from data_files.values import BOOLEANS, LARGEST, Fault, are_numbers, encoded, is_marker, numbers, plain, written

if TYPE_CHECKING:
    import pyarrow

CATEGORIES = 200
_DECIMALS = 6
_EXAMPLES, _LOOKED_AT = 3, 1000
_IDENTIFIER_ROWS = 20
_MISSING_HASH = np.iinfo(np.int64).min
_DATES = re.compile(
    r"(\d{4}[-/.]\d{1,2}[-/.]\d{1,2}|\d{1,2}[-/.]\d{1,2}[-/.]\d{2,4})([T ]\d{1,2}:\d{2}(:\d{2}([.,]\d+)?)?\s?\S{0,6})?"
    r"|\d{1,2}:\d{2}(:\d{2}([.,]\d+)?)?"
)


@dataclass
class _NumberColumn:
    """A column for as long as it holds nothing but numbers."""

    name: str
    style: Style
    values: list[np.ndarray] = field(default_factory=list)
    markers: set[str] = field(default_factory=set)
    fault: Fault | None = None
    first_row: int = 0

    def take(self, array: "pyarrow.Array", row: int) -> None:
        """Adds a batch that begins at `row` (from 0), or lets go of everything at the first value that is no number."""
        found = numbers(array, self.style)
        if found.fault:
            self.fault, self.first_row, self.values = found.fault, row + found.fault.position + 1, []
            return
        self.values.append(found.values)
        self.markers |= found.markers

    def column(self) -> tuple[Column, np.ndarray]:
        """What the column is, and its values."""
        values = np.concatenate(self.values)
        self.values = []
        values[np.isnan(values)] = np.nan  # one NaN and one zero, so that equal columns are equal bytes
        values += 0.0
        kept = np.sort(values[~np.isnan(values)])
        different = kept[np.concatenate([[True], kept[1:] != kept[:-1]])] if len(kept) else kept
        finite = different[np.isfinite(different)]
        kind, why = _number_kind(finite)
        notes = [f"{listed(sorted(self.markers))} read as missing"] if self.markers else []
        if infinite := int(np.isinf(kept).sum()):
            notes.append(f"infinite in {infinite:,} rows, which no explanation can use")
        if not len(kept):
            notes.append("missing in every row")
        notes += _shared_notes(len(values), len(kept), len(different), identifier=kind == "integer")
        found = Column(
            name=self.name,
            kind=kind,
            why=why,
            missing=len(values) - len(kept),
            distinct=len(different),
            lower=float(finite[0]) if len(finite) else None,
            upper=float(finite[-1]) if len(finite) else None,
            decimals=0 if kind in ("integer", "boolean") else _decimals(finite),
            categories=tuple(map(written, finite.tolist())) if len(different) <= CATEGORIES else (),
            examples=tuple(map(written, _first(values[~np.isnan(values)][:_LOOKED_AT].tolist()))),
            notes=tuple(notes),
        )
        return found, values


@dataclass
class _TextColumn:
    """A column that holds text, and what its values told on the first reading."""

    name: str
    style: Style
    fault: Fault | None
    first_row: int
    hashes: list[np.ndarray] = field(default_factory=list)
    words: dict[str, None] = field(default_factory=dict)
    figures: int = 0
    longest: int = 0

    def take(self, array: "pyarrow.Array") -> None:
        """Adds a batch."""
        texts, ranks = encoded(array, self.name)
        hashes = np.array([_MISSING_HASH if not text else hash(text) for text in texts] + [_MISSING_HASH], np.int64)
        self.hashes.append(hashes[ranks])
        figures = np.append(are_numbers(texts, self.style), False)
        self.figures += int(figures[ranks].sum())
        self.longest = max(self.longest, *map(len, texts), 0)
        for text in texts:
            if len(self.words) > CATEGORIES:
                break
            if text:
                self.words[text] = None

    def column(self) -> tuple[Column, np.ndarray]:
        """What the column is, and the hashes of its texts."""
        hashes = np.concatenate(self.hashes)
        self.hashes = []
        present = hashes[hashes != _MISSING_HASH]
        ordered = np.sort(present)
        distinct = int((ordered[1:] != ordered[:-1]).sum()) + 1 if len(ordered) else 0
        words = tuple(sorted(self.words)) if distinct <= CATEGORIES else ()
        notes = self._notes(len(present))
        dated = bool(self.words) and all(_DATES.fullmatch(word) for word in self.words)
        if dated:
            notes.append(
                "dates or times are read as text: turn them into numbers, such as days, to let a model use them"
            )
        kind, why = _text_kind(words, distinct, len(present), dated)
        if self.fault and self.fault.reason != "text":
            why = f"{why}, and {_REASONS[self.fault.reason].format(shown(self.fault.value))}"
        found = Column(
            name=self.name,
            kind=kind,
            why=why,
            missing=len(hashes) - len(present),
            distinct=distinct,
            categories=_in_truth_order(words) if kind == "boolean" else words,
            examples=_first(self.words),
            notes=(*notes, *_shared_notes(len(hashes), len(present), distinct, identifier=True)),
        )
        return found, hashes

    def _notes(self, present: int) -> list[str]:
        notes = []
        if self.fault and self.fault.reason == "text" and 0 < self.figures < present:
            notes.append(
                f"{self.figures:,} of {present:,} values are numbers; "
                f"the first that is none is {shown(self.fault.value)} in row {self.first_row:,}"
            )
        if kept := sorted(word for word in self.words if is_marker(word)):
            notes.append(f"{listed(kept)} read as a value, not as missing")
        return notes


_REASONS = {
    "zeros": "numbers with leading zeros, such as {}, are names",
    "digits": "{} would lose digits as a number",
}


def describe(table: Table) -> tuple[int, tuple[Column, ...]]:
    """How many rows `table` has, and what each column is. Raises UserFacingError for a table without rows, and
    for one beyond the bounds.
    """
    check_names(table.names)
    style = table.style or Style()
    pending = {name: _NumberColumn(name, style) for name in table.names}
    rows = 0
    for batch in table.batches(table.names):
        for name, raw in batch.items():
            array = plain(raw, name)
            if pending[name].fault is None:
                _take_number(pending[name], array, rows, typed=table.style is None)
        rows += len(raw)
    if not rows:
        raise not_taken("It holds no rows", "Choose a file with at least one row of data")
    texts = {name: _TextColumn(name, style, each.fault, each.first_row) for name, each in pending.items() if each.fault}
    for batch in table.batches(tuple(texts)) if texts else ():
        for name, raw in batch.items():
            texts[name].take(plain(raw, name))
    return rows, _kin({name: texts.get(name, pending[name]) for name in table.names})


def _take_number(column: _NumberColumn, array: "pyarrow.Array", row: int, typed: bool) -> None:
    """A batch of a column that was numbers so far; text in a file with types is text, whatever it looks like."""
    import pyarrow

    if typed and (pyarrow.types.is_string(array.type) or pyarrow.types.is_dictionary(array.type)):
        column.fault, column.values = Fault(0, "text", ""), []
        return
    column.take(array, row)


def _kin(pending: Mapping[str, _NumberColumn | _TextColumn]) -> tuple[Column, ...]:
    """The columns, with those marked that repeat another, and those that make up one choice."""
    columns: dict[str, Column] = {}
    seen: dict[bytes, str] = {}
    flags: dict[str, np.ndarray] = {}
    for name, each in pending.items():
        column, values = each.column()
        mark = hashlib.sha256(values.dtype.str.encode() + values.tobytes()).digest()
        columns[name] = replace(column, duplicate_of=seen.get(mark, ""))
        seen.setdefault(mark, name)
        if values.dtype == np.float64 and np.isin(values, (0.0, 1.0)).all():
            flags[name] = values.astype(np.int8)
    for name, group in _families(flags).items():
        columns[name] = replace(columns[name], group=group)
    return tuple(columns.values())


def _families(flags: Mapping[str, np.ndarray]) -> dict[str, str]:
    """The family of each 0/1 column that shares the beginning of its name with others of which, in every row,
    exactly one is 1. The shortest beginning that makes a family counts.
    """
    beginnings: dict[str, list[str]] = {}
    for name in flags:
        for found in list(re.finditer(r"[_=.\- ]+", name))[:8]:
            if found.start():
                beginnings.setdefault(name[: found.end()], []).append(name)
    families: dict[str, str] = {}
    for beginning in sorted(beginnings, key=lambda each: (len(each), each)):
        members = [name for name in beginnings[beginning] if name not in families]
        if len(members) > 1 and _one_each(flags[name] for name in members):
            families |= dict.fromkeys(members, re.sub(r"[_=.\- ]+$", "", beginning))
    return families


def _one_each(flags: Iterable[np.ndarray]) -> bool:
    total = 0
    for each in flags:
        total = total + each.astype(np.int32)
    return bool((total == 1).all())


def _number_kind(different: np.ndarray) -> tuple[str, str]:
    """The kind of a column with these finite values, each once, and the clause that says why."""
    if np.array_equal(different, (0.0, 1.0)):
        return "boolean", "it holds 0 and 1 only"
    if not len(different):
        return "real", "it holds no finite number"
    if (different % 1 == 0).all():
        return "integer", "every value is a whole number"
    return "real", "every value is a number"


def _text_kind(words: Sequence[str], distinct: int, present: int, dated: bool) -> tuple[str, str]:
    """The kind of a column of texts, `words` being all of them where they are few, and the clause that says why."""
    lower = tuple(sorted(word.lower() for word in words))
    if len(lower) == 2 and BOOLEANS.get(lower[0]) == lower[1] or lower == ("off", "on"):
        return "boolean", f"it holds {listed(words)} only"
    why = f"it holds {counted(distinct, 'different text')} in {counted(present, 'row')}"
    return "category" if words and 2 * distinct <= present and not dated else "text", why


def _in_truth_order(words: Sequence[str]) -> tuple[str, ...]:
    return tuple(sorted(words, key=lambda word: word.lower() not in BOOLEANS))


def _shared_notes(rows: int, present: int, distinct: int, identifier: bool) -> list[str]:
    if distinct == 1 and present == rows:
        return ["the same in every row"]
    if identifier and distinct == rows >= _IDENTIFIER_ROWS:
        return ["different in every row, as an identifier is"]
    return []


def _decimals(different: np.ndarray) -> int:
    """How many decimals these numbers need, at most six, told from up to 10,000 of them, evenly spaced."""
    some = different[:: len(different) // 10_000 + 1]
    some = some[np.abs(some) < LARGEST]  # larger ones have none
    for digits in range(_DECIMALS):
        if np.allclose(np.round(some, digits), some, rtol=1e-12, atol=1e-9):
            return digits
    return _DECIMALS


def _first(values: Iterable[float] | Iterable[str]) -> tuple:
    """The first different values."""
    return tuple(list(dict.fromkeys(values))[:_EXAMPLES])
