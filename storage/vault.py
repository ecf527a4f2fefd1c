"""The vault: whatever comes from a person, encrypted at rest.

An object is a blob of ciphertext and a row. The blob is written first and never changed; the row, which holds the
object's own key, is written in one transaction. So a crash leaves the old state or the new one, and at most a blob that
no row knows and nobody can read.
"""

import hashlib
import hmac
import io
import os
import secrets
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import Connection, Row, delete, func, insert, select, update

from core.errors import UserFacingError
from storage.blobs import Blobs
from storage.database import Database, lock
from storage.keys import INDEX, Keyring, LackingKey, Unwrappable
from storage.sealing import KEY, Broken, Encrypting, Slip, decrypted, seal, unseal
from storage.tables import VAULT_OBJECTS

_DAY = 86400.0
_T = VAULT_OBJECTS.c
_TROUBLE = (Broken, Unwrappable, LackingKey, FileNotFoundError)


class Missing(UserFacingError):
    """There is no such object."""


class Damaged(UserFacingError):
    """An object is not what was written; nothing of it was given out."""


class Held(UserFacingError):
    """An object is under legal hold, so it can be neither removed nor replaced."""


class Taken(UserFacingError):
    """There is an object of this name already."""


@dataclass(frozen=True)
class Item:
    """An object to put: its kind and name, its bytes (whole or in pieces), the team and owner it belongs to.

    `expires` is the time, in seconds since 1970, after which a sweep removes it; None: never.
    """

    kind: str
    name: str
    body: bytes | Iterable[bytes]
    team: str = ""
    owner: str = ""
    expires: float | None = None


@dataclass(frozen=True)
class Stored:
    """What is known of an object without opening it; `size` in bytes, times in seconds since 1970."""

    name: str
    size: int
    owner: str
    created: float
    expires: float | None
    held: bool


@dataclass(frozen=True)
class _Written:
    """An object whose blob is written and whose row is not."""

    item: Item
    slot: str
    blob: str
    key: bytes
    size: int
    label: bytes


