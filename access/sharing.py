"""Frozen versions of a subject, and who may see one: snapshots and grants.

A snapshot is a copy of a subject's files and of every answer about its models, under one digest. What it holds never
changes, whatever becomes of the subject that it was taken of. A grant opens one snapshot to one person until a day.

These functions ask nobody: `access.exchange` asks whether a person may, and writes it into the log, first.
"""

import hashlib
import json
import re
import secrets
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from typing import Any

from access.people import Person
from core import codec
from core.digest import digest
from core.errors import UserFacingError
from core.nouns import ModelFile
from core.results import Result
from engine.places import FROZEN, Memory
from engine.subjects import files_of, read_subject
from storage.evidence import EvidenceStore
from storage.vault import Item, Vault

FORMAT = "1"
"""The form of a snapshot and of its digest."""
BUDGET = 5_000
"""Rows that may be computed anew under a grant, unless another number is given."""
MOST_ROWS = 10_000_000
_SHORT = 12
_AT_ONCE = 64  # answers held in memory while they are copied
_ANSWER = "answer:"  # before the key of an answer, in the name of its copy
_FROZEN_PATH = "vault:frozen/"
_EMAIL = re.compile(r"[A-Za-z0-9.!#$%&'*+/=?^_`{}~-]+@[A-Za-z0-9.-]+\.[A-Za-z0-9-]+")
_CLAIM = re.compile(r"https?://[^\s|]+\|\S+")

Progress = Callable[[float], None]


# --- snapshots -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Snapshot:
    """A frozen version. `id` is the digest of what it holds; `title`, `by` and `when` are said beside it.

    `files` have the SHA-256 of each file by its name, `models` by the digest of each model the keys of the questions
    about it, `answers` the digest of the result to each question by its key. `by` is the id of the person who froze
    it, `author` what they are called.
    """

    id: str
    subject: str
    title: str
    files: Mapping[str, str]
    models: Mapping[str, tuple[str, ...]]
    dataset: str
    answers: Mapping[str, str]
    by: str
    author: str
    when: datetime

    @property
    def short(self) -> str:
        """What pages and addresses call the frozen subject."""
        return short_name(self.id)

    @property
    def on(self) -> str:
        """The day it was frozen, in UTC: "26 November 2025"."""
        return day(self.when)


def day(moment: datetime) -> str:
    """A day as it is read: "26 November 2025"."""
    return f"{moment.day} {moment:%B %Y}"


def short_name(snapshot_id: str) -> str:
    """The name by which the frozen subject is opened: `frozen-` and 12 digits."""
    return f"frozen-{snapshot_id[:_SHORT]}"


def snapshot_of(model: ModelFile) -> str | None:
    """The id of the snapshot that a model was read from; None where it is not frozen."""
    if not model.path.startswith(_FROZEN_PATH):
        return None
    return model.path.removeprefix(_FROZEN_PATH).partition("/")[0]


def freeze(
    vault: Vault,
    evidence: EvidenceStore,
    name: str,
    person: Person,
    title: str,
    now: datetime,
    progress: Progress | None = None,
) -> Snapshot:
    """Copies the subject called `name` and every answer about its models. The same state frozen twice is one snapshot.

    Its copies are written first and its own line last: where this is cut short there is no snapshot, and what was
    copied is taken up again by the next. Raises UserFacingError for a subject that cannot be read, or is frozen.
    """
    if FROZEN.fullmatch(name):
        raise UserFacingError("This is frozen already", f"{name} is a frozen version", "Freeze the subject it is of")
    files = files_of(name)
    subject = read_subject(Memory(name, files))
    answers: dict[str, str] = {}
    models: dict[str, tuple[str, ...]] = {}
    for model in subject.models:
        found = {key: result.digest for key, result in _answers(evidence, model.spec.digest)}
        models[model.spec.digest] = tuple(found)
        answers |= found
    hashes = {file: hashlib.sha256(body).hexdigest() for file, body in files.items()}
    rows = subject.dataset.digest
    key = digest("snapshot", FORMAT, hashes, models, rows, answers)
    if vault.has("snapshot", key):
        return snapshot(vault, key)
    _copy_files(vault, key, person, files)
    _copy_answers(vault, key, person, answers, evidence, progress or (lambda _share: None))
    when = now.astimezone(UTC)
    made = Snapshot(key, name, title, hashes, models, rows, answers, person.id, person.name, when)
    vault.put("snapshot", key, _packed(made), owner=person.id)
    return made


def snapshots(vault: Vault) -> list[Snapshot]:
    """Every snapshot, the newest first."""
    return sorted((snapshot(vault, each) for each in vault.names("snapshot")), key=lambda each: each.when, reverse=True)


def snapshot(vault: Vault, snapshot_id: str) -> Snapshot:
    """The snapshot of that id. Raises UserFacingError where there is none."""
    if not vault.has("snapshot", snapshot_id):
        raise _gone(f"There is no frozen version {snapshot_id[:_SHORT]}")
    return _snapshot(vault, snapshot_id)


