"""A zip of pictures (PNG, JPEG, BMP) of one size, with labels from their folders or from a CSV beside them."""

import contextlib
import csv
import io
import struct
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from core.facts import DataFacts, Extracted, Wanted
from data_files.archives import ZIP, Archive
from data_files.base import Table, check_names, counted, not_taken, shown
from data_files.columns import describe
from data_files.limits import check_rows, check_shape, limits, too_large
from data_files.rows import extract as extract_rows

if TYPE_CHECKING:
    import pyarrow
    from PIL import Image

TITLE = "Pictures"
_FORMATS = ("PNG", "JPEG", "BMP")
_MARKS = (b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"BM")
_NESTED = (b"PK\x03\x04", b"\x1f\x8b", b"7z\xbc\xaf", b"BZh", b"\xfd7zXZ", b"Rar!")
_FILE = ("file", "filename", "path", "image", "picture", "name")
_LABEL = ("label", "labels", "class", "target", "y")
# What Pillow calls the way pixels are kept: what it becomes, and what is said about that.
_MODES = {
    "L": ("L", ""),
    "RGB": ("RGB", ""),
    "1": ("L", "black and white was read as grey"),
    "P": ("RGB", "colours from a palette were read as red, green and blue"),
    "PA": ("RGB", "transparency was left out"),
    "LA": ("L", "transparency was left out"),
    "RGBA": ("RGB", "transparency was left out"),
    "CMYK": ("RGB", "colours for print were read as red, green and blue"),
}


def recognises(data: bytes) -> bool:
    """Whether `data` is an archive with a picture in it."""
    if not data.startswith(ZIP):
        return False
    archive = Archive(data)
    return any(archive.head(member).startswith(_MARKS) for member in archive.members)


def inspect(data: bytes) -> DataFacts:
    """The size and number of the pictures, each of which is opened; their file names and labels as columns."""
    pictures = _Pictures(data)
    shape, notes = pictures.shape(), []
    for _, note in pictures.read(shape):
        if note and note not in notes:
            notes.append(note)
    if pictures.archive.skipped:
        notes.append(f"{counted(pictures.archive.skipped, 'file')} of the operating system left out")
    table, told_by = pictures.table()
    rows, columns = describe(table)
    height, width, channels = shape
    colour = "grey" if channels == 1 else "colour"
    title = f"{counted(rows, 'picture')} of {height:,} by {width:,} pixels, {colour}, {told_by}"
    return DataFacts("images", title, rows, columns, "", {}, shape, 0.0, 255.0, tuple(notes))


def extract(data: bytes, dialect: Mapping[str, Any], wanted: Wanted) -> Extracted:
    """The pictures, 0 to 255, in the order of their file names. `dialect` says nothing that they do not."""
    pictures = _Pictures(data)
    shape = pictures.shape()
    rows = np.empty((len(pictures.members), *shape))
    for row, (pixels, _) in enumerate(pictures.read(shape)):
        rows[row] = pixels
    return replace(extract_rows(pictures.table()[0], replace(wanted, features=(), text="")), rows=rows)


class _Pictures:
    """The pictures of an archive and the table that may lie beside them, told by content."""

    def __init__(self, data: bytes) -> None:
        self.archive = Archive(data)
        self.members: list[zipfile.ZipInfo] = []
        tables: list[zipfile.ZipInfo] = []
        for member in self.archive.members:
            head = self.archive.head(member)
            if head.startswith(_MARKS):
                self.members.append(member)
            elif head.startswith(_NESTED):
                raise not_taken(f"The archive holds another, {shown(member.filename)}", "Unpack that one first")
            elif b"\0" in head or not member.filename.lower().endswith((".csv", ".txt", ".tsv")):
                raise not_taken(
                    f"The archive holds {shown(member.filename)}, neither a PNG, JPEG or BMP picture nor a CSV",
                    "Take it out, or save it as one of these",
                )
            else:
                tables.append(member)
        if len(tables) > 1:
            raise not_taken(
                f"The archive holds {len(tables):,} tables, such as {shown(tables[0].filename)} and "
                f"{shown(tables[1].filename)}",
                "Keep the one with the columns file and label",
            )
        self._labels = tables[0] if tables else None

    def shape(self) -> tuple[int, int, int]:
        """The size of the first picture, (height, width, channels), with the size of all within the bounds."""
        with _opened(self.archive, self.members[0]) as image:
            shape = (image.height, image.width, 3 if _mode(image, self.members[0]) == "RGB" else 1)
        check_shape((len(self.members), *shape))
        return shape

    def read(self, shape: tuple[int, int, int]) -> Iterator[tuple[np.ndarray, str]]:
        """Each picture as (height, width, channels) uint8 and what is to be said about it.

        Raises UserFacingError for the first that has another size than `shape`, or cannot be read.
        """
        for member in self.members:
            with _opened(self.archive, member) as image:
                mode = _mode(image, member)
                found = (image.height, image.width, 3 if mode == "RGB" else 1)
                if found != shape:
                    raise not_taken(
                        f"{shown(member.filename)} is {_words(found)} and {shown(self.members[0].filename)} is "
                        f"{_words(shape)}",
                        "Bring all pictures to one size, and all to colour or all to grey",
                    )
                with _reading(member):
                    yield np.asarray(image.convert(mode)).reshape(shape), _MODES[image.mode][1]

    def table(self) -> tuple[Table, str]:
        """The columns beside the pictures, and how labels were told."""
        names = [member.filename for member in self.members]
        columns = {"file": names}
        if self._labels:
            columns |= _listed(self.archive.read(self._labels), names)
            return _columns(columns), f"labels from {shown(self._labels.filename)}"
        folders = [name.rsplit("/", 2)[-2] if "/" in name else "" for name in names]
        if len(set(folders)) == 1:
            return _columns(columns), "no labels"
        if "" in folders:
            raise not_taken(
                f"{shown(names[folders.index('')])} lies in no folder and others do, so it has no label",
                "Put every picture into the folder of its class",
            )
        return _columns(columns | {"label": folders}), "labels from their folders"


