"""Comments, findings and answers: kept as they were said, in order, about one subject each."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import update

from access import notes
from access.notes import About
from access.people import LOCAL, Person
from core.errors import UserFacingError
from storage.stores import Stores
from storage.tables import VAULT_OBJECTS
from storage.vault import Vault

AUDITOR = replace(LOCAL, id="b" * 16, name="Ada")
NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


@pytest.fixture
def vault(stores: Stores) -> Vault:
    return stores.vault


def later(minutes: int) -> datetime:
    return NOON + timedelta(minutes=minutes)


def test_a_comment_comes_back_as_it_was_said(vault: Vault) -> None:
    about = About("model", "1042", "c" * 64)
    said = notes.comment(vault, "loans", "  Why is 1042\r\ndeclined? \x1b[31m", AUDITOR, NOON, about)
    assert said.text == "Why is 1042\ndeclined? [31m"
    (thread,) = notes.threads(vault, "loans")
    assert thread.note == said
    assert (thread.note.about, thread.note.author, thread.note.when, thread.state) == (about, "Ada", NOON, "")
    assert notes.threads(vault, "loan") == []


def test_a_finding_is_open_until_it_is_answered_and_what_was_said_stays(vault: Vault) -> None:
    finding = notes.raise_finding(vault, "loans", "Age matters", "high", AUDITOR, NOON)
    assert (finding.severity, notes.threads(vault, "loans")[0].state) == ("high", "open")
    states = []
    for minute, close in ((1, False), (2, True), (3, False)):
        notes.answer(vault, finding, f"answer {minute}", LOCAL, later(minute), close)
        states.append(notes.threads(vault, "loans")[0].state)
    assert states == ["answered", "closed", "answered"], "a closed finding is open for one more word"
    (thread,) = notes.threads(vault, "loans")
    assert thread.note == finding
    assert [each.text for each in thread.answers] == ["answer 1", "answer 2", "answer 3"]


def test_an_answer_to_a_comment_has_no_state_and_nobody_answers_an_answer(vault: Vault) -> None:
    said = notes.comment(vault, "loans", "Thanks", AUDITOR, NOON)
    answer = notes.answer(vault, said, "Welcome", LOCAL, later(1), close=True)
    assert (answer.state, notes.threads(vault, "loans")[0].state) == ("", "")
    with pytest.raises(ValueError, match="an answer is given"):
        notes.answer(vault, answer, "Again", LOCAL, later(2))


def test_the_newest_stands_first_and_each_answer_with_its_own(vault: Vault) -> None:
    said = [notes.comment(vault, "loans", f"word {i}", AUDITOR, later(i)) for i in range(3)]
    notes.answer(vault, said[0], "to the first", LOCAL, later(9))
    found = notes.threads(vault, "loans")
    assert [each.note.text for each in found] == ["word 2", "word 1", "word 0"]
    assert [len(each.answers) for each in found] == [0, 0, 1]
    assert notes.find(vault, "loans", said[1].id) == said[1]
    with pytest.raises(UserFacingError, match="no such note"):
        notes.find(vault, "tumours", said[1].id)


@pytest.mark.parametrize(("text", "why"), [("", "Nothing was said"), (" \n\x00 ", "Nothing was said")])
def test_nothing_is_not_kept(vault: Vault, text: str, why: str) -> None:
    with pytest.raises(UserFacingError, match=why):
        notes.comment(vault, "loans", text, AUDITOR, NOON)
    assert vault.names("note") == []


def test_the_longest_text_is_kept_and_one_more_is_not(vault: Vault) -> None:
    assert len(notes.comment(vault, "loans", "x" * notes.LONGEST, AUDITOR, NOON).text) == notes.LONGEST
    with pytest.raises(UserFacingError, match="4,001 characters"):
        notes.comment(vault, "loans", "x" * (notes.LONGEST + 1), AUDITOR, NOON)


@pytest.mark.parametrize("severity", ["", "critical", "HIGH"])
def test_a_finding_is_low_medium_or_high(vault: Vault, severity: str) -> None:
    with pytest.raises(UserFacingError, match="low, medium or high"):
        notes.raise_finding(vault, "loans", "Age matters", severity, AUDITOR, NOON)


def test_what_was_said_is_on_disk_in_no_readable_form(vault: Vault, tmp_path) -> None:
    somebody = Person("c" * 16, "Grace Hopper", ("auditor",))
    notes.comment(vault, "a-subject-name", "the plain words of a finding", somebody, NOON)
    for path in tmp_path.rglob("*"):
        if path.is_file():
            body = path.read_bytes()
            assert not any(word in body for word in (b"plain words", b"Grace", b"a-subject-name")), path.name


def test_a_damaged_note_hides_no_other(vault: Vault) -> None:
    said = [notes.comment(vault, "loans", text, AUDITOR, NOON) for text in ("first", "second", "third")]
    assert notes.unreadable(vault, "loans") == 0
    damaged = vault._row("note", said[0].id).blob
    vault._blobs.remove(damaged)
    vault.put("note", said[1].id, b"{}", team="loans")
    assert [each.note for each in notes.threads(vault, "loans")] == [said[2]]
    assert (notes.unreadable(vault, "loans"), notes.unreadable(vault, "tumours")) == (2, 0)
    with vault._database.writing() as connection:
        connection.execute(update(VAULT_OBJECTS).values(label=b"no name"))
    assert notes.threads(vault, "loans") == []
    assert notes.unreadable(vault, "loans") == 3
