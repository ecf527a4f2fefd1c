"""One file, one worker: what is found out about a file that nobody has opened yet.

Every file gets a process of its own that has seen no other and sees none after it, so that no file can touch what is
found out about another.
"""

import logging
import pickle
import struct
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from typing import Any, TypeVar

import numpy as np

from core import codec
from core.errors import UserFacingError
from engine import wire
from engine.pool import Deadline, WorkerProcess, no_process
from engine.queue import Cancelled
from engine.worker import Task

T = TypeVar("T")
Found = tuple[dict[str, Any], dict[str, np.ndarray]]
_PATIENCE = 0.1  # seconds until a cancelled run is ended

_log = logging.getLogger("assay.intake")
_lock = threading.Lock()
_reserve: list[WorkerProcess] = []


def warm() -> None:
    """Has one worker started before a file comes, where none is waiting: it saves the first half second."""
    with _lock:
        _reserve[:] = [worker for worker in _reserve if worker.alive] or [WorkerProcess(one_file=True)]


def run_task(
    name: str,
    options: Mapping[str, Any],
    file: bytes,
    seconds: float,
    progress: Callable[[float], None] | None = None,
    cancelled: Callable[[], bool] | None = None,
) -> Found:
    """What the task `name` of `engine.tasks` finds out about `file`, in a fresh worker that ends with it.

    `progress` hears the share done; `cancelled` is asked ten times a second, from another thread. Raises
    UserFacingError: the task's own, or one that says how the worker ended.
    """
    try:
        worker = _take()
    except OSError as error:
        raise no_process(error) from error
    with Deadline(worker, seconds) as deadline, _Watch(worker, cancelled) as watch:
        try:
            worker.put(pickle.dumps(Task(name, options)), file)
            return _hear_out(name, worker, progress or (lambda _share: None))
        except EOFError:
            worker.end()
            raise _epitaph(worker.why_ended(), watch.cancelled, seconds if deadline.passed else None) from None
        except (ValueError, struct.error) as error:
            _log.exception("%s: the worker's answer made no sense", name)
            raise distrust() from error
        finally:
            worker.end()


def in_background(run: Callable[[], T]) -> Future[T]:
    """`run` in a thread that does not outlive the process; the future has what it gives, or raises what it raised."""
    future: Future[T] = Future()

    def work() -> None:
        try:
            future.set_result(run())
        except Exception as error:  # whoever waits for it is told
            future.set_exception(error)

    threading.Thread(target=work, daemon=True).start()
    return future


def _take() -> WorkerProcess:
    """The worker in reserve, else a new one."""
    with _lock:
        while _reserve:
            worker = _reserve.pop()
            if worker.alive:
                return worker
    return WorkerProcess(one_file=True)


def _hear_out(name: str, worker: WorkerProcess, progress: Callable[[float], None]) -> Found:
    """Follows a worker's frames to the last."""
    while True:
        kind, body = worker.next_frame()
        if kind == wire.PROGRESS:
            share = struct.unpack("<d", body)[0]
            progress(min(1.0, share) if share > 0 else 0.0)
        elif kind == wire.FOUND:
            return codec.unpack(body)
        elif kind == wire.REFUSED:
            raise wire.refusal(body)
        elif kind == wire.BROKEN:
            _log.error("%s failed:\n%s", name, body.decode(errors="replace"))
            raise _defect()
        else:
            raise ValueError(f"a frame of kind {kind!r} is no finding")


class _Watch:
    """Ends a worker when its run is called off, and remembers that it did."""

    def __init__(self, worker: WorkerProcess, asked: Callable[[], bool] | None) -> None:
        self.cancelled = False
        self._worker = worker
        self._asked = asked
        self._over = threading.Event()

    def _look(self) -> None:
        while not self._over.wait(_PATIENCE):
            if self._asked():
                self.cancelled = True
                self._worker.end()
                return

    def __enter__(self) -> "_Watch":
        if self._asked is not None:
            threading.Thread(target=self._look, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()


def _epitaph(why: str, cancelled: bool, seconds: float | None) -> UserFacingError:
    """The one sentence about a worker that ended before it answered. `seconds`: its time limit, if it reached that."""
    if cancelled:
        return Cancelled()
    if seconds is not None:
        return UserFacingError(
            "The file was put aside",
            f"Reading it took longer than {seconds:g} seconds",
            "Do not trust a small file that takes this long; bring less of a large one",
        )
    return UserFacingError(
        "The file was put aside", f"While it was read, {why}", "Do not trust this file; export it again"
    )


def _defect() -> UserFacingError:
    return UserFacingError(
        "The file was put aside",
        "Reading it stopped with an internal error: a defect in Assay, or a file made to cause one; see the log",
        "Export it again; if that changes nothing, report it with the log",
    )


def distrust() -> UserFacingError:
    """The sentence for an answer that makes no sense."""
    return UserFacingError(
        "The file was put aside",
        "The process that read it sent something else than was asked",
        "Do not trust this file; export it again",
    )
