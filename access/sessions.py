"""Who is signed in: one row a sign-in, kept on the server, behind a cookie that says nothing.

The cookie is 32 random bytes, and only its SHA-256 is kept: what the database holds signs nobody in. What the provider
said, and the web server's own cookies, are sealed in the row. Roles are worked out from them anew at every look. Where
a sign-in ends by itself, the log says so: who ends one otherwise writes that.
"""

import hashlib
import json
import re
import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, Select, delete, insert, select, update

from access import claims as claim
from access.log import Log, Write
from access.people import Person
from access.settings import Settings
from access.spans import span
from core.errors import UserFacingError
from storage.database import Database, lock
from storage.tables import PEOPLE, SESSIONS
from storage.vault import Vault

COOKIE = "assay_session"
ENDED: Mapping[str, str] = {
    "age": "it was made more than {max_age} ago",
    "idle": "it was idle for more than {idle}",
    "signed out": "you signed out",
    "roles": "your roles have changed since",
    "ended": "an administrator ended it",
    "blocked": "an administrator has blocked you",
}
"""Why a sign-in ends, as it is kept, and as the end of a sentence to the person."""
BY_ITSELF = ("age", "idle", "roles")
"""Those for which nobody asked, so that nobody else writes them into the log."""

_IS_COOKIE = re.compile(r"[A-Za-z0-9_-]{43}", re.ASCII)
_TOUCH = 30.0  # seconds; how exactly it is kept when a person was last there
_KEEP_ENDED = 30 * 86400.0  # seconds; so long a person is told why
_SHOWN = 16  # characters of a digest in the log


@dataclass(frozen=True)
class SignedIn:
    """A sign-in that holds. `cookies` are the web server's own, by name."""

    person: Person
    cookies: Mapping[str, str]


@dataclass(frozen=True)
class Listed:
    """A sign-in as the administrator's page has it; times in seconds since 1970."""

    id: str
    person: Person
    started: float
    seen: float


class Sessions:
    """The sign-ins in one database, held to the settings as they are now."""

    def __init__(self, database: Database, vault: Vault, settings: Settings, log: Log) -> None:
        self._database = database
        self._vault = vault
        self._settings = settings
        self._log = log

    def begin(self, claims: Mapping[str, Any], cookies: Mapping[str, str], now: float | None = None) -> str:
        """Signs in whom `claims` are about; the cookie's value.

        Ends the person's other sign-ins where their roles have changed. Raises UserFacingError where they are blocked,
        do not say who they are, or showed their provider too long ago who they are.
        """
        now = _now(now)
        cookie = secrets.token_urlsafe(32)
        key = _key(cookie)
        person = claim.person(claims, self._settings, key)
        started = claim.signed_in_at(claims, now)
        if now - started > self._settings.sessions.max_age:
            raise _stale(now - started)
        sealed = self._seal(key, {"claims": dict(claims), "cookies": dict(cookies)})
        row = {"id": key, "person": person.id, "claims": sealed, "started": started, "seen": now, "why": ""}
        with self._log.beside() as (connection, write):
            lock(connection, f"person/{person.id}")
            _admit(connection, write, person, now)
            connection.execute(insert(SESSIONS).values(row))
        return cookie

    def find(self, cookie: str, now: float | None = None, touch: bool = True) -> SignedIn | None:
        """The sign-in behind a cookie; None where there is none any more, and for whatever is no cookie of ours.

        `touch`: whether this is a sign of the person, from which their idle time counts anew.
        """
        now = _now(now)
        row = self._row(cookie)
        if row is None or row.ended is not None:
            return None
        if why := self._over(row, now):
            self._end(why, now, SESSIONS.c.id == row.id, SESSIONS.c.seen == row.seen)
            return None
        if touch and now - row.seen >= _TOUCH:
            self._touch(row.id, now)
        kept = self._unseal(row)
        return SignedIn(claim.person(kept["claims"], self._settings, row.id), kept["cookies"])

    def why_not(self, cookie: str, now: float | None = None) -> str:
        """Why nobody is signed in by that cookie, as a sentence; "" where somebody is."""
        row = self._row(cookie)
        if row is None:
            return "You are not signed in."
        why = row.why if row.ended is not None else self._over(row, _now(now))
        if not why:
            return ""
        rules = self._settings.sessions
        reason = ENDED[why].format(max_age=span(rules.max_age), idle=span(rules.idle))
        return f"Your sign-in has ended: {reason}."

    def end_cookie(self, cookie: str, why: str, now: float | None = None) -> bool:
        """Ends the sign-in behind a cookie; whether it was there. `why` is a key of ENDED."""
        return self.end(_key(cookie), why, now)

    def end(self, session: str, why: str, now: float | None = None) -> bool:
        """Ends one sign-in by its id, which many may read: never by what a browser sent. Whether it was there.

        `why` is a key of ENDED.
        """
        return self._end(why, _now(now), SESSIONS.c.id == session) > 0

    def end_all(self, person_id: str, why: str, now: float | None = None) -> int:
        """Ends every sign-in of a person; how many. `why` is a key of ENDED."""
        return self._end(why, _now(now), SESSIONS.c.person == person_id)

    def block(self, person_id: str, blocked: bool = True, now: float | None = None) -> int:
        """Blocks a person, which ends their sign-ins, or lets them in again; how many were ended."""
        with self._log.beside() as (connection, write):
            lock(connection, f"person/{person_id}")
            _write_person(connection, person_id, blocked=blocked)
            return _end(connection, write, "blocked", _now(now), SESSIONS.c.person == person_id) if blocked else 0

    def blocked(self) -> list[str]:
        """The ids of the people who are blocked."""
        with self._database.reading() as connection:
            return list(connection.scalars(select(PEOPLE.c.id).where(PEOPLE.c.blocked).order_by(PEOPLE.c.id)))

    def listed(self, now: float | None = None) -> list[Listed]:
        """The sign-ins that hold, the newest first."""
        now = _now(now)
        with self._database.reading() as connection:
            rows = connection.execute(_rows().where(SESSIONS.c.ended.is_(None))).all()
        held = sorted((row for row in rows if not self._over(row, now)), key=lambda row: row.started, reverse=True)
        return [self._listed(row) for row in held]

    def sweep(self, now: float | None = None) -> int:
        """Ends what has run out unnoticed and forgets what ended long ago; how many were ended or forgotten."""
        now = _now(now)
        rules = self._settings.sessions
        ended = self._end("age", now, SESSIONS.c.started < now - rules.max_age)
        ended += self._end("idle", now, SESSIONS.c.seen < now - rules.idle)
        with self._database.writing() as connection:
            return ended + connection.execute(delete(SESSIONS).where(SESSIONS.c.ended < now - _KEEP_ENDED)).rowcount

    def _row(self, cookie: str) -> Row | None:
        key = _key(cookie)
        if not key:
            return None
        with self._database.reading() as connection:
            return connection.execute(_rows().where(SESSIONS.c.id == key)).one_or_none()

    def _over(self, row: Row, now: float) -> str:
        """Why a sign-in that was not ended holds no more; "" where it does."""
        rules = self._settings.sessions
        if row.blocked:
            return "blocked"
        if now - row.started > rules.max_age:
            return "age"
        return "idle" if now - row.seen > rules.idle else ""

    def _touch(self, key: str, now: float) -> None:
        """Never back in time, and never for a sign-in that has ended meanwhile."""
        held = (SESSIONS.c.id == key) & SESSIONS.c.ended.is_(None) & (SESSIONS.c.seen < now)
        with self._database.writing() as connection:
            connection.execute(update(SESSIONS).where(held).values(seen=now))

    def _end(self, why: str, now: float, *where: ColumnElement[bool]) -> int:
        with self._log.beside() as (connection, write):
            return _end(connection, write, why, now, *where)

    def _listed(self, row: Row) -> Listed:
        person = claim.person(self._unseal(row)["claims"], self._settings, row.id)
        return Listed(row.id, person, row.started, row.seen)

    def _seal(self, key: str, kept: dict[str, Any]) -> bytes:
        return self._vault.seal(json.dumps(kept).encode(), _about(key))

    def _unseal(self, row: Row) -> dict[str, Any]:
        return json.loads(self._vault.unseal(row.claims, _about(row.id)))


