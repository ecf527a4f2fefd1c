"""Alerts: once a burst, to Python's log and to a webhook, whose failures disturb nobody."""

import json
import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from access import alerts
from access.alerts import Bursts, kind_of
from access.chain import GENESIS, Entry

WORDS = "10 refusals within 5 minutes by ann, the last at 2026-11-26T10:00:00.000Z"
USUAL = {"refusals": 10, "uploads": 20, "exports": 30, "seconds": 300}


def watch(webhook: str = "", **other: int) -> Bursts:
    return Bursts(**{**USUAL, **other}, webhook=webhook)


def entry(who: str = "ann", action: str = "view", outcome: str = "refused", **what: str | int) -> Entry:
    return Entry(1, GENESIS, "2026-11-26T10:00:00.000Z", who, (), "", action, outcome, what)


class Clock:
    """Time that goes by when a test says so."""

    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    found = Clock()
    monkeypatch.setattr(alerts, "time", found)
    return found


@pytest.fixture
def told(caplog: pytest.LogCaptureFixture) -> Callable[[], list[str]]:
    """What was written into Python's log since the last time of asking."""

    def found() -> list[str]:
        lines = [record.getMessage() for record in caplog.records if record.name == "assay.alerts"]
        assert {record.levelno for record in caplog.records} <= {logging.WARNING}
        caplog.clear()
        return lines

    return found


def see(bursts: Bursts, count: int, clock: Clock | None = None, every: float = 0, **about: object) -> None:
    for _ in range(count):
        bursts.saw(entry(**about))
        if clock:
            clock.now += every


@pytest.mark.parametrize(
    ("kind", "most", "about"),
    [
        ("refusals", 10, {}),
        ("uploads", 20, {"action": "upload", "outcome": "allowed"}),
        ("exports", 30, {"action": "export", "outcome": "allowed"}),
    ],
)
def test_as_many_as_are_allowed_are_no_burst(clock, told, kind, most, about):
    bursts = watch()
    see(bursts, most - 1, **about)
    assert told() == []
    see(bursts, 1, **about)
    (line,) = told()
    assert line.startswith(f"{most} {kind} within 5 minutes by ann")
    see(bursts, 500, **about)
    assert told() == []


def test_what_is_no_burst(clock, told):
    bursts = watch()
    see(bursts, 9)
    see(bursts, 100, action="view", outcome="allowed")
    see(bursts, 100, action="export", outcome="failed")
    see(bursts, 100, action="sign-in", outcome="allowed")
    assert told() == []


def test_an_entry_that_stands_for_several_counts_as_several(clock, told):
    bursts = watch()
    see(bursts, 1)
    see(bursts, 1, times=8)
    see(bursts, 1, who="ben", times="odd")
    assert [line.split(" by ")[1].split(",")[0] for line in told()] == ["everyone"]
    see(bursts, 1, times=1)
    assert told() == [WORDS]
    see(watch(), 1, times=10**9)
    assert told() == [WORDS], "one alert for any number"


def test_slow_refusals_are_no_burst(clock, told):
    see(watch(), 50, clock, every=34)
    assert told() == []


def test_a_burst_that_goes_on_is_one(clock, told):
    """An hour of refusals, one in ten seconds, then a pause, then more."""
    bursts = watch()
    see(bursts, 360, clock, every=10)
    assert told() == [WORDS]
    clock.now += 301
    see(bursts, 9)
    assert told() == []
    see(bursts, 1)
    assert told() == [WORDS]


def test_a_rate_at_the_edge_does_not_alert_again_and_again(clock, told):
    bursts = watch(refusals=3, seconds=60)
    for _ in range(100):
        see(bursts, 3, clock, every=1)
        clock.now += 50
    assert len(told()) == 1


def test_each_person_has_bursts_of_their_own(clock, told):
    bursts = watch(refusals=3)
    for who in ("ann", "ann", "ben", "ben"):
        see(bursts, 1, who=who)
    assert [line.split(" by ")[1].split(",")[0] for line in told()] == ["everyone"]
    see(bursts, 1, who="ann")
    assert "by ann" in told()[0]


def test_many_people_together_make_a_burst(clock, told):
    bursts = watch()
    for number in range(10):
        see(bursts, 1, who=f"person {number}")
    (line,) = told()
    assert "10 refusals within 5 minutes by everyone" in line


