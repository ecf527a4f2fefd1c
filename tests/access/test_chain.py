"""The check of an exported log, against files that are written here a second time, straight from docs/log.md."""

import hashlib
import json
import re
from collections.abc import Callable

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from access.chain import GENESIS, LONGEST_LINE, Entry, Verdict, public_key, verify
from core.errors import UserFacingError

SECRET, OTHER = bytes(range(32)), bytes(range(1, 33))


def form(value: object) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":"))


def clock(seconds: int) -> str:
    return f"2026-11-26T10:{seconds // 60:02}:{seconds % 60:02}.000Z"


class Writer:
    """Writes a log by another library than the product's."""

    def __init__(self, secret: bytes = SECRET) -> None:
        self.secret = Ed25519PrivateKey.from_private_bytes(secret)
        self.key = self.secret.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw).hex()

    def signed(self, number: int, digest: str) -> dict:
        said = {"number": number, "digest": digest, "time": clock(number)}
        signature = self.secret.sign(b"assay log checkpoint 1\n" + form(said).encode()).hex()
        return {"checkpoint": said, "signature": signature}

    def lines(self, count: int, change: Callable[[dict], None] = lambda entry: None) -> list[bytes]:
        """A whole file; `change` may alter each entry before it is chained."""
        body, digest = [], GENESIS
        for number in range(1, count + 1):
            entry = {
                "number": number, "after": digest, "time": clock(number), "who": "9f86d081", "roles": ["analyst"],
                "session": "s1", "action": "ask", "outcome": "allowed", "what": {"subject": "r\u00f6ntgen", "rows": 3},
            }  # fmt: skip
            change(entry)
            digest = hashlib.sha256(form(entry).encode()).hexdigest()
            body.append({"digest": digest, "entry": entry})
            if number % 100 == 0:
                body.append(self.signed(number, digest))
        last = self.signed(count, digest)
        header = {**last, "format": "assay-log-1", "key": self.key}
        return [form(each).encode() + b"\n" for each in (header, *body, last)]


def head(lines: list[bytes], number: int) -> tuple[int, str]:
    return next(
        (number, said["digest"])
        for line in lines
        if (said := json.loads(line)).get("entry", {}).get("number") == number
    )


def edited(line: bytes, again: bool = False, **fields: object) -> bytes:
    """An entry's line with other fields; `again`: with a digest that fits."""
    said = json.loads(line)
    said["entry"].update(fields)
    if again:
        said["digest"] = hashlib.sha256(form(said["entry"]).encode()).hexdigest()
    return form(said).encode() + b"\n"


def refused(lines: list[bytes], **given: object) -> Verdict:
    verdict = verify(lines, **given)
    assert not verdict.good
    assert re.fullmatch(r"Not verified: [^\n]*[^.]\.", verdict.sentence)
    return verdict


@pytest.fixture(scope="module")
def log() -> list[bytes]:
    """250 entries: line 0 is the header, 1 to 100 entries, 101 a checkpoint, 102 to 201 entries, and so on."""
    return Writer().lines(250)


@pytest.mark.parametrize("count", [0, 1, 99, 100, 101, 250])
def test_a_whole_log_verifies(count):
    lines = Writer().lines(count)
    verdict = verify(lines)
    assert (verdict.good, verdict.entry, verdict.entries, verdict.key) == (True, None, count, Writer().key)
    assert verdict.head == (head(lines, count) if count else (0, GENESIS))
    assert (verdict.since, verdict.until) == ((clock(1), clock(count)) if count else ("", ""))
    assert f"{verdict.head[0]}:{verdict.head[1]}" in verdict.sentence
    assert public_key(SECRET) == verdict.key


def test_trust_and_noted_heads_that_fit(log):
    for number in (1, 100, 177, 250):
        assert verify(log, trust=Writer().key, head=head(log, number)).good


def test_an_entry_reads_back():
    entry = Entry(
        7, GENESIS, clock(7), "me", ("analyst", "admin"), "s", "ask", "failed", {"subject": "\u00e4\U0001f600", "n": 2}
    )
    assert Entry.read(json.loads(entry.text)) == entry
    assert entry.text.isascii()


