"""Questions under way: who waits for them, and whose turn it is."""

import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

from attacks.base import Attack
from core.errors import UserFacingError
from core.nouns import ModelFile, Query
from core.results import Result
from engine.crew import Leash
from engine.pool import WorkerProcess
from engine.worker import Method
from explainers.base import Explainer
from storage.evidence import question_key

Lane = Literal["quick", "long"]
LOCAL = "local"
"""Who asks where nobody signs in."""


class Cancelled(UserFacingError):
    """The person who asked called it off."""

    def __init__(self) -> None:
        super().__init__(
            "This was cancelled", "It was called off before it finished", "Start it again when you want it"
        )


@dataclass(frozen=True)
class Question:
    """A query put to a model by a method. `lane`: whether somebody waits for it or it may take long."""

    model: ModelFile
    method: Method
    query: Query
    lane: Lane = "quick"

    @cached_property
    def key(self) -> str:
        return question_key(self.query, self.method.method)

    def check(self) -> None:
        """Refuses at once, in words, what no worker need be asked."""
        query, spec = self.query, self.model.spec
        if query.rows.shape[1:] != spec.shape or not len(query):
            raise UserFacingError(
                "There is nothing to ask about",
                f"{len(query)} rows of shape {query.rows.shape[1:]} were given",
                f"Give at least one row of shape {spec.shape}",
            )
        if query.model != spec.digest:
            raise ValueError("the query names another model")
        if isinstance(self.method, Explainer):
            self.method.check(spec, query.target)
        elif isinstance(self.method, Attack):
            self.method.check(spec)


class Work:
    """One computation, for everybody who asked for it. `jobs` has their claims, by person.

    `alone` is the one person for whom it is computed whatever the evidence store holds, and not kept; "" for all.
    """

    def __init__(self, question: Question, seconds: float, alone: str = "") -> None:
        self.question = question
        self.seconds = seconds
        self.alone = alone
        self.progress = 0.0
        self.leash = Leash()
        self.jobs: dict[str, Job] = {}

    @property
    def name(self) -> tuple[str, str]:
        """What tells it from every other one under way."""
        return self.question.key, self.alone

    def hear(self, share: float) -> None:
        """Takes note of the share done, which never goes back."""
        self.progress = max(self.progress, share)


class Job:
    """One person's claim to an answer. Every method may be called from any thread."""

    def __init__(self, work: Work, who: str) -> None:
        self.work = work
        self.who = who
        self._asked = time.monotonic()
        self._done = threading.Event()
        self._result: Result | None = None
        self._error: UserFacingError | None = None
        self._then: list[Callable[[Job], None]] = []
        self._lock = threading.Lock()

    @property
    def question(self) -> Question:
        return self.work.question

    @property
    def progress(self) -> float:
        """The share done, from 0 to 1."""
        return self.work.progress

    @property
    def worker(self) -> WorkerProcess | None:
        """The worker of this machine that is at it now, if any."""
        return self.work.leash.worker

    @property
    def done(self) -> bool:
        return self._done.is_set()

    @property
    def failed(self) -> bool:
        """Whether it is done and has no answer."""
        return self.done and self._error is not None

    @property
    def cancelled(self) -> bool:
        """Whether it was called off."""
        return isinstance(self._error, Cancelled)

    @property
    def elapsed(self) -> float:
        """Seconds since it was asked."""
        return time.monotonic() - self._asked

    def wait(self, seconds: float | None = None) -> bool:
        """Waits until it is done, at most `seconds`; whether it is."""
        return self._done.wait(seconds)

    def result(self) -> Result:
        """Waits for the answer, or raises the sentence that says why there is none."""
        self._done.wait()
        if self._error is not None:
            raise self._error
        return self._result

    def then(self, do: "Callable[[Job], None]") -> None:
        """Has something short done once this is done, in the thread that finishes it; at once where it is."""
        with self._lock:
            if not self.done:
                self._then.append(do)
                return
        do(self)

    def finish(self, outcome: Result | UserFacingError) -> None:
        """Sets the outcome; the first one counts."""
        with self._lock:
            if self._done.is_set():
                return
            if isinstance(outcome, UserFacingError):
                self._error = outcome
            else:
                self._result = outcome
            self._done.set()
        for do in self._then:
            do(self)


class Queue:
    """The works of one lane: those that run, and a line of waiting ones for each person. Turns go round the people.

    A work that several people asked for stands in the line of each, and runs at the first turn that any of them has.
    With `one_each`, a person who waits for a running work has no turn until it ends; the local one always has.
    """

    def __init__(self, one_each: bool = False) -> None:
        self.running: list[Work] = []
        self._one_each = one_each
        self._lines: dict[str, dict[Work, None]] = {}  # in the order of turns

    def join(self, work: Work, who: str) -> None:
        """Puts a work at the end of somebody's line."""
        self._lines.setdefault(who, {})[work] = None

    def leave(self, work: Work, who: str) -> None:
        """Takes a work out of somebody's line, where it is there."""
        line = self._lines.get(who, {})
        line.pop(work, None)
        if not line:
            self._lines.pop(who, None)

    def waits(self, work: Work) -> bool:
        """Whether it stands in a line."""
        return any(work in line for line in self._lines.values())

    def take(self) -> Work | None:
        """The work whose turn it is, which runs from now on; None where nobody may have one now."""
        for who, line in self._lines.items():
            if self._may(who):
                work = next(iter(line))
                self._lines[who] = self._lines.pop(who)
                for each in work.jobs:
                    self.leave(work, each)
                self.running.append(work)
                return work
        return None

    def place(self, work: Work) -> int:
        """The turn at which a waiting work will run, from 1; 0 for one that does not wait."""
        return next((turn for turn, each in enumerate(self._turns(), 1) if each is work), 0)

    def _turns(self) -> Iterator[Work]:
        """The waiting works in the order of turns, each once."""
        seen: set[Work] = set()
        lines = [iter(line) for line in self._lines.values()]
        while lines:
            for line in list(lines):
                work = next((each for each in line if each not in seen), None)
                if work is None:
                    lines.remove(line)
                else:
                    seen.add(work)
                    yield work

    def _may(self, who: str) -> bool:
        return not self._one_each or who == LOCAL or not any(who in work.jobs for work in self.running)
