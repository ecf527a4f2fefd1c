"""Frozen versions of a subject, and who may see one: snapshots and grants.

A snapshot is a copy of a subject's files and of every answer about its models, under one digest. What it holds never
changes, whatever becomes of the subject that it was taken of. A grant opens one snapshot to one person until a day.

These functions ask nobody: `access.exchange` asks whether a person may, and writes it into the log, first.
"""

import hashlib
import json
import re
import secrets
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from typing import Any, TypeVar

from access.belonging import belonging
from access.people import Person
from core import codec
from core.digest import digest
from core.errors import UserFacingError
from core.nouns import ModelFile
from core.results import Result
from engine.places import FROZEN, Memory
from engine.subjects import files_of, read_subject
from storage.evidence import EvidenceStore
from storage.vault import Damaged, Held, Item, Missing, Vault

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

_DAY = 86_400.0
_REMEDY = "Put back the store's last copy, or run python assay.py keys check"

Progress = Callable[[float], None]
Room = Callable[[int], None]
"""Hears how many bytes are to be copied, and raises where there is no room for them."""
N = TypeVar("N")


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
    room: Room | None = None,
) -> Snapshot:
    """Copies the subject called `name` and every answer that belongs to it; the same state twice is one snapshot.

    Its copies are written first and its own line last. Where this fails the copies are removed; what a crash leaves of
    them is taken up again by the next, or removed by `drop_remnants`. Raises UserFacingError for a subject that cannot
    be read, or is frozen, and what `room` raises.
    """
    if FROZEN.fullmatch(name):
        raise UserFacingError("This is frozen already", f"{name} is a frozen version", "Freeze the subject it is of")
    files = files_of(name)
    made = _described(evidence, name, files, person, title, now)
    if vault.has("snapshot", made.id):
        return snapshot(vault, made.id)
    if room is not None:
        room(sum(map(len, files.values())) + sum(map(evidence.size, made.answers.values())))
    try:
        _copy_files(vault, made.id, person, files)
        _copy_answers(vault, made.id, person, made.answers, evidence, progress or (lambda _share: None))
        vault.put("snapshot", made.id, _packed(made), owner=person.id)
        return _whole(vault, made)
    except BaseException:
        with suppress(UserFacingError):  # what cannot be removed now, `drop_remnants` removes later
            _clear(vault, made.id, vault.names("frozen", team=made.id))
        raise


def _described(
    evidence: EvidenceStore, name: str, files: Mapping[str, bytes], person: Person, title: str, now: datetime
) -> Snapshot:
    """What is to be frozen, under its digest."""
    subject = read_subject(Memory(name, files))
    answers: dict[str, str] = {}
    models: dict[str, tuple[str, ...]] = {}
    for model in subject.models:
        found = belonging(evidence, subject, model.spec.digest, strict=True)
        models[model.spec.digest] = tuple(found)
        answers |= found
    hashes = {file: hashlib.sha256(body).hexdigest() for file, body in files.items()}
    rows = subject.dataset.digest
    key = digest("snapshot", FORMAT, hashes, models, rows, answers)
    return Snapshot(key, name, title, hashes, models, rows, answers, person.id, person.name, now.astimezone(UTC))


def snapshots(vault: Vault) -> list[Snapshot]:
    """Every snapshot that can be read, the newest first."""
    found = _readable(lambda name: snapshot(vault, name), vault.names("snapshot"))
    return sorted(found, key=lambda each: each.when, reverse=True)


def snapshot(vault: Vault, snapshot_id: str) -> Snapshot:
    """The snapshot of that id. Raises Missing where there is none, Damaged where it cannot be read."""
    try:
        written = vault.about("snapshot", snapshot_id).created
    except Missing:
        raise _gone(f"There is no frozen version {snapshot_id[:_SHORT]}") from None
    return _snapshot(vault, snapshot_id, written)


def named(vault: Vault, short: str) -> Snapshot:
    """The snapshot that pages call `short`. Raises UserFacingError where there is none, or more than one."""
    found = [each for each in vault.names("snapshot") if short_name(each) == short]
    if len(found) != 1:
        raise _gone(f"There is no frozen version {short.removeprefix('frozen-')}")
    return snapshot(vault, found[0])


def unreadable(vault: Vault) -> int:
    """How many snapshots and grants are damaged, which the lists leave out."""
    lost: list[str] = []
    list(_readable(lambda name: snapshot(vault, name), vault.names("snapshot"), lost))
    list(_readable(lambda name: _grant(vault, name), vault.names("grant"), lost))
    return len(lost) + vault.nameless("snapshot") + vault.nameless("grant")


def answer(vault: Vault, frozen: Snapshot, key: str) -> Result:
    """The answer to the question `key` as it was frozen. Raises Missing where the snapshot has none, or Damaged."""
    if key not in frozen.answers:
        raise Missing("There is no such answer", "It was not frozen with this version", "Choose one of those that were")
    result = codec.load(vault.get("frozen", _answer_name(frozen.id, key)))
    if result.digest != frozen.answers[key]:
        raise _damaged(f"The answer {key[:8]}")
    return result


def recall(vault: Vault, evidence: EvidenceStore, model: str, key: str) -> bool:
    """Puts a frozen answer back where the evidence store has let go of it; whether there was one.

    `model` is the digest of the model that the question `key` is about.
    """
    having = [each for each in snapshots(vault) if key in each.models.get(model, ())]
    found = next(_readable(lambda name: answer(vault, snapshot(vault, name), key), [each.id for each in having]), None)
    if found is not None:
        evidence.keep(key, found)
    return found is not None


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