@pytest.mark.parametrize("number", [1, 50, 100, 101, 250])
@pytest.mark.parametrize(
    "fields", [{"who": "somebody"}, {"outcome": "refused"}, {"what": {}}, {"number": 999}], ids=str
)
def test_a_changed_entry_is_named(log, number, fields):
    place = number + (number - 1) // 100
    verdict = refused([*log[:place], edited(log[place], **fields), *log[place + 1 :]])
    assert verdict.entry == number
    assert verdict.entries == number - 1
    assert f"entry {number} was changed" in verdict.sentence


def test_a_changed_entry_with_a_digest_that_fits_is_named(log):
    verdict = refused([*log[:50], edited(log[50], again=True, who="somebody"), *log[51:]])
    assert verdict.entry == 50
    assert "entry 50 or entry 51 was changed" in verdict.sentence


@pytest.mark.parametrize(("changed", "span"), [(150, "101 to 200"), (230, "201 to 250")])
def test_a_chain_made_anew_is_seen_at_the_next_signature(log, changed, span):
    """All digests after a change fit again; the signatures, which only the key can make, are the old ones."""
    anew = Writer().lines(250, lambda entry: entry.update(who="somebody") if entry["number"] == changed else None)
    forged = [old if "signature" in json.loads(old) else new for old, new in zip(log, anew, strict=True)]
    verdict = refused(forged)
    assert f"one of the entries {span} was changed" in verdict.sentence
    assert verdict.entry == int(span.split()[0])


@pytest.mark.parametrize("place", [1, 2, 60, 100, 102, 252])
def test_a_removed_entry_is_named(log, place):
    missing = json.loads(log[place])["entry"]["number"]
    verdict = refused([*log[:place], *log[place + 1 :]])
    assert verdict.entry == missing
    assert f"entry {missing}" in verdict.sentence


def test_a_removed_checkpoint_is_seen(log):
    verdict = refused([*log[:101], *log[102:]])
    assert "not the signed checkpoint that belongs after entry 100" in verdict.sentence


def test_an_inserted_entry_is_named(log):
    forged = edited(log[60], again=True, after=json.loads(log[60])["digest"], who="somebody")
    assert "entry 60 stands there again" in refused([*log[:61], forged, *log[61:]]).sentence
    numbered = edited(forged, again=True, number=61)
    verdict = refused([*log[:61], numbered, *log[61:]])
    assert "entry 61 stands there again" in verdict.sentence


def test_swapped_and_repeated_entries_are_named(log):
    verdict = refused([*log[:60], log[61], log[60], *log[62:]])
    assert (verdict.entry, "entry 60 is missing: entry 61 stands in its place" in verdict.sentence) == (60, True)
    assert "entry 60 stands there again" in refused([*log[:61], log[60], *log[61:]]).sentence


@pytest.mark.parametrize("left", [1, 2, 60, 100, 101, 102, 252, 253])
def test_a_cut_tail_is_seen(log, left):
    verdict = refused(log[:left])
    assert "cut off" in verdict.sentence
    entries = sum("entry" in json.loads(line) for line in log[:left])
    assert verdict.entry == (entries + 1 if entries < 250 else 250)


def test_a_log_that_is_closed_early_is_seen(log):
    assert "entry 101 is missing, and all that follow" in refused([*log[:102], log[-1]]).sentence


def test_an_older_end_is_seen_only_by_a_noted_head(log):
    """Who keeps an old export can show it instead of the new one; a head noted since then tells."""
    older = Writer().lines(100)
    assert verify(older).good
    verdict = refused(older, head=head(log, 250))
    assert (verdict.entry, "the end is cut off before entry 101" in verdict.sentence) == (101, True)
    verdict = refused([older[0], *log[1:]])
    assert (verdict.entry, "entry 101 stands after the end" in verdict.sentence) == (101, True)


def test_lines_after_the_end_are_seen(log):
    assert "stands after the end" in refused([*log, log[-1]]).sentence
    assert "stands after the end" in refused([*log, b"\n"]).sentence


def test_another_key_is_seen(log):
    """Somebody writes another log and signs it properly, with a key of their own."""
    forged = Writer(OTHER).lines(250)
    assert verify(forged).good
    verdict = refused(forged, trust=Writer().key)
    assert Writer(OTHER).key in verdict.sentence
    noted = refused(Writer(OTHER).lines(250, lambda entry: entry.update(who="me")), head=head(log, 120))
    assert "one of the entries 1 to 120 was changed" in noted.sentence


