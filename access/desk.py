"""The desk: whatever a person does goes over it. It asks whether they may, writes it into the log, then has it done.

Pages and commands hold a desk, never the engine or the vault, so that nothing is reached around it.
"""

import hashlib
import time
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from functools import lru_cache
from typing import NoReturn

from access import sharing
from access.actions import ACTIONS, Refused, allowed, refusal
from access.chain import Entry
from access.limits import Limits, check_storage
from access.log import Log
from access.masks import masked
from access.people import Person
from access.retention import lasting
from access.settings import Settings
from access.sharing import Grant, Snapshot
from access.telemetry import telemetry
from core.digest import digest
from core.errors import UserFacingError
from core.nouns import Subject
from core.results import Result
from engine import intake, shelf
from engine.engine import Cancelled, Engine, Job, Question
from engine.intake import Brought
from engine.shelf import Shelved
from engine.subject_files import About, Agreed
from engine.subjects import load_subject, subject_names, subject_title, subject_version
from storage.stores import Stores

_SHOWN = 16  # characters of a digest in the log
LOOK_AGAIN = 1.0  # seconds for which it is taken as known who somebody is
Progress = Callable[[float], None]


def name_digest(name: str) -> str:
    """A subject's name as the log has it: what people call things is theirs."""
    return digest("subject", name)[:_SHOWN]


