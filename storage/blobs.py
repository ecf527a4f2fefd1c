"""Where ciphertext lies: immutable files under random names, in a folder or in any store that fsspec reaches."""

import errno
import io
import os
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO, Protocol

from core.errors import UserFacingError
from storage.files import private_folder

_PART = 8 << 20  # bytes of one part sent to a distant store


class Blobs(Protocol):
    """A place for blobs. Names are hexadecimal; every failure but a missing blob is a UserFacingError."""

    def write(self, name: str, chunks: Iterable[bytes]) -> None:
        """Writes a blob, chunk by chunk; on any failure it is taken away again."""

    def open(self, name: str) -> "Reading":
        """A blob to read. Raises FileNotFoundError where there is none."""

    def remove(self, name: str) -> None:
        """Takes a blob away; none there is no error."""

    def listed(self) -> Iterator[tuple[str, float]]:
        """Every blob with the time it was written, in seconds since 1970."""


class Reading:
    """An open blob, closed at the end of a `with`."""

    def __init__(self, file: BinaryIO, place: str) -> None:
        self._file = file
        self._place = place

    def __enter__(self) -> "Reading":
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def read(self, size: int) -> bytes:
        """The next `size` bytes, fewer at the end. Raises FileNotFoundError where the blob was taken away meanwhile."""
        with _told(self._place, missing=True):
            return self._file.read(size)


class Folder:
    """Blobs in a folder of this machine, spread over 256 folders, readable by their owner only."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._name = str(folder)

    def write(self, name: str, chunks: Iterable[bytes]) -> None:
        place = self._place(name)
        with _told(self._name):
            private_folder(self._folder)
            private_folder(place.parent)
            descriptor = os.open(place, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            with os.fdopen(descriptor, "wb", buffering=0) as file:
                for chunk in chunks:
                    with _told(self._name):
                        _write_all(file, chunk)
                with _told(self._name):
                    os.fsync(descriptor)
        except BaseException:
            place.unlink(missing_ok=True)
            raise

    def open(self, name: str) -> Reading:
        with _told(self._name, missing=True):
            return Reading(self._place(name).open("rb"), self._name)

    def remove(self, name: str) -> None:
        with _told(self._name):
            self._place(name).unlink(missing_ok=True)

    def listed(self) -> Iterator[tuple[str, float]]:
        with _told(self._name):
            for place in self._folder.glob("[0-9a-f][0-9a-f]/*"):
                with suppress(FileNotFoundError):  # taken away meanwhile
                    yield place.name, place.stat().st_mtime

    def _place(self, name: str) -> Path:
        return self._folder / name[:2] / name


class Bucket:
    """Blobs in a store that fsspec reaches, such as `s3://bucket/prefix`."""

    def __init__(self, url: str) -> None:
        from fsspec.core import url_to_fs

        self._url = url
        with _told(url):
            # What another replica wrote a moment ago must be seen, so nothing is listed from memory.
            self._files, self._root = url_to_fs(url, skip_instance_cache=True, use_listings_cache=False)

    def write(self, name: str, chunks: Iterable[bytes]) -> None:
        with _told(self._url):
            file = self._files.open(self._place(name), "wb", block_size=_PART)
        try:
            for chunk in chunks:
                with _told(self._url):
                    file.write(chunk)
            with _told(self._url):
                file.close()
        except BaseException:
            with suppress(Exception):  # the store may be out of reach; then it is an orphan for the next sweep
                file.close()
                self._files.rm_file(self._place(name))
            raise

    def open(self, name: str) -> Reading:
        with _told(self._url, missing=True):
            file = self._files.open(self._place(name), "rb", block_size=_PART, cache_type="readahead")
        return Reading(file, self._url)

    def remove(self, name: str) -> None:
        with _told(self._url), suppress(FileNotFoundError):
            self._files.rm_file(self._place(name))

    def listed(self) -> Iterator[tuple[str, float]]:
        with _told(self._url):
            found = self._files.find(self._root, detail=True)
        for path, facts in found.items():
            yield path.rsplit("/", 1)[-1], _written(facts)

    def _place(self, name: str) -> str:
        return f"{self._root}/{name[:2]}/{name}"


def blobs_at(place: str) -> Blobs:
    """The blobs at a folder's path or an fsspec URL."""
    scheme, colon, rest = place.partition("://")
    if not colon or scheme in ("file", "local"):
        return Folder(Path(rest if colon else place).absolute())
    return Bucket(place)


def _write_all(file: io.FileIO, chunk: bytes) -> None:
    view = memoryview(chunk)
    while view:
        view = view[file.write(view) :]


def _written(facts: dict[str, Any]) -> float:
    """When a blob was written; each kind of store has its own word for it, and without one it counts as new."""
    for word in ("LastModified", "mtime", "last_modified", "updated", "created"):
        when = facts.get(word)
        if when is not None:
            return float(when) if isinstance(when, int | float) else when.timestamp()
    return time.time()


@contextmanager
def _told(place: str, missing: bool = False) -> Iterator[None]:
    """A store's own errors as sentences; with `missing`, FileNotFoundError passes as it is."""
    try:
        yield
    except Exception as error:  # each kind of store raises its own
        if missing and isinstance(error, FileNotFoundError):
            raise
        raise _sentence(place, error) from error


def _sentence(place: str, error: Exception) -> UserFacingError:
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        return UserFacingError("Nothing could be kept", f"{place} is full", "Make room, then try again")
    words = " ".join((getattr(error, "strerror", None) or str(error) or type(error).__name__).split())[:300]
    return UserFacingError(
        "The store could not be used",
        f"{place} says: {words}",
        "See that it can be reached and written, then try again",
    )
