"""The rows that were agreed on, from a table: numbers in raw units, labels, ids, texts.

Every value is held to what was agreed about its column; the first that does not keep to it, by row and then by
column, is named.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, NoReturn

import numpy as np

from core.errors import UserFacingError
from core.facts import Extracted, Wanted
from core.nouns import Feature
from data_files.base import Style, Table, listed, not_taken, shown
from data_files.values import encoded, is_marker, is_number, numbers, places, plain, truth

if TYPE_CHECKING:
    import pyarrow


@dataclass(frozen=True)
class _Problem:
    """A value that does not keep to what was agreed: its position in the batch, what it is, what to do."""

    position: int
    what: str
    remedy: str


_Read = tuple[np.ndarray, _Problem | None]
_Reader = Callable[["pyarrow.Array"], _Read]


def extract(table: Table, wanted: Wanted) -> Extracted:
    """The columns of `table` that `wanted` names.

    Raises UserFacingError for a column that is not there, and for the first value that is not what was agreed.
    """
    style = table.style or Style()
    readers: list[tuple[str, _Reader]] = [(each.name, _feature(each, style)) for each in wanted.features]
    readers += [(wanted.label, _label(wanted, style))] if wanted.label else []
    readers += [(wanted.held_out, _held_out(wanted.held_out))] if wanted.held_out else []
    readers += [(wanted.id, _texts(wanted.id, needed=True))] if wanted.id else []
    readers += [(wanted.text, _texts(wanted.text, needed=False))] if wanted.text else []
    _check_columns(table, [name for name, _ in readers])
    width = len(wanted.features)
    blocks, others, rows = [], [[] for _ in readers[width:]], 0
    for batch in table.batches(tuple(dict.fromkeys(name for name, _ in readers)) or table.names[:1]):
        size = len(next(iter(batch.values())))
        found = [read(plain(batch[name], name)) for name, read in readers]
        _check(readers, found, rows)
        blocks.append(np.column_stack([values for values, _ in found[:width]]) if width else np.empty((size, 0)))
        for kept, (values, _) in zip(others, found[width:], strict=True):
            kept.append(values)
        rows += size
    if not rows:
        raise not_taken("It holds no rows", "Choose a file with at least one row of data")
    rest = iter([np.concatenate(kept) for kept in others])
    labels = next(rest) if wanted.label else _unlabelled(wanted, rows)
    held_out = next(rest) if wanted.held_out else np.ones(rows, dtype=bool)
    ids = tuple(next(rest)) if wanted.id else tuple(map(str, range(1, rows + 1)))
    _check_ids(ids, wanted.id)
    texts = tuple(next(rest)) if wanted.text else ()
    return Extracted(_joined(blocks, rows, width), ids, labels, held_out, texts)


def _unlabelled(wanted: Wanted, rows: int) -> np.ndarray:
    return np.full(rows, -1) if wanted.classes else np.full(rows, np.nan)


def _joined(blocks: list[np.ndarray], rows: int, width: int) -> np.ndarray:
    """The blocks one below the other; each is let go of once it is copied."""
    whole = np.empty((rows, width))
    end = rows
    while blocks:
        block = blocks.pop()
        whole[end - len(block) : end] = block
        end -= len(block)
    return whole


def _check_columns(table: Table, names: list[str]) -> None:
    for name in names:
        if name not in table.names:
            raise not_taken(
                f"It has no column {shown(name)}; its columns are {listed(table.names)}",
                "Choose a file that has it, or correct the name",
            )


def _check(readers: list[tuple[str, _Reader]], found: list[_Read], start: int) -> None:
    """Refuses the first problem of a batch that begins at row `start` (from 0)."""
    problems = [(problem.position, place, problem) for place, (_, problem) in enumerate(found) if problem]
    if problems:
        position, place, problem = min(problems, key=lambda each: each[:2])
        _refuse(readers[place][0], f"Row {start + position + 1:,} {problem.what}", problem.remedy)


def _refuse(column: str, why: str, remedy: str) -> NoReturn:
    raise UserFacingError(f"The column {shown(column)} cannot be read as agreed", why, remedy)


def _feature(feature: Feature, style: Style) -> _Reader:
    if feature.kind == "category":
        return _category(feature)
    return lambda array: _bounded(_numeric(array, feature.kind == "boolean", style), feature)


def _numeric(array: "pyarrow.Array", boolean: bool, style: Style) -> _Read:
    """Numbers, and for a boolean the words for yes and no as well, missing as NaN."""
    found = numbers(array, style, zeros=True)
    if found.fault is None:
        return found.values, None
    if boolean and found.fault.reason == "text":
        return _truths(array)
    if found.fault.reason == "digits":
        what = f"holds {shown(found.fault.value)}, which would lose digits as a number"
        return found.values, _Problem(found.fault.position, what, "Make the column a category or text")
    what = f"holds {shown(found.fault.value)}, which is not a number"
    return found.values, _Problem(found.fault.position, what, "Correct the value, or make the column a category")


def _truths(array: "pyarrow.Array") -> _Read:
    """Words of yes and no, or 0 and 1, as numbers; missing as NaN."""
    texts, ranks = encoded(array, "")
    values = [truth(text) for text in texts]
    wrong = [value is None and not is_marker(text) for text, value in zip(texts, values, strict=True)]
    known = np.array([np.nan if value is None else value for value in values] + [np.nan])
    remedy = "Write yes or no, true or false, or 1 or 0"
    return known[ranks], _first_wrong(ranks, wrong, texts, "which is neither yes nor no", remedy)


def _first_wrong(ranks: np.ndarray, wrong: list[bool], texts: list[str], clause: str, remedy: str) -> _Problem | None:
    """The first row whose text is wrong."""
    at = np.flatnonzero(np.array([*wrong, False])[ranks])
    return _Problem(int(at[0]), f"holds {shown(texts[ranks[at[0]]])}, {clause}", remedy) if len(at) else None


def _bounded(read: _Read, feature: Feature) -> _Read:
    """`read`, held to the feature's range, and to whole numbers where it says so."""
    values, problem = read
    missing = np.isnan(values)
    checks = [
        (np.isinf(values), "is infinite", "Correct the value, or leave the row out"),
        (missing & (not feature.missing), "is missing", "Allow missing values in this column, or fill them in"),
        (
            (values < feature.lower) | (values > feature.upper),
            f"holds {{value}}, outside {feature.lower:g} to {feature.upper:g}",
            "Correct the value, or widen the column's range",
        ),
    ]
    if feature.kind in ("integer", "boolean"):
        whole = np.isfinite(values) & (values % 1 != 0)
        checks.append((whole, "holds {value}, which is not a whole number", "Make the column's kind real"))
    for wrong, what, remedy in checks:
        at = np.flatnonzero(wrong if problem is None else wrong[: problem.position])
        if len(at):
            problem = _Problem(int(at[0]), what.format(value=f"{values[at[0]]:g}"), remedy)
    return values, problem


