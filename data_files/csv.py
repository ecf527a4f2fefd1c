"""Tables as text: CSV and its kin, plain, in gzip, or alone in a zip.

How the file is written (encoding, delimiter, quotes, decimal mark, header) is told from its content and shown;
what cannot be told stays text, with a note. Nothing is shifted, filled in or left out: a row with another number
of fields is refused by its number, and so is a quotation mark that is neither round a field nor doubled.
"""

import codecs
import csv
import gzip
import io
import re
import zlib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from core.errors import UserFacingError
from core.facts import DataFacts, Extracted, Wanted
from data_files.archives import ZIP, Archive
from data_files.base import Style, Table, check_names, counted, damaged, not_taken, shown
from data_files.columns import describe
from data_files.limits import MIB, bounded
from data_files.rows import extract as extract_rows
from data_files.values import is_marker, is_number

if TYPE_CHECKING:
    import pyarrow

TITLE = "CSV"
DELIMITERS = {"\t": "tabs", ";": "semicolons", "|": "bars", ",": "commas"}
_STYLES = (Style(",", ""), Style(".", ","), Style(",", "."), Style(".", " "), Style(",", " "), Style(".", "'"))
_BLOCK = 8 * MIB
_SAMPLE = MIB // 2
_SAMPLE_ROWS = 1000
_BOMS = {
    codecs.BOM_UTF8: "utf-8-sig",
    codecs.BOM_UTF32_LE: "utf-32",
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}
_LATIN = ("cp1252", "cp1250", "cp1254", "latin_1")
_GUESSES = (*_LATIN, "cp1251", "cp1253", "shift_jis", "gb18030", "big5", "euc_kr")
_GZIP = b"\x1f\x8b"
_NOT_TABLES = {r"\s*(\{|\[\s*[\[{])": "JSON", r"\s*<(\?xml|!doctype|html)": "a web page or XML"}
_TITLES = {
    "utf-8": "UTF-8",
    "utf-8-sig": "UTF-8 with a byte order mark",
    "utf-16": "UTF-16",
    "utf-32": "UTF-32",
    "cp1252": "Windows-1252",
}


def recognises(data: bytes) -> bool:
    """Whether `data` is text or packed: asked last, so that what is packed is no other format's."""
    if data.startswith((_GZIP, *ZIP)):
        return True
    return data.startswith(tuple(_BOMS)) or not re.search(rb"[\x00-\x08\x0e-\x1a\x1c-\x1f]", data[:4096])


def inspect(data: bytes) -> DataFacts:
    """How the file is written, and what each column is."""
    compression = _compression(data)
    encoding, guessed = _encoding(data, compression)
    source = _Source(data, compression, encoding)
    dialect, unclear = _dialect(source.sample(), compression, encoding)
    table, notes = _table(source, dialect)
    rows, columns = describe(table)
    if guessed:
        notes.insert(0, "the encoding was guessed: look whether letters with accents are right, or save it as UTF-8")
    notes += [unclear] if unclear else []
    return DataFacts("csv", _title(dialect, len(columns)), rows, columns, "", dialect, notes=tuple(notes))


def extract(data: bytes, dialect: Mapping[str, Any], wanted: Wanted) -> Extracted:
    """The wanted columns of the file, read as `dialect` says."""
    known = _checked(dialect)
    if known["compression"] != _compression(data):
        raise not_taken("It is not packed as it was when its columns were agreed on", "Choose the file anew")
    table, _ = _table(_Source(data, known["compression"], known["encoding"]), known)
    return extract_rows(table, wanted)


def _compression(data: bytes) -> str:
    return "gzip" if data.startswith(_GZIP) else "zip" if data.startswith(ZIP) else ""


def _title(dialect: Mapping[str, Any], width: int) -> str:
    """The file in words: how it is written."""
    packed = f" in {dialect['compression']}" if dialect["compression"] else ""
    parts = [f"CSV{packed}, {_TITLES.get(dialect['encoding'], dialect['encoding'])}"]
    parts.append(f"fields between {DELIMITERS[dialect['delimiter']]}" if width > 1 else "one column")
    if dialect["decimal"] == ",":
        parts.append("decimal comma")
    if dialect["thousands"]:
        parts.append(f"thousands marked {shown(dialect['thousands'])}")
    parts.append("names in the first row" if dialect["header"] else "no row of names")
    return ", ".join(parts)