def named(vault: Vault, short: str) -> Snapshot:
    """The snapshot that pages call `short`. Raises UserFacingError where there is none, or more than one."""
    found = [each for each in vault.names("snapshot") if short_name(each) == short]
    if len(found) != 1:
        raise _gone(f"There is no frozen version {short.removeprefix('frozen-')}")
    return snapshot(vault, found[0])


def answer(vault: Vault, frozen: Snapshot, key: str) -> Result:
    """The answer to the question `key` as it was frozen. Raises KeyError where the snapshot has none."""
    result = codec.load(vault.get("frozen", _answer_name(frozen.id, key)))
    if result.digest != frozen.answers[key]:
        raise _damaged(f"The answer {key[:8]}")
    return result


def recall(vault: Vault, evidence: EvidenceStore, model: str, key: str) -> bool:
    """Puts a frozen answer back where the evidence store has let go of it; whether there was one.

    `model` is the digest of the model that the question `key` is about.
    """
    for frozen in snapshots(vault):
        if model in frozen.models and key in frozen.answers:
            evidence.keep(key, answer(vault, frozen, key))
            return True
    return False


def damage(vault: Vault, frozen: Snapshot) -> list[str]:
    """What is not as it was frozen, by name: every file and answer is read and its digest computed again."""
    wrong = []
    for file, known in frozen.files.items():
        body = vault.find("frozen", f"{frozen.id}/{file}")
        if body is None or hashlib.sha256(body).hexdigest() != known:
            wrong.append(file)
    for key, known in frozen.answers.items():
        body = vault.find("frozen", _answer_name(frozen.id, key))
        if body is None or codec.load(body).digest != known:
            wrong.append(f"answer {key[:8]}")
    return wrong


def discard(vault: Vault, snapshot_id: str) -> None:
    """Removes a snapshot and its copies for good. Raises UserFacingError where they are held."""
    vault.remove("frozen", *vault.names("frozen", team=snapshot_id))
    vault.remove("snapshot", snapshot_id)


def _answers(evidence: EvidenceStore, model: str) -> Iterator[tuple[str, Result]]:
    """The answers about a model that are kept, by the keys of their questions."""
    for key in evidence.questions(model):
        found = evidence.answer(key)
        if found is not None:
            yield key, found


def _copy_files(vault: Vault, snapshot_id: str, person: Person, files: Mapping[str, bytes]) -> None:
    if any(file.startswith(_ANSWER) for file in files):
        raise UserFacingError(
            "This subject cannot be frozen", f"One of its files is called {_ANSWER}...", "Give that file another name"
        )
    copies = [(f"{snapshot_id}/{file}", body) for file, body in files.items()]
    vault.put_all([Item("frozen", name, body, team=snapshot_id, owner=person.id) for name, body in copies])


def _copy_answers(
    vault: Vault,
    snapshot_id: str,
    person: Person,
    answers: Mapping[str, str],
    evidence: EvidenceStore,
    progress: Progress,
) -> None:
    """Copies some at a time, so that no more than those are in memory."""
    keys = list(answers)
    for start in range(0, len(keys), _AT_ONCE):
        some = keys[start : start + _AT_ONCE]
        bodies = [(key, codec.dump(evidence.result(answers[key]))) for key in some]
        vault.put_all(
            [
                Item("frozen", _answer_name(snapshot_id, key), body, team=snapshot_id, owner=person.id)
                for key, body in bodies
            ]
        )
        progress((start + len(some)) / len(keys))


def _answer_name(snapshot_id: str, key: str) -> str:
    return f"{snapshot_id}/{_ANSWER}{key}"


@lru_cache(maxsize=512)
def _snapshot(vault: Vault, snapshot_id: str) -> Snapshot:
    """Read once: a snapshot never changes."""
    plain = json.loads(vault.get("snapshot", snapshot_id))
    plain["models"] = {model: tuple(keys) for model, keys in plain["models"].items()}
    plain["when"] = datetime.fromisoformat(plain["when"])
    found = Snapshot(**plain)
    known = digest("snapshot", FORMAT, found.files, found.models, found.dataset, found.answers)
    if not found.id == known == snapshot_id:
        raise _damaged(f"The frozen version {snapshot_id[:_SHORT]}")
    return found


def _gone(what: str) -> UserFacingError:
    return UserFacingError(what, "It was never there, or it was removed", "Look at the list of frozen versions")


def _damaged(what: str) -> UserFacingError:
    return UserFacingError(
        f"{what} is not what was frozen", "Its digest is another than its name says", "Do not rely on it; freeze again"
    )


