"""The key file and what hangs on it: which key is current, secrets wrapped by it, and its rotation.

The file holds one Fernet key a line, newest first, outside of the data. The table of keys says which one is current and
holds a known text under each, so that a wrong, missing or old file is told at once.
"""

import hashlib
import os
import threading
from collections.abc import Callable
from pathlib import Path

from cryptography.fernet import Fernet, InvalidToken
from sqlalchemy import Connection, Row, Table, func, insert, select, update

from core.errors import UserFacingError
from storage.database import Database, lock
from storage.files import private_folder, write_whole
from storage.sealing import KEY
from storage.tables import VAULT_KEYS, VAULT_OBJECTS, VAULT_SECRETS

_PROOF = b"This text is sealed to tell the right key from a wrong one."
_BATCH = 200
_TRIES = 5
_REMEDY = "Put back the key file that belongs to this store, or name it in ASSAY_KEYS"
INDEX = "index"  # the secret that names are looked up by


class Unwrappable(Exception):
    """A wrapped key was changed; the message ends the sentence "its key ..."."""


class LackingKey(UserFacingError):
    """The key file lacks a key that something is wrapped by; nothing is damaged."""


class KeyFile:
    """The keys in a file, by id and newest first; an id is the beginning of a key's SHA-256."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def read(self) -> dict[str, Fernet]:
        """Every key in the file; none where there is no file."""
        return {_id(line): Fernet(line) for line in self._lines()}

    def create(self) -> None:
        """A new file with one new key. FileExistsError where there is a file."""
        private_folder(self.path.parent)
        self._write([Fernet.generate_key()], new=True)

    def add(self) -> str:
        """Puts a new key to the front. Returns its id."""
        key = Fernet.generate_key()
        self._write([key, *self._lines()])
        return _id(key)

    def drop(self, ids: set[str]) -> None:
        """Takes keys out of the file."""
        lines = self._lines()
        kept = [line for line in lines if _id(line) not in ids]
        if kept != lines:
            self._write(kept)

    def _lines(self) -> list[bytes]:
        try:
            lines = [line.strip() for line in self.path.read_bytes().splitlines() if line.strip()]
            for line in lines:
                Fernet(line)
        except FileNotFoundError:
            return []
        except OSError as error:
            raise UserFacingError(
                "The key file cannot be read",
                f"{self.path} refuses it ({error.strerror})",
                "Let the user that Assay runs as read it",
            ) from error
        except ValueError as error:
            raise UserFacingError(
                "The key file cannot be read", f"{self.path} holds a line that is no key", "Put back its last copy"
            ) from error
        return lines

    def _write(self, lines: list[bytes], new: bool = False) -> None:
        try:
            write_whole(self.path, b"".join(line + b"\n" for line in lines), 0o400, new=new)
        except FileExistsError:
            raise
        except OSError as error:
            raise UserFacingError(
                "The key file cannot be written",
                f"{self.path} refuses it ({error.strerror})",
                "Make room or mend its folder's permissions, or name another file in ASSAY_KEYS",
            ) from error


class Keyring:
    """The keys of one store. A process that holds old ones reads the file again when it meets a new one."""

    def __init__(self, database: Database, path: Path, has_blobs: Callable[[], bool]) -> None:
        """Opens the store's keys; makes them where the store is new, which `has_blobs` must confirm.

        Raises UserFacingError for a wrong, missing or old key file; nothing is written then.
        """
        self._database = database
        self._file = KeyFile(path)
        self._secrets: dict[str, bytes] = {}
        self._lock = threading.Lock()
        self._keys = self._file.read()
        self._open(has_blobs)

    # --- wrapping --------------------------------------------------------------------------------------------------

    def wrap(self, connection: Connection, secret: bytes) -> tuple[str, bytes]:
        """The current key's id and `secret` wrapped by it; the key stays current to the transaction's end."""
        current = _current(connection)
        return current, self._key(current).encrypt(secret)

    def unwrap(self, key: str, wrapped: bytes) -> bytes:
        """What was wrapped by the key with this id. Raises Unwrappable or LackingKey."""
        try:
            return self._key(key).decrypt(wrapped)
        except InvalidToken as error:
            raise Unwrappable("was changed or damaged") from error

    def secret(self, name: str, make: Callable[[], bytes]) -> bytes:
        """The secret of this name; made once for all who use the store. Call it outside of a transaction."""
        if name not in self._secrets:
            found = self._stored_secret(name)
            self._secrets[name] = self._made_secret(name, make) if found is None else found
        return self._secrets[name]

    def sealing(self, key: str = "") -> tuple[str, bytes]:
        """The secret that small values are sealed with: its key's id (the newest one's that is known) and itself."""
        key = key or self._newest()
        name = _sealing(key)
        if name not in self._secrets:
            found = self._stored_secret(name)
            if found is None:
                raise Unwrappable("is not in this store")
            self._secrets[name] = found
        return key, self._secrets[name]

    def _newest(self) -> str:
        """The id of the current key, of this process's or another's rotation, once that is there for all to see."""
        with self._database.reading() as connection:
            return _named(_states(connection), "current")

    # --- rotation --------------------------------------------------------------------------------------------------

    def rotate(self, progress: Callable[[float], None] | None = None) -> int:
        """Puts a new key in the old one's place while others go on. Returns how many were wrapped anew.

        Stopped at any point it is taken up again by the next call. The steps: the new key into the file; marked
        current in the table; every row wrapped anew; the old keys marked retired; taken out of the file.
        """
        self._begin_rotation()
        done = 0
        while True:
            moved = self._rewrap(VAULT_SECRETS) or self._rewrap(VAULT_OBJECTS)
            if not moved and self._retire():
                return done
            done += moved
            if progress is not None:
                progress(self._share_done())

    def _begin_rotation(self) -> None:
        with self._database.writing() as connection:
            lock(connection, "keys")
            states, held = _states(connection), self._file.read()
            if "retiring" in states.values() or any(states.get(key) == "retired" for key in held):
                return  # an earlier rotation was stopped; it is finished first
            self._check(states, held)
            newest = next(iter(held))
            fresh = newest if newest not in states else self._file.add()
            connection.execute(update(VAULT_KEYS).where(VAULT_KEYS.c.state == "current").values(state="retiring"))
            self._keys = self._file.read()
            self._introduce(connection, fresh)

    def _introduce(self, connection: Connection, key: str) -> None:
        """Marks a key current, with its proof and the secret for sealing."""
        proof = self._keys[key].encrypt(_PROOF)
        connection.execute(insert(VAULT_KEYS).values(id=key, state="current", proof=proof))
        self._insert_secret(connection, _sealing(key), os.urandom(KEY))

    def _rewrap(self, table: Table) -> int:
        """Wraps some rows anew by the current key. Returns how many; 0: none was left."""
        with self._database.writing() as connection:
            current = _current(connection)
            (place,) = table.primary_key.columns
            old = select(place, table.c.wrapped, table.c.key).where(table.c.key != current)
            rows = connection.execute(old.order_by(place).limit(_BATCH).with_for_update()).all()
            for name, wrapped, key in rows:
                again = self._key(current).encrypt(self._opened_row(key, wrapped))
                connection.execute(update(table).where(place == name).values(wrapped=again, key=current))
        return len(rows)

    def _opened_row(self, key: str, wrapped: bytes) -> bytes:
        try:
            return self.unwrap(key, wrapped)
        except Unwrappable as error:
            raise UserFacingError(
                "The rotation stopped",
                f"An object's key {error}",
                "Run python assay.py keys check --remove to remove what is damaged, then rotate again",
            ) from error

    def _retire(self) -> bool:
        """Takes the old keys out of the table and the file. False: rows still hang on them."""
        with self._database.writing() as connection:
            lock(connection, "keys")
            current = _current(connection)
            if any(_count(connection, table, current) for table in (VAULT_SECRETS, VAULT_OBJECTS)):
                return False
            connection.execute(update(VAULT_KEYS).where(VAULT_KEYS.c.state == "retiring").values(state="retired"))
        self._database.settle()
        with self._database.writing() as connection:
            lock(connection, "keys")
            self._file.drop({key for key, state in _states(connection).items() if state == "retired"})
        self._keys = self._file.read()
        return True

    def _share_done(self) -> float:
        with self._database.reading() as connection:
            total = connection.execute(select(func.count()).select_from(VAULT_OBJECTS)).scalar_one()
            left = _count(connection, VAULT_OBJECTS, _named(_states(connection), "current"))
        return 1.0 - left / total if total else 1.0

    # --- opening ---------------------------------------------------------------------------------------------------

    def _open(self, has_blobs: Callable[[], bool]) -> None:
        """Sees that the file is the right one. Raises UserFacingError where it is not."""
        with self._database.reading() as connection:
            states = _states(connection)
        if not states:
            states = self._made(has_blobs)
        try:
            self._check(states, self._keys)
        except UserFacingError:  # a rotation may have come between the file and the table
            self._keys = self._file.read()
            with self._database.reading() as connection:
                states = _states(connection)
            self._check(states, self._keys)
        self._check_proofs(states)

    def _made(self, has_blobs: Callable[[], bool]) -> dict[str, str]:
        """Starts a new store, with the key file that lies there already or with a new one."""
        with self._database.writing() as connection:
            lock(connection, "keys")
            states = _states(connection)
            if states:
                return states
            if has_blobs():
                raise UserFacingError(
                    "The store cannot be opened",
                    "There are objects in it that its database knows nothing of",
                    "Put back the database that belongs to it, or name an empty store in ASSAY_STORE",
                )
            if not self._file.read():
                self._file.create()
            self._keys = self._file.read()
            self._introduce(connection, next(iter(self._keys)))
            self._insert_secret(connection, INDEX, os.urandom(KEY))
            return _states(connection)

    def _check(self, states: dict[str, str], held: dict[str, Fernet]) -> None:
        """Raises where the keys in the file are not those of the table."""
        if not held:
            raise _wrong("The key file is missing", f"There is no key in {self._file.path}")
        if _named(states, "current") in held:
            return
        if states.keys() & held.keys():
            raise _wrong("The key file is an older one", f"{self._file.path} lacks the newest key of this store")
        raise self._other()

    def _check_proofs(self, states: dict[str, str]) -> None:
        """Raises where a key that is still used is missing, or does not open what it sealed."""
        with self._database.reading() as connection:
            proofs = dict(connection.execute(select(VAULT_KEYS.c.id, VAULT_KEYS.c.proof)).tuples().all())
        for key in (each for each, state in states.items() if state != "retired"):
            try:
                self._key(key).decrypt(proofs[key])
            except InvalidToken as error:
                raise self._other() from error

    def _other(self) -> UserFacingError:
        return _wrong("The key file is the wrong one", f"No key in {self._file.path} opens this store")

    # --- small parts -----------------------------------------------------------------------------------------------

    def _key(self, key: str) -> Fernet:
        """The key with this id, from memory, else from the file. Raises LackingKey."""
        with self._lock:
            if key not in self._keys:
                self._keys = self._file.read()
            if key not in self._keys:
                why = f"Something in this store is under a key that is not in {self._file.path}"
                raise LackingKey("The key file lacks a key", why, _REMEDY)
            return self._keys[key]

    def _stored_secret(self, name: str) -> bytes | None:
        """A secret from the table; None: there is none. Read again where a rotation wraps it anew meanwhile."""
        before: Row | None = None
        for _ in range(_TRIES):
            with self._database.reading() as connection:
                query = select(VAULT_SECRETS.c.key, VAULT_SECRETS.c.wrapped).where(VAULT_SECRETS.c.name == name)
                row = connection.execute(query).one_or_none()
            if row is None:
                return None
            try:
                return self.unwrap(row.key, row.wrapped)
            except LackingKey:
                if row == before:
                    raise
            except Unwrappable as error:
                raise _wrong("The store cannot be opened", f"A secret in its database {error}") from error
            before = row
        raise _wrong("The store cannot be opened", "Its keys change without end")

    def _made_secret(self, name: str, make: Callable[[], bytes]) -> bytes:
        with self._database.writing() as connection:
            lock(connection, "secrets")
            there = connection.execute(select(VAULT_SECRETS.c.name).where(VAULT_SECRETS.c.name == name)).first()
            if there is None:
                value = make()
                self._insert_secret(connection, name, value)
                return value
        found = self._stored_secret(name)  # another process was faster
        assert found is not None
        return found

    def _insert_secret(self, connection: Connection, name: str, value: bytes) -> None:
        key, wrapped = self.wrap(connection, value)
        connection.execute(insert(VAULT_SECRETS).values(name=name, wrapped=wrapped, key=key))


def _id(line: bytes) -> str:
    return hashlib.sha256(line).hexdigest()[:16]


def _sealing(key: str) -> str:
    """The name of the secret for sealing that came with a key; a rotation so brings a new one for what comes after."""
    return f"seal-{key}"


def _states(connection: Connection) -> dict[str, str]:
    return {row.id: row.state for row in connection.execute(select(VAULT_KEYS.c.id, VAULT_KEYS.c.state))}


def _named(states: dict[str, str], state: str) -> str:
    return next((key for key, its in states.items() if its == state), "")


def _current(connection: Connection) -> str:
    """The current key's id; no rotation replaces it before the transaction ends."""
    query = select(VAULT_KEYS.c.id).where(VAULT_KEYS.c.state == "current").with_for_update(read=True)
    for _ in range(_TRIES):  # PostgreSQL answers nothing where a rotation committed while this waited for it
        current = connection.execute(query).scalar_one_or_none()
        if current is not None:
            return current
    raise _wrong("The store cannot be used", "Its database names no current key")


def _count(connection: Connection, table: Table, current: str) -> int:
    """How many rows are not wrapped by the current key."""
    return connection.execute(select(func.count()).select_from(table).where(table.c.key != current)).scalar_one()


def _wrong(what: str, why: str) -> UserFacingError:
    return UserFacingError(what, why, _REMEDY)
