"""The log: whole under many writers, under kill -9 and without room; what was tampered with is named."""

import json
import multiprocessing
import os
import re
import signal
import time
import tracemalloc
from contextlib import suppress
from dataclasses import replace

import numpy as np
import pytest
from sqlalchemy import delete, select, text, update

from access.actions import ACTIONS, refusal
from access.chain import GENESIS, Entry, verify
from access.log import EVENTS, Log
from access.people import LOCAL, Person
from core.errors import UserFacingError
from storage.stores import Stores
from storage.tables import LOG, LOG_CHECKPOINTS
from tests.access.writers import write, write_for_ever

ANN = Person("a" * 64, "Ann", ("analyst", "auditor"), email="ann@example.org", session="5e55")
CHILDREN = multiprocessing.get_context("forkserver")
CHILDREN.set_forkserver_preload(["tests.access.writers"])

EMBEDDED = pytest.mark.parametrize("stores", ["embedded"], indirect=True)


@pytest.fixture
def log(stores: Stores) -> Log:
    return Log(stores.database, stores.vault)


def settings() -> dict[str, str]:
    """What a child needs to open the same stores."""
    return {name: value for name, value in os.environ.items() if name.startswith(("ASSAY_", "AWS_"))}


def fill(log: Log, count: int) -> None:
    """Entries, all in one transaction, which is faster."""
    secret = log._secret()
    with log._database.writing() as connection:
        for turn in range(count):
            log._append(connection, ANN, "question", "allowed", {"key": f"{turn:064x}"}, secret)


def numbers(entries: list[Entry]) -> list[int]:
    return [entry.number for entry in entries]


# --- writing ---------------------------------------------------------------------------------------------------------


def test_an_entry_says_who_what_and_when(log):
    entry = log.record(ANN, "grant", to="b" * 64, days=30)
    assert entry == log.entries()[0]
    assert (entry.number, entry.after, entry.who, entry.session) == (1, GENESIS, ANN.id, "5e55")
    assert (entry.roles, entry.action, entry.outcome) == (("analyst", "auditor"), "grant", "allowed")
    assert entry.what == {"to": "b" * 64, "days": 30}
    assert re.fullmatch(r"20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", entry.time)
    assert "example.org" not in entry.text
    assert "Ann" not in entry.text


def test_entries_follow_each_other(log):
    first, second = log.record(None, "sign-in", "refused"), log.record(LOCAL, "view")
    assert (first.who, first.roles, first.session) == ("nobody", (), "")
    assert (second.number, second.after) == (2, first.digest)
    assert log.head() == (2, second.digest)


def test_the_head_of_an_empty_log(log):
    assert (log.head(), log.entries(), log.check()) == ((0, GENESIS), [], [])
    assert verify(log.export(), trust=log.public_key(), head=(0, GENESIS)).good


def test_what_may_not_be_said_is_not_written(log):
    wrong = [
        {"name": "x" * 201}, {"name": "two\nlines"}, {"name": "\x1b[2J"}, {"name": "\ud800"}, {"n": 1.5},
        {"n": True}, {"n": None}, {"n": ["a"]}, {"n": 1 << 60}, {f"n{i}": i for i in range(21)},
    ]  # fmt: skip
    for what in wrong:
        with pytest.raises(ValueError):
            log.record(ANN, "view", **what)
    for action, outcome in (("dance", "allowed"), ("view", "perhaps")):
        with pytest.raises(ValueError):
            log.record(ANN, action, outcome)
    assert log.head() == (0, GENESIS)
    assert log.record(ANN, "view", subject="r\u00f6ntgen \U0001f600", size="x" * 200).number == 1
    assert verify(log.export()).good


def test_a_refusal_is_written_and_raised(log):
    refused = refusal(ANN, "people")
    with pytest.raises(type(refused)) as seen:
        log.refuse(ANN, "people", refused)
    assert seen.value is refused
    assert (log.entries()[0].action, log.entries()[0].outcome) == ("people", "refused")


def lose_the_table(stores: Stores) -> None:
    with stores.database.writing() as connection:
        connection.execute(text("ALTER TABLE log RENAME TO elsewhere"))


def test_what_cannot_be_written_is_not_done(stores, log):
    fill(log, 2)
    lose_the_table(stores)
    with pytest.raises(UserFacingError, match="Nothing was done, for the log cannot be written"):
        log.record(ANN, "view")


def test_a_refusal_that_cannot_be_written_still_refuses(stores, log):
    refused = refusal(ANN, "people")
    fill(log, 1)
    lose_the_table(stores)
    with pytest.raises(type(refused)) as seen:
        log.refuse(ANN, "people", refused)
    assert seen.value is refused
    assert "the log cannot be written" in str(seen.value.__cause__)