# --- grants ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Grant:
    """Who may see a snapshot, and how.

    `to` is a verified e-mail address in small letters, or issuer|subject as the provider names a person. It ends at
    `until`. `masks` are the columns whose values are hidden, `budget` the rows that may be computed anew.
    """

    id: str
    snapshot: str
    to: str
    until: datetime
    masks: tuple[str, ...]
    budget: int
    by: str
    author: str
    created: datetime
    revoked: datetime | None = field(default=None)

    @property
    def short(self) -> str:
        """What pages and addresses call the frozen subject."""
        return short_name(self.snapshot)

    @property
    def last_day(self) -> str:
        """The last day, in UTC, on which it opens anything."""
        return day(self.until - timedelta(microseconds=1))

    def live(self, now: datetime) -> bool:
        """Whether it opens anything at that time."""
        return self.revoked is None and now < self.until

    def state(self, now: datetime) -> str:
        """ "live", "expired" or "taken back"."""
        return "taken back" if self.revoked else "live" if self.live(now) else "expired"


def grant(
    vault: Vault,
    snapshot_id: str,
    to: str,
    last_day: date,
    masks: Sequence[str],
    budget: int,
    person: Person,
    now: datetime,
) -> Grant:
    """Opens a snapshot to a person to the end of a day, in UTC.

    Raises UserFacingError for somebody who cannot be told from others, a day that is past, a budget out of bounds.
    """
    frozen = snapshot(vault, snapshot_id)
    until = datetime.combine(last_day + timedelta(days=1), datetime.min.time(), UTC)
    if until <= now:
        raise UserFacingError("The grant would open nothing", f"{last_day} is past", "Choose today or a later day")
    if not 0 <= budget <= MOST_ROWS:
        raise UserFacingError(
            f"A budget of {budget:,} rows cannot be granted", f"It may be 0 to {MOST_ROWS:,}", "Choose another number"
        )
    made = Grant(
        secrets.token_hex(16),
        frozen.id,
        recipient(to),
        until,
        tuple(sorted(set(masks))),
        budget,
        person.id,
        person.name,
        now.astimezone(UTC),
    )
    _keep(vault, made)
    return made


def revoke(vault: Vault, grant_id: str, now: datetime) -> Grant:
    """Takes a grant back, at once and on pages that are open. Raises UserFacingError where there is none."""
    found = _grant(vault, grant_id)
    if found is None:
        raise UserFacingError(
            "There is no such grant", "It was never there or it was removed", "Look at the list again"
        )
    if found.revoked is None:
        found = replace(found, revoked=now.astimezone(UTC))
        _keep(vault, found)
    return found


def grants(vault: Vault, snapshot_id: str | None = None) -> list[Grant]:
    """Every grant, or those of one snapshot, the newest first: also those that have ended."""
    found = [each for each in (_grant(vault, name) for name in vault.names("grant")) if each is not None]
    wanted = [each for each in found if snapshot_id in (None, each.snapshot)]
    return sorted(wanted, key=lambda each: each.created, reverse=True)


def granted_to(vault: Vault, person: Person, now: datetime) -> list[Grant]:
    """The live grants of snapshots that there are to this person, the newest first."""
    found = []
    for address in _addresses(person):
        mine = (_grant(vault, name) for name in vault.names("grant", team=_team(address)))
        found += [each for each in mine if each is not None and each.to == address and each.live(now)]
    there = [each for each in found if vault.has("snapshot", each.snapshot)]
    return sorted(there, key=lambda each: each.created, reverse=True)


def recipient(text: str) -> str:
    """Who is meant by `text`, in the form in which it is compared. Raises UserFacingError where that is nobody.

    An e-mail address is plain ASCII, for letters of other alphabets look the same and are others.
    """
    named = text.strip()
    if _EMAIL.fullmatch(named):
        return named.lower()
    if _CLAIM.fullmatch(named):
        return named
    raise UserFacingError(
        f"Nobody can be told by {named!r}" if named else "Nobody is named",
        "A grant is for one person",
        "Give an e-mail address, or the provider's address and the person's subject there as https://issuer|subject",
    )


def _addresses(person: Person) -> list[str]:
    """By what a person is told: the verified e-mail address, the subject at the issuer."""
    found = []
    if person.email and _EMAIL.fullmatch(person.email):
        found.append(person.email.lower())
    claim = f"{person.issuer}|{person.subject}"
    if "|" not in person.issuer and _CLAIM.fullmatch(claim):
        found.append(claim)
    return found


def _keep(vault: Vault, made: Grant) -> None:
    vault.put("grant", made.id, _packed(made), team=_team(made.to), owner=made.by)


def _grant(vault: Vault, grant_id: str) -> Grant | None:
    body = vault.find("grant", grant_id)
    if body is None:
        return None
    plain = json.loads(body)
    for name in ("until", "created", "revoked"):
        plain[name] = plain[name] and datetime.fromisoformat(plain[name])
    return Grant(**plain | {"masks": tuple(plain["masks"])})


def _team(address: str) -> str:
    return f"to:{address}"


def _packed(noun: Snapshot | Grant) -> bytes:
    def plain(value: Any) -> str:
        if isinstance(value, datetime):
            return value.isoformat()
        raise TypeError(f"a {type(value).__name__} has no form in JSON")

    return json.dumps(asdict(noun), default=plain, sort_keys=True).encode()