@contextlib.contextmanager
def _opened(archive: Archive, member: zipfile.ZipInfo) -> Iterator["Image.Image"]:
    """A picture whose size is known and bounded; its pixels are not read yet."""
    from PIL import Image

    with _reading(member):
        Image.MAX_IMAGE_PIXELS = None  # the size is held to our own bound below, before a pixel is read
        body = archive.read(member)
        image = Image.open(io.BytesIO(body), formats=_FORMATS)
        if image.width * image.height > limits().pixels:
            raise too_large(
                "pixels",
                f"{shown(member.filename)} has {image.width * image.height:,} pixels and "
                f"{limits().pixels:,} are taken at most",
            )
        image.verify()
        image = Image.open(io.BytesIO(body), formats=_FORMATS)
    with image:
        yield image


@contextlib.contextmanager
def _reading(member: zipfile.ZipInfo) -> Iterator[None]:
    """What Pillow raises for a damaged picture, in words."""
    try:
        yield
    except (OSError, SyntaxError, ValueError, struct.error, IndexError, TypeError, EOFError, MemoryError) as error:
        raise not_taken(f"The picture {shown(member.filename)} is damaged", "Save it again") from error


def _mode(image: "Image.Image", member: zipfile.ZipInfo) -> str:
    if image.mode not in _MODES:
        raise not_taken(
            f"The picture {shown(member.filename)} keeps its pixels as {image.mode}",
            "Save it with 8 bits a channel, in grey or in red, green and blue",
        )
    return _MODES[image.mode][0]


def _words(shape: tuple[int, int, int]) -> str:
    return f"{shape[0]:,} by {shape[1]:,} pixels in {'colour' if shape[2] == 3 else 'grey'}"


def _columns(columns: Mapping[str, Sequence[str]]) -> Table:
    def read(places: Sequence[int]) -> Iterator[list["pyarrow.Array"]]:
        import pyarrow

        whole = list(columns.values())
        yield [pyarrow.array(whole[place], pyarrow.string()) for place in places]

    return Table(tuple(columns), read)


def _listed(data: bytes, names: Sequence[str]) -> dict[str, list[str]]:
    """The columns of a CSV that names every picture, in the order of the pictures."""
    try:
        rows = [row for row in csv.reader(io.StringIO(data.decode("utf-8-sig"), newline=""), strict=True) if row]
    except (UnicodeDecodeError, csv.Error) as error:
        raise not_taken(f"The table beside the pictures cannot be read: {error}", "Save it as CSV in UTF-8") from error
    header = rows[0] if rows else []
    check_names(header)
    check_rows(len(rows), len(header))
    file = next((place for place, name in enumerate(header) if name.lower() in _FILE), None)
    label = next((place for place, name in enumerate(header) if name.lower() in _LABEL), None)
    if file is None or label is None:
        raise not_taken(
            "The table beside the pictures has no columns file and label", "Name its columns file and label"
        )
    wrong = next((number for number, row in enumerate(rows, 1) if len(row) != len(header)), None)
    if wrong:
        raise not_taken(f"Line {wrong:,} of the table beside the pictures has another number of fields", "Correct it")
    found = {row[file]: row for row in rows[1:]}
    if len(found) < len(rows) - 1:
        raise not_taken("The table beside the pictures names a picture twice", "Name each once")
    chosen = [_row(found, name) for name in names]
    others = {
        name: place for place, name in enumerate(header) if place not in (file, label) and name not in ("file", "label")
    }
    return {name: [row[place] for row in chosen] for name, place in ({"label": label} | others).items()}


def _row(found: Mapping[str, list[str]], name: str) -> list[str]:
    """The row of a picture, which is named with its folders or without."""
    row = found.get(name) or found.get(name.rsplit("/", 1)[-1])
    if row is None:
        raise not_taken(f"The table beside the pictures does not name {shown(name)}", "Add it, or take the picture out")
    return row
