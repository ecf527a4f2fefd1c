"""Questions computed on a cluster: Dask carries them to its workers, each of which has fenced workers of its own.

A machine of the cluster runs our code and is trusted as this one is; a model's file is opened only inside the fence
there. What its fenced worker says comes back as the bytes it sent and is checked here as if it were at home.
"""

import contextlib
import logging
import re
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

from core.errors import UserFacingError
from engine import wire
from engine.crew import GONE, NONSENSE, Asked, Crew, Leash, Verdict, verified
from engine.queue import Lane, Work

if TYPE_CHECKING:
    from distributed import Client, Future, Worker

_ADDRESS = re.compile(r"(tcp|tls)://[^/\s]+:\d{1,5}/?")
_PATIENCE = 3.0  # seconds for the scheduler to answer
_MEMORY = 2.0  # seconds for which a scheduler that did not answer is not asked again
_EVERY = 1.0  # seconds from one look at the cluster to the next
_ALONE = 30.0  # seconds for which a question waits for a worker to come back
_FETCHING = 120.0  # seconds for an answer to come over the network
_LOOK = 0.2  # seconds until a question that was called off is noticed, here and there
_LIGHT = 1 << 20  # bytes of a model that travels with every question; a larger one only where it is wanted
_KEPT = 1 << 30  # bytes of models that a worker of the cluster remembers
_WANTED = b"W"  # what such a worker says where it has to be sent the model
_TOPIC = "assay-progress"
_log = logging.getLogger("assay.cluster")