class Desk:
    """What one person may reach. `rules` is None where nobody signs in.

    `look` finds out who they are now, and raises UserFacingError once their sign-in has ended: pages hold a desk for as
    long as they are open. `asked` are the questions of theirs that the log has already.
    """

    def __init__(
        self,
        person: Person,
        engine: Engine,
        stores: Stores,
        log: Log,
        rules: Settings | None = None,
        look: Callable[[], Person] | None = None,
        asked: set[str] | None = None,
    ) -> None:
        self._person = person
        self._look = look
        self._looked = time.monotonic()
        self._asked = set() if asked is None else asked
        self.engine = engine
        self.vault = stores.vault
        self.database = stores.database
        self.log = log
        self.rules = rules
        self.limits = Limits(stores.database)

    # --- permission -------------------------------------------------------------------------------------------------

    @property
    def person(self) -> Person:
        """Who it is, with the roles that they have now. Raises UserFacingError once their sign-in has ended."""
        if self._look is not None and time.monotonic() - self._looked > LOOK_AGAIN:
            self._person, self._looked = self._look(), time.monotonic()
        return self._person

    @property
    def hosted(self) -> bool:
        """Whether people sign in here."""
        return self.rules is not None

    def may(self, action: str) -> bool:
        """Whether the person may do it. Raises KeyError for an action that stands in no row of the table."""
        return allowed(self.person, action, self.rules.mfa.actions if self.rules else ())

    def opens(self, action: str) -> bool:
        """Whether a page on that action opens: also for those who see only what was granted to them."""
        return self.may(action) or (f"{action}-shared" in ACTIONS and self.may(f"{action}-shared"))

    def require(self, action: str, **what: str | int) -> None:
        """Writes that the person does it, or refuses, which is written too."""
        self.demand(action, **what)
        self.log.record(self.person, action, **what)

    def demand(self, action: str, **what: str | int) -> None:
        """Refuses what the person may not do, and writes that; what they may is written by whoever asks."""
        if not self.may(action):
            self.refuse(action, refusal(self.person, action), **what)

    def refuse(self, action: str, error: UserFacingError, **what: str | int) -> NoReturn:
        """Writes a refusal, then raises it."""
        self.log.refuse(self.person, action, error, **what)

    def looked(self, page: str, action: str, subject: str = "", row: str = "") -> None:
        """Writes that a page is looked at, which takes the right to `action`."""
        named = {"subject": name_digest(subject)} if subject else {}
        rows = {"row": digest("row", subject, row)[:_SHOWN]} if row else {}
        shown = action if self.may(action) else f"{action}-shared"
        self.log.record(self.person, shown, page=page or "decision", **named, **rows)

    def missed(self, what: str) -> None:
        """Writes that something was asked for that there is not, or not for this person: by the digest of `what`."""
        action = "view" if self.may("view") else "view-shared"
        self.log.record(self.person, action, "refused", subject=name_digest(what))

    def sight(self) -> tuple[object, ...]:
        """What the person sees, and how: where it is another, an open page is out of date."""
        granted = () if self.may("view") else tuple((each.id, each.masks) for each in self.grants())
        return (self.person.roles, self.names(), granted)

    # --- subjects ---------------------------------------------------------------------------------------------------

    def names(self) -> tuple[str, ...]:
        """The subjects that the person sees, the frozen ones last."""
        if self.may("view"):
            frozen = (each.short for each in sharing.snapshots(self.vault))
            return (*subject_names(), *sorted(frozen))
        return tuple(sorted({each.short for each in self.grants()}))

    def grants(self) -> list[Grant]:
        """What was granted to the person and has neither expired nor been taken back."""
        if not self.may("view-shared"):
            return []
        return sharing.granted_to(self.vault, self.person, datetime.now(UTC))

    def grant(self, name: str) -> Grant | None:
        """The grant by which the person sees the subject of that name, the one with most left; None: they need none."""
        if self.may("view"):
            return None
        found = [each for each in self.grants() if each.short == name]
        if not found:
            self.refuse("view-shared", _not_yours(name, bool(self.grants())), subject=name_digest(name))
        return max(found, key=self.left)

    def subject(self, name: str) -> Subject:
        """The subject of that name, with hidden columns where it was granted so.

        Where people sign in, a name is no way to a folder of the server's.
        """
        grant = self.grant(name)
        if self.hosted and name not in self.names():
            self.refuse("view", _not_here(name), subject=name_digest(name))
        subject = _subject(name, subject_version(name))
        return _masked(name, subject_version(name), grant.masks) if grant and grant.masks else subject

    def snapshot(self, name: str) -> Snapshot | None:
        """What was frozen under that name; None where it names a live subject."""
        if not name.startswith("frozen-"):
            return None
        return next((each for each in sharing.snapshots(self.vault) if each.short == name), None)

    def later(self, snapshot: Snapshot) -> str:
        """That a later version of the same subject was frozen, as a sentence; "" where none is to be seen."""
        seen = set(self.names())
        later = [
            each
            for each in sharing.snapshots(self.vault)
            if each.subject == snapshot.subject and each.when > snapshot.when and each.short in seen
        ]
        return f"A later version was frozen on {max(later, key=lambda each: each.when).on}." if later else ""

    def title(self, name: str) -> str:
        """Its title; the name of one that cannot be read, whose page then says why."""
        frozen = self.snapshot(name)
        if frozen is not None:
            return f"{frozen.title} (frozen, {frozen.id[:4]})"
        return _title(name, subject_version(name))

    def shelf(self) -> list[Shelved]:
        """The subjects as a list has them: those that are not frozen, or what was granted to the person."""
        return shelf.shelf() if self.may("view") else [self._granted(each) for each in self.grants()]

    def _granted(self, grant: Grant) -> Shelved:
        frozen = sharing.snapshot(self.vault, grant.snapshot)
        summary = f"Frozen on {frozen.on}, granted to you until {grant.last_day}."
        return Shelved(grant.short, self.title(grant.short), summary, own=True)

    def upload(self, kind: str, body: bytes) -> None:
        """Writes that a file is brought, before anything looks at it; the door counted it when it came."""
        self.require("bring", kind=kind, bytes=len(body), digest=hashlib.sha256(body).hexdigest()[:_SHOWN])

    def removable(self, subject: Shelved) -> bool:
        """Whether the person may remove it."""
        return self.may("remove") and (not self.hosted or subject.owner == self.person.id)

    def save(self, brought: Brought, agreed: Agreed, about: About) -> None:
        """Saves a subject, the person's own from then on."""
        what = {"subject": name_digest(about.name), "data": brought.data.digest[:_SHOWN]}
        self.demand("bring", **what)
        self.check_room("bring", len(brought.model_file) + len(brought.data_file), **what)
        self.log.record(self.person, "bring", **what)
        intake.save(brought, agreed, about, owner=self.person.id, expires=self._end_of_subjects())

    def check_room(self, action: str, size: int, **what: str | int) -> None:
        """Refuses what would take more room than the person may have; never at one's own machine."""
        if self.rules is None:
            return
        try:
            check_storage(self.vault, self.person, size, self.rules.limits.storage_bytes)
        except UserFacingError as error:
            self.refuse(action, error, **what)

    def _end_of_subjects(self) -> float | None:
        """When a subject that is saved now expires; None: it stays."""
        days = self.rules.retention.subjects if self.rules else None
        return None if days is None else time.time() + lasting(days)

    def remove(self, name: str) -> None:
        """Removes a subject that the person brought, for good."""
        owner = next((each.owner for each in self.shelf() if each.name == name), "")
        if self.hosted and owner != self.person.id:
            self.refuse("remove", _not_their_own(name), subject=name_digest(name))
        self.require("remove", subject=name_digest(name))
        shelf.remove(name)

    # --- questions --------------------------------------------------------------------------------------------------

    def submit(self, question: Question, seconds: float | None = None, fresh: bool = False) -> Job:
        """Asks and returns at once. What was answered before takes no more than the right to see it."""
        question.check()
        known = not fresh and self._known(question)
        self._permit(question, known)
        told = None if known else telemetry().asked(question.method.method.name)
        job = self.engine.submit(question, seconds, who=self.person.id, fresh=fresh)
        if told is not None:
            job.then(lambda done: told.end("refused" if done.cancelled else "failed" if done.failed else "answered"))
        return job

    def _known(self, question: Question) -> bool:
        """Whether asking computes nothing: it was answered, or answered when the subject was frozen."""
        if self.engine.known(question, self.person.id):
            return True
        frozen = sharing.snapshot_of(question.model) is not None
        return frozen and sharing.recall(self.vault, self.engine.store, question.model.spec.digest, question.key)

    def ask(self, question: Question, progress: Progress | None = None) -> Result:
        """Asks and waits for the answer. `progress` hears the share done, ten times a second; Cancelled, raised there,
        calls the question off.
        """
        job = self.submit(question)
        try:
            while progress is not None and not job.wait(0.1):
                progress(job.progress)
        except Cancelled:
            self.cancel(job)
            raise
        return job.result()

    def cancel(self, job: Job) -> None:
        """Calls a question off for this person; others who wait for it still get their answer."""
        self.engine.cancel(job, who=self.person.id)

    def place(self, job: Job) -> int:
        """Its place among the waiting: 1 for the next one, 0 for one that is worked on or done."""
        return self.engine.place(job)

    def still_sees(self, question: Question) -> None:
        """Refuses once the person may no longer see the answer that they wait for."""
        if not self.may("view"):
            self._grant_of(question, _said(question))

    def _permit(self, question: Question, known: bool) -> None:
        asked = _said(question)
        grant = None if self.may("view") else self._grant_of(question, asked)
        if known:
            if question.key not in self._asked:
                self.log.record(self.person, "question", new="no", **asked)
                self._asked.add(question.key)
            return
        action = "ask-much" if question.lane == "long" else "ask"
        self.demand("ask-shared" if grant else action, **asked)
        if grant:
            self._spend(grant, len(question.query), asked)
        self.log.record(self.person, "question", new="yes", **asked)
        self._asked.add(question.key)

    def _grant_of(self, question: Question, asked: dict[str, str | int]) -> Grant:
        """The grant that covers the question's model; the one with most left where there are several."""
        model = question.model.spec.digest
        found = [each for each in self.grants() if model in sharing.snapshot(self.vault, each.snapshot).models]
        if not found:
            self.refuse("view-shared", _not_yours("", bool(self.grants())), **asked)
        return max(found, key=self.left)

    def left(self, grant: Grant) -> int:
        """How many rows may still be computed anew under a grant."""
        return max(0, grant.budget - self.limits.spent(f"grant/{grant.id}"))

    def price(self, questions: Iterable[Question]) -> int:
        """How many rows of a grant's budget these take: one a row in each question that is not answered yet."""
        return sum(len(each.query) for each in {each.key: each for each in questions}.values() if not self._known(each))

    def _spend(self, grant: Grant, rows: int, asked: dict[str, str | int]) -> None:
        try:
            self.limits.spend(f"grant/{grant.id}", rows, grant.budget)
        except UserFacingError as error:
            self.refuse("ask-shared", error, **asked)

    # --- what leaves ------------------------------------------------------------------------------------------------

    def export(self, kind: str, name: str, make: Callable[[], bytes], **what: str | int) -> bytes:
        """Writes that something of the subject `name` is taken away, then makes it."""
        said = {"kind": kind, "subject": name_digest(name), **what}
        self.demand("report", **said)
        self.grant(name)
        if self.rules:
            self.take("report", f"export/{self.person.id}", 1, self.rules.limits.exports, **said)
        self.log.record(self.person, "export", **said)
        return make()

    def sign(self, name: str, **what: str) -> Entry:
        """Writes that a report on the subject `name` is signed, before it is. Returns that entry of the log."""
        said = {"subject": name_digest(name), **what}
        self.demand("sign", **said)
        self.grant(name)
        return self.log.record(self.person, "sign", **said)

    def take(self, action: str, name: str, amount: int, most: int, **what: str | int) -> None:
        """Counts towards a limit of the person's. Refuses what goes beyond it; nothing at one's own machine."""
        if self.rules is None:
            return
        try:
            self.limits.take(name, amount, most, self.rules.limits.seconds)
        except UserFacingError as error:
            self.refuse(action, error, **what)


