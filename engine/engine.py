"""The engine: takes a question, looks whether its answer is known, else has a worker compute it."""

import logging
import struct
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Literal

from attacks.base import Attack
from core import codec
from core.errors import UserFacingError
from core.nouns import ModelFile, Query
from core.results import Result
from engine import wire
from engine.pool import Deadline, WorkerProcess, no_process
from engine.subjects import SAMPLES, read_model
from engine.worker import Method, Request
from explainers.base import Explainer
from storage.evidence import EvidenceStore, question_key

Lane = Literal["quick", "long"]
WORKERS: dict[Lane, int] = {"quick": 2, "long": 1}
SECONDS: dict[Lane, float] = {"quick": 60.0, "long": 900.0}
_log = logging.getLogger("assay.engine")


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


class Job:
    """One question under way. Every method may be called from any thread."""

    def __init__(self, question: Question, seconds: float) -> None:
        self.question = question
        self.seconds = seconds
        self.progress = 0.0
        self.worker: WorkerProcess | None = None
        self.cancelled = False
        self._asked = time.monotonic()
        self._done = threading.Event()
        self._result: Result | None = None
        self._error: UserFacingError | None = None

    @property
    def done(self) -> bool:
        return self._done.is_set()

    @property
    def failed(self) -> bool:
        """Whether it is done and has no answer."""
        return self.done and self._error is not None

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

    def finish(self, outcome: Result | UserFacingError) -> None:
        """Sets the outcome; the first one counts."""
        if self._done.is_set():
            return
        if isinstance(outcome, UserFacingError):
            self._error = outcome
        else:
            self._result = outcome
        self._done.set()


class Engine:
    """Answers questions: from the evidence store where they were asked before, else in a worker.

    Two lanes, so that a long attack never holds up a what-if: `quick` and `long`. The same question
    asked twice at once is computed once.
    """

    def __init__(self, home: Path) -> None:
        self.store = EvidenceStore(home / "evidence" / codec.FORMAT)
        self._lock = threading.RLock()
        self._running: dict[str, Job] = {}
        self._waiting: dict[Lane, deque[Job]] = {"quick": deque(), "long": deque()}
        self._idle: dict[Lane, list[WorkerProcess]] = {"quick": [], "long": []}
        self._busy: dict[Lane, int] = {"quick": 0, "long": 0}

    def warm(self, workers: int = WORKERS["quick"]) -> None:
        """Has so many quick workers started before anybody asks."""
        with self._lock:
            while len(self._idle["quick"]) + self._busy["quick"] < workers:
                self._idle["quick"].append(WorkerProcess())

    def submit(self, question: Question, seconds: float | None = None) -> Job:
        """Asks and returns at once; a known answer is there already."""
        question.check()
        job = Job(question, SECONDS[question.lane] if seconds is None else seconds)
        with self._lock:
            if question.key in self._running:
                return self._running[question.key]
        known = self.store.answer(question.key)
        if known is not None:
            job.finish(known)
            return job
        with self._lock:
            running = self._running.setdefault(question.key, job)
            if running is job:
                self._waiting[question.lane].append(job)
                self._dispatch(question.lane)
        return running

    def ask(self, question: Question, progress: Callable[[float], None] | None = None) -> Result:
        """Asks and waits for the answer; `progress` hears the share done, ten times a second."""
        job = self.submit(question)
        while progress is not None and not job.wait(0.1):
            progress(job.progress)
        return job.result()

    def cancel(self, job: Job) -> None:
        """Calls a question off; its worker is ended and replaced."""
        with self._lock:
            if job.done:
                return
            job.cancelled = True
            waiting = self._waiting[job.question.lane]
            if job in waiting:
                waiting.remove(job)
                self._close(job, Cancelled())
            elif job.worker is not None:
                job.worker.end()

    def close(self) -> None:
        """Ends every worker."""
        with self._lock:
            for job in list(self._running.values()):
                self.cancel(job)
            for worker in self._idle["quick"] + self._idle["long"]:
                worker.end()
            self._idle = {"quick": [], "long": []}

    def _dispatch(self, lane: Lane) -> None:
        """Hands waiting questions to free workers."""
        while self._waiting[lane] and self._busy[lane] < WORKERS[lane]:
            job = self._waiting[lane].popleft()
            self._busy[lane] += 1
            try:
                job.worker = self._take_worker(job.question)
            except (OSError, UserFacingError) as error:
                self._busy[lane] -= 1
                self._close(job, error if isinstance(error, UserFacingError) else no_process(error))
            else:
                threading.Thread(target=self._run, args=(job, job.worker), daemon=True).start()

    def _take_worker(self, question: Question) -> WorkerProcess:
        """The idle worker that knows the question's model and method best, else a new one.

        Models from two folders are never in one worker, for who made one could alter the answers about the other.
        """
        idle = self._idle[question.lane]
        idle[:] = [worker for worker in idle if worker.alive]
        folder = _folder(question)
        fitting = [worker for worker in idle if worker.folder in (None, folder)]
        if fitting:
            worker = max(fitting, key=lambda each: _fit(each, question))
            idle.remove(worker)
        else:
            while idle and len(idle) + self._busy[question.lane] > WORKERS[question.lane]:
                idle.pop(0).end()
            worker = WorkerProcess()
        worker.folder = folder
        return worker

    def _run(self, job: Job, worker: WorkerProcess) -> None:
        """One question on one worker, from first frame to verdict."""
        with Deadline(worker, job.seconds) as deadline:
            outcome = self._outcome(job, worker, deadline)
        with self._lock:
            self._busy[job.question.lane] -= 1
            if worker.alive and not deadline.passed and not job.cancelled:
                self._idle[job.question.lane].append(worker)
            else:
                worker.end()
            self._close(job, outcome)
            self._dispatch(job.question.lane)

    def _outcome(self, job: Job, worker: WorkerProcess, deadline: Deadline) -> Result | UserFacingError:
        """The answer, kept, or the sentence that says why there is none. Never raises."""
        try:
            answer = _converse(job, worker)
            self.store.keep(job.question.key, answer)
            return answer
        except UserFacingError as error:
            return error
        except EOFError:
            worker.end()
            return _epitaph(job, worker.why_ended(), deadline.passed)
        except Exception:  # whatever a misbehaving worker sent ends this question and that worker only
            _log.exception("%s: the worker's answer made no sense", job.question.method.name)
            worker.end()
            return _distrust()

    def _close(self, job: Job, outcome: Result | UserFacingError) -> None:
        self._running.pop(job.question.key, None)
        job.finish(outcome)


