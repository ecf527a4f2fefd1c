"""Nothing is kept longer than it should be, and that it goes is written first."""

import time

import pytest

from access.log import Log
from access.retention import DAY, lasting, sweep
from access.sessions import Sessions
from core.errors import UserFacingError
from storage.stores import Stores
from tests.access.house import SETTINGS, claims


@pytest.fixture
def log(stores: Stores) -> Log:
    return Log(stores.database, stores.vault)


def test_what_is_over_goes_and_what_is_held_stays(stores: Stores, log: Log) -> None:
    now = time.time()
    for name, end in (("old", now - 1), ("held", now - 1), ("young", now + DAY), ("for ever", None)):
        stores.vault.put("note", name, b"text", expires=end)
    stores.vault.hold("note", "held", True)
    assert sweep(stores, log, None, now) == 1
    assert sorted(stores.vault.names("note")) == ["for ever", "held", "young"]
    assert [(entry.action, dict(entry.what)) for entry in log.entries()] == [("expire", {"objects": 1})]


def test_nothing_due_writes_nothing(stores: Stores, log: Log) -> None:
    stores.vault.put("note", "young", b"text", expires=time.time() + DAY)
    assert sweep(stores, log, None) == 0
    assert log.entries() == []


def test_nothing_goes_that_cannot_be_written(stores: Stores, log: Log, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> None:
        raise UserFacingError("The log cannot be written", "The disk is full", "Make room")

    stores.vault.put("note", "old", b"text", expires=1.0)
    monkeypatch.setattr(log, "record", full)
    with pytest.raises(UserFacingError):
        sweep(stores, log, None)
    assert stores.vault.names("note") == ["old"]


def test_sign_ins_that_are_long_over_are_forgotten(stores: Stores, log: Log) -> None:
    sessions = Sessions(stores.database, stores.vault, SETTINGS, log)
    now = time.time()
    cookie = sessions.begin(claims(auth_time=now), {}, now)
    sessions.end_cookie(cookie, "signed out", now)
    sweep(stores, log, SETTINGS, now + 40 * DAY)
    assert sessions.why_not(cookie, now) == "You are not signed in."


def test_sign_ins_that_ran_out_unnoticed_are_written(stores: Stores, log: Log) -> None:
    now = time.time()
    Sessions(stores.database, stores.vault, SETTINGS, log).begin(claims(auth_time=now), {}, now)
    sweep(stores, log, SETTINGS, now + DAY)
    assert [(entry.action, entry.what["why"]) for entry in log.entries()] == [("session-end", "age")]


def test_days_are_seconds() -> None:
    assert lasting(2) == 172_800
    assert lasting(None) is None
