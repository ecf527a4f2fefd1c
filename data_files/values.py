"""One column's values, from arrow arrays to numbers and to names."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from data_files.base import Style, check_text, not_taken, shown

if TYPE_CHECKING:
    import pyarrow

# What stands for a missing number, in lower case. In a column of text each of them is a value: NA is Namibia.
MARKERS = ("na", "nan", "null", "none", "n/a", "#n/a", "-", "--", "?", ".", "<na>", "nil", "missing")
BOOLEANS = {"false": "true", "no": "yes", "f": "t", "n": "y", "off": "on"}
_WORDS = dict.fromkeys(BOOLEANS, 0.0) | dict.fromkeys(BOOLEANS.values(), 1.0)
LARGEST = 2.0**53
_SPACES = "[ \u00a0\u202f]"

Reason = Literal["text", "zeros", "digits"]
REASONS: tuple[Reason, ...] = ("text", "zeros", "digits")


@dataclass(frozen=True)
class Fault:
    """The first value (its position in the batch) that is not a number, and why it is none."""

    position: int
    reason: Reason
    value: str


@dataclass(frozen=True)
class Numbers:
    """A batch as float64, NaN where missing; the spellings that were taken for missing; the first fault."""

    values: np.ndarray
    markers: frozenset[str] = frozenset()
    fault: Fault | None = None


def plain(array: "pyarrow.Array", name: str) -> "pyarrow.Array":
    """`array` as one of few types: text (plain or as a dictionary), bool, int64, uint64 or double.

    Dates and times become text. Raises UserFacingError for a type that is no column of a table.
    """
    import pyarrow
    from pyarrow import types

    kind = array.type
    if types.is_dictionary(kind):
        if types.is_string(kind.value_type):
            return array
        if _is_text(kind.value_type):
            return array.cast(pyarrow.dictionary(kind.index_type, pyarrow.string()))
        return plain(array.dictionary_decode(), name)
    if types.is_null(kind) or types.is_decimal(kind) or types.is_floating(kind):
        return array.cast(pyarrow.float64())
    if types.is_unsigned_integer(kind):
        return array.cast(pyarrow.uint64())
    if types.is_integer(kind):
        return array.cast(pyarrow.int64())
    if types.is_date(kind) or types.is_time(kind) or types.is_timestamp(kind) or _is_text(kind):
        return array.cast(pyarrow.string())
    if types.is_boolean(kind):
        return array
    raise not_taken(
        f"The column {shown(name)} holds values of the type {str(kind)[:60]}, which is no single value",
        "Leave the column out, or write each part of it as a column of numbers or text",
    )


def _is_text(kind: "pyarrow.DataType") -> bool:
    from pyarrow import types

    return types.is_string(kind) or types.is_large_string(kind) or types.is_string_view(kind)


def encoded(array: "pyarrow.Array", name: str) -> tuple[list[str], np.ndarray]:
    """A plain array as its different texts, in the order in which they first appear, and each row's place
    among them, -1 where missing.
    """
    import pyarrow
    import pyarrow.compute as pc

    if not pyarrow.types.is_dictionary(array.type):
        array = array.dictionary_encode() if pyarrow.types.is_string(array.type) else _counted(array)
    places = array.indices.cast(pyarrow.int64()).fill_null(-1).to_numpy(zero_copy_only=False)
    used, first, places = np.unique(places, return_index=True, return_inverse=True)
    order = np.argsort(first[used >= 0])
    words = array.dictionary.take(pyarrow.array(used[used >= 0][order]))
    check_text(pc.max(pc.binary_length(words)).as_py() or 0, name)
    rank = np.full(len(used), -1, dtype=np.int64)
    rank[np.flatnonzero(used >= 0)[order]] = np.arange(len(words))
    texts = words.to_pylist()
    if None in texts:
        rank[rank >= 0] = [-1 if texts[place] is None else place for place in rank[rank >= 0]]
    return ["" if text is None else text for text in texts], rank[places]


def _counted(array: "pyarrow.Array") -> "pyarrow.DictionaryArray":
    """Numbers and truth values as a dictionary of their texts."""
    import pyarrow

    if pyarrow.types.is_floating(array.type):
        array = pyarrow.array(array.to_numpy(zero_copy_only=False), from_pandas=True)
    coded = array.dictionary_encode()
    texts = [written(value) for value in coded.dictionary.to_pylist()]
    return pyarrow.DictionaryArray.from_arrays(coded.indices, pyarrow.array(texts, pyarrow.string()))


def written(value: float | bool) -> str:
    """A number as a name: 1.0 is "1", a truth value is "true" or "false"."""
    if isinstance(value, bool):
        return str(value).lower()
    return str(int(value)) if isinstance(value, int) or (np.isfinite(value) and value % 1 == 0) else repr(value)


def numbers(array: "pyarrow.Array", style: Style, zeros: bool = False) -> Numbers:
    """A plain array as numbers. Text is read as `style` says, and `zeros` says whether 007 is 7.

    A whole number from 2^53 up is a fault: it could lose its last digits.
    """
    import pyarrow

    kind = array.type
    if pyarrow.types.is_dictionary(kind):
        places = array.indices.cast(pyarrow.int64()).fill_null(len(array.dictionary)).to_numpy(zero_copy_only=False)
        values, states, markers = _parsed(array.dictionary, style)
        values, states = np.append(values, np.nan)[places], np.append(states, 0)[places]
    elif pyarrow.types.is_string(kind):
        values, states, markers = _parsed(array, style)
    else:
        small = array.cast(pyarrow.int8()) if pyarrow.types.is_boolean(kind) else array
        values = _floats(small.cast(pyarrow.float64(), safe=False))
        states, markers = np.zeros(len(values), np.int8), frozenset()
        if pyarrow.types.is_integer(kind):
            states[np.abs(values) >= LARGEST] = 1 + REASONS.index("digits")
    if zeros:
        states[states == 1 + REASONS.index("zeros")] = 0
    if not states.any():
        return Numbers(values, markers)
    position = int(np.flatnonzero(states)[0])
    return Numbers(values, markers, Fault(position, REASONS[states[position] - 1], str(array[position].as_py())))


def _floats(array: "pyarrow.Array") -> np.ndarray:
    return np.array(array.fill_null(float("nan")).to_numpy(zero_copy_only=False))


def _parsed(texts: "pyarrow.StringArray", style: Style) -> tuple[np.ndarray, np.ndarray, frozenset[str]]:
    """Texts as numbers, 0 or 1 + a place in REASONS for each, and the markers of a missing value among them."""
    import pyarrow
    import pyarrow.compute as pc

    markers: frozenset[str] = frozenset()
    number = _pattern(style)
    simple = style == Style()
    try:
        values = _floats(texts.cast(pyarrow.float64())) if simple else None
    except pyarrow.ArrowInvalid:
        values = None
    if values is None or np.isnan(values).sum() > texts.null_count:
        trimmed = pc.utf8_trim_whitespace(texts)
        missing = pc.or_kleene(pc.is_in(pc.utf8_lower(trimmed), pyarrow.array(MARKERS)), pc.equal(trimmed, ""))
        markers = frozenset(each for each in pc.unique(trimmed.filter(missing)).to_pylist() if each)
        trimmed = pc.if_else(missing, None, trimmed)
        wrong = pc.invert(pc.match_substring_regex(trimmed, number))
        cleaned = _cleaned(pc.if_else(wrong, None, trimmed), style)
        values = _floats(cleaned.cast(pyarrow.float64()))
        states = np.array(wrong.fill_null(False).to_numpy(zero_copy_only=False), dtype=np.int8)
    else:
        states = np.zeros(len(values), np.int8)
    padded = pc.match_substring_regex(texts, r"^\s*[+-]?0[0-9]").fill_null(False).to_numpy(zero_copy_only=False)
    states[padded & (states == 0) & ~np.isnan(values)] = 1 + REASONS.index("zeros")
    large = np.isfinite(values) & (np.abs(values) >= LARGEST) & (states == 0)
    if large.any():
        whole = pc.match_substring_regex(texts, r"^\D*[0-9]+\D*$").fill_null(False).to_numpy(zero_copy_only=False)
        states[large & whole] = 1 + REASONS.index("digits")
    return values, states, markers


def _cleaned(texts: "pyarrow.StringArray", style: Style) -> "pyarrow.StringArray":
    """Numbers as the parser wants them: no sign of thousands, and a decimal point."""
    import pyarrow.compute as pc

    if style.thousands == " ":
        texts = pc.replace_substring_regex(texts, _SPACES, "")
    elif style.thousands:
        texts = pc.replace_substring(texts, style.thousands, "")
    return pc.replace_substring(texts, ",", ".") if style.decimal == "," else texts


def _pattern(style: Style) -> str:
    """The regular expression of a number that is written in `style`."""
    mark = re.escape(style.decimal)
    whole = r"[0-9]+"
    if style.thousands:
        between = _SPACES if style.thousands == " " else re.escape(style.thousands)
        whole = rf"(?:[1-9][0-9]{{0,2}}(?:{between}[0-9]{{3}})+|[0-9]+)"
    return rf"^[+-]?(?:(?:{whole}(?:{mark}[0-9]*)?|{mark}[0-9]+)(?:[eE][+-]?[0-9]+)?|(?i:inf(?:inity)?))$"


def is_number(text: str, style: Style) -> bool:
    """Whether `text`, spaces around it left out, is a number as `style` writes them."""
    return re.match(_pattern(style), text.strip()) is not None


def are_numbers(texts: Sequence[str], style: Style) -> np.ndarray:
    """`is_number` of each of the texts."""
    import pyarrow
    import pyarrow.compute as pc

    trimmed = pc.utf8_trim_whitespace(pyarrow.array(texts, pyarrow.string()))
    return pc.match_substring_regex(trimmed, _pattern(style)).to_numpy(zero_copy_only=False)


def is_marker(text: str) -> bool:
    """Whether `text` stands for a missing number."""
    return text.strip().lower() in ("", *MARKERS)


def truth(text: str) -> float | None:
    """0.0 or 1.0 for a word of yes and no or such a number, None for anything else."""
    word = text.strip().lower()
    if word in _WORDS:
        return _WORDS[word]
    value = _number(word)
    return value if value in (0.0, 1.0) else None


def places(names: Sequence[str]) -> Callable[[str], int | None]:
    """Finds a text among `names`: as it stands, or, where all of them are numbers or truth values, by value:
    "1", "1.0" and "true" are then the same.
    """
    exact = {name: place for place, name in enumerate(names)}
    by_value = {_value(name): place for place, name in enumerate(names)}
    if None in by_value or len(by_value) < len(names):
        return exact.get
    return lambda text: exact.get(text, by_value.get(_value(text)))


def _value(text: str) -> float | None:
    """The number that `text` is, true being 1; None for other words and for 007, which is a name."""
    word = text.strip().lower()
    if word in ("true", "false"):
        return float(word == "true")
    return None if re.match(r"[+-]?0[0-9]", word) else _number(word)


def _number(text: str) -> float | None:
    if not is_number(text, Style()):
        return None
    value = float(text)
    return value if np.isfinite(value) else None


def check_types(schema: "pyarrow.Schema") -> None:
    """Refuses a table with a column whose type is no column of a table, before it is read."""
    import pyarrow

    for each in schema:
        plain(pyarrow.nulls(0, each.type), each.name)
