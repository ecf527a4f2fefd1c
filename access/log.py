"""The log: who did what and when, written before it is done. Nobody edits it.

What it says of things are their names and digests, never values, row ids, column names or e-mail addresses: whoever
records an act sees to that. docs/log.md lists what is recorded.
"""

import json
import secrets
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import NoReturn, Protocol

from sqlalchemy import Connection, Row, insert, select
from sqlalchemy.exc import DBAPIError

from access.actions import ACTIONS
from access.chain import (
    EVERY,
    GENESIS,
    OUTCOMES,
    Checkpoint,
    Entry,
    canonical,
    checkpoint_line,
    entry_line,
    header_line,
    is_signed,
    public_key,
    sign,
    verify,
)
from access.people import Person
from access.telemetry import telemetry
from core.errors import UserFacingError
from storage.database import Database, lock
from storage.tables import LOG, LOG_CHECKPOINTS
from storage.vault import Vault

EVENTS: Mapping[str, str] = {
    "sign-in": "sign in",
    "sign-out": "sign out",
    "session-end": "end somebody's sign-in",
    "block": "block a person, or let them in again",
    "question": "have a question answered, new or not",
    "upload": "give a file",
    "export": "take something out: a report, evidence, the log",
    "revoke": "take a grant back",
    "finding": "raise a finding",
    "expire": "remove what is kept no longer",
    "keys": "change the keys that everything is encrypted with",
}
"""What is recorded beside the actions; each completes "may ..."."""

Write = Callable[..., Entry]
"""Writes one entry, of what `Log.record` takes."""

_HEAD = select(LOG.c.number, LOG.c.digest).order_by(LOG.c.number.desc()).limit(1)
_APPEND = insert(LOG)
_LONGEST = 200
_MOST = 20
_BATCH = 1000
_LARGEST = 1 << 53


class Watcher(Protocol):
    """Somebody who sees every entry once it is written."""

    def saw(self, entry: Entry) -> None:
        """Takes note of it. Never raises."""