def _folder(question: Question) -> Path:
    """Where the model is from; the samples, which ship with Assay, are all from one place."""
    folder = Path(question.model.path).parent
    return SAMPLES if folder.is_relative_to(SAMPLES) else folder


def _fit(worker: WorkerProcess, question: Question) -> int:
    return 2 * (question.method.name in worker.skills) + (question.model.spec.digest in worker.held)


def _converse(job: Job, worker: WorkerProcess) -> Result:
    """Puts the question and hears the worker out."""
    model, method = job.question.model, job.question.method
    worker.held.add(model.spec.digest)
    worker.skills.add(method.name)
    worker.put(Request(model.format, model.spec, dict(model.settings), method, job.question.query), read_model(model))
    while True:
        kind, body = worker.next_frame()
        if kind == wire.PROGRESS:
            job.progress = max(job.progress, min(1.0, struct.unpack("<d", body)[0]))
        elif kind == wire.RESULT:
            return _checked(codec.load(body), job.question)
        elif kind == wire.REFUSED:
            raise wire.refusal(body)
        elif kind == wire.BROKEN:
            _log.error("%s failed:\n%s", method.name, body.decode(errors="replace"))
            raise UserFacingError(
                f"{method.title} stopped with an internal error",
                "This is a defect in the method, not in your model or data; the log has the details",
                "Choose another method, and report this one",
            )
        else:
            raise ValueError(f"a frame of unknown kind {kind!r}")


def _checked(result: Result, question: Question) -> Result:
    """Refuses an answer to another question than the one put."""
    if question_key(result.query, result.method) != question.key:
        raise _distrust()
    return result


def _distrust() -> UserFacingError:
    return UserFacingError(
        "The worker's answer makes no sense",
        "The process that holds the model sent something else than was asked",
        "Ask again; if it happens again, do not trust this model file",
    )


def _epitaph(job: Job, why: str, timed_out: bool) -> UserFacingError:
    """The one sentence about a worker that is gone."""
    method = job.question.method
    if job.cancelled:
        return Cancelled()
    if timed_out:
        return UserFacingError(
            f"{method.title} was stopped after {job.seconds:g} seconds",
            "It reached its time limit",
            "Ask about fewer rows, or choose smaller options",
        )
    return UserFacingError(
        f"{method.title} did not finish",
        f"While it ran, {why}",
        "Ask again; everything else goes on as it was",
    )