class _Source:
    """The text of the file as blocks of UTF-8, as often as it is needed."""

    def __init__(self, data: bytes, compression: str, encoding: str) -> None:
        self._data, self._compression, self._encoding = data, compression, encoding

    def blocks(self) -> Iterator[bytes]:
        """Raises UserFacingError where the file is damaged, grows beyond the bounds or is not in its encoding."""
        decoder = codecs.getincrementaldecoder(self._encoding)()
        as_it_is = self._encoding == "utf-8"
        try:
            for block in _unpacked(self._data, self._compression):
                text = decoder.decode(block)
                if as_it_is:
                    yield block
                elif text:
                    yield text.encode()
            yield decoder.decode(b"", final=True).encode()
        except UnicodeError as error:
            raise not_taken(f"It is not {self._encoding} throughout", "Save it as UTF-8") from error

    def sample(self) -> str:
        """The first rows, cut after a whole line."""
        head = b""
        for block in self.blocks():
            head += block
            if len(head) > _SAMPLE:
                cut = max(head.rfind(b"\n", 0, _SAMPLE), head.rfind(b"\r", 0, _SAMPLE)) + 1
                return head[: cut or _SAMPLE].decode(errors="replace")
        return head.decode()


def _unpacked(data: bytes, compression: str) -> Iterator[bytes]:
    """The bytes of the file with gzip or zip undone, a block at a time, within the bounds."""
    if compression == "zip":
        archive = Archive(data)
        if len(archive.members) != 1:
            raise not_taken(
                f"The archive holds {len(archive.members):,} files, which are neither pictures nor arrays",
                "Choose an archive with one table in it, or the table itself",
            )
        yield from archive.blocks(archive.members[0])
        return
    raw: io.BufferedIOBase = gzip.GzipFile(fileobj=io.BytesIO(data)) if compression else io.BytesIO(data)
    try:
        yield from bounded(iter(lambda: raw.read(MIB), b""), len(data))
    except (EOFError, OSError, zlib.error) as error:
        raise damaged("gzip", str(error)) from error


def _encoding(data: bytes, compression: str) -> tuple[str, bool]:
    """The encoding, and whether it had to be guessed."""
    decoder, first, suspect, known = codecs.getincrementaldecoder("utf-8")(), True, b"", ""
    for block in _unpacked(data, compression):
        if first and (mark := next((mark for mark in _BOMS if block.startswith(mark)), None)):
            return _BOMS[mark], False
        first = False
        if b"\0" in block:
            raise not_taken("It holds bytes that are not text", "Choose a data file, or save the table as CSV in UTF-8")
        try:
            decoder.decode(block)
        except UnicodeDecodeError as error:
            suspect = block[max(0, error.start - 2000) : error.start + 30_000]
            break
    else:
        try:
            decoder.decode(b"", final=True)
            known = "utf-8"
        except UnicodeDecodeError:
            suspect = block[-2000:]
    return (known, False) if known else (_guess(suspect), True)


def _guess(sample: bytes) -> str:
    """The likeliest encoding of text that is not UTF-8. Among those for languages in Latin letters a short text
    does not tell, so that is Windows-1252, the commonest, wherever it can be.
    """
    import charset_normalizer

    best = charset_normalizer.from_bytes(sample, cp_isolation=list(_GUESSES)).best()
    if best is None:
        raise not_taken("Its encoding cannot be told", "Save it as UTF-8")
    found = "cp1252" if best.encoding in _LATIN else best.encoding
    try:
        sample.decode(found)
    except UnicodeDecodeError:
        return best.encoding
    return found


def _dialect(sample: str, compression: str, encoding: str) -> tuple[dict[str, Any], str]:
    """How the file is written, told from its first rows, and a note where that is not clear."""
    for start, kind in _NOT_TABLES.items():
        if re.match(start, sample, re.IGNORECASE):
            raise not_taken(f"It looks like {kind}, not like a table", "Save the table as CSV or Parquet")
    if not sample.strip():
        raise not_taken("It is empty", "Choose a file with at least one row of data")
    quote = (
        "'" if '"' not in sample and re.search(r"(^|[,;\t|])'[^'\n]*[,;\t|][^'\n]*'([,;\t|]|$)", sample, re.M) else '"'
    )
    dialect: dict[str, Any] = {"compression": compression, "encoding": encoding, "quote": quote}
    dialect["delimiter"] = max(DELIMITERS, key=lambda each: _fit(sample, each, quote))
    rows = _records(sample, dialect)
    dialect["header"] = _has_header(rows)
    style, note = _style(_below(rows, dialect))
    return dialect | {"decimal": style.decimal, "thousands": style.thousands}, note


def _fit(sample: str, delimiter: str, quote: str) -> tuple[bool, float]:
    """How well `delimiter` cuts the sample: into more than one field, with one number of fields in many rows.

    Where several do, the rarer mark wins (DELIMITERS' order): commas stand in numbers and in texts as well.
    """
    counts = Counter(len(row) for row in _records(sample, {"delimiter": delimiter, "quote": quote}))
    width, often = max(counts.items(), key=lambda each: (each[1], each[0]))
    return width > 1, often / counts.total()


