"""The subjects that there are: the samples, and those that were brought and saved."""

import contextlib
import itertools
import os
import secrets
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from core.errors import UserFacingError
from engine.intake import suggested_name
from engine.places import FROZEN, NAME, SAMPLE_NAMES, TOML
from engine.subject_files import NameTaken, check_name, keep_subject
from engine.subjects import subject_names, subject_words
from storage.home import home
from storage.stores import stores
from storage.vault import Held


@dataclass(frozen=True)
class Shelved:
    """A subject as it stands in the list. `problem` says why it cannot be opened, where it cannot.

    `owner` is the id of the person who saved it; "" for a sample, and for one that was moved from an older version.
    """

    name: str
    title: str
    summary: str
    own: bool
    problem: str = ""
    owner: str = ""


def shelf() -> list[Shelved]:
    """Every subject, the samples first."""
    return [_shelved(name) for name in subject_names()]


def free_name(wanted: str) -> str:
    """`wanted`, with a number behind it where a subject of that name is there already."""
    taken = set(subject_names())
    numbered = (f"{wanted}-{number}" for number in range(2, len(taken) + 3))
    return next(name for name in (wanted, *numbered) if name not in taken)


def remove(name: str) -> None:
    """Removes a saved subject for good, by destroying the keys of its files.

    Raises UserFacingError for a sample, for one that there is not, and for one under a legal hold.
    """
    check_name(name)
    files = stores().vault.names("subject", team=name)
    if not files:
        raise UserFacingError(
            f"There is no subject {name!r} to remove", "Nobody saved one under this name", "Look at the list again"
        )
    try:
        stores().vault.remove("subject", *files)
    except Held as error:
        raise Held(
            f"The subject {name} cannot be removed",
            "It is under legal hold",
            "Ask an admin to release it, if it may be removed",
        ) from error


def adopt() -> list[str]:
    """Moves the subjects that version 0.2 kept as plain folders into the vault; their names there.

    A folder is removed only after all of it was read back from the vault, so that this may be ended at any moment and
    called again, also by two processes at once. Raises UserFacingError for one that cannot be moved, after the others.
    """
    old = home() / "subjects"
    adopted: list[str | None] = []
    refused: list[UserFacingError] = []
    for folder in sorted(old.iterdir()) if old.is_dir() else []:
        if folder.name.startswith((".new-", ".gone-")):  # what it was writing or removing when it was ended
            shutil.rmtree(folder, ignore_errors=True)
            continue
        try:
            adopted.append(_adopted(folder))
        except UserFacingError as error:
            refused.append(error)
    shutil.rmtree(home() / "drafts", ignore_errors=True)
    with contextlib.suppress(OSError):  # something else is in it
        old.rmdir()
    if refused:
        raise refused[0]
    return [name for name in adopted if name]


def _shelved(name: str) -> Shelved:
    own = name not in SAMPLE_NAMES
    try:
        owner = stores().vault.about("subject", f"{name}/{TOML}").owner if own else ""
        return Shelved(name, *subject_words(name), own, owner=owner)
    except UserFacingError as error:
        return Shelved(name, name, "", own, str(error))


def _adopted(folder: Path) -> str | None:
    """Moves one folder; its name in the vault. None for what is no subject, and for what another process has moved."""
    try:
        files = _files(folder)
    except (OSError, UnicodeError) as error:
        if not folder.exists():
            return None
        why = error.strerror if isinstance(error, OSError) else "its name is not UTF-8"
        raise UserFacingError(
            f"The subject {folder.name} could not be moved into the vault",
            f"A file in its folder in {folder.parent} cannot be read ({why})",
            "Mend that file or its permissions, or move the folder elsewhere, then start again",
        ) from error
    if TOML not in files:
        return None
    name = _kept(folder.name, files)
    out = folder.with_name(f".gone-{secrets.token_hex(8)}")
    with contextlib.suppress(FileNotFoundError):  # another process was first
        folder.replace(out)  # all of it at once, so that no half of a folder is ever taken for a subject
        shutil.rmtree(out, ignore_errors=True)
    return name


def _files(folder: Path) -> dict[str, bytes]:
    """Every file below a folder by its path there. Raises OSError, and UnicodeError for a name that is not UTF-8."""
    found = (path for path in sorted(folder.rglob("*")) if path.is_file())
    return {os.fsencode(path.relative_to(folder).as_posix()).decode(): path.read_bytes() for path in found}


def _kept(wanted: str, files: Mapping[str, bytes]) -> str:
    """Puts the files into the vault, where they are not there already, and reads them back; their name there."""
    for name in _names(wanted):
        with contextlib.suppress(NameTaken):
            keep_subject(name, files)
        if _holds(name, files):
            return name
    raise AssertionError("there is always one more name")


def _names(wanted: str) -> Iterator[str]:
    """`wanted` as a saved subject can be called, then with numbers behind it."""
    stem = wanted if NAME.fullmatch(wanted) else suggested_name(wanted)
    if stem not in SAMPLE_NAMES and not FROZEN.fullmatch(stem):
        yield stem
    for number in itertools.count(2):
        yield f"{stem[:40]}-{number}"


def _holds(name: str, files: Mapping[str, bytes]) -> bool:
    """Whether the vault has these files, and no others, under a name."""
    vault = stores().vault
    if set(vault.names("subject", team=name)) != {f"{name}/{file}" for file in files}:
        return False
    return all(vault.find("subject", f"{name}/{file}") == body for file, body in files.items())