class Log:
    """The log in a database; its checkpoints are signed with a secret that the vault keeps."""

    def __init__(self, database: Database, vault: Vault, alerts: Watcher | None = None) -> None:
        self._database = database
        self._vault = vault
        self._alerts = alerts
        self._key = b""

    def record(self, person: Person | None, action: str, outcome: str = "allowed", **what: str | int) -> Entry:
        """Writes one entry, to be called before the act. `person` is None where nobody is signed in.

        Raises UserFacingError where it cannot be written: then the act must not happen. Raises ValueError for an
        action or outcome that is not listed, and for a `what` that is not short, printable text or a whole number.
        """
        try:
            with self.beside() as (_, write):
                return write(person, action, outcome, **what)
        except UserFacingError as error:
            raise _unwritten(error) from error

    @contextmanager
    def beside(self) -> Iterator[tuple[Connection, Write]]:
        """A transaction, and how to write entries in it as `record` does: what is changed and its entries, or neither.

        Raises UserFacingError where the entries cannot be written.
        """
        secret, written = self._secret(), []

        def write(person: Person | None, action: str, outcome: str = "allowed", **what: str | int) -> Entry:
            _check(action, outcome, what)
            written.append(self._append(connection, person, action, outcome, what, secret))
            return written[-1]

        try:
            with self._database.writing() as connection:
                yield connection, write
        except DBAPIError as error:
            raise _unwritten(error) from error
        for entry in written:
            telemetry().saw(entry)
            if self._alerts:
                self._alerts.saw(entry)

    def refuse(self, person: Person | None, action: str, refusal: UserFacingError, **what: str | int) -> NoReturn:
        """Records a refusal and raises it; where it cannot be recorded it is raised all the same, with that cause."""
        try:
            self.record(person, action, "refused", **what)
        except UserFacingError as error:
            raise refusal from error
        raise refusal

    def entries(
        self,
        before: int | None = None,
        count: int = 100,
        person: str | None = None,
        action: str | None = None,
        outcome: str | None = None,
    ) -> list[Entry]:
        """Up to `count` entries, the newest first: those before a number, of a person's id, an action, an outcome."""
        query = select(LOG.c.number, LOG.c.entry).order_by(LOG.c.number.desc()).limit(count)
        if before is not None:
            query = query.where(LOG.c.number < before)
        if person is not None:  # canonical JSON: this stands at the end, and what follows nowhere else
            query = query.where(LOG.c.entry.endswith(f',"who":{canonical(person)}}}', autoescape=True))
        for name, value in (("action", action), ("outcome", outcome)):
            if value is not None:
                query = query.where(LOG.c.entry.contains(f'"{name}":{canonical(value)}', autoescape=True))
        with self._database.reading() as connection:
            rows = connection.execute(query).all()
        return [_read(row) for row in rows]

    def head(self) -> tuple[int, str]:
        """Number and digest of the last entry. Noted elsewhere, it later shows that nothing up to it was changed."""
        with self._database.reading() as connection:
            return _head(connection)

    def public_key(self) -> str:
        """The key (hexadecimal) that the log's signatures are checked with."""
        return public_key(self._secret())

    def checkpoint(self) -> Checkpoint:
        """Signs how long the log is now, and keeps that."""
        return self._checkpoint()[0]

    def export(self) -> Iterator[bytes]:
        """The whole log as lines that `access.chain.verify` checks; a million entries take no more memory than one."""
        yield from self._lines(*self._checkpoint())

    def check(self) -> list[str]:
        """What is wrong with the log as it lies in the database, a sentence each; nothing where all is well."""
        last = Checkpoint(*self.head(), _now())
        verdict = verify(self._lines(last, sign(last.text, self._secret())), trust=self.public_key())
        return [*([] if verdict.good else [verdict.sentence]), *self._bad_checkpoints(last.number)]

    def _append(
        self,
        connection: Connection,
        person: Person | None,
        action: str,
        outcome: str,
        what: Mapping[str, str | int],
        secret: bytes,
    ) -> Entry:
        lock(connection, "log")
        number, after = _head(connection)
        who = (person.id, person.roles, person.session) if person else ("nobody", (), "")
        entry = Entry(number + 1, after, _now(), *who, action, outcome, what)
        connection.execute(_APPEND, {"number": entry.number, "entry": entry.text, "digest": entry.digest})
        if entry.number % EVERY == 0:
            _keep(connection, Checkpoint(entry.number, entry.digest, entry.time), secret)
        return entry

    def _checkpoint(self) -> tuple[Checkpoint, str]:
        """The log's length and head now, signed; the first checkpoint of an entry is kept."""
        secret = self._secret()
        with self._database.writing() as connection:
            lock(connection, "log")
            last = Checkpoint(*_head(connection), _now())
            _keep(connection, last, secret)
        return last, sign(last.text, secret)

    def _lines(self, last: Checkpoint, signature: str) -> Iterator[bytes]:
        """The log up to a checkpoint as lines."""
        yield header_line(last.text, signature, self.public_key())
        for row in self._rows(last.number):
            yield entry_line(row.entry, row.digest)
            if row.number % EVERY == 0 and row.body is not None:
                yield checkpoint_line(row.body, row.signature.hex())
        yield checkpoint_line(last.text, signature)

    def _rows(self, last: int) -> Iterator[Row]:
        """Entries up to number `last`, each with its checkpoint where it has one; a short read at a time."""
        both = LOG.outerjoin(LOG_CHECKPOINTS, LOG.c.number == LOG_CHECKPOINTS.c.number)
        columns = (LOG.c.number, LOG.c.entry, LOG.c.digest, LOG_CHECKPOINTS.c.body, LOG_CHECKPOINTS.c.signature)
        query = select(*columns).select_from(both).where(LOG.c.number <= last).order_by(LOG.c.number).limit(_BATCH)
        seen: int | None = None
        while True:
            with self._database.reading() as connection:
                rows = connection.execute(query if seen is None else query.where(LOG.c.number > seen)).all()
            yield from rows
            if len(rows) < _BATCH:
                return
            seen = rows[-1].number

    def _bad_checkpoints(self, last: int) -> list[str]:
        """What is wrong with the checkpoints that an export does not show: those of earlier exports, and lost ends."""
        both = LOG_CHECKPOINTS.outerjoin(LOG, LOG.c.number == LOG_CHECKPOINTS.c.number)
        query = select(LOG_CHECKPOINTS.c.number, LOG_CHECKPOINTS.c.body, LOG_CHECKPOINTS.c.signature, LOG.c.digest)
        shown = (LOG_CHECKPOINTS.c.number % EVERY == 0) & (LOG_CHECKPOINTS.c.number <= last)
        with self._database.reading() as connection:
            rows = connection.execute(query.select_from(both).where(~shown).order_by(LOG_CHECKPOINTS.c.number)).all()
        return [found for row in rows if (found := _fault(row, self.public_key()))]

    def _secret(self) -> bytes:
        """The secret that signs, made once for a log."""
        if not self._key:
            self._key = self._vault.secret("log", lambda: secrets.token_bytes(32))
        return self._key