class Cluster:
    """A Dask scheduler and its workers. `changed` is told when there are more or fewer of them."""

    def __init__(self, address: str, changed: Callable[[], None]) -> None:
        if not _ADDRESS.fullmatch(address):
            raise _no_address(address)
        self._address = address
        self._changed = changed
        self._lock = threading.Lock()
        self._client: Client | None = None
        self._failed = -_MEMORY
        self._workers = 1
        self._heard: dict[str, Callable[[float], None]] = {}

    def slots(self, lane: Lane) -> int:
        """Half the cluster's workers for what takes long, the others for what somebody waits for; at least one each."""
        long = max(1, self._workers // 2)
        return long if lane == "long" else max(1, self._workers - long)

    def warm(self, workers: int) -> None:
        """Nothing: a cluster's machines start their workers when they are asked."""

    def answer(self, work: Work, asked: Asked) -> Verdict:
        """Has one question computed on some worker, and again on another where that one is lost."""
        light = replace(asked, file=b"") if len(asked.file) > _LIGHT else asked
        verdict = self._put(work, light)
        return self._put(work, asked) if verdict.kind == _WANTED else verdict

    def _put(self, work: Work, asked: Asked) -> Verdict:
        """Puts a question to the cluster and waits for what comes back."""
        client = self._connected()
        name = f"assay-{uuid.uuid4().hex}"
        self._heard[name] = work.hear
        try:
            with _released(client.submit(answer, asked, key=name, pure=False)) as future:
                if not self._wait(client, future, work):
                    return Verdict(GONE)
                return _received(*future.result(timeout=_FETCHING), asked.key)
        except UserFacingError:
            raise
        except Exception as error:  # Dask fails in more ways than can be listed
            if work.leash.called_off:
                return Verdict(GONE)
            _log.exception("a question got lost on the cluster")
            raise _lost(self._address, error) from error
        finally:
            del self._heard[name]

    def close(self) -> None:
        """Takes leave of the scheduler."""
        with self._lock:
            client, self._client = self._client, None
        _leave(client)

    def _connected(self) -> "Client":
        """The connection, made where there is none. Raises a sentence where the scheduler cannot be reached."""
        with self._lock:
            if self._client is None or self._client.status != "running":
                _leave(self._client)
                self._client = None
                if time.monotonic() < self._failed + _MEMORY:
                    raise _unreachable(self._address)
                self._client = self._connect()
            return self._client

    def _connect(self) -> "Client":
        import dask
        from distributed import Client

        # A question brings its model along; Dask takes that for a mistake from 10 MB on and warns.
        dask.config.set({"distributed.admin.large-graph-warning-threshold": "8 GiB"})
        try:
            client = Client(self._address, timeout=_PATIENCE, set_as_default=False, name="assay")
        except TypeError as error:  # what Dask says to tls:// without certificates
            raise _no_certificates() from error
        except (OSError, ValueError, RuntimeError) as error:
            _log.warning("the scheduler %s does not answer: %s", self._address, error)
            self._failed = time.monotonic()
            raise _unreachable(self._address) from error
        client.subscribe_topic(_TOPIC, self._hear)
        return client

    def _hear(self, event: tuple[float, tuple[str, float]]) -> None:
        """Takes note of how far a question is."""
        name, share = event[1]
        if name in self._heard:
            self._heard[name](share)

    def _wait(self, client: "Client", future: "Future", work: Work) -> bool:
        """Waits until a question is done; False where it was called off before."""
        done = threading.Event()
        future.add_done_callback(lambda _: done.set())
        looks = _Looks(self._address)
        while not done.wait(_LOOK):
            if work.leash.called_off:
                return False
            if looks.due():
                looks.take(self._count(client))
        return True

    def _count(self, client: "Client") -> int | None:
        """How many workers the cluster has now; None where the scheduler has no time to say. Raises OSError."""
        if client.status != "running":
            raise OSError("the connection to the scheduler broke")
        try:
            workers = len(client.nthreads(callback_timeout=_PATIENCE))
        except TimeoutError:  # it passes something large on
            return None
        if workers and workers != self._workers:
            self._workers = workers
            self._changed()
        return workers


class _Looks:
    """Whether a question that waits has a worker to hope for: if there is none at first, that is told at once; if one
    was there and is lost, after a while in which it may be started again.
    """

    def __init__(self, address: str) -> None:
        self._address = address
        self._next = 0.0
        self._until: float | None = None

    def due(self) -> bool:
        """Whether it is time to look again."""
        return time.monotonic() >= self._next

    def take(self, workers: int | None) -> None:
        """Takes note of how many workers there are, None: nobody said. Raises the sentence where there is no hope."""
        now = time.monotonic()
        self._next = now + _EVERY
        if workers or (workers is None and self._until is None):
            self._until = now + _ALONE
        elif self._until is None or now > self._until:
            raise _unreachable(self._address) if workers is None else _no_workers(self._address)


@contextlib.contextmanager
def _released(future: "Future") -> Iterator["Future"]:
    """A question that Dask lets go of afterwards, and so ends where it still runs."""
    try:
        yield future
    finally:
        future.release()


def _leave(client: "Client | None") -> None:
    """Closes a connection, in a thread of its own because a broken one takes its time."""
    if client is not None:
        threading.Thread(target=_close, args=(client,), daemon=True).start()


def _close(client: "Client") -> None:
    with contextlib.suppress(Exception):  # it is of no use any more, however it ends
        client.close(timeout=_PATIENCE)


def _received(kind: bytes, body: bytes, key: str) -> Verdict:
    """What came back, checked as what a worker of this machine says."""
    if kind != wire.RESULT:
        return Verdict(kind, body)
    try:
        return Verdict(kind, body, verified(body, key))
    except Exception:  # damage shows itself in more ways than can be listed
        _log.exception("an answer from the cluster made no sense")
        return Verdict(NONSENSE)


# --- on a worker of the cluster --------------------------------------------------------------------------------------


class Files:
    """Models by their digests, the last ones used, of at most so many bytes in all; the newest whatever its size."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._lock = threading.Lock()
        self._files: dict[str, bytes] = {}

    def put(self, model: str, file: bytes) -> None:
        """Remembers a model."""
        with self._lock:
            self._files.pop(model, None)
            self._files[model] = file
            while len(self._files) > 1 and sum(map(len, self._files.values())) > self._most:
                del self._files[next(iter(self._files))]

    def get(self, model: str) -> bytes | None:
        """A model's bytes; None where it is not remembered."""
        file = self._files.get(model)
        if file is not None:
            self.put(model, file)
        return file


_CREW = Crew(2)
_FILES = Files(_KEPT)


def answer(asked: Asked) -> tuple[bytes, bytes]:
    """Runs on a worker of the cluster: the kind and the bytes of what a fenced worker there said."""
    from distributed import Reschedule, get_worker

    file = asked.file or _FILES.get(asked.model)
    if file is None:
        return _WANTED, b""
    if asked.file:
        _FILES.put(asked.model, file)
    here = get_worker()
    name = here.get_current_task()
    with _Watch(here, name) as watch:
        verdict = _CREW.answer(replace(asked, file=file), _teller(here, name), watch.leash)
    if watch.leash.called_off:
        raise Reschedule  # whoever still wants it gets it from another worker
    return verdict.kind, verdict.body


def _teller(here: "Worker", name: str) -> Callable[[float], None]:
    """Tells the one who asked how far it is, a few times a second at most."""
    told = [-1.0]

    def tell(share: float) -> None:
        if time.monotonic() > told[0] + _LOOK:
            told[0] = time.monotonic()
            here.log_event(_TOPIC, (name, share))

    return tell


class _Watch:
    """Calls a question off where Dask has let go of it: its asker did, or is gone, or this worker is closing."""

    def __init__(self, here: "Worker", name: str) -> None:
        self.leash = Leash()
        self._here = here
        self._name = name
        self._over = threading.Event()

    def _look(self) -> None:
        while not self._over.wait(_LOOK):
            task = self._here.state.tasks.get(self._name)
            if task is None or task.state != "executing" or self._here.status.name in ("closing", "closed", "failed"):
                self.leash.call_off()
                return

    def __enter__(self) -> "_Watch":
        threading.Thread(target=self._look, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()


# --- sentences -------------------------------------------------------------------------------------------------------


def _no_address(address: str) -> UserFacingError:
    return UserFacingError(
        "The setting ASSAY_CLUSTER cannot be used",
        f"It is {address!r} and should be the address of a Dask scheduler",
        "Correct it where Assay is started, or take it away to compute on this machine",
        "export ASSAY_CLUSTER=tls://scheduler.example:8786",
    )


def _unreachable(address: str) -> UserFacingError:
    return UserFacingError(
        "The cluster cannot be reached",
        f"No connection to its scheduler at {address} came about; the log says why",
        "Start it, or see that this machine may talk to it, then ask again; known answers are shown without it",
    )


def _no_workers(address: str) -> UserFacingError:
    return UserFacingError(
        "The cluster has no workers", f"None has signed in with the scheduler at {address}", "Start one, then ask again"
    )


def _no_certificates() -> UserFacingError:
    return UserFacingError(
        "The cluster cannot be reached",
        "Its address begins with tls:// and no certificate is set for this machine",
        "Set Dask's own settings for it; docs/cluster.md names them",
    )


def _lost(address: str, error: Exception) -> UserFacingError:
    """The sentence where Dask gives a question up."""
    from distributed import KilledWorker

    if isinstance(error, KilledWorker):
        return UserFacingError(
            "The question was given up",
            "Every worker of the cluster that was at it was lost",
            "See on those machines whether they have enough memory, or ask about fewer rows",
        )
    return UserFacingError(
        "The cluster gave no answer",
        f"The scheduler at {address} or the way to it broke, or its machines have another version; see the log",
        "Ask again; known answers are shown without it",
    )
