"""The chain of the log: entries, digests, signed checkpoints, and the check of a log that was exported.

Nothing here opens a database, a vault or a connection: whoever holds an exported file can check it with this module.
docs/log.md describes the form of the file.
"""

import hashlib
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from typing import Any

from nacl.exceptions import BadSignatureError
from nacl.signing import SigningKey, VerifyKey

from core.errors import UserFacingError

FORMAT = "assay-log-1"
EVERY = 100
"""Entries from one signed checkpoint to the next."""
GENESIS = "0" * 64
"""What the first entry follows."""
LONGEST_LINE = 64 << 10
"""Bytes that a line may have."""
OUTCOMES = ("allowed", "refused", "failed")

_TOO_MANY = 1 << 63
_DIGEST = re.compile(r"[0-9a-f]{64}")
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")
_SIGNATURE = re.compile(r"[0-9a-f]{128}")
_SIGNED_AS = b"assay log checkpoint 1\n"
"""Stands before what is signed, so that no signature made for anything else can be taken for one."""
_CANONICAL = json.JSONEncoder(sort_keys=True, separators=(",", ":"))


def canonical(value: Any) -> str:
    """The one form of a JSON value: sorted names, no spaces, ASCII."""
    return _CANONICAL.encode(value)


@dataclass(frozen=True)
class Entry:
    """One act. `after` is the digest of the entry before, `time` is UTC in ISO 8601 to the millisecond, `who` and
    `session` are ids, `what` holds names and digests of things.
    """

    number: int
    after: str
    time: str
    who: str
    roles: tuple[str, ...]
    session: str
    action: str
    outcome: str
    what: Mapping[str, str | int]

    @property
    def text(self) -> str:
        """Its canonical JSON."""
        return canonical({**vars(self), "what": {**self.what}})

    @property
    def digest(self) -> str:
        """Hexadecimal SHA-256 of its canonical JSON."""
        return hashlib.sha256(self.text.encode()).hexdigest()

    @classmethod
    def read(cls, said: Any) -> "Entry":
        """The entry in a JSON value. Raises ValueError where it is none."""
        _need(isinstance(said, dict) and said.keys() == {field.name for field in fields(cls)})
        _need(type(said["number"]) is int and 0 < said["number"] < _TOO_MANY)
        _need(all(isinstance(said[name], str) for name in ("after", "who", "session", "action")))
        _need(_matches(_TIME, said["time"]))
        _need(said["outcome"] in OUTCOMES)
        _need(isinstance(said["roles"], list) and all(isinstance(role, str) for role in said["roles"]))
        _need(isinstance(said["what"], dict) and all(type(value) in (str, int) for value in said["what"].values()))
        return cls(**{**said, "roles": tuple(said["roles"])})


@dataclass(frozen=True)
class Checkpoint:
    """How long the log was at a time, and the digest of its last entry."""

    number: int
    digest: str
    time: str

    @property
    def text(self) -> str:
        """Its canonical JSON, which is what is signed."""
        return canonical(vars(self))

    @classmethod
    def read(cls, said: Any) -> "Checkpoint":
        """The checkpoint in a JSON value. Raises ValueError where it is none."""
        _need(isinstance(said, dict) and said.keys() == {field.name for field in fields(cls)})
        _need(type(said["number"]) is int and 0 <= said["number"] < _TOO_MANY)
        _need(_matches(_TIME, said["time"]) and _matches(_DIGEST, said["digest"]))
        return cls(**said)


def sign(text: str, secret: bytes) -> str:
    """The Ed25519 signature (hexadecimal) of a checkpoint's text by a secret of 32 bytes."""
    return SigningKey(secret).sign(_SIGNED_AS + text.encode()).signature.hex()


def is_signed(text: str, signature: str, key: str) -> bool:
    """Whether `signature` was made for a checkpoint's text with the secret of the public `key` (both hexadecimal)."""
    try:
        VerifyKey(bytes.fromhex(key)).verify(_SIGNED_AS + text.encode(), bytes.fromhex(signature))
    except (BadSignatureError, ValueError):
        return False
    return True


def public_key(secret: bytes) -> str:
    """The public key (hexadecimal) that belongs to a secret of 32 bytes."""
    return SigningKey(secret).verify_key.encode().hex()


# --- the lines of a file ---------------------------------------------------------------------------------------------


def header_line(checkpoint: str, signature: str, key: str) -> bytes:
    """The first line of a file: its format, the key, and the signed checkpoint that says where it ends."""
    body = f'"checkpoint":{checkpoint},"format":"{FORMAT}","key":"{key}","signature":"{signature}"'
    return f"{{{body}}}\n".encode()


