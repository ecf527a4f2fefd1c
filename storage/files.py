"""Files that a person names, read and written; what is written appears whole or not at all."""

import os
import secrets
from pathlib import Path

from core.errors import UserFacingError


def read_named(place: Path, most: int | None = None) -> bytes:
    """A file's bytes, one more than `most` where it has more. Raises UserFacingError where the system refuses it."""
    try:
        with place.open("rb") as file:
            return file.read() if most is None else file.read(most + 1)
    except OSError as error:
        raise UserFacingError(
            f"{place} cannot be read", f"The system refuses it ({error.strerror})", "Name a file that can be read"
        ) from error


def write_whole(place: Path, body: bytes, mode: int = 0o666, *, new: bool = False) -> None:
    """Writes `body` beside `place` and moves it there; on any failure nothing is left behind.

    `mode` is what the file allows before the process's umask takes its share. A `new` file takes the place of none:
    FileExistsError where one is there.
    """
    temporary = place.with_name(f".part-{secrets.token_hex(8)}")
    try:
        with os.fdopen(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as file:
            file.write(body)
            file.flush()
            os.fsync(file.fileno())
        if new:
            place.hardlink_to(temporary)
            temporary.unlink()
        else:
            temporary.replace(place)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def private_folder(folder: Path) -> None:
    """Makes a folder, with those above it, that only its owner enters; one that is there stays as it is."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    folder.mkdir(mode=0o700, exist_ok=True)
