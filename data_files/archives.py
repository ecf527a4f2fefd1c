"""Zip archives from bytes, looked through before any member is read: names, sizes, kinds, growth."""

import io
import stat
import zipfile
import zlib
from collections.abc import Iterator

from core.errors import UserFacingError
from data_files.base import damaged, not_taken, shown
from data_files.limits import MIB, bounded, check_expanded, limits, too_large

ZIP = (b"PK\x03\x04", b"PK\x05\x06")
_ENTRY = b"PK\x01\x02"
_BROKEN = (zipfile.BadZipFile, EOFError, zlib.error, OSError, ValueError, NotImplementedError, RuntimeError)


class Archive:
    """The files of an archive, without the litter of operating systems, in the order of their names.

    Raises UserFacingError for an archive that is damaged, beyond the bounds, encrypted, or holds a name that leads
    elsewhere, a link, or two files of one name.
    """

    def __init__(self, data: bytes) -> None:
        _check_count(data.count(_ENTRY) // 2)  # the mark of an entry may stand in packed bytes as well
        self._packed = len(data)
        try:
            self._file = zipfile.ZipFile(io.BytesIO(data))
        except _BROKEN as error:
            raise _damaged(error) from error
        files = [each for each in self._file.infolist() if not each.is_dir()]
        self._check(files)
        self.members = sorted((each for each in files if not _is_junk(each.filename)), key=lambda each: each.filename)
        self.skipped = len(files) - len(self.members)

    def _check(self, files: list[zipfile.ZipInfo]) -> None:
        _check_count(len(files))
        check_expanded(sum(each.file_size for each in files), self._packed)
        if sum(each.compress_size for each in files) > self._packed:
            raise not_taken("Files in the archive overlap, so that it would grow without end", "Pack it again")
        seen: set[str] = set()
        for each in files:
            _check_member(each)
            if each.filename in seen:
                raise not_taken(f"The archive holds {shown(each.filename)} twice", "Pack it again")
            seen.add(each.filename)

    def head(self, member: zipfile.ZipInfo, size: int = 64) -> bytes:
        """The first bytes of a member."""
        try:
            with self._file.open(member) as file:
                return file.read(size)
        except _BROKEN as error:
            raise _damaged(error) from error

    def blocks(self, member: zipfile.ZipInfo) -> Iterator[bytes]:
        """The bytes of a member, a block at a time, within the bounds."""
        try:
            with self._file.open(member) as file:
                yield from bounded(iter(lambda: file.read(MIB), b""), self._packed)
        except _BROKEN as error:
            raise _damaged(error) from error

    def read(self, member: zipfile.ZipInfo) -> bytes:
        """The bytes of a member."""
        return b"".join(self.blocks(member))


def _check_count(files: int) -> None:
    if files > limits().entries:
        raise too_large("entries", f"The archive holds {files:,} files and {limits().entries:,} are taken at most")


def _check_member(member: zipfile.ZipInfo) -> None:
    """Refuses a member that is no plain file in a folder below."""
    name = member.filename
    if name.startswith("/") or "\\" in name or ":" in name or ".." in name.split("/"):
        raise not_taken(f"The archive holds {shown(name)}, a name that leads out of it", "Pack it again")
    if stat.S_IFMT(member.external_attr >> 16) not in (0, stat.S_IFREG):
        raise not_taken(f"The archive holds {shown(name)}, which is a link and no file", "Pack the file itself")
    if member.flag_bits & 1:
        raise not_taken("The archive is encrypted", "Pack it without a password")
    if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise not_taken(f"{shown(name)} is packed in a rare way", "Pack the archive with the usual method, deflate")


def _is_junk(name: str) -> bool:
    """Whether an operating system put the file in, and not a person."""
    last = name.rsplit("/", 1)[-1]
    return name.startswith("__MACOSX/") or last in (".DS_Store", "Thumbs.db", "desktop.ini") or last.startswith("._")


def _damaged(error: Exception) -> UserFacingError:
    return damaged("a zip archive", str(error))
