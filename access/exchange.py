"""What analysts and auditors pass to each other: frozen versions, grants, comments, findings.

Every function asks the desk whether the person may, which is written into the log, and then has it done.
"""

import hashlib
from collections.abc import Sequence
from datetime import UTC, date, datetime

import numpy as np

from access import notes, sharing
from access.actions import Refused
from access.belonging import belonging
from access.desk import Desk, name_digest
from access.masks import masked
from access.notes import About, Note, Thread
from access.sharing import Grant, Snapshot
from core.digest import digest
from core.errors import UserFacingError
from core.nouns import ModelFile, ModelSpec
from core.results import Result
from engine.intake import Cancelled, Progress
from engine.own_rows import own_rows

_SHOWN = 16  # characters of a digest in the log


# --- frozen versions -------------------------------------------------------------------------------------------------


def freeze(desk: Desk, name: str, title: str, progress: Progress | None = None) -> Snapshot:
    """Freezes the subject called `name` with every answer about it."""
    what = {"subject": name_digest(name)}
    desk.require("freeze", **what)
    called = title.strip() or desk.title(name)

    def room(size: int) -> None:
        desk.check_room("freeze", size, **what)

    return sharing.freeze(desk.vault, desk.engine.store, name, desk.person, called, _now(), progress, room)


def versions(desk: Desk, subject: str | None = None) -> list[Snapshot]:
    """The frozen versions that the person sees, the newest first: all, or those of one subject."""
    seen = set(desk.names())
    found = [each for each in sharing.snapshots(desk.vault) if each.short in seen]
    return [each for each in found if subject in (None, each.subject)]


def discard(desk: Desk, snapshot: Snapshot) -> None:
    """Removes a frozen version that the person froze, for good, and ends what was granted of it."""
    what = {"snapshot": snapshot.id[:_SHOWN]}
    if desk.hosted and snapshot.by != desk.person.id:
        refused = Refused("You may not remove this frozen version", "Somebody else froze it", "Ask them to remove it")
        desk.refuse("remove", refused, **what)
    desk.require("remove", **what)
    sharing.discard(desk.vault, snapshot.id, _now())


# --- grants ----------------------------------------------------------------------------------------------------------


def give(desk: Desk, snapshot: Snapshot, to: str, last_day: date, masks: Sequence[str], budget: int) -> Grant:
    """Opens a frozen version to one person to the end of a day, with some columns masked and a budget of rows."""
    who = sharing.recipient(to)
    desk.require(
        "grant",
        snapshot=snapshot.id[:_SHOWN],
        to=digest("to", who)[:_SHOWN],
        until=last_day.isoformat(),
        masks=len(set(masks)),
        budget=budget,
    )
    masked(desk.subject(snapshot.short), masks)  # refuses a column that there is not
    return sharing.grant(desk.vault, snapshot.id, who, last_day, masks, budget, desk.person, _now())


def take_back(desk: Desk, grant: Grant) -> None:
    """Takes a grant back: pages that are open by it show nothing more."""
    what = {"snapshot": grant.snapshot[:_SHOWN], "grant": grant.id[:_SHOWN]}
    desk.demand("grant", **what)
    desk.log.record(desk.person, "revoke", **what)
    sharing.revoke(desk.vault, grant.id, _now())


def given(desk: Desk) -> list[Grant]:
    """Every grant that was given, the newest first; none for those who may not freeze."""
    return sharing.grants(desk.vault) if desk.may("freeze") else []


def unreadable(desk: Desk, subjects: Sequence[str]) -> int:
    """How many frozen versions and grants, and notes about these subjects, are damaged; 0 for those who may not freeze.

    The lists leave them out.
    """
    if not desk.may("freeze"):
        return 0
    return sharing.unreadable(desk.vault) + sum(notes.unreadable(desk.vault, each) for each in subjects)


# --- checking for oneself --------------------------------------------------------------------------------------------