def _admit(connection: Connection, write: Write, person: Person, now: float) -> None:
    """Lets a person in with their roles. Raises UserFacingError for one who is blocked."""
    known = connection.execute(select(PEOPLE).where(PEOPLE.c.id == person.id)).one_or_none()
    if known is not None and known.blocked:
        raise _kept_out()
    roles = ",".join(person.roles)
    if known is not None and known.roles != roles:
        _end(connection, write, "roles", now, SESSIONS.c.person == person.id)
    _write_person(connection, person.id, roles=roles)


def _write_person(connection: Connection, person_id: str, **values: str | bool) -> None:
    """Changes what is known of a person; the caller holds the lock on them."""
    if not connection.execute(update(PEOPLE).where(PEOPLE.c.id == person_id).values(values)).rowcount:
        connection.execute(insert(PEOPLE).values({"id": person_id, "roles": "", "blocked": False} | values))


def _end(connection: Connection, write: Write, why: str, now: float, *where: ColumnElement[bool]) -> int:
    """Ends the sign-ins that still hold, and destroys what was kept of them; how many. `why` is a key of ENDED."""
    if why not in ENDED:
        raise KeyError(why)
    held = update(SESSIONS).where(SESSIONS.c.ended.is_(None), *where).values(ended=now, why=why, claims=b"")
    ended = connection.execute(held.returning(SESSIONS.c.id, SESSIONS.c.person)).all()
    for row in ended if why in BY_ITSELF else ():
        write(None, "session-end", why=why, who=row.person[:_SHOWN], session=row.id[:_SHOWN])
    return len(ended)


def _rows() -> Select:
    """The sign-ins, each with whether its person is blocked."""
    blocked = PEOPLE.c.blocked.is_(True).label("blocked")
    return select(SESSIONS, blocked).join_from(SESSIONS, PEOPLE, SESSIONS.c.person == PEOPLE.c.id, isouter=True)


def _key(cookie: str) -> str:
    """A cookie's SHA-256, by which its row is found; "" for what cannot be a cookie of ours."""
    return hashlib.sha256(cookie.encode()).hexdigest() if _IS_COOKIE.fullmatch(cookie) else ""


def _about(key: str) -> str:
    """What a sealed value belongs to, so that no row's is taken for another's."""
    return f"session/{key}"


def _now(now: float | None) -> float:
    return time.time() if now is None else now


def _stale(seconds: float) -> UserFacingError:
    return UserFacingError(
        "You are not signed in",
        f"Your provider says that you last signed in there {span(seconds)} ago, which is too long",
        "Sign out at your provider, then sign in again",
    )


def _kept_out() -> UserFacingError:
    return UserFacingError(
        "You are not signed in", "An administrator has blocked you", "Ask an administrator to let you in again"
    )
