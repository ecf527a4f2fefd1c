"""What one person may use up: so much within a time, so much of a budget, so much room. Counted in the database."""

import time
from datetime import UTC, datetime

from sqlalchemy import Connection, Row, insert, select, update

from access.people import Person
from access.spans import span
from core.errors import UserFacingError
from storage.database import Database, lock
from storage.tables import COUNTERS
from storage.vault import Vault

_MIB = 1 << 20
_WORDS = {"upload": "bring more files", "export": "take more away"}


class Exceeded(UserFacingError):
    """A person has used up what they may use."""


class Limits:
    """Counters by name. However many count at once, in however many processes, none goes over its limit."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def take(self, name: str, amount: int, most: int, per_seconds: int, now: float | None = None) -> None:
        """Counts `amount` more under `name`, of at most `most` within `per_seconds` from the first that was counted.

        `name` is `KIND/ID`. Raises Exceeded, which says when it is possible again; nothing is counted then.
        """
        _check(amount)
        now = time.time() if now is None else now
        with self._database.writing() as connection:
            row = _row(connection, name)
            fresh = row is None or abs(now - row.since) >= per_seconds  # a clock may be a little behind another's
            used, since = (0, now) if fresh else (row.amount, row.since)
            if amount > most - used:
                raise _too_often(name, amount, most, per_seconds, since + per_seconds, now)
            _write(connection, name, row is None, used + amount, since)

    def spend(self, name: str, amount: int, budget: int) -> int:
        """Counts `amount` more under `name` for good; what is left of `budget`. Raises Exceeded where too little is."""
        _check(amount)
        with self._database.writing() as connection:
            row = _row(connection, name)
            used = row.amount if row else 0
            if amount > budget - used:
                raise Exceeded(
                    "The budget is not enough for this",
                    f"It takes {amount:,}, and {max(0, budget - used):,} of {budget:,} are left",
                    "Ask for less, or ask who granted it for more",
                )
            _write(connection, name, row is None, used + amount, row.since if row else time.time())
            return budget - used - amount

    def spent(self, name: str) -> int:
        """How much was counted under `name`."""
        with self._database.reading() as connection:
            return connection.scalar(select(COUNTERS.c.amount).where(COUNTERS.c.name == name)) or 0


def check_storage(vault: Vault, person: Person, size: int, most: int) -> None:
    """Raises Exceeded where `size` bytes more would be more than a person may keep; never at one's own machine."""
    if person.is_local:
        return
    kept = vault.usage(person.id)
    if size > most - kept:
        raise Exceeded(
            "There is no room for this",
            f"It takes {_mib(size)}, you keep {_mib(kept)} already, and may keep {_mib(most)}",
            "Remove a subject that you no longer need",
        )


def _row(connection: Connection, name: str) -> Row | None:
    """The counter of that name, which nobody else changes until the transaction ends."""
    lock(connection, f"counter/{name}")
    return connection.execute(select(COUNTERS).where(COUNTERS.c.name == name)).one_or_none()


def _write(connection: Connection, name: str, new: bool, amount: int, since: float) -> None:
    values = {"amount": amount, "since": since}
    if new:
        connection.execute(insert(COUNTERS).values(name=name, **values))
    else:
        connection.execute(update(COUNTERS).where(COUNTERS.c.name == name).values(values))


def _too_often(name: str, amount: int, most: int, per_seconds: int, again: float, now: float) -> Exceeded:
    kind = name.partition("/")[0]
    what = f"You may not {_WORDS.get(kind, 'do that again')} for now"
    within = f"within {span(per_seconds)}"
    shown = _mib if kind == "upload" else "{:,}".format
    if amount > most:
        return Exceeded(what, f"This is {shown(amount)}, and {shown(most)} are allowed {within}", "Take less at a time")
    clock = datetime.fromtimestamp(again, UTC).strftime("%H:%M UTC")
    remedy = f"Try again in {span(again - now)}, at {clock}"
    return Exceeded(what, f"{shown(most)} are allowed {within}, and you have used that up", remedy)


def _mib(size: int) -> str:
    return f"{size / _MIB:,.1f} MiB"


def _check(amount: int) -> None:
    """What is taken is never given back: a negative amount would lift the limit."""
    if amount < 0:
        raise ValueError(f"{amount} is less than nothing")
