"""The database: a SQLite file beside the evidence, or PostgreSQL where ASSAY_DATABASE names one."""

import hashlib
import os
import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import Connection, Engine, create_engine, event, inspect, text
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import (
    ArgumentError,
    DataError,
    DBAPIError,
    IntegrityError,
    NoSuchModuleError,
    ProgrammingError,
    TimeoutError,
)

from core.errors import UserFacingError
from storage.files import private_folder
from storage.tables import METADATA

_BUSY_MS = 30_000
_SETTLE_MS = 1_000
_DEFECTS = (IntegrityError, ProgrammingError, DataError)  # for the caller, who knows what they mean


class Database:
    """One database; its tables are made at opening. Raises UserFacingError wherever it cannot be used."""

    def __init__(self, url: str | URL) -> None:
        """`url` as SQLAlchemy writes it: `sqlite:///FILE` or `postgresql+psycopg://...`."""
        self._url = _checked(url)
        self.embedded = self._url.get_backend_name() == "sqlite"
        self._engine = _sqlite(self._url) if self.embedded else _postgresql(self._url)
        self._writer = self._engine.execution_options(begin="BEGIN IMMEDIATE")
        self._here = threading.local()
        self._make_tables()

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        """One transaction that holds SQLite's write lock from its start; committed at the end, or nothing was done."""
        if getattr(self._here, "writing", False):
            raise RuntimeError("a transaction that writes is open in this thread already and would wait for itself")
        self._here.writing = True
        try:
            with self._transaction(self._writer) as connection:
                yield connection
        finally:
            self._here.writing = False

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """One transaction that only reads."""
        with self._transaction(self._engine) as connection:
            yield connection

    def settle(self) -> None:
        """Lets go of old pages: SQLite's write-ahead log is folded in and emptied, unless a reader still needs it."""
        if self.embedded:
            with self._told(), self._engine.connect() as connection:
                sqlite = connection.connection.driver_connection
                sqlite.execute(f"PRAGMA busy_timeout={_SETTLE_MS}")  # others wait meanwhile
                try:
                    sqlite.execute("PRAGMA wal_checkpoint(TRUNCATE)")
                finally:
                    sqlite.execute(f"PRAGMA busy_timeout={_BUSY_MS}")

    def close(self) -> None:
        """Closes every connection; the next use opens new ones."""
        self._engine.dispose()

    @contextmanager
    def _transaction(self, engine: Engine) -> Iterator[Connection]:
        with self._told(), engine.begin() as connection:
            yield connection

    @contextmanager
    def _told(self) -> Iterator[None]:
        """The database's own errors as sentences; everything else passes."""
        try:
            yield
        except _DEFECTS:
            raise
        except (DBAPIError, TimeoutError) as error:
            raise _sentence(error) from error

    def _make_tables(self) -> None:
        """Makes what is missing; of several processes that start at once, one makes it and the others wait."""
        with self._told():
            there = set(inspect(self._engine).get_table_names())
        if not METADATA.tables.keys() <= there:
            with self.writing() as connection:
                lock(connection, "tables")
                METADATA.create_all(connection)


def lock(connection: Connection, name: str) -> None:
    """Waits until no other transaction holds `name`, then holds it to this one's end.

    Nothing to do on SQLite, where one transaction writes at a time.
    """
    if connection.dialect.name == "postgresql":
        number = int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "big", signed=True)
        connection.execute(text("SELECT pg_advisory_xact_lock(:number)"), {"number": number})


def _checked(url: str | URL) -> URL:
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError) as error:
        raise _unknown() from error
    if parsed.get_backend_name() not in ("sqlite", "postgresql") or not parsed.database:
        raise _unknown()
    return parsed


def _sqlite(url: URL) -> Engine:
    _make_file(Path(url.database))
    engine = create_engine(url, hide_parameters=True, connect_args={"timeout": _BUSY_MS / 1000}, max_overflow=40)
    event.listen(engine, "connect", _prepare)
    event.listen(engine, "begin", _begin)
    return engine


def _postgresql(url: URL) -> Engine:
    try:
        return create_engine(url, hide_parameters=True, pool_pre_ping=True, max_overflow=40)
    except (ImportError, NoSuchModuleError) as error:
        raise _unknown() from error


def _make_file(file: Path) -> None:
    """An empty file that only its owner reads; SQLite gives the files beside it the same rights."""
    try:
        private_folder(file.parent)
        os.close(os.open(file, os.O_RDWR | os.O_CREAT, 0o600))
    except OSError as error:
        raise UserFacingError(
            "There is no place for the evidence",
            f"{file} cannot be written ({error.strerror})",
            "Name another folder in ASSAY_HOME, or mend its permissions",
        ) from error


def _prepare(connection: sqlite3.Connection, _record: object) -> None:
    """Each new connection: transactions are begun by us, deleted content is overwritten, a commit is on the disk."""
    connection.isolation_level = None
    connection.execute("PRAGMA secure_delete=ON")
    connection.execute("PRAGMA synchronous=FULL")
    until = time.monotonic() + _BUSY_MS / 1000
    while connection.execute("PRAGMA journal_mode").fetchone()[0] != "wal":
        try:
            connection.execute("PRAGMA journal_mode=WAL")
        except sqlite3.OperationalError:  # another process is doing the same; here SQLite itself does not wait
            if time.monotonic() > until:
                raise
            time.sleep(0.01)


def _begin(connection: Connection) -> None:
    connection.exec_driver_sql(connection.get_execution_options().get("begin", "BEGIN"))


def _unknown() -> UserFacingError:
    return UserFacingError(
        "The database cannot be opened",
        "ASSAY_DATABASE is no address of a PostgreSQL database",
        "Write it as postgresql+psycopg://USER:PASSWORD@HOST/NAME, or leave it out",
    )


def _sentence(error: DBAPIError | TimeoutError) -> UserFacingError:
    """What the database's own words mean; they name no value, since those are never part of its message."""
    words = " ".join(str(getattr(error, "orig", None) or error).split())
    if "disk is full" in words or "No space left" in words:
        return UserFacingError("Nothing could be written", "The database's disk is full", "Make room, then try again")
    if "locked" in words or isinstance(error, TimeoutError):
        return UserFacingError(
            "The database did not answer in time", "Others keep it busy", "Wait a moment, then try again"
        )
    if "malformed" in words or "not a database" in words:
        return UserFacingError(
            "The database cannot be read", "Its file is damaged", "Put back the last copy of the whole home folder"
        )
    return UserFacingError(
        "The database cannot be used", f"It says: {words[:300]}", "See that it runs and may be written, then try again"
    )