def _records(sample: str, dialect: Mapping[str, Any]) -> list[list[str]]:
    """The first rows of the sample as fields."""
    csv.field_size_limit(len(sample) + 1)
    lines = io.StringIO(sample, newline="")
    reader = csv.reader(lines, delimiter=dialect["delimiter"], quotechar=dialect["quote"])
    rows: list[list[str]] = []
    try:
        for row in reader:
            if row:
                rows.append(row)
            if len(rows) == _SAMPLE_ROWS:
                break
    except csv.Error as error:
        raise not_taken(f"Its row {reader.line_num:,} cannot be read: {error}", "Correct that row") from error
    return rows or [[""]]


def _below(rows: list[list[str]], dialect: Mapping[str, Any]) -> list[list[str]]:
    """The rows below the names."""
    return rows[1:] if dialect["header"] else rows


def _has_header(rows: list[list[str]]) -> bool:
    """Whether the first row holds names.

    It does where a word stands above numbers, where it counts 0, 1, 2 as pandas does, and where no field of it
    is a number; it does not where numbers stand in it otherwise.
    """
    first, rest = rows[0], rows[1:]
    if [each for each in first if each] == [str(i) for i in range(sum(map(bool, first)))] and len(first) > 1:
        return True
    for place, name in enumerate(first):
        below = [row[place] for row in rest if place < len(row) and not is_marker(row[place])]
        if below and not is_marker(name) and not _any_number(name) and all(map(_any_number, below)):
            return True
    return not any(map(_any_number, first))


def _any_number(text: str) -> bool:
    return any(is_number(text, style) for style in (Style(), *_STYLES))


def _style(rows: list[list[str]]) -> tuple[Style, str]:
    """How numbers are written, and a note where that cannot be told: one style that reads every column of numbers.

    Columns that two styles read as different numbers ("1,234") settle nothing; they stay text.
    """
    columns = [column for column in _columns(rows) if any(_reads(style, column) for style in (Style(), *_STYLES))]
    odd = next((column for column in columns if not _reads(Style(), column)), None)
    if odd is None:
        return Style(), ""
    found = [style for style in _STYLES if all(_reads(style, column) for column in columns)]
    values = {tuple(_value(text, style) for column in columns for text in column) for style in found}
    if len(values) == 1:
        return found[0], ""
    problem = "may be one number or another" if values else "is not written as the numbers in other columns are"
    return Style(), (
        f"{shown(odd[0])} {problem}, so it is read as text: write every number with a decimal point and nothing "
        "between thousands"
    )


def _columns(rows: list[list[str]]) -> Iterator[list[str]]:
    """The columns of the sample, missing values left out, and empty ones too."""
    for place in range(max((len(row) for row in rows), default=0)):
        column = [row[place].strip() for row in rows if place < len(row) and not is_marker(row[place])]
        if column:
            yield column


def _reads(style: Style, column: Sequence[str]) -> bool:
    return all(is_number(text, style) for text in column)


def _value(text: str, style: Style) -> float:
    bare = re.sub(r"[\s\u00a0\u202f]" if style.thousands == " " else re.escape(style.thousands), "", text)
    return float(bare.replace(style.decimal, "."))


def _checked(dialect: Mapping[str, Any]) -> dict[str, Any]:
    """`dialect`, which may have been corrected by hand, with every entry there and of a value that means something."""
    allowed = {
        "compression": ("", "gzip", "zip"),
        "encoding": ("utf-8", *_BOMS.values(), *_GUESSES),
        "delimiter": tuple(DELIMITERS),
        "quote": ('"', "'"),
        "header": (True, False),
        "decimal": (".", ","),
        "thousands": ("", ",", ".", " ", "'"),
    }
    for name, values in allowed.items():
        if dialect.get(name) not in values:
            raise UserFacingError(
                f"The data file cannot be read with {name} {dialect.get(name)!r}",
                f"It may be {', '.join(map(repr, values))}",
                "Correct how the file is to be read",
            )
    if dialect["decimal"] == dialect["thousands"]:
        raise UserFacingError(
            "The data file cannot be read with one mark for decimals and for thousands",
            f"Both are {dialect['decimal']!r}",
            "Correct how the file is to be read",
        )
    return {name: dialect[name] for name in allowed}


def _table(source: _Source, dialect: Mapping[str, Any]) -> tuple[Table, list[str]]:
    """The file as a table, and what there is to say about its names."""
    _check_quotes(source, dialect)
    first = _records(source.sample(), dialect)[0]
    names, notes = first, []
    if not dialect["header"]:
        names = [f"x{place}" for place in range(len(first))]
        notes.append("it has no row of names, so its columns are called x0, x1 and so on")
    elif nameless := [place for place, name in enumerate(first) if not name.strip()]:
        names = [name if name.strip() else f"Unnamed: {place}" for place, name in enumerate(first)]
        notes.append(f"column {nameless[0] + 1} has no name and is called {names[nameless[0]]!r}, as pandas does")
    check_names(names)
    style = Style(dialect["decimal"], dialect["thousands"])
    return Table(tuple(names), lambda places: _batches(source, dialect, len(names), places), style), notes


