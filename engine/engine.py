"""The engine: takes a question, looks whether its answer is known, else has a worker compute it."""

import logging
import os
import pickle
import threading
from collections.abc import Callable
from typing import Protocol

from core.errors import UserFacingError
from core.results import Result
from engine import wire
from engine.cluster import Cluster
from engine.crew import GONE, LATE, Asked, Crew, Verdict
from engine.places import origin
from engine.pool import no_process
from engine.queue import LOCAL, Cancelled, Job, Lane, Question, Queue, Work
from engine.subjects import read_model
from engine.worker import Request
from storage.evidence import EvidenceStore
from storage.stores import stores

WORKERS: dict[Lane, int] = {"quick": 2, "long": 1}
SECONDS: dict[Lane, float] = {"quick": 60.0, "long": 900.0}
_log = logging.getLogger("assay.engine")


class Answering(Protocol):
    """Where questions are computed: on this machine, or on a cluster."""

    def slots(self, lane: Lane) -> int:
        """How many questions of a lane are worked on at once."""

    def warm(self, workers: int) -> None:
        """Has so many quick workers started before anybody asks."""

    def answer(self, work: Work, asked: Asked) -> Verdict:
        """Has one question computed, and waits for it. Raises UserFacingError where nobody could be asked."""

    def close(self) -> None:
        """Ends what is idle; what is busy ends with its question."""


class Machine:
    """This machine, with a crew for each lane, so that a long attack never holds up a what-if."""

    def __init__(self) -> None:
        self._crews = {lane: Crew(most) for lane, most in WORKERS.items()}

    def slots(self, lane: Lane) -> int:
        return WORKERS[lane]

    def warm(self, workers: int) -> None:
        self._crews["quick"].warm(workers)

    def answer(self, work: Work, asked: Asked) -> Verdict:
        return self._crews[work.question.lane].answer(asked, work.hear, work.leash)

    def close(self) -> None:
        for crew in self._crews.values():
            crew.close()


class Engine:
    """Answers questions: from the evidence store where they were asked before, else computed.

    Two lanes, `quick` and `long`; in each, turns go round the people who ask. The same question asked by several at
    once is computed once. With `cluster`, the address of a Dask scheduler, it is computed there.
    """

    def __init__(self, store: EvidenceStore, cluster: str | None = None) -> None:
        self.store = store
        self._lock = threading.RLock()
        self._works: dict[tuple[str, str], Work] = {}
        self._queues: dict[Lane, Queue] = {"quick": Queue(), "long": Queue(one_each=True)}
        self._answering: Answering = Cluster(cluster, self._dispatch) if cluster else Machine()
        self._closed = False

    @classmethod
    def open(cls, lasting: float | None = None) -> "Engine":
        """The engine on the stores and the cluster that the environment names. Raises UserFacingError.

        `lasting`: seconds after which an answer expires; None: it stays.
        """
        return cls(EvidenceStore(stores().vault, lasting), os.environ.get("ASSAY_CLUSTER"))

    def warm(self, workers: int = WORKERS["quick"]) -> None:
        """Has so many quick workers started before anybody asks."""
        self._answering.warm(workers)

    def known(self, question: Question, who: str = LOCAL) -> bool:
        """Whether asking computes nothing anew: it was answered before, or `who` waits for the answer already."""
        with self._lock:
            work = self._works.get((question.key, ""))
            if work is not None and who in work.jobs:
                return True
        return self.store.has(question.key)

    def submit(self, question: Question, seconds: float | None = None, who: str = LOCAL, fresh: bool = False) -> Job:
        """Asks for `who` and returns at once; a known answer is there already.

        With `fresh` it is computed whatever is known, for this person alone, and what is kept stays as it is, so that
        the two digests can be compared. Who asks again while the question is under way gets the same job.
        """
        question.check()
        work = Work(question, SECONDS[question.lane] if seconds is None else seconds, who if fresh else "")
        with self._lock:
            if work.name in self._works:
                return self._join(self._works[work.name], who)
        known = None if fresh else self.store.answer(question.key)
        if known is not None:
            job = Job(work, who)
            job.finish(known)
            return job
        with self._lock:
            if self._closed:
                raise Cancelled
            job = self._join(self._works.setdefault(work.name, work), who)
            self._dispatch()
        return job

    def ask(self, question: Question, progress: Callable[[float], None] | None = None) -> Result:
        """Asks and waits for the answer; `progress` hears the share done, ten times a second."""
        job = self.submit(question)
        while progress is not None and not job.wait(0.1):
            progress(job.progress)
        return job.result()

    def place(self, job: Job) -> int:
        """Its place among the waiting: 1 for the next one, 0 for one that is worked on or done."""
        with self._lock:
            return 0 if job.done else self._queues[job.question.lane].place(job.work)

    def cancel(self, job: Job, who: str = LOCAL) -> None:
        """Calls a question off for `who`, whose job it must be. Its worker is ended where nobody else waits for it."""
        if job.who != who:
            raise ValueError("this is somebody else's job")
        with self._lock:
            self._leave(job)
            self._dispatch()

    def close(self) -> None:
        """Calls everything off and ends every worker; nothing new is computed from here on."""
        with self._lock:
            self._closed = True
            for work in list(self._works.values()):
                for job in list(work.jobs.values()):
                    self._leave(job)
        self._answering.close()

    def _join(self, work: Work, who: str) -> Job:
        """The claim of `who` to a work, which from then on may run in their turn too."""
        if who not in work.jobs:
            queue = self._queues[work.question.lane]
            if not work.jobs or queue.waits(work):
                queue.join(work, who)
            work.jobs[who] = Job(work, who)
        return work.jobs[who]

    def _leave(self, job: Job) -> None:
        """Ends one claim, and with the last one the work."""
        work = job.work
        if job.done:
            return
        del work.jobs[job.who]
        self._queues[work.question.lane].leave(work, job.who)
        if not work.jobs:
            self._forget(work)
            work.leash.call_off()
        job.finish(Cancelled())

    def _forget(self, work: Work) -> None:
        """Has nobody join a work any more: it is at its end."""
        if self._works.get(work.name) is work:
            del self._works[work.name]

    def _dispatch(self) -> None:
        """Has waiting questions worked on, as many as there are slots for."""
        with self._lock:
            for lane, queue in self._queues.items():
                while len(queue.running) < self._answering.slots(lane) and (work := queue.take()) is not None:
                    try:
                        threading.Thread(target=self._run, args=(work,), daemon=True).start()
                    except RuntimeError as error:  # the system lets no thread start
                        self._finish(work, no_process(OSError(0, str(error))))

    def _run(self, work: Work) -> None:
        """One question, from a slot for it to the verdict."""
        outcome = self._outcome(work)
        with self._lock:
            self._finish(work, outcome)
            self._dispatch()

    def _finish(self, work: Work, outcome: Result | UserFacingError) -> None:
        """Tells everybody who waits, and frees the slot."""
        self._queues[work.question.lane].running.remove(work)
        self._forget(work)
        for job in work.jobs.values():
            job.finish(outcome)

    def _outcome(self, work: Work) -> Result | UserFacingError:
        """The answer, kept, or the sentence that says why there is none. Never raises."""
        try:
            if work.leash.called_off:
                return Cancelled()
            answer = _told(work, self._answering.answer(work, _asked(work)))
            if not work.alone:
                self.store.keep(work.question.key, answer)
            return answer
        except UserFacingError as error:
            return error
        except Exception:  # a defect of ours must leave nobody waiting
            _log.exception("%s could not be answered", work.question.method.name)
            return _defect(work.question)


