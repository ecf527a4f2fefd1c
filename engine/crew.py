"""The workers of one machine: which of them gets which question, and what it came to.

The same code runs beside the page and, where questions go to a cluster, on each of its machines.
"""

import logging
import struct
import threading
from collections.abc import Callable
from dataclasses import dataclass

from core import codec
from core.errors import UserFacingError
from core.results import Result
from engine import wire
from engine.pool import Deadline, WorkerProcess, no_process
from storage.evidence import question_key

GONE, LATE, NONSENSE = b"G", b"L", b"N"
"""What a question may come to besides `wire`'s frames: its worker ended, was ended at the limit, or made no sense."""
_log = logging.getLogger("assay.engine")


@dataclass(frozen=True)
class Asked:
    """A question as a machine gets it.

    `key` names it, `origin` says where its model is from, `model` is the model's digest, `method` a name; `request`
    is a `worker.Request` pickled, which only the fenced worker opens, and `file` the model's bytes.
    """

    key: str
    origin: str
    model: str
    method: str
    seconds: float
    request: bytes
    file: bytes


@dataclass(frozen=True)
class Verdict:
    """What a question came to: the kind, the worker's bytes as they came, and for an answer what is in them."""

    kind: bytes
    body: bytes = b""
    result: Result | None = None


class Leash:
    """Ends whatever worker is at a question when that is called off, and never one that has gone on to another."""

    def __init__(self) -> None:
        self.called_off = False
        self.worker: WorkerProcess | None = None
        self._lock = threading.Lock()

    def hold(self, worker: WorkerProcess | None) -> None:
        """`worker` is at it from now on; None: nobody is any more."""
        with self._lock:
            self.worker = worker
            if self.called_off and worker is not None:
                worker.end()

    def call_off(self) -> None:
        """Ends the worker that is at it, or that will be."""
        with self._lock:
            self.called_off = True
            if self.worker is not None:
                self.worker.end()


class Crew:
    """Some workers, of which idle ones are kept so long as there are no more than `most` in all."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._lock = threading.Lock()
        self._idle: list[WorkerProcess] = []
        self._busy = 0
        self._closed = False

    def warm(self, workers: int) -> None:
        """Has so many workers started before anybody asks."""
        with self._lock:
            while len(self._idle) + self._busy < min(workers, self._most):
                self._idle.append(WorkerProcess())

    def answer(self, asked: Asked, heard: Callable[[float], None], leash: Leash) -> Verdict:
        """Puts a question to a worker and hears it out. Never raises for what a worker does."""
        try:
            worker = self._take(asked)
        except OSError as error:
            return Verdict(wire.REFUSED, wire.refused(no_process(error)))
        except UserFacingError as error:
            return Verdict(wire.REFUSED, wire.refused(error))
        try:
            with Deadline(worker, asked.seconds) as deadline:
                leash.hold(worker)
                verdict = _hear_out(worker, asked, heard)
        finally:
            leash.hold(None)
            self._give_back(worker)
        return Verdict(LATE) if deadline.passed and verdict.kind == GONE else verdict

    def close(self) -> None:
        """Ends the idle workers, and each other one when its question ends."""
        with self._lock:
            self._closed = True
            for worker in self._idle:
                worker.end()
            self._idle = []

    def _take(self, asked: Asked) -> WorkerProcess:
        """The idle worker that knows the question's model and method best, else a new one.

        Models from two places are never in one worker, for who made one could alter the answers about the other.
        """
        with self._lock:
            self._idle = [worker for worker in self._idle if worker.alive]
            fitting = [worker for worker in self._idle if worker.origin in (None, asked.origin)]
            if fitting:
                worker = max(fitting, key=lambda each: _fit(each, asked))
                self._idle.remove(worker)
            else:
                while self._idle and len(self._idle) + self._busy >= self._most:
                    self._idle.pop(0).end()
                worker = WorkerProcess()
            self._busy += 1
        worker.origin = asked.origin
        worker.held.add(asked.model)
        worker.skills.add(asked.method)
        return worker

    def _give_back(self, worker: WorkerProcess) -> None:
        """Keeps a worker for the next question, unless it was ended or there are enough."""
        with self._lock:
            self._busy -= 1
            if worker.alive and not self._closed and len(self._idle) + self._busy < self._most:
                self._idle.append(worker)
            else:
                worker.end()


def verified(body: bytes, key: str) -> Result:
    """The answer in `body`. Raises ValueError where it is none, or one to another question than `key` names."""
    result = codec.load(body)
    if question_key(result.query, result.method) != key:
        raise ValueError("an answer to another question")
    return result


def _fit(worker: WorkerProcess, asked: Asked) -> int:
    return 2 * (asked.method in worker.skills) + (asked.model in worker.held)


def _hear_out(worker: WorkerProcess, asked: Asked, heard: Callable[[float], None]) -> Verdict:
    """Follows a worker's frames to the last; one that ends or makes no sense is not asked again."""
    try:
        worker.put(asked.request, asked.file)
        while True:
            kind, body = worker.next_frame()
            if kind != wire.PROGRESS:
                return _verdict(kind, body, asked.key)
            share = struct.unpack("<d", body)[0]
            heard(min(1.0, share) if share > 0 else 0.0)
    except EOFError:
        worker.end()
        return Verdict(GONE, worker.why_ended().encode())
    except Exception:  # whatever a misbehaving worker sent ends this question and that worker only
        _log.exception("%s: the worker's answer made no sense", asked.method)
        worker.end()
        return Verdict(NONSENSE)


def _verdict(kind: bytes, body: bytes, key: str) -> Verdict:
    """What a worker's last frame says. Raises ValueError where that is nothing it may say."""
    if kind == wire.RESULT:
        return Verdict(kind, body, verified(body, key))
    if kind == wire.REFUSED:
        wire.refusal(body)
    elif kind != wire.BROKEN:
        raise ValueError(f"a frame of unknown kind {kind!r}")
    return Verdict(kind, body)