@EMBEDDED
def test_a_full_disk_stops_the_act_and_leaves_the_log_whole(stores, log):
    """SQLite's own limit to its size stands for the disk's."""
    fill(log, 1)
    with stores.database.reading() as connection:
        raw = connection.connection.driver_connection
        raw.execute(f"PRAGMA max_page_count={raw.execute('PRAGMA page_count').fetchone()[0]}")
    with pytest.raises(UserFacingError, match="full"):
        for _ in range(200):
            log.record(ANN, "view", subject="x" * 200)
    assert 0 < log.head()[0] < 200
    assert log.check() == []


# --- many at once, and sudden ends -----------------------------------------------------------------------------------


def test_four_processes_lose_no_entry(stores, log):
    children = [CHILDREN.Process(target=write, args=(settings(), str(each), 150)) for each in range(4)]
    for child in children:
        child.start()
    for child in children:
        child.join()
    assert [child.exitcode for child in children] == [0] * 4
    entries = log.entries(count=1000)
    assert numbers(entries) == list(range(600, 0, -1))
    for writer in map(str, range(4)):
        assert [each.what["turn"] for each in reversed(entries) if each.what["writer"] == writer] == list(range(150))
    assert log.check() == []


def killed_while_writing(rng: np.random.Generator) -> int:
    """A process that writes entries, killed at a random point; the number of the last that it said was written."""
    heard, said = CHILDREN.Pipe(duplex=False)
    child = CHILDREN.Process(target=write_for_ever, args=(settings(), said))
    child.start()
    said.close()
    last = heard.recv()
    time.sleep(float(rng.uniform(0, 0.02)))
    os.kill(child.pid, signal.SIGKILL)
    child.join()
    with suppress(EOFError):
        while True:
            last = heard.recv()
    return last


def test_a_killed_writer_leaves_the_log_whole(stores, log, rng):
    known = log.head()
    for _ in range(50 if stores.database.embedded else 5):
        last = killed_while_writing(rng)
        verdict = verify(log.export(), trust=log.public_key(), head=known)
        assert verdict.good, verdict.sentence
        assert verdict.entries >= last  # what was written before it was killed is there
        known = verdict.head
    assert log.check() == []
    assert log.record(LOCAL, "view").number == known[0] + 1


# --- reading ---------------------------------------------------------------------------------------------------------


def test_entries_come_newest_first_and_by_pages(log):
    fill(log, 12)
    assert numbers(log.entries(count=5)) == [12, 11, 10, 9, 8]
    assert numbers(log.entries(before=8, count=5)) == [7, 6, 5, 4, 3]
    assert numbers(log.entries(before=3)) == [2, 1]
    assert log.entries(before=1) == []


def test_entries_are_found_by_person_action_and_outcome(log):
    log.record(ANN, "view")
    log.record(LOCAL, "view", "refused", who=ANN.id)
    log.record(LOCAL, "ask", subject='"action":"view"')
    log.record(LOCAL, "ask", "failed", subject="%_/")
    assert numbers(log.entries(person=ANN.id)) == [1]
    assert numbers(log.entries(action="view")) == [2, 1]
    assert numbers(log.entries(action="view", person="local")) == [2]
    assert numbers(log.entries(outcome="failed")) == [4]
    assert log.entries(person="%") == log.entries(person="loca_") == log.entries(person='"') == []


def test_a_damaged_entry_is_a_sentence(stores, log):
    fill(log, 3)
    change(stores, 2, entry="{}")
    with pytest.raises(UserFacingError, match="Entry 2 is damaged"):
        log.entries()


# --- what was tampered with ------------------------------------------------------------------------------------------


def change(stores: Stores, number: int, **columns: str) -> None:
    with stores.database.writing() as connection:
        connection.execute(update(LOG).where(LOG.c.number == number).values(**columns))


def row(stores: Stores, number: int) -> Entry:
    with stores.database.reading() as connection:
        found = connection.execute(select(LOG.c.entry).where(LOG.c.number == number)).scalar_one()
    return Entry.read(json.loads(found))


def anew(stores: Stores, first: int, last: int) -> None:
    """Who may write into the database changes an entry and chains all that follow anew; the key they have not."""
    changed = replace(row(stores, first), who="somebody")
    for number in range(first, last + 1):
        change(stores, number, entry=changed.text, digest=changed.digest)
        changed = replace(row(stores, number + 1), after=changed.digest) if number < last else changed