class Vault:
    """Objects by kind and name. Several processes may use one vault at once."""

    def __init__(self, database: Database, blobs: Blobs, keys: Path) -> None:
        """Opens the vault; a new one where database and blobs are empty. `keys` is the key file."""
        self._database = database
        self._blobs = blobs
        self._keys = Keyring(database, keys, self._has_blobs)
        self._index = self._keys.secret(INDEX, lambda: os.urandom(KEY))

    # --- putting ---------------------------------------------------------------------------------------------------

    def put(
        self,
        kind: str,
        name: str,
        body: bytes | Iterable[bytes],
        *,
        team: str = "",
        owner: str = "",
        expires: float | None = None,
    ) -> None:
        """Keeps an object, in place of one of this name. Raises Held where that one is under legal hold."""
        self.put_all([Item(kind, name, body, team, owner, expires)])

    def put_all(self, items: Iterable[Item], *, create: bool = False) -> None:
        """Keeps all of the objects or none of them. With `create` it raises Taken where a name is in use."""
        written: list[_Written] = []
        try:
            for item in items:
                written.append(self._write_blob(item))
        except BaseException:
            self._drop_blobs(each.blob for each in written)
            raise
        try:
            replaced = self._write_rows(written, create)
        except (Held, Taken):
            self._drop_blobs(each.blob for each in written)
            raise
        self._drop_blobs(replaced)

    def _write_blob(self, item: Item) -> _Written:
        slot, blob, key = self._slot(item.kind, item.name), secrets.token_hex(16), os.urandom(KEY)
        stream = Encrypting(key, Slip(item.kind, slot, blob), item.body)
        self._blobs.write(blob, stream)
        label = self.seal(item.name.encode(), f"label {slot}")
        return _Written(item, slot, blob, key, stream.size, label)

    def _write_rows(self, written: list[_Written], create: bool) -> list[str]:
        """One transaction. Returns the blobs that were replaced.

        Where the database fails it may have kept the rows and failed to say so; the blobs then stay for a sweep.
        """
        replaced = []
        with self._database.writing() as connection:
            for each in sorted(written, key=lambda one: one.slot):  # in one order, so that no two wait for each other
                lock(connection, each.slot)
                old = _locked(connection, [each.slot])
                _refuse_held(each.item.kind, each.item.name, old)
                if old and create:
                    raise Taken(
                        f"The {each.item.kind} {each.item.name} is there already",
                        "It would be replaced",
                        "Choose another name, or remove it first",
                    )
                replaced += [row.blob for row in old]
                self._write_row(connection, each, bool(old))
        return replaced

    def _write_row(self, connection: Connection, each: _Written, there: bool) -> None:
        key, wrapped = self._keys.wrap(connection, each.key)
        values = {
            "kind": each.item.kind,
            "label": each.label,
            "blob": each.blob,
            "size": each.size,
            "wrapped": wrapped,
            "key": key,
            "team": self._team(each.item.team),
            "owner": each.item.owner,
            "created": time.time(),
            "expires": each.item.expires,
            "held": False,
        }
        if there:
            connection.execute(update(VAULT_OBJECTS).where(_T.slot == each.slot).values(values))
        else:
            connection.execute(insert(VAULT_OBJECTS).values(slot=each.slot, **values))

    # --- getting ---------------------------------------------------------------------------------------------------

    def get(self, kind: str, name: str) -> bytes:
        """An object's bytes, given out only once all of them are verified. Raises Missing or Damaged."""
        found = self.find(kind, name)
        if found is None:
            raise _missing(kind, name)
        return found

    def find(self, kind: str, name: str) -> bytes | None:
        """An object's bytes; None: there is none. Raises Damaged."""
        row = self._row(kind, name)
        while row is not None:
            whole = io.BytesIO()
            try:
                for chunk in self._chunks(row):
                    whole.write(chunk)
                return whole.getvalue()
            except _TROUBLE as error:
                before, row = row, self._row(kind, name)
                if row == before:  # else it was replaced, removed or wrapped anew while it was read
                    raise _damaged(kind, name, error) from error
        return None

    def has(self, kind: str, name: str) -> bool:
        """Whether there is such an object."""
        return self._row(kind, name) is not None

    def names(self, kind: str, team: str | None = None) -> list[str]:
        """The names of a kind that can be read, sorted; those of one team, or all."""
        return sorted(name for name in self._names(kind, team) if name is not None)

    def nameless(self, kind: str, team: str | None = None) -> int:
        """How many objects of a kind `names` leaves out, because their names are damaged."""
        return self._names(kind, team).count(None)

    def about(self, kind: str, name: str) -> Stored:
        """What is known of an object. Raises Missing."""
        row = self._row(kind, name)
        if row is None:
            raise _missing(kind, name)
        return Stored(name, row.size, row.owner, row.created, row.expires, row.held)

    def usage(self, owner: str) -> int:
        """How many bytes a person's objects take."""
        with self._database.reading() as connection:
            query = select(func.sum(_T.size)).where(_T.owner == owner)
            return int(connection.execute(query).scalar_one() or 0)

    # --- removing --------------------------------------------------------------------------------------------------

    def remove(self, kind: str, *names: str) -> None:
        """Destroys the keys of objects in one transaction, then their blobs. Names that are not there are no error.

        Raises Held, and removes none, where one of them is under legal hold.
        """
        called = {self._slot(kind, name): name for name in names}
        with self._database.writing() as connection:
            rows = _locked(connection, list(called))
            for row in rows:
                _refuse_held(kind, called[row.slot], [row])
            connection.execute(delete(VAULT_OBJECTS).where(_T.slot.in_(called)))
        self._gone(row.blob for row in rows)

    def hold(self, kind: str, name: str, held: bool) -> None:
        """Puts an object under legal hold, or releases it. Raises Missing."""
        with self._database.writing() as connection:
            query = update(VAULT_OBJECTS).where(_T.slot == self._slot(kind, name)).values(held=held)
            if not connection.execute(query).rowcount:
                raise _missing(kind, name)

    def due(self, now: float) -> int:
        """How many objects `sweep` would remove because they have expired."""
        with self._database.reading() as connection:
            return connection.scalar(select(func.count()).where(_T.expires <= now, ~_T.held))

    def sweep(self, now: float) -> int:
        """Removes what has expired and is not held, and blobs without a row that are older than a day.

        Returns how many objects expired.
        """
        with self._database.writing() as connection:
            old = select(_T.slot, _T.blob).where(_T.expires <= now, ~_T.held).order_by(_T.slot).with_for_update()
            rows = connection.execute(old).all()
            for row in rows:
                connection.execute(delete(VAULT_OBJECTS).where(_T.slot == row.slot))
        self._gone(row.blob for row in rows)
        self._drop_orphans(now)
        return len(rows)

    def _drop_orphans(self, now: float) -> None:
        """A put writes its blob before its row, so that young blobs may still get one."""
        aged = {blob for blob, written in self._blobs.listed() if now - written > _DAY}
        with self._database.reading() as connection:
            known = set(connection.execute(select(_T.blob)).scalars())
        for blob in aged - known:
            self._blobs.remove(blob)

    # --- keys and small values -------------------------------------------------------------------------------------

    def seal(self, text: bytes, about: str) -> bytes:
        """A small value for a column, encrypted and bound to what it is `about`."""
        key, secret = self._keys.sealing()
        return bytes.fromhex(key) + seal(secret, text, about.encode())

    def unseal(self, sealed: bytes, about: str) -> bytes:
        """What `seal` was given. Raises Damaged."""
        try:
            _, secret = self._keys.sealing(sealed[:8].hex())
            return unseal(secret, sealed[8:], about.encode())
        except (Broken, Unwrappable) as error:
            raise Damaged(
                "A value in the database cannot be read", f"It {error}", "Put back the database's last copy"
            ) from error

    def secret(self, name: str, make: Callable[[], bytes]) -> bytes:
        """The secret of this name, made once for all who use the store. Call it outside of a transaction."""
        return self._keys.secret(name, make)

    def rotate(self, progress: Callable[[float], None] | None = None) -> int:
        """Puts a new key in the old one's place; see Keyring.rotate. Returns how many were wrapped anew."""
        return self._keys.rotate(progress)

    def check(
        self, remove: bool = False, progress: Callable[[float], None] | None = None
    ) -> list[tuple[str, str, Damaged]]:
        """Reads every object and names the damaged ones: kind, name ("" where that is lost too) and what is wrong.

        With `remove` they are removed, those under legal hold apart. Raises where the key file lacks a key and where
        there is no blob at all: then it is the settings that are wrong, and nothing is removed.
        """
        with self._database.reading() as connection:
            slots = list(connection.execute(select(_T.slot).order_by(_T.slot)).scalars())
        if slots and not self._has_blobs():
            raise UserFacingError(
                "The store is empty",
                f"Its database knows of {len(slots):,} objects",
                "See that ASSAY_STORE names the store that belongs to this database, and that it can be reached",
            )
        found = []
        for done, slot in enumerate(slots):
            row = self._row_at(slot)
            problem = row and self._problem(row)
            if row and problem:
                found.append(problem)
                if remove:
                    self._remove_damaged(row)
            if progress is not None:
                progress((done + 1) / len(slots))
        return found

    def _problem(self, row: Row) -> tuple[str, str, Damaged] | None:
        name = self._name(row)
        if name is None:
            return row.kind, "", _damaged(row.kind, "of unknown name", None)
        try:
            for _ in self._chunks(row):
                pass
        except _TROUBLE as error:
            if self._row_at(row.slot) == row:
                return row.kind, name, _damaged(row.kind, name, error)
        return None

    def _remove_damaged(self, row: Row) -> None:
        """Removes this very row, unless it was put anew or is held."""
        with self._database.writing() as connection:
            query = delete(VAULT_OBJECTS).where(_T.slot == row.slot, _T.blob == row.blob, ~_T.held)
            gone = connection.execute(query).rowcount
        if gone:
            self._gone([row.blob])

    # --- small parts -----------------------------------------------------------------------------------------------

    def _has_blobs(self) -> bool:
        return any(True for _ in self._blobs.listed())

    def _chunks(self, row: Row) -> Iterator[bytes]:
        """The verified chunks of a row's blob. Raises Broken, Unwrappable or FileNotFoundError."""
        key = self._keys.unwrap(row.key, row.wrapped)
        with self._blobs.open(row.blob) as file:
            yield from decrypted(key, Slip(row.kind, row.slot, row.blob), row.size, file)

    def _row(self, kind: str, name: str) -> Row | None:
        return self._row_at(self._slot(kind, name))

    def _row_at(self, slot: str) -> Row | None:
        with self._database.reading() as connection:
            return connection.execute(select(VAULT_OBJECTS).where(_T.slot == slot)).one_or_none()

    def _names(self, kind: str, team: str | None) -> list[str | None]:
        query = select(_T.slot, _T.label).where(_T.kind == kind)
        if team is not None:
            query = query.where(_T.team == self._team(team))
        with self._database.reading() as connection:
            rows = connection.execute(query).all()
        return [self._name(row) for row in rows]

    def _name(self, row: Row) -> str | None:
        """An object's name; None where it is damaged. Raises LackingKey where nothing is, but the key file."""
        try:
            return self.unseal(row.label, f"label {row.slot}").decode()
        except Damaged:
            return None

    def _slot(self, kind: str, name: str) -> str:
        return self._hashed("slot", kind, name)

    def _team(self, team: str) -> str:
        return self._hashed("team", team) if team else ""

    def _hashed(self, *words: str) -> str:
        """A keyed hash; without the key nobody can try out names."""
        return hmac.new(self._index, "\0".join(words).encode(), hashlib.sha256).hexdigest()

    def _gone(self, blobs: Iterable[str]) -> None:
        """After rows were deleted: their keys leave the write-ahead log too, then their blobs go."""
        self._database.settle()
        self._drop_blobs(blobs)

    def _drop_blobs(self, blobs: Iterable[str]) -> None:
        """Takes away blobs that nobody can read any more; what the store refuses now goes with a sweep."""
        for blob in blobs:
            with suppress(UserFacingError):
                self._blobs.remove(blob)