def _said(question: Question) -> dict[str, str | int]:
    """A question as the log has it."""
    return {
        "question": question.key[:_SHOWN],
        "method": question.method.method.name,
        "model": question.model.spec.digest[:_SHOWN],
        "rows": len(question.query),
    }


@lru_cache(maxsize=8)
def _subject(name: str, _version: int) -> Subject:
    """Read once until it is written anew. The desk asks whether a person may see it before it comes here."""
    return load_subject(name)


@lru_cache(maxsize=8)
def _masked(name: str, version: int, columns: Iterable[str]) -> Subject:
    return masked(_subject(name, version), columns)


@lru_cache(maxsize=1024)
def _title(name: str, _version: int) -> str:
    try:
        return subject_title(name)
    except UserFacingError:
        return name


def _not_yours(name: str, others: bool) -> Refused:
    what = f"You may not see {name}" if name else "You may not ask about this model"
    return Refused(
        what,
        "It was not granted to you, or the grant has expired or was taken back",
        "Choose something that was granted to you" if others else "Ask the person who sent you the link to grant it",
    )


def _not_here(name: str) -> Refused:
    return Refused(f"There is no subject {name!r}", "It was never here, or it was removed", "Choose one from the list")


def _not_their_own(name: str) -> Refused:
    return Refused(f"You may not remove {name}", "Somebody else brought it", "Ask them to remove it")
