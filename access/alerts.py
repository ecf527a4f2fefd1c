"""Alerts: many refusals, uploads or exports in a short time, of one person or of all together.

A burst makes one line in Python's log (`assay.alerts`) and one message to a webhook. Each process counts what it
recorded itself.
"""

import json
import logging
import queue
import threading
import time
import urllib.error
import urllib.request
from collections import deque
from dataclasses import asdict, dataclass
from http.client import HTTPException
from typing import NoReturn
from urllib.parse import urlsplit

from access.chain import Entry

EVERYONE = "everyone"
"""Stands for all together where an alert names a person."""

_LOGGER = logging.getLogger("assay.alerts")
_KINDS = {"sign-in": "sign-ins", "upload": "uploads", "export": "exports"}
_WAITING = 100
_PEOPLE = 10_000
_TIME_OUT = 5.0


def kind_of(entry: Entry) -> str:
    """What an entry counts as: refusals, sign-ins, uploads or exports; empty for nothing that is counted."""
    if entry.outcome == "refused":
        return "refusals"
    return _KINDS.get(entry.action, "") if entry.outcome == "allowed" else ""


def times(entry: Entry) -> int:
    """How many an entry stands for: refusals that come fast are written together."""
    many = entry.what.get("times", 1)
    return max(1, many) if isinstance(many, int) else 1


@dataclass(frozen=True)
class Alert:
    """A burst: which kind (refusals, uploads or exports), whose (a person's id), how many, within how many seconds."""

    kind: str
    who: str
    count: int
    seconds: int
    time: str

    @property
    def sentence(self) -> str:
        """In words."""
        minutes = f"{self.seconds / 60:g} minute{'' if self.seconds == 60 else 's'}"
        return f"{self.count} {self.kind} within {minutes} by {self.who}, the last at {self.time}"


class Bursts:
    """Sees every entry of the log, and tells of bursts."""

    def __init__(self, refusals: int, uploads: int, exports: int, seconds: int, webhook: str = "") -> None:
        """How many within `seconds` are a burst. Raises ValueError for a `webhook` that is no http or https address."""
        self._most = {"refusals": refusals, "uploads": uploads, "exports": exports}
        self._seconds = seconds
        self._counts: dict[tuple[str, str], _Count] = {}
        self._lock = threading.Lock()
        self._post = _Post(webhook) if webhook else None

    def saw(self, entry: Entry) -> None:
        """Counts an entry; where that makes a burst, tells of it. Never waits and never raises."""
        kind = kind_of(entry)
        most = self._most.get(kind)
        if most is None:
            return
        with self._lock:
            now = time.monotonic()
            many = min(times(entry), most)
            begun = [w for w in (entry.who, EVERYONE) if self._count(kind, w, most).add(now, self._seconds, many)]
        if begun:  # the person's own burst may be what fills everyone's: that is one alert, not two
            self._tell(Alert(kind, begun[0], most, self._seconds, entry.time))

    def _count(self, kind: str, who: str, most: int) -> "_Count":
        if len(self._counts) >= _PEOPLE:
            over = time.monotonic() - self._seconds
            self._counts = {key: count for key, count in self._counts.items() if count.latest > over}
        return self._counts.setdefault((kind, who), _Count(most))

    def _tell(self, alert: Alert) -> None:
        _LOGGER.warning("%s", alert.sentence)
        if self._post:
            self._post.send({**asdict(alert), "text": f"Assay: {alert.sentence}"})


class _Count:
    """The last times of one kind and person."""

    def __init__(self, most: int) -> None:
        self._times: deque[float] = deque(maxlen=most)
        self._quiet_after = float("-inf")

    @property
    def latest(self) -> float:
        """The last time."""
        return self._times[-1]

    def add(self, now: float, seconds: float, many: int = 1) -> bool:
        """Counts `many` more; whether a burst begins. It lasts until `seconds` have gone by without one too many."""
        self._times.extend([now] * many)
        if len(self._times) < self._times.maxlen or now - self._times[0] > seconds:
            return False
        begins = now > self._quiet_after
        self._quiet_after = now + seconds
        return begins


class _Post:
    """Sends messages to a webhook one after another from a thread of its own: each once, with a time-out."""

    def __init__(self, address: str) -> None:
        if urlsplit(address).scheme not in ("http", "https"):
            raise ValueError("a webhook has an http or https address")
        self._address = address
        self._messages: queue.Queue[dict[str, str | int]] = queue.Queue(_WAITING)
        self._opener = urllib.request.build_opener(_NoRedirect)
        self._thread: threading.Thread | None = None

    def send(self, message: dict[str, str | int]) -> None:
        """Leaves a message to be sent; drops it where many wait already."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="assay-alerts", daemon=True)
            self._thread.start()
        try:
            self._messages.put_nowait(message)
        except queue.Full:
            _LOGGER.warning("An alert was not sent: %d others wait for the webhook", _WAITING)

    def _run(self) -> NoReturn:
        while True:
            message = json.dumps(self._messages.get()).encode()
            request = urllib.request.Request(self._address, message, {"Content-Type": "application/json"})
            try:
                self._opener.open(request, timeout=_TIME_OUT).close()
            except (OSError, HTTPException, ValueError) as error:  # the address may hold a secret, so it is not told
                _LOGGER.warning("An alert was not sent: the webhook did not take it (%s)", type(error).__name__)


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """Takes a redirect for a refusal: following it would send a GET."""

    def redirect_request(self, *_ignored: object) -> None:
        """Follows nothing."""