def _batches(
    source: _Source, dialect: Mapping[str, Any], width: int, places: Sequence[int]
) -> Iterator[list["pyarrow.Array"]]:
    """The columns at `places` as text, empty fields as null."""
    import pyarrow
    from pyarrow import csv as arrow_csv

    wrong: list[arrow_csv.InvalidRow] = []

    def refuse(row: arrow_csv.InvalidRow) -> str:
        wrong.append(row)
        return "error"

    stream = pyarrow.PythonFile(_Stream(source.blocks()), mode="r")
    try:
        reader = arrow_csv.open_csv(
            stream,
            read_options=arrow_csv.ReadOptions(
                use_threads=False, block_size=_BLOCK, autogenerate_column_names=not dialect["header"]
            ),
            parse_options=arrow_csv.ParseOptions(
                delimiter=dialect["delimiter"],
                quote_char=dialect["quote"],
                newlines_in_values=True,
                ignore_empty_lines=width > 1,
                invalid_row_handler=refuse,
            ),
            convert_options=arrow_csv.ConvertOptions(
                default_column_type=pyarrow.string(), null_values=[""], strings_can_be_null=True
            ),
        )
        if len(reader.schema) != width:
            raise not_taken(f"Its first row is longer than {_SAMPLE:,} bytes", "Give the columns shorter names")
        for batch in reader:
            yield [batch.column(place) for place in places]
    except (pyarrow.ArrowException, OSError) as error:
        raise _unreadable(error, wrong, dialect["header"]) from error


def _unreadable(error: Exception, wrong: Sequence[Any], header: bool) -> UserFacingError:
    """The error for a row that cannot be read."""
    if wrong:
        row = wrong[0]
        number = f"Row {row.number - header:,}{' below the names' if header else ''}" if row.number else "A row"
        return not_taken(
            f"{number}, {shown(row.text)}, has {counted(row.actual_columns, 'field')} and the "
            f"{'row of names' if header else 'first row'} has {row.expected_columns:,}",
            "Correct that row: put a field that holds the delimiter in quotation marks",
        )
    if "straddl" in str(error):
        return not_taken(
            f"One of its rows is longer than {_BLOCK:,} bytes", "Close the quotation marks, or shorten the row"
        )
    return damaged(TITLE, str(error))


class _Stream(io.RawIOBase):
    """Blocks of bytes as a file that can be read once."""

    def __init__(self, blocks: Iterator[bytes]) -> None:
        self._blocks, self._rest = blocks, b""

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        parts, got = [self._rest], len(self._rest)
        while size < 0 or got < size:
            block = next(self._blocks, None)
            if block is None:
                break
            parts.append(block)
            got += len(block)
        whole = b"".join(parts)
        size = got if size < 0 else size
        self._rest = whole[size:]
        return whole[:size]


def _check_quotes(source: _Source, dialect: Mapping[str, Any]) -> None:
    """Refuses quotation marks that do not open and close a field, or are not doubled inside one: from there on a
    reader could only guess where fields end, and one that is never closed would swallow all rows below.
    """
    quote = dialect["quote"].encode()
    around = np.zeros(256, dtype=bool)
    around[list(b"\r\n" + quote + dialect["delimiter"].encode())] = True
    before, seen, lines = b"\n", 0, 1
    held = b""
    for block in _with_end(source.blocks()):
        if not block:
            continue
        whole = held + block
        view = np.frombuffer(before + whole, dtype=np.uint8)
        at = np.flatnonzero(view[1:-1] == quote[0]) + 1
        opening = (np.arange(len(at)) + seen) % 2 == 0
        wrong = np.where(opening, ~around[view[at - 1]], ~around[view[at + 1]])
        if wrong.any():
            line = lines + whole.count(b"\n", 0, int(at[wrong][0]) - 1)
            raise not_taken(
                f"A quotation mark in line {line:,} neither begins nor ends a field",
                "Double it, and put the whole field in quotation marks",
            )
        seen += len(at)
        lines += whole.count(b"\n", 0, len(whole) - 1)
        before, held = whole[-2:-1] or before, whole[-1:]
    if seen % 2:
        raise not_taken(
            f"It holds {counted(seen, 'quotation mark')}, so that one is never closed",
            "Close it, or double it inside a field",
        )


def _with_end(blocks: Iterator[bytes]) -> Iterator[bytes]:
    """The blocks and a line end after them, so that every byte of the file has one that follows it."""
    yield from blocks
    yield b"\n"