def test_people_who_are_quiet_are_forgotten(clock, told, monkeypatch):
    monkeypatch.setattr(alerts, "_PEOPLE", 50)
    bursts = watch(refusals=1000)
    for number in range(400):
        see(bursts, 1, clock, every=10, who=f"person {number}")
    assert len(bursts._counts) <= 50


def test_threads_count_together(told):
    bursts = watch(refusals=400)
    threads = [threading.Thread(target=see, args=(bursts, 100)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(told()) == 1


def test_kinds():
    assert kind_of(entry(action="sign-in", outcome="allowed")) == "sign-ins"
    assert kind_of(entry(action="sign-in")) == "refusals"
    assert kind_of(entry(outcome="allowed")) == ""


# --- the webhook -----------------------------------------------------------------------------------------------------


class Hook(HTTPServer):
    """A webhook that answers with `status`, and may take its time."""

    def __init__(self, status: int = 204, wait: threading.Event | None = None) -> None:
        super().__init__(("127.0.0.1", 0), Answer)
        self.status, self.wait = status, wait
        self.heard: list[tuple[str, str, dict]] = []

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/hook?token=secret"


class Answer(BaseHTTPRequestHandler):
    """One message to it."""

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.heard.append((self.path, self.headers["Content-Type"], body))
        if self.server.wait:
            self.server.wait.wait(10)
        self.send_response(self.server.status)
        self.send_header("Location", "/elsewhere")
        self.end_headers()

    do_GET = do_POST

    def log_message(self, *_words: object) -> None:
        """Says nothing."""


@contextmanager
def hook(status: int = 204, wait: threading.Event | None = None) -> Iterator[Hook]:
    server = Hook(status, wait)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield server
    finally:
        if wait:
            wait.set()
        server.shutdown()
        server.server_close()


def until(true: Callable[[], object]) -> None:
    end = time.monotonic() + 10
    while not true():
        assert time.monotonic() < end
        time.sleep(0.01)


def test_the_webhook_gets_one_message_a_burst(told):
    with hook() as server:
        bursts = watch(server.address, refusals=3, seconds=60)
        see(bursts, 30)
        see(bursts, 30, action="export", outcome="allowed")
        until(lambda: len(server.heard) == 2)
    (path, form, message), (_, _, second) = server.heard
    assert (path, form) == ("/hook?token=secret", "application/json")
    assert message == {
        "kind": "refusals", "who": "ann", "count": 3, "seconds": 60, "time": "2026-11-26T10:00:00.000Z",
        "text": "Assay: 3 refusals within 1 minute by ann, the last at 2026-11-26T10:00:00.000Z",
    }  # fmt: skip
    assert (second["kind"], second["count"]) == ("exports", 30)
    assert len(told()) == 2


@pytest.mark.parametrize("status", [302, 404, 500])
def test_a_webhook_that_refuses_is_told_once_and_left(caplog, status):
    with hook(status) as server:
        see(watch(server.address, refusals=3), 30)
        until(lambda: any("was not sent" in record.getMessage() for record in caplog.records))
        assert len(server.heard) == 1
    assert "secret" not in caplog.text


def test_nobody_at_the_webhook(caplog):
    with hook() as server:
        address = server.address
    see(watch(address, refusals=3), 30)
    until(lambda: any("was not sent" in record.getMessage() for record in caplog.records))
    assert "secret" not in caplog.text


def test_a_webhook_that_hangs_holds_nobody_up(caplog, monkeypatch):
    monkeypatch.setattr(alerts, "_WAITING", 2)
    monkeypatch.setattr(alerts, "_TIME_OUT", 0.2)
    with hook(wait=threading.Event()) as server:
        bursts = watch(server.address, refusals=1)
        for number in range(50):
            see(bursts, 1, who=f"person {number}")
        assert len([record for record in caplog.records if "refusals within" in record.getMessage()]) == 50
        until(lambda: "2 others wait" in caplog.text and "did not take it" in caplog.text)


@pytest.mark.parametrize("address", ["file:///etc/passwd", "ftp://host/x", "host"])
def test_a_webhook_is_an_address_on_the_web(address):
    with pytest.raises(ValueError):
        watch(address)
