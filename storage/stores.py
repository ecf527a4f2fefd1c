"""The database and the vault of this process, as the environment names them."""

import os
import threading
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy.engine import URL

from core.errors import UserFacingError
from storage.blobs import blobs_at
from storage.database import Database
from storage.evidence import EvidenceStore, move_old
from storage.home import home
from storage.vault import Vault


@dataclass(frozen=True)
class Stores:
    """Where everything is kept."""

    database: Database
    vault: Vault


_Named = tuple[str, str | None, str, str]
_OPEN: dict[_Named, Stores] = {}
_LOCK = threading.Lock()


def stores() -> Stores:
    """The stores named by ASSAY_HOME, ASSAY_DATABASE, ASSAY_STORE and ASSAY_KEYS; opened once, when first asked for.

    Raises UserFacingError where they cannot be opened; the next call tries again.
    """
    named = _named()
    with _LOCK:
        if named not in _OPEN:
            _OPEN[named] = _opened(*named)
        return _OPEN[named]


def close_stores() -> None:
    """Closes what is open; the next call of `stores` opens anew."""
    with _LOCK:
        for each in _OPEN.values():
            each.database.close()
        _OPEN.clear()


def _named() -> _Named:
    """The home folder, the database's URL (None: a file at home), the place of the blobs and the key file."""
    folder = home().absolute()
    return (
        str(folder),
        os.environ.get("ASSAY_DATABASE") or None,
        os.environ.get("ASSAY_STORE") or str(folder / "vault"),
        os.environ.get("ASSAY_KEYS") or str(folder.with_name(f"{folder.name}.keys")),
    )


def _opened(folder: str, database: str | None, store: str, keys: str) -> Stores:
    _refuse_keys_among_data(Path(keys), [Path(folder), Path(store)])
    opened = Database(database or URL.create("sqlite", database=f"{folder}/assay.db"))
    vault = Vault(opened, blobs_at(store), Path(keys))
    old = Path(folder) / "evidence"
    if old.is_dir():  # kept in the clear by version 0.2
        move_old(old, EvidenceStore(vault))
    return Stores(opened, vault)


def _refuse_keys_among_data(keys: Path, folders: list[Path]) -> None:
    """Whoever copies the data would copy its key as well."""
    for folder in folders:
        if keys.resolve().is_relative_to(folder.resolve()):
            raise UserFacingError(
                "The key file lies among what it is to protect",
                f"{keys} is inside of {folder}",
                "Name a file elsewhere in ASSAY_KEYS",
            )