def _category(feature: Feature) -> _Reader:
    """Reads names as their index among the feature's categories, missing as NaN."""
    find = places(feature.categories)
    numeric = all(is_number(each, Style()) for each in feature.categories)

    def read(array: "pyarrow.Array") -> _Read:
        texts, ranks = encoded(array, feature.name)
        codes = [find(text) for text in texts]
        missing = [_stands_for_missing(text, numeric) and code is None for text, code in zip(texts, codes, strict=True)]
        wrong = [code is None and not gap for code, gap in zip(codes, missing, strict=True)]
        values = np.array([np.nan if code is None else code for code in codes] + [np.nan])[ranks]
        remedy = f"Correct it, or add it to the column's categories, which are {listed(feature.categories)}"
        problem = _first_wrong(ranks, wrong, texts, "which is none of the column's categories", remedy)
        gaps = np.flatnonzero(np.array([*missing, True])[ranks])
        if len(gaps) and not feature.missing and (problem is None or gaps[0] < problem.position):
            problem = _Problem(int(gaps[0]), "is missing", "Allow missing values in this column, or fill them in")
        return values, problem

    return read


def _stands_for_missing(text: str, numeric: bool) -> bool:
    """Whether a text that is no name is a missing value: nothing, or a marker where all names are numbers."""
    return is_marker(text) if numeric else not text


def _label(wanted: Wanted, style: Style) -> _Reader:
    """Reads the true class as its index, -1 where missing; or the true number, NaN where missing."""
    if not wanted.classes:
        return lambda array: _finite(_numeric(array, boolean=False, style=style))
    names = _category(Feature(wanted.label, kind="category", categories=wanted.classes, missing=True))

    def read(array: "pyarrow.Array") -> _Read:
        values, problem = names(array)
        if problem:
            remedy = f"Correct it, or name every class; the classes are {listed(wanted.classes)}"
            problem = _Problem(problem.position, problem.what.replace("column's categories", "classes"), remedy)
        return np.nan_to_num(values, nan=-1).astype(np.int64), problem

    return read


def _finite(read: _Read) -> _Read:
    return _bounded(read, Feature("", lower=-np.inf, upper=np.inf, missing=True))


def _held_out(name: str) -> _Reader:
    def read(array: "pyarrow.Array") -> _Read:
        values, problem = _truths(array)
        gaps = np.flatnonzero(np.isnan(values))
        if len(gaps) and (problem is None or gaps[0] < problem.position):
            problem = _Problem(int(gaps[0]), "does not say whether it was held out", "Fill the column in for every row")
        return values == 1, problem

    return read


def _texts(name: str, needed: bool) -> _Reader:
    """Reads texts as they stand; a missing one is empty, or a problem where it is `needed`."""

    def read(array: "pyarrow.Array") -> _Read:
        texts, ranks = encoded(array, name)
        values = np.array([*texts, ""], dtype=object)[ranks]
        empty = np.flatnonzero(values == "")
        problem = _Problem(int(empty[0]), "has no id", "Give every row its own") if needed and len(empty) else None
        return values, problem

    return read


def _check_ids(ids: tuple[str, ...], column: str) -> None:
    if len(set(ids)) == len(ids):
        return
    seen: dict[str, int] = {}
    for row, each in enumerate(ids, 1):
        if each in seen:
            _refuse(
                column,
                f"Rows {seen[each]:,} and {row:,} are both called {shown(each)}",
                "Choose a column that tells the rows apart, or none",
            )
        seen[each] = row