def _asked(work: Work) -> Asked:
    """A question as a machine gets it. Raises UserFacingError where its model's file cannot be read."""
    model, method = work.question.model, work.question.method
    request = Request(model.format, model.spec, dict(model.settings), method, work.question.query)
    return Asked(
        key=work.question.key,
        origin=origin(model),
        model=model.spec.digest,
        method=method.name,
        seconds=work.seconds,
        request=pickle.dumps(request),
        file=read_model(model),
    )


def _told(work: Work, verdict: Verdict) -> Result:
    """The answer that a verdict brings. Raises the sentence that says why there is none."""
    if verdict.result is not None:
        return verdict.result
    if verdict.kind == wire.REFUSED:
        raise wire.refusal(verdict.body)
    if verdict.kind == wire.BROKEN:
        _log.error("%s failed:\n%s", work.question.method.name, verdict.body.decode(errors="replace"))
        raise _defect(work.question)
    if verdict.kind == LATE:
        raise _late(work)
    if verdict.kind == GONE:
        raise _gone(work.question, verdict.body.decode())
    raise _distrust()


def _defect(question: Question) -> UserFacingError:
    return UserFacingError(
        f"{question.method.title} stopped with an internal error",
        "This is a defect in the method, not in your model or data; the log has the details",
        "Choose another method, and report this one",
    )


def _late(work: Work) -> UserFacingError:
    return UserFacingError(
        f"{work.question.method.title} was stopped after {work.seconds:g} seconds",
        "It reached its time limit",
        "Ask about fewer rows, or choose smaller options",
    )


def _gone(question: Question, why: str) -> UserFacingError:
    return UserFacingError(
        f"{question.method.title} did not finish",
        f"While it ran, {why}",
        "Ask again; everything else goes on as it was",
    )


def _distrust() -> UserFacingError:
    return UserFacingError(
        "The worker's answer makes no sense",
        "The process that holds the model sent something else than was asked",
        "Ask again; if it happens again, do not trust this model file",
    )