def entry_line(entry: str, digest: str) -> bytes:
    """The line of an entry: its digest and its text."""
    return f'{{"digest":"{digest}","entry":{entry}}}\n'.encode()


def checkpoint_line(checkpoint: str, signature: str) -> bytes:
    """The line of a checkpoint: after every 100th entry, and once more as the last line of a file."""
    return f'{{"checkpoint":{checkpoint},"signature":"{signature}"}}\n'.encode()


# --- the check -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Verdict:
    """What the check of a file found, in one sentence.

    `entry` is the number of the first bad entry where one can be named. `entries` were read and found good, the first
    and last of them of the times `since` and `until`; `head` is the number and digest of the last; `key` signed.
    `noted` is the entry whose head was noted elsewhere, once it was read.
    """

    good: bool
    sentence: str
    entry: int | None
    entries: int
    since: str
    until: str
    head: tuple[int, str]
    key: str
    noted: Entry | None = None


class _Bad(Exception):
    """What is wrong, and the number of the first entry that it touches."""

    def __init__(self, sentence: str, entry: int | None) -> None:
        super().__init__(sentence)
        self.sentence = sentence
        self.entry = entry


def verify(lines: Iterable[bytes], trust: str | None = None, head: tuple[int, str] | None = None) -> Verdict:
    """Checks an exported log, line by line.

    With `trust` (a public key, hexadecimal) it must be that key's; with `head` (number and digest, noted elsewhere) the
    log must hold that entry. Raises UserFacingError for a file that is no exported log.
    """
    reading = iter(lines)
    walk = _Walk(next(reading, b""), head)
    bad = None
    try:
        walk.start(trust)
        for line in reading:
            walk.take(line)
        walk.end()
    except _Bad as found:
        bad = found
    entry = bad.entry if bad else None
    sentence = f"Not verified: {bad.sentence}." if bad else _praise(walk, trust)
    return Verdict(bad is None, sentence, entry, walk.number, walk.since, walk.until, walk.head, walk.key, walk.found)


def _praise(walk: "_Walk", trust: str | None) -> str:
    """The sentence for a log that verifies."""
    number, digest = walk.head
    span = f" from {walk.since} to {walk.until}" if number else ""
    whose = "" if trust else " (whose that is was not asked)"
    return (
        f"Verified: {number:,} {'entry' if number == 1 else 'entries'}{span}, head {number}:{digest}, "
        f"signed at {walk.signed_at} by the key {walk.key}{whose}."
    )