def test_signatures_of_another_key_or_place_are_seen(log):
    forged = Writer(OTHER).lines(250)
    verdict = refused([*log[:101], forged[101], *log[102:]])
    assert (verdict.entry, "the signature after entry 100" in verdict.sentence) == (1, True)
    verdict = refused([*log[:202], *log[203:204], log[101]])
    assert verdict.entry == 101
    mixed = {**json.loads(log[0]), "key": Writer(OTHER).key}
    assert "the signature in the header" in refused([form(mixed).encode() + b"\n", *log[1:]]).sentence


def test_every_flipped_byte_of_a_small_log_is_seen(rng):
    whole = b"".join(Writer().lines(3))
    for place in range(len(whole)):
        for flip in (1, 32, int(rng.integers(1, 256))):  # 32: a letter in the other case
            damaged = bytearray(whole)
            damaged[place] ^= flip
            assert not sound(bytes(damaged)), (place, flip)


def test_flipped_bytes_and_cuts_of_a_longer_log_are_seen(rng):
    whole = b"".join(Writer().lines(105))
    for place in rng.choice(len(whole), 400, replace=False):
        damaged = bytearray(whole)
        damaged[place] ^= int(rng.integers(1, 256))
        assert not sound(bytes(damaged)), place
        assert not sound(whole[:place]), place


def test_every_removed_suffix_of_lines_is_seen():
    lines = Writer().lines(105)
    for left in range(1, len(lines)):
        refused(lines[:left])


def sound(content: bytes) -> bool:
    """Whether a file with this content verifies; one that is not even read as a log does not."""
    try:
        return verify(
            content.splitlines(keepends=True) if b"\r" not in content else re.findall(rb"[^\n]*\n?", content)
        ).good
    except UserFacingError:
        return False


@pytest.mark.parametrize(
    "first",
    [
        b"", b"\n", b"{}\n", b"[" * 60_000, b"1" * 5000 + b"\n", b"\xff\xfe{}\n", b"null\n", b'"log"\n', b"%PDF-1.7\n",
        b'{"checkpoint":{"digest":"","number":1,"time":""},"format":"assay-log-1","key":"","signature":""}\n',
    ],
)  # fmt: skip
def test_what_is_no_log_is_refused(first):
    with pytest.raises(UserFacingError, match="This is no exported log"):
        verify([first])


@pytest.mark.parametrize("field", ["format", "key", "signature"])
def test_a_header_of_another_form_is_refused(log, field):
    said = {**json.loads(log[0]), field: "assay-log-2"}
    with pytest.raises(UserFacingError):
        verify([form(said).encode() + b"\n", *log[1:]])


@pytest.mark.parametrize("number", [float("nan"), -1, 1.0, True, None, 10**30])
def test_a_header_with_an_odd_number_is_never_taken(log, number):
    said = json.loads(log[0])
    said["checkpoint"]["number"] = number
    assert not sound(form(said).encode() + b"\n" + b"".join(log[1:]))


@pytest.mark.parametrize(
    "line", [b"[" * 60_000 + b"\n", b"{" + b" " * LONGEST_LINE + b"}\n", b"\xff\n", b"null\n", b"[]\n", b"NaN\n"]
)
def test_a_damaged_line_is_named(log, line):
    verdict = refused([*log[:60], line, *log[61:]])
    assert (verdict.entry, "line 61 is damaged, where entry 60 should be" in verdict.sentence) == (60, True)


@pytest.mark.parametrize(
    "fields",
    [
        {"what": {"a": [1]}}, {"what": {"a": None}}, {"what": {"a": True}}, {"roles": [1]}, {"roles": "analyst"},
        {"time": "\x1b[2Jnow"}, {"time": 3}, {"number": True}, {"number": 10**30}, {"outcome": "fine"},
        {"more": 1}, {"after": 1},
    ],
    ids=str,
)  # fmt: skip
def test_an_entry_of_another_form_is_never_taken(fields):
    lines = Writer().lines(3, lambda entry: entry.update(fields))
    assert refused(lines).entry == 1


def test_a_line_in_another_spelling_is_seen(log):
    spaced = json.dumps(json.loads(log[60]), sort_keys=True).encode() + b"\n"
    raw = json.dumps(json.loads(log[60]), sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode() + b"\n"
    for line in (spaced, raw, log[60].replace(b"\n", b"\r\n"), log[60].rstrip(b"\n")):
        assert refused([*log[:60], line, *log[61:]]).entry == 60