def test_a_changed_row_is_named(stores, log):
    fill(log, 120)
    change(stores, 70, entry=row(stores, 70).text.replace("allowed", "refused"))
    (found,) = log.check()
    assert "entry 70 was changed" in found
    assert verify(log.export()).entry == 70


def test_a_removed_row_is_named(stores, log):
    fill(log, 120)
    with stores.database.writing() as connection:
        connection.execute(delete(LOG).where(LOG.c.number == 70))
    assert "entry 70 is missing" in log.check()[0]
    assert verify(log.export()).entry == 70


def test_a_chain_made_anew_is_seen_by_its_signature(stores, log):
    fill(log, 120)
    anew(stores, 70, 120)
    assert "one of the entries 1 to 100 was changed" in log.check()[0]
    assert verify(log.export()).entry == 1


def test_the_entries_after_the_last_signature_are_seen_by_a_noted_head(stores, log):
    """The limit of it, which docs/log.md tells: nothing but a head noted elsewhere sees this."""
    fill(log, 120)
    noted = log.head()
    anew(stores, 110, 120)
    assert log.check() == []
    assert not verify(log.export(), head=noted).good


def test_an_earlier_export_is_a_signature_too(stores, log):
    fill(log, 120)
    assert verify(log.export()).good
    anew(stores, 110, 120)
    assert log.check() == [
        "Entry 120, or one before it, was changed after it was signed at " + signed_at(stores, 120) + "."
    ]


def signed_at(stores: Stores, number: int) -> str:
    with stores.database.reading() as connection:
        query = select(LOG_CHECKPOINTS.c.body).where(LOG_CHECKPOINTS.c.number == number)
        return json.loads(connection.execute(query).scalar_one())["time"]


def test_a_cut_end_is_seen_and_does_not_stop_the_log(stores, log):
    fill(log, 120)
    with stores.database.writing() as connection:
        connection.execute(delete(LOG).where(LOG.c.number > 90))
    (found,) = log.check()
    assert "Entry 100 is missing: a signature says that the log was that long" in found
    fill(log, 20)
    assert log.head()[0] == 110
    assert "entries 1 to 100 was changed" in log.check()[0]


def test_a_forged_signature_is_seen(stores, log):
    fill(log, 100)
    with stores.database.writing() as connection:
        connection.execute(update(LOG_CHECKPOINTS).values(signature=bytes(64)))
    assert "the signature after entry 100 does not fit" in log.check()[0]
    fill(log, 3)
    log.checkpoint()
    with stores.database.writing() as connection:
        connection.execute(update(LOG_CHECKPOINTS).values(signature=bytes(64)))
    assert "The signature kept for entry 103 does not fit." in log.check()


def test_a_removed_checkpoint_is_seen(stores, log):
    fill(log, 101)
    with stores.database.writing() as connection:
        connection.execute(delete(LOG_CHECKPOINTS))
    assert "not the signed checkpoint that belongs after entry 100" in log.check()[0]


# --- keys, exports and what is listed --------------------------------------------------------------------------------


def test_the_key_stays_when_the_vault_changes_its_own(stores, log):
    fill(log, 100)
    before = log.public_key()
    stores.vault.rotate()
    again = Log(stores.database, stores.vault)
    fill(again, 100)
    assert again.public_key() == before
    assert again.check() == []


def test_an_export_goes_on_while_others_write(log):
    fill(log, 3)
    lines = log.export()
    start = next(lines)
    fill(log, 3)
    verdict = verify([start, *lines])
    assert (verdict.good, verdict.entries) == (True, 3)
    assert verify(log.export(), head=verdict.head).entries == 6


def test_a_checkpoint_says_how_long_the_log_is(log):
    fill(log, 7)
    checkpoint = log.checkpoint()
    assert (checkpoint.number, checkpoint.digest) == log.head()
    assert log.checkpoint().number == 7  # there is one already, and that is no trouble


@EMBEDDED
def test_a_longer_log_takes_no_more_memory(log, monkeypatch):
    monkeypatch.setattr("access.log._BATCH", 100)

    def peak() -> int:
        tracemalloc.start()
        good = verify(log.export()).good
        most = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert good
        return most

    fill(log, 300)
    peak()  # what is compiled once
    short = peak()
    fill(log, 4500)
    assert peak() < 4 * short  # sixteen times as many entries


def test_alerts_see_what_was_written(stores):
    seen = []

    class Watch:
        def saw(self, entry: Entry) -> None:
            seen.append((entry, log.head()[0]))

    log = Log(stores.database, stores.vault, Watch())
    entry = log.record(ANN, "view", "refused")
    assert seen == [(entry, 1)]


def test_events_are_no_actions():
    assert not EVENTS.keys() & ACTIONS.keys()
