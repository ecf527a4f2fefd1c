"""Where a subject's files are: in a folder, in the vault, or in memory.

Whatever reads a subject asks a `Place` for a file by its bare name, so that nothing in the vault is ever written to
disk in the clear.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

from core.nouns import ModelFile
from storage.stores import stores
from storage.vault import Missing

SAMPLES = Path(__file__).parent.parent / "sample_models"
SAMPLE_NAMES = ("tumours", "digits", "loans")
TOML = "subject.toml"
NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,47}")
FROZEN = re.compile(r"frozen-([0-9a-f]{12})")

Kind = Literal["subject", "frozen"]
_VAULT = "vault:"


class Place(Protocol):
    """Where the files of one subject are. `remedy` is what a person can do where one of them is not there."""

    @property
    def name(self) -> str: ...

    @property
    def remedy(self) -> str: ...

    def has(self, file: str) -> bool:
        """Whether there is a file of that name."""
        ...

    def read(self, file: str) -> bytes:
        """Its bytes. Raises FileNotFoundError, or another OSError where it may not be read."""
        ...

    def path(self, file: str) -> str:
        """What `ModelFile.path` says of it, for `opened`."""
        ...

    def version(self) -> int:
        """A number that changes when the subject is written anew; 0 where it is gone."""
        ...


@dataclass(frozen=True)
class Folder:
    """A folder on disk: a sample, or one that a person names."""

    folder: Path

    @property
    def name(self) -> str:
        return self.folder.name

    @property
    def remedy(self) -> str:
        return f"Put it into the folder {self.name}"

    def has(self, file: str) -> bool:
        return (self.folder / file).is_file()

    def read(self, file: str) -> bytes:
        return (self.folder / file).read_bytes()

    def path(self, file: str) -> str:
        return str(self.folder / file)

    def version(self) -> int:
        try:
            return (self.folder / TOML).stat().st_mtime_ns
        except OSError:
            return 0


@dataclass(frozen=True)
class VaultPlace:
    """A saved subject, or a frozen copy of one by its id: one object of the vault a file."""

    kind: Kind
    name: str

    @property
    def remedy(self) -> str:
        return "Somebody may have removed the subject just now: look at the list again"

    def has(self, file: str) -> bool:
        return stores().vault.has(self.kind, f"{self.name}/{file}")

    def read(self, file: str) -> bytes:
        body = stores().vault.find(self.kind, f"{self.name}/{file}")
        if body is None:
            raise FileNotFoundError(self.path(file))
        return body

    def path(self, file: str) -> str:
        return f"{_VAULT}{self.kind}/{self.name}/{file}"

    def version(self) -> int:
        try:
            return int(stores().vault.about(self.kind, f"{self.name}/{TOML}").created * 1e6)
        except Missing:
            return 0


@dataclass(frozen=True)
class Memory:
    """A subject that is not saved (yet)."""

    name: str
    files: Mapping[str, bytes]

    @property
    def remedy(self) -> str:
        return "Bring its files again"

    def has(self, file: str) -> bool:
        return file in self.files

    def read(self, file: str) -> bytes:
        if file not in self.files:
            raise FileNotFoundError(file)
        return self.files[file]

    def path(self, file: str) -> str:
        return f"memory:{self.name}/{file}"

    def version(self) -> int:
        return 0


def place(name_or_folder: str) -> Place | None:
    """Where the subject of that name is: a sample, a frozen copy, one that was saved, else the folder of that path."""
    if name_or_folder in SAMPLE_NAMES:
        return Folder(SAMPLES / name_or_folder)
    frozen = FROZEN.fullmatch(name_or_folder)
    if frozen:
        return _frozen(frozen[1])
    if NAME.fullmatch(name_or_folder):
        saved = VaultPlace("subject", name_or_folder)
        if saved.has(TOML):
            return saved
    folder = Path(name_or_folder)
    return Folder(folder.resolve()) if folder.is_dir() else None


def saved_names() -> list[str]:
    """The names of the subjects in the vault, in order."""
    files = (name.partition("/") for name in stores().vault.names("subject"))
    return sorted(name for name, _, file in files if file == TOML)


def located(path: str) -> tuple[Place, str]:
    """The place and the bare name of the file that a `ModelFile.path` names."""
    if path.startswith(_VAULT):
        kind, name, file = path.removeprefix(_VAULT).split("/")
        return VaultPlace("frozen" if kind == "frozen" else "subject", name), file
    return Folder(Path(path).parent), Path(path).name


def opened(path: str) -> bytes:
    """The bytes of the file that a `ModelFile.path` names. Raises FileNotFoundError, or another OSError."""
    found, file = located(path)
    return found.read(file)


def origin(model: ModelFile) -> str:
    """Where a model is from, for who made one could alter a worker's answers about the other.

    The samples, which ship with Assay, are all from one place. A subject that was removed and another one saved under
    its name are two.
    """
    found, _ = located(model.path)
    if isinstance(found, Folder):
        return str(SAMPLES if found.folder.is_relative_to(SAMPLES) else found.folder)
    return f"{found.path('')}{found.version()}"


def _frozen(short: str) -> VaultPlace | None:
    """The frozen copy whose id starts so; None where there is none, or more than one.

    A copy's snapshot is written last and removed with it, so that what is half frozen is not found.
    """
    found = [each for each in stores().vault.names("snapshot") if each.startswith(short)]
    return VaultPlace("frozen", found[0]) if len(found) == 1 else None