def _head(connection: Connection) -> tuple[int, str]:
    row = connection.execute(_HEAD).first()
    return (row.number, row.digest) if row else (0, GENESIS)


def _keep(connection: Connection, checkpoint: Checkpoint, secret: bytes) -> None:
    """Keeps a checkpoint, unless there is one of this entry: an older signature is never written over."""
    there = select(LOG_CHECKPOINTS.c.number).where(LOG_CHECKPOINTS.c.number == checkpoint.number)
    if checkpoint.number and not connection.execute(there).first():
        signature = bytes.fromhex(sign(checkpoint.text, secret))
        row = {"number": checkpoint.number, "body": checkpoint.text, "signature": signature}
        connection.execute(insert(LOG_CHECKPOINTS).values(row))


def _fault(row: Row, key: str) -> str:
    """What is wrong with a checkpoint and the entry that it was signed for; empty where all is well."""
    if not is_signed(row.body, row.signature.hex(), key):
        return f"The signature kept for entry {row.number} does not fit."
    checkpoint = Checkpoint.read(json.loads(row.body))
    if row.digest is None:
        return f"Entry {row.number} is missing: a signature says that the log was that long at {checkpoint.time}."
    if (checkpoint.number, checkpoint.digest) != (row.number, row.digest):
        return f"Entry {row.number}, or one before it, was changed after it was signed at {checkpoint.time}."
    return ""


def _read(row: Row) -> Entry:
    try:
        return Entry.read(json.loads(row.entry))
    except ValueError as error:
        raise UserFacingError(
            "The log cannot be shown",
            f"Entry {row.number} is damaged",
            "Check the log with python assay.py log check, and find out who can write into the database",
        ) from error


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _check(action: str, outcome: str, what: Mapping[str, str | int]) -> None:
    """Refuses what no caller should write."""
    if action not in ACTIONS and action not in EVENTS:
        raise ValueError(f"{action!r} is neither an action nor an event")
    if outcome not in OUTCOMES:
        raise ValueError(f"{outcome!r} is no outcome")
    if len(what) > _MOST:
        raise ValueError(f"an entry says no more than {_MOST} things")
    for name, value in what.items():
        short = isinstance(value, str) and len(value) <= _LONGEST and value.isprintable()
        if not short and not (type(value) is int and abs(value) < _LARGEST):
            raise ValueError(f"{name} is neither a short, printable text nor a whole number")


def _unwritten(error: UserFacingError | DBAPIError) -> UserFacingError:
    """The sentence where an entry could not be written."""
    why = error.why if isinstance(error, UserFacingError) else "The database refused it"
    remedy = error.remedy if isinstance(error, UserFacingError) else "See that the database is as Assay made it"
    return UserFacingError("Nothing was done, for the log cannot be written", why, remedy)
