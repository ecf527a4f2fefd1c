"""What people say about a subject: comments, findings and the answers to them. Nothing that was said is changed.

An answer is a note of its own; the state of a finding is what the last answer to it says.
"""

import json
import secrets
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from typing import Literal, get_args

from access.people import Person
from core.errors import UserFacingError
from storage.vault import Damaged, Vault

LONGEST = 4_000
"""Characters of one note."""

Kind = Literal["comment", "finding", "answer"]
Severity = Literal["", "low", "medium", "high"]
State = Literal["", "open", "answered", "closed"]


@dataclass(frozen=True)
class About:
    """What a note is about: a page by its slug, a row by its id, a question by its key; each may be empty."""

    page: str = ""
    row: str = ""
    question: str = ""


@dataclass(frozen=True)
class Note:
    """One thing that was said about `subject`, by the name that pages call it.

    `severity` is that of a finding, else empty. `to` is the note that an answer answers, else empty; `state` is what
    an answer says of a finding from then on.
    """

    id: str
    subject: str
    kind: Kind
    text: str
    by: str
    author: str
    when: datetime
    about: About = field(default_factory=About)
    severity: Severity = ""
    to: str = ""
    state: State = ""


@dataclass(frozen=True)
class Thread:
    """A comment or finding with the answers to it, the oldest first."""

    note: Note
    answers: tuple[Note, ...]

    @property
    def state(self) -> State:
        """Of a finding: open until somebody answers, and then what the last answer says; empty of a comment."""
        said = [each.state for each in self.answers if each.state]
        if self.note.kind != "finding":
            return ""
        return said[-1] if said else "open"


def comment(vault: Vault, subject: str, text: str, person: Person, now: datetime, about: About | None = None) -> Note:
    """Keeps a comment. Raises UserFacingError for a text that is empty or too long."""
    return _keep(vault, _note(subject, "comment", text, person, now, about=about or About()))


def raise_finding(
    vault: Vault, subject: str, text: str, severity: str, person: Person, now: datetime, about: About | None = None
) -> Note:
    """Keeps a finding, which is open until somebody answers it. Raises UserFacingError as `comment` does."""
    if severity not in get_args(Severity)[1:]:
        raise UserFacingError(
            f"A finding cannot be {severity!r}", "It is low, medium or high", "Choose one of the three"
        )
    return _keep(vault, _note(subject, "finding", text, person, now, about=about or About(), severity=severity))


def answer(vault: Vault, to: Note, text: str, person: Person, now: datetime, close: bool = False) -> Note:
    """Keeps an answer to a comment or finding; `close`: a finding is closed by it. Raises as `comment` does."""
    if to.kind == "answer":
        raise ValueError("an answer is given to a comment or a finding")
    state: State = "" if to.kind != "finding" else "closed" if close else "answered"
    return _keep(vault, _note(to.subject, "answer", text, person, now, to=to.id, state=state))


def threads(vault: Vault, subject: str) -> list[Thread]:
    """Everything said about a subject, the newest comment or finding first."""
    said = notes(vault, subject)
    first = [each for each in said if each.kind != "answer"]
    return [Thread(note, tuple(each for each in said if each.to == note.id)) for note in reversed(first)]


def notes(vault: Vault, subject: str) -> list[Note]:
    """Every note about a subject that can be read, the oldest first."""
    return sorted(_readable(vault, subject)[0], key=lambda each: (each.when, each.id))


def unreadable(vault: Vault, subject: str) -> int:
    """How many notes about a subject are damaged, which the lists leave out."""
    return _readable(vault, subject)[1] + vault.nameless("note", team=subject)


def find(vault: Vault, subject: str, note_id: str) -> Note:
    """A note about a subject by its id. Raises UserFacingError where there is none."""
    found = next((each for each in notes(vault, subject) if each.id == note_id), None)
    if found is None:
        raise UserFacingError("There is no such note", "It is about something else", "Look at the list again")
    return found


def _note(subject: str, kind: Kind, text: str, person: Person, now: datetime, **fields: object) -> Note:
    return Note(
        secrets.token_hex(16), subject, kind, _checked(text), person.id, person.name, now.astimezone(UTC), **fields
    )


def _checked(text: str) -> str:
    """The text as it is kept: line ends in one form, no other control characters."""
    lines = text.replace("\r\n", "\n").replace("\r", "\n").strip()
    plain = "".join(each for each in lines if each == "\n" or each.isprintable())
    if not plain:
        raise UserFacingError("Nothing was said", "The text is empty", "Write what you have to say")
    if len(plain) > LONGEST:
        raise UserFacingError(
            "The text is too long",
            f"It has {len(plain):,} characters and {LONGEST:,} are kept at most",
            "Shorten it, or say it in two notes",
        )
    return plain


def _keep(vault: Vault, note: Note) -> Note:
    body = json.dumps(asdict(note) | {"when": note.when.isoformat()}, sort_keys=True).encode()
    vault.put("note", note.id, body, team=note.subject, owner=note.by)
    return note


def _readable(vault: Vault, subject: str) -> tuple[list[Note], int]:
    """The notes about a subject, and how many of them are damaged. One that was removed just now is neither."""
    found, damaged = [], 0
    for name in vault.names("note", team=subject):
        try:
            body = vault.find("note", name)
            found += [] if body is None else [_read(body)]
        except (Damaged, ValueError, KeyError, TypeError):  # not what was written, or of another form
            damaged += 1
    return found, damaged


def _read(body: bytes) -> Note:
    plain = json.loads(body)
    return Note(**plain | {"when": datetime.fromisoformat(plain["when"]), "about": About(**plain["about"])})
