"""The subjects that there are: the samples, and those that were brought and saved."""

import secrets
import shutil
from dataclasses import dataclass

from core.errors import UserFacingError
from engine.subject_files import check_name
from engine.subjects import SAMPLES, subject_names, subject_words
from storage.home import home


@dataclass(frozen=True)
class Shelved:
    """A subject as it stands in the list. `problem` says why it cannot be opened, where it cannot."""

    name: str
    title: str
    summary: str
    own: bool
    problem: str = ""


def shelf() -> list[Shelved]:
    """Every subject, the samples first."""
    return [_shelved(name) for name in subject_names()]


def free_name(wanted: str) -> str:
    """`wanted`, with a number behind it where a subject of that name is there already."""
    taken = set(subject_names())
    numbered = (f"{wanted}-{number}" for number in range(2, len(taken) + 3))
    return next(name for name in (wanted, *numbered) if name not in taken)


def remove(name: str) -> None:
    """Removes a saved subject for good. Raises UserFacingError for a sample, and for one that there is not."""
    check_name(name)
    place = home() / "subjects" / name
    if not place.is_dir():
        raise UserFacingError(
            f"There is no subject {name!r} to remove", "Nobody saved one under this name", "Look at the list again"
        )
    out = place.with_name(f".gone-{secrets.token_hex(8)}")
    try:
        place.replace(out)  # gone for everybody at once, also where two remove it
    except OSError as error:
        raise UserFacingError(
            f"The subject {name} could not be removed", f"The system says: {error.strerror}", "Look at the list again"
        ) from error
    shutil.rmtree(out, ignore_errors=True)


def _shelved(name: str) -> Shelved:
    own = not (SAMPLES / name).is_dir()
    try:
        return Shelved(name, *subject_words(name), own)
    except UserFacingError as error:
        return Shelved(name, name, "", own, str(error))
