"""What administrators do: see who is signed in, end sign-ins, block people, and hold what must not be deleted.

Every function asks the desk whether the person may, which is written into the log, and then has it done. None of them
opens what is kept: an administrator sees names, sizes and times.
"""

import time
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal

from access.chain import Entry
from access.desk import Desk, name_digest
from access.sessions import Listed, Sessions
from core.errors import UserFacingError
from storage.vault import Stored

Kind = Literal["subject", "frozen"]
_SHOWN = 16  # characters of a digest in the log


@dataclass(frozen=True)
class Kept:
    """A subject or frozen version as the vault keeps it; `size` in bytes. `expires` is None where it stays."""

    kind: Kind
    name: str
    objects: int
    size: int
    created: datetime
    expires: datetime | None
    held: bool


# --- people ----------------------------------------------------------------------------------------------------------


def sign_ins(desk: Desk) -> list[Listed]:
    """The sign-ins that hold, the newest first."""
    desk.demand("people")
    return _sessions(desk).listed(time.time())


def blocked(desk: Desk) -> list[str]:
    """The ids of the people who are blocked."""
    desk.demand("people")
    return _sessions(desk).blocked()


def end_sign_in(desk: Desk, sign_in: Listed) -> None:
    """Ends one sign-in: its next click is refused."""
    desk.demand("people", who=sign_in.person.id[:_SHOWN])
    desk.log.record(desk.person, "session-end", who=sign_in.person.id[:_SHOWN])
    _sessions(desk).end(sign_in.id, "ended", time.time())


def block(desk: Desk, person_id: str, blocked: bool) -> None:
    """Keeps a person out, and ends their sign-ins; or lets them in again."""
    desk.demand("people", who=person_id[:_SHOWN])
    if blocked and person_id == desk.person.id:
        raise UserFacingError(
            "You cannot block yourself", "Nobody might be left to let you in again", "Ask another administrator"
        )
    desk.log.record(desk.person, "block", who=person_id[:_SHOWN], blocked="yes" if blocked else "no")
    _sessions(desk).block(person_id, blocked, time.time())


def _sessions(desk: Desk) -> Sessions:
    if desk.rules is None:
        raise UserFacingError("Nobody signs in here", "Assay runs for one person", "Name settings in ASSAY_CONFIG")
    return Sessions(desk.database, desk.vault, desk.rules, desk.log)


# --- what is kept ----------------------------------------------------------------------------------------------------


def kept(desk: Desk) -> list[Kept]:
    """The saved subjects and frozen versions: how large they are, how long they stay, whether they are held."""
    desk.demand("hold")
    found: list[Kept] = []
    kinds: tuple[Kind, ...] = ("subject", "frozen")
    for kind in kinds:
        objects: dict[str, list[Stored]] = defaultdict(list)
        for name in desk.vault.names(kind):
            objects[name.partition("/")[0]].append(desk.vault.about(kind, name))
        found += [_kept(kind, name, each) for name, each in sorted(objects.items()) if _is_whole(desk, kind, name)]
    return found


def _is_whole(desk: Desk, kind: Kind, name: str) -> bool:
    """Whether it is more than what a freeze left behind that did not come to its end."""
    return kind == "subject" or desk.vault.has("snapshot", name)


def hold(desk: Desk, what: Kept, held: bool) -> None:
    """Puts a subject or frozen version under legal hold, so that neither time nor a person removes it; or lifts it."""
    desk.require("hold", kind=what.kind, subject=name_digest(what.name), held="yes" if held else "no")
    if what.kind == "frozen":
        desk.vault.hold("snapshot", what.name, held)
    for name in desk.vault.names(what.kind, team=what.name):
        desk.vault.hold(what.kind, name, held)


def _kept(kind: Kind, name: str, objects: list[Stored]) -> Kept:
    expires = [each.expires for each in objects if each.expires is not None]
    return Kept(
        kind,
        name,
        len(objects),
        sum(each.size for each in objects),
        datetime.fromtimestamp(min(each.created for each in objects), UTC),
        datetime.fromtimestamp(min(expires), UTC) if expires else None,
        all(each.held for each in objects),
    )


# --- the log ---------------------------------------------------------------------------------------------------------


def entries(desk: Desk, count: int, person: str = "", action: str = "", outcome: str = "") -> list[Entry]:
    """The newest entries of the log, the newest first; empty texts stand for all."""
    desk.demand("read-log")
    return desk.log.entries(count=count, person=person or None, action=action or None, outcome=outcome or None)


def log_head(desk: Desk) -> tuple[int, str]:
    """Number and digest of the last entry."""
    desk.demand("read-log")
    return desk.log.head()


def check_log(desk: Desk) -> list[str]:
    """What is wrong with the log, a sentence each; nothing where all is well."""
    desk.require("read-log", kind="check")
    return desk.log.check()


def export_log(desk: Desk) -> Iterator[bytes]:
    """The whole log in lines, as `assay.py verify --log` reads them."""
    desk.demand("read-log", kind="export")
    if desk.rules:
        desk.take("read-log", f"export/{desk.person.id}", 1, desk.rules.limits.exports, kind="log")
    desk.log.record(desk.person, "export", kind="log")
    return desk.log.export()