class _Walk:
    """The way through a file: the last good entry, and the last entry that a signature stands for."""

    def __init__(self, header: bytes, noted: tuple[int, str] | None) -> None:
        self._last, self.key, self._signature = _header(header)
        self._footer = checkpoint_line(self._last.text, self._signature)
        self._noted = noted
        self._line = 1
        self._ended = False
        self._signed = 0
        self.number, self.digest = 0, GENESIS
        self.since = self.until = ""
        self.found: Entry | None = None

    @property
    def head(self) -> tuple[int, str]:
        """Number and digest of the last good entry."""
        return self.number, self.digest

    @property
    def signed_at(self) -> str:
        """When the file was signed."""
        return self._last.time

    def start(self, trust: str | None) -> None:
        """Checks the header."""
        if trust is not None and self.key != trust:
            raise _Bad(f"the file is signed by the key {self.key}, not by the one asked for", None)
        if not is_signed(self._last.text, self._signature, self.key):
            raise _Bad("the signature in the header does not fit", None)
        self._compare()

    def take(self, line: bytes) -> None:
        """Checks the next line."""
        self._line += 1
        if self._ended:
            raise _Bad(f"line {self._line} stands after the end of the log", self.number + 1)
        due = self.number > self._signed and self.number % EVERY == 0
        if not due and line == self._footer:
            self._finish()
        elif due:
            self._checkpoint(line)
        else:
            self._entry(line)

    def end(self) -> None:
        """Checks that nothing is missing after the last line."""
        if self.number < self._last.number:
            gone = f"the header signs {self._last.number:,} entries and the file holds {self.number:,}"
            raise _Bad(f"the end is cut off before entry {self.number + 1}: {gone}", self.number + 1)
        if not self._ended:
            raise _Bad("the last line is cut off, the one that closes the log", self.number or None)
        if self._noted and self._noted[0] > self.number:
            raise _Bad(
                f"the end is cut off before entry {self.number + 1}: "
                f"the head that was noted is that of entry {self._noted[0]}",
                self.number + 1,
            )

    def _entry(self, line: bytes) -> None:
        number = self.number + 1
        entry, digest = self._read_entry(line)
        fits = entry.digest == digest
        if fits and entry.number != number:
            raise _misplaced(entry.number, number)
        if not fits:
            raise _Bad(f"entry {number} was changed: its digest does not fit", number)
        if entry.after != self.digest:
            raise self._broken(number)
        if number > self._last.number:
            raise _Bad(f"entry {number} stands after the end that the header signs", number)
        self.number, self.digest = number, digest
        self.since, self.until = self.since or entry.time, entry.time
        self._compare()
        if self._noted and self._noted[0] == number:
            self.found = entry

    def _broken(self, number: int) -> _Bad:
        """Each of two entries fits its digest, and the later does not follow the earlier."""
        if number == 1:
            return _Bad("entry 1 does not begin the log: it follows another", 1)
        one = f"entry {number - 1} or entry {number} was changed"
        return _Bad(f"{one}: entry {number} does not follow the one before it", number - 1)

    def _read_entry(self, line: bytes) -> tuple[Entry, str]:
        """An entry and the digest that its line gives it."""
        said = _json(line)
        number = self.number + 1
        try:
            _need(isinstance(said, dict) and said.keys() == {"digest", "entry"} and _matches(_DIGEST, said["digest"]))
            entry = Entry.read(said["entry"])
            _need(line == entry_line(entry.text, said["digest"]))
        except ValueError as error:
            raise _Bad(f"line {self._line} is damaged, where entry {number} should be", number) from error
        return entry, said["digest"]

    def _checkpoint(self, line: bytes) -> None:
        said = _json(line)
        try:
            _need(isinstance(said, dict) and said.keys() == {"checkpoint", "signature"})
            _need(_matches(_SIGNATURE, said["signature"]))
            checkpoint = Checkpoint.read(said["checkpoint"])
            _need(line == checkpoint_line(checkpoint.text, said["signature"]))
        except ValueError as error:
            sentence = f"line {self._line} is not the signed checkpoint that belongs after entry {self.number}"
            raise _Bad(sentence, self._signed + 1) from error
        if not is_signed(checkpoint.text, said["signature"], self.key):
            raise _Bad(f"the signature after entry {self.number} does not fit", self._signed + 1)
        if checkpoint.number != self.number:
            raise _Bad(
                f"the checkpoint after entry {self.number} is that of entry {checkpoint.number}", self._signed + 1
            )
        self._match(checkpoint)

    def _finish(self) -> None:
        if self.number < self._last.number:
            raise _Bad(f"entry {self.number + 1} is missing, and all that follow", self.number + 1)
        self._match(self._last)
        self._ended = True

    def _match(self, checkpoint: Checkpoint) -> None:
        if checkpoint.digest != self.digest:
            first = self._signed + 1
            raise _Bad(f"{_one_of(first, self.number)}, and the digests from there on were made anew", first)
        self._signed = self.number

    def _compare(self) -> None:
        """Compares with the head that was noted elsewhere, once its entry is reached."""
        if self._noted and self._noted[0] == self.number and self._noted[1] != self.digest:
            raise _Bad(f"the head noted for entry {self.number} is another: {_one_of(1, self.number)}", 1)


def _one_of(first: int, last: int) -> str:
    return f"one of the entries {first} to {last} was changed" if first < last else f"entry {last} was changed"


def _misplaced(found: int, wanted: int) -> _Bad:
    """An entry that is in order, in the place of another."""
    if found < wanted:
        return _Bad(f"entry {found} stands there again, where entry {wanted} should be", wanted)
    return _Bad(f"entry {wanted} is missing: entry {found} stands in its place", wanted)


def _header(line: bytes) -> tuple[Checkpoint, str, str]:
    """The checkpoint, key and signature of a first line."""
    said = _json(line)
    try:
        _need(isinstance(said, dict) and said.keys() == {"checkpoint", "format", "key", "signature"})
        _need(said["format"] == FORMAT and _matches(_DIGEST, said["key"]) and _matches(_SIGNATURE, said["signature"]))
        checkpoint = Checkpoint.read(said["checkpoint"])
        _need(line == header_line(checkpoint.text, said["signature"], said["key"]))
    except ValueError as error:
        raise UserFacingError(
            "This is no exported log", f"Its first line is not that of the format {FORMAT}", "Export the log again"
        ) from error
    return checkpoint, said["key"], said["signature"]


def _json(line: bytes) -> Any:
    """The JSON value in a line; None where there is none."""
    if len(line) > LONGEST_LINE:
        return None
    try:
        return json.loads(line)
    except (ValueError, RecursionError):
        return None


def _matches(pattern: re.Pattern[str], value: Any) -> bool:
    return isinstance(value, str) and pattern.fullmatch(value) is not None


def _need(true: bool) -> None:
    if not true:
        raise ValueError("not of the form that it should have")