def discard(vault: Vault, snapshot_id: str, now: datetime) -> None:
    """Ends the grants of a snapshot, then removes it and its copies for good. Raises Held where one of them is held.

    Its line goes before the copies, so that a crash leaves no version whose files are not there.
    """
    copies = vault.names("frozen", team=snapshot_id)
    _refuse_held(vault, snapshot_id, copies)
    _end_grants(vault, snapshot_id, now)
    vault.remove("snapshot", snapshot_id)
    _end_grants(vault, snapshot_id, now)  # those that were given meanwhile
    _clear(vault, snapshot_id, copies)


def drop_remnants(vault: Vault, now: float) -> int:
    """Removes copies older than a day that belong to no snapshot and are not held: what a crash left. How many.

    `now` in seconds since 1970.
    """
    copies: dict[str, list[str]] = defaultdict(list)
    for name in vault.names("frozen"):
        copies[name.partition("/")[0]].append(name)
    dropped = 0
    for snapshot_id in [each for each in copies if not vault.has("snapshot", each)]:
        with suppress(Missing, Held):  # somebody else removes them; an admin holds them
            if all(now - vault.about("frozen", name).created > _DAY for name in copies[snapshot_id]):
                _clear(vault, snapshot_id, copies[snapshot_id])
                dropped += len(copies[snapshot_id])
    return dropped


def _clear(vault: Vault, snapshot_id: str, copies: Sequence[str]) -> None:
    """Removes copies that belong to no snapshot.

    Where the same state is frozen at this moment by somebody else, some of the copies may be theirs: either they find
    that their snapshot is not whole, or its line is found here and removed too.
    """
    if vault.has("snapshot", snapshot_id):
        return
    vault.remove("frozen", *copies)
    with suppress(UserFacingError):
        _whole(vault, snapshot(vault, snapshot_id))


def _whole(vault: Vault, made: Snapshot) -> Snapshot:
    """The snapshot, whose copies are all there. Else it is removed, and UserFacingError raised."""
    there = set(vault.names("frozen", team=made.id))
    wanted = {f"{made.id}/{file}" for file in made.files} | {_answer_name(made.id, key) for key in made.answers}
    if wanted <= there:
        return made
    vault.remove("snapshot", made.id)
    raise UserFacingError("It was not frozen", "Somebody removed the same version at this moment", "Freeze it again")


def _refuse_held(vault: Vault, snapshot_id: str, copies: Iterable[str]) -> None:
    for kind, name in [("snapshot", snapshot_id), *(("frozen", copy) for copy in copies)]:
        with suppress(Missing):
            if vault.about(kind, name).held:
                raise Held(
                    f"The frozen version {snapshot_id[:_SHORT]} stays as it is",
                    "It is under legal hold",
                    "Ask an admin to release it, if it may be removed",
                )


def _end_grants(vault: Vault, snapshot_id: str, now: datetime) -> None:
    for each in grants(vault, snapshot_id):
        revoke(vault, each.id, now)


def _readable(read: Callable[[str], N | None], names: Iterable[str], lost: list[str] | None = None) -> Iterator[N]:
    """What is there of these names, without what was removed just now and what is damaged, which `lost` lists."""
    for name in names:
        try:
            found = read(name)
        except Missing:
            continue
        except Damaged:
            if lost is not None:
                lost.append(name)
            continue
        if found is not None:
            yield found


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
def _snapshot(vault: Vault, snapshot_id: str, _written: float) -> Snapshot:
    """Read once: a snapshot never changes until it is removed, and then it may be frozen anew under another title."""
    with _understood(f"The frozen version {snapshot_id[:_SHORT]}"):
        plain = json.loads(vault.get("snapshot", snapshot_id))
        plain["models"] = {model: tuple(keys) for model, keys in plain["models"].items()}
        plain["when"] = datetime.fromisoformat(plain["when"])
        found = Snapshot(**plain)
        known = digest("snapshot", FORMAT, found.files, found.models, found.dataset, found.answers)
    if not found.id == known == snapshot_id:
        raise _damaged(f"The frozen version {snapshot_id[:_SHORT]}")
    return found


@contextmanager
def _understood(what: str) -> Iterator[None]:
    """Raises Damaged where what is read has another form."""
    try:
        yield
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise Damaged(f"{what} cannot be read", "It has another form than is written here", _REMEDY) from error


def _gone(what: str) -> Missing:
    return Missing(what, "It was never there, or it was removed", "Look at the list of frozen versions")


def _damaged(what: str) -> Damaged:
    return Damaged(
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
    if not vault.has("snapshot", frozen.id):  # it was removed meanwhile, and may be frozen anew
        vault.remove("grant", made.id)
        raise _gone(f"There is no frozen version {frozen.id[:_SHORT]}")
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
    """Every grant that can be read, or those of one snapshot, the newest first: also those that have ended."""
    found = _readable(lambda name: _grant(vault, name), vault.names("grant"))
    wanted = [each for each in found if snapshot_id in (None, each.snapshot)]
    return sorted(wanted, key=lambda each: each.created, reverse=True)


def granted_to(vault: Vault, person: Person, now: datetime) -> list[Grant]:
    """The live grants to this person of snapshots that can be read, the newest first."""
    found: list[Grant] = []
    for address in _addresses(person):
        mine = _readable(lambda name: _grant(vault, name), vault.names("grant", team=_team(address)))
        found += [each for each in mine if each.to == address and each.live(now)]
    there = {each.id for each in _readable(lambda name: snapshot(vault, name), {each.snapshot for each in found})}
    return sorted((each for each in found if each.snapshot in there), key=lambda each: each.created, reverse=True)


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
    with _understood("A grant"):
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