def _locked(connection: Connection, slots: list[str]) -> list[Row]:
    """The rows of these slots, locked in one order, so that no two transactions wait for each other."""
    query = select(_T.slot, _T.blob, _T.held).where(_T.slot.in_(slots)).order_by(_T.slot).with_for_update()
    return list(connection.execute(query).all())


def _refuse_held(kind: str, name: str, rows: list[Row]) -> None:
    if any(row.held for row in rows):
        raise Held(
            f"The {kind} {name} stays as it is",
            "It is under legal hold",
            "Ask an admin to release it, if it may be removed",
        )


def _missing(kind: str, name: str) -> Missing:
    return Missing(f"There is no {kind} {name}", "It was removed, or never kept", "Choose another one")


def _damaged(kind: str, name: str, error: Exception | None) -> Damaged:
    """The sentence that names what is wrong with an object; None: its name is.

    Raises LackingKey where nothing is wrong, but the key file.
    """
    if isinstance(error, LackingKey):
        raise error
    if error is None:
        why = "Its name was changed or damaged"
    elif isinstance(error, FileNotFoundError):
        why = "Its file is no longer in the store"
    elif isinstance(error, Unwrappable):
        why = f"Its key {error}"
    else:
        why = f"Its file {error}"
    return Damaged(
        f"The {kind} {name} cannot be read",
        why,
        "Put back the store's last copy, or run python assay.py keys check --remove to remove what is damaged",
    )