def bring_rows(
    desk: Desk,
    name: str,
    spec: ModelSpec,
    file: bytes,
    progress: Progress | None = None,
    cancelled: Cancelled | None = None,
) -> tuple[np.ndarray, tuple[str, ...]]:
    """Rows (n, d) of the person's own for a model of the subject called `name`, and what they are called.

    The door counted the file when it came.
    """
    action = "ask-shared" if desk.grant(name) else "ask"
    what = {"subject": name_digest(name), "bytes": len(file), "digest": hashlib.sha256(file).hexdigest()[:_SHOWN]}
    desk.demand(action, kind="own rows", **what)
    desk.log.record(desk.person, "upload", kind="own rows", **what)
    return own_rows(file, spec, progress, cancelled)


def bring_report(desk: Desk, file: bytes) -> None:
    """Writes that a report is given to be checked, before anything looks at it."""
    what = {"kind": "report", "bytes": len(file), "digest": hashlib.sha256(file).hexdigest()[:_SHOWN]}
    desk.demand("report", **what)
    desk.log.record(desk.person, "upload", **what)


def asked(desk: Desk, name: str, model: ModelFile) -> tuple[str, ...]:
    """The keys of the questions about a model that have an answer: the frozen ones, or those asked so far.

    Of a live subject only those that are about its rows: another one may have the same model.
    """
    frozen = _frozen(desk, name, model)
    if frozen is None:
        return tuple(belonging(desk.engine.store, desk.subject(name), model.spec.digest))
    if model.spec.digest not in frozen.models:
        raise _not_among(name)
    return frozen.models[model.spec.digest]


def stored(desk: Desk, name: str, model: ModelFile, key: str) -> Result:
    """The answer to one of the questions `asked`, whole. Raises UserFacingError where there is none."""
    frozen = _frozen(desk, name, model)
    if frozen is not None:
        return sharing.answer(desk.vault, frozen, key)
    found = desk.engine.store.answer(key)
    if found is None:
        raise UserFacingError("This answer is no longer kept", "It was removed since", "Ask the question again")
    return found


def _frozen(desk: Desk, name: str, model: ModelFile) -> Snapshot | None:
    """The version that a model was frozen with, which the person sees as `name`; None: it is a live subject's."""
    desk.grant(name)
    found = sharing.snapshot_of(model)
    if found is None:
        return None
    if sharing.short_name(found) != name:
        raise _not_among(name)
    return sharing.snapshot(desk.vault, found)


def _not_among(name: str) -> UserFacingError:
    return UserFacingError(
        f"This model is none of {name}", "It was not frozen with that version", "Choose a model of that version"
    )


# --- what is said ----------------------------------------------------------------------------------------------------


def comment(desk: Desk, name: str, text: str, about: About) -> Note:
    """Keeps what the person says about a subject that they see."""
    desk.grant(name)
    desk.require("comment", subject=name_digest(name))
    return notes.comment(desk.vault, name, text, desk.person, _now(), about)


def raise_finding(desk: Desk, name: str, text: str, severity: str, about: About) -> Note:
    """Keeps a finding about a subject that the person sees."""
    desk.grant(name)
    desk.demand("comment", subject=name_digest(name))
    desk.log.record(desk.person, "finding", subject=name_digest(name), severity=severity)
    return notes.raise_finding(desk.vault, name, text, severity, desk.person, _now(), about)


def answer(desk: Desk, thread: Thread, text: str, close: bool = False) -> Note:
    """Keeps an answer to what was said; a finding is closed only by those who may see every subject."""
    desk.grant(thread.note.subject)
    what = {"subject": name_digest(thread.note.subject), "note": thread.note.id[:_SHOWN]}
    if close:
        desk.demand("view", **what)
    desk.require("comment", kind="close" if close else "answer", **what)
    return notes.answer(desk.vault, thread.note, text, desk.person, _now(), close)


def threads(desk: Desk, name: str) -> list[Thread]:
    """What was said about a subject: all of it for those who see every subject, else what the person said themselves.

    One auditor does not read another's findings.
    """
    if not desk.may("comment"):
        return []
    desk.grant(name)
    said = notes.threads(desk.vault, name)
    return said if desk.may("view") else [each for each in said if each.note.by == desk.person.id]


def _now() -> datetime:
    return datetime.now(UTC)
