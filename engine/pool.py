"""Worker processes: started fenced and with a clean environment, one question each at a time, ended without mercy."""

import logging
import os
import signal
import subprocess
import sys
import tempfile
import threading
from concurrent.futures import ThreadPoolExecutor

from core.errors import UserFacingError
from data_files.limits import SETTINGS
from engine import wire
from engine.limits import worker_memory
from engine.sandbox import ROOT, UNFENCED
from engine.worker import NO_MEMORY

_log = logging.getLogger("assay.worker")
_LOGGED = 1000  # lines
_ONE_FILE_SECONDS = 3600
_PASSED_ON = (
    "PATH",
    "HOME",
    "LANG",
    "LC_ALL",
    "SYSTEMROOT",
    "VIRTUAL_ENV",
    "LD_LIBRARY_PATH",
    "CUDA_VISIBLE_DEVICES",
    "NUMBA_CACHE_DIR",
    *SETTINGS,
)
_THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS")
_MOST_THREADS = 16
_OTHERS = {
    "HF_HUB_OFFLINE": "1",
    "JOBLIB_MULTIPROCESSING": "0",
    "NUMBA_CACHE_LOCATOR_CLASSES": "explainers.trees.kept.Named,explainers.trees.kept.BesideTheCode",
    "ORT_DISABLE_TELEMETRY": "1",
    "TOKENIZERS_PARALLELISM": "false",
}
# The kernel ends a worker when the thread that started it ends; this one lives as long as the process.
_STARTER = ThreadPoolExecutor(1, "worker-starter")


class WorkerProcess:
    """One worker. `held` are the models, `skills` the methods that it has already loaded.

    `origin` is where its models are from: who made one of them could alter its answers about the others. A worker
    that is for `one_file` only has less memory, and a limit to its processor time.
    """

    def __init__(self, one_file: bool = False) -> None:
        self._process = _STARTER.submit(_start, one_file).result()
        self._over = threading.Event()
        threading.Thread(target=_log_lines, args=(self._process, self._over), daemon=True).start()
        self.held: set[str] = set()
        self.skills: set[str] = set()
        self.origin: str | None = None

    @property
    def pid(self) -> int:
        return self._process.pid

    def put(self, request: bytes, file: bytes) -> None:
        """Sends a file and, pickled, what is asked about it; EOFError where the worker is gone."""
        try:
            wire.send(self._process.stdin, wire.FILE, file)
            wire.send(self._process.stdin, wire.REQUEST, request)
        except BrokenPipeError as error:
            raise EOFError("the worker is gone") from error

    def next_frame(self) -> tuple[bytes, bytes]:
        """Waits for the worker's next frame; EOFError where it died, ValueError where it sent none."""
        return wire.receive(self._process.stdout, wire.ANSWERS)

    @property
    def alive(self) -> bool:
        """Whether it can be asked: one that was ended may still be dying."""
        return not self._over.is_set() and self._process.poll() is None

    def end(self) -> None:
        """Ends the process at once. Safe to call more than once, and from another thread than the reader's."""
        self._over.set()
        self._process.kill()

    def why_ended(self) -> str:
        """Why the process ended, as a clause."""
        code = self._process.wait()
        if code == -signal.SIGKILL:
            return "its process was killed, by hand or for lack of memory"
        if code == -signal.SIGXCPU:
            return "its process used up its processor time"
        if code == NO_MEMORY:
            return "its process had no memory left for the file"
        if code == UNFENCED:
            return "its process could not be fenced in, as the log says"
        if code < 0:
            return f"its process crashed ({signal.Signals(-code).name})"
        return f"its process ended by itself (exit status {code})"


def _start(one_file: bool) -> subprocess.Popen:
    most = worker_memory()
    memory, seconds = (most * 3 // 4, _ONE_FILE_SECONDS) if one_file else (most, 0)
    return subprocess.Popen(
        [sys.executable, "-m", "engine.sandbox", "engine.worker", str(memory), str(seconds)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=ROOT,
        env=_environment(),
        start_new_session=True,
    )


def _log_lines(process: subprocess.Popen, over: threading.Event) -> None:
    """What libraries print in a worker goes to the log, a bounded piece at a time and so many of them; then its end.

    Its end is said by `over`: while one thread waits for it, another that polls is told that it is alive.
    """
    said = 0
    while line := process.stderr.readline(4096):
        said += 1
        if said <= _LOGGED:
            _log.warning("worker %d: %s", process.pid, line.decode(errors="replace").rstrip())
    over.set()
    process.wait()  # leaves no dead process behind


def _environment() -> dict[str, str]:
    """Nothing secret reaches a worker: only what a Python process needs to run."""
    passed = {name: os.environ[name] for name in _PASSED_ON if name in os.environ}
    # captum loads matplotlib, which insists on a folder that looks as if it could write there.
    passed["MPLCONFIGDIR"] = tempfile.gettempdir()
    return passed | _OTHERS | dict.fromkeys(_THREADS, str(min(os.cpu_count() or 1, _MOST_THREADS)))


def no_process(error: OSError) -> UserFacingError:
    """The sentence where the system lets no worker start."""
    return UserFacingError(
        "No worker could be started",
        f"The system refused a new process ({error.strerror})",
        "Make room for it, then ask again",
    )


class Deadline:
    """Ends a worker when its time is up and remembers that it did."""

    def __init__(self, worker: WorkerProcess, seconds: float) -> None:
        self.passed = False
        self._worker = worker
        self._timer = threading.Timer(seconds, self._strike)
        self._timer.daemon = True

    def _strike(self) -> None:
        self.passed = True
        self._worker.end()

    def __enter__(self) -> "Deadline":
        self._timer.start()
        return self

    def __exit__(self, *_: object) -> None:
        """From here on the worker is left alone, which may by then be at another question."""
        self._timer.cancel()
        self._timer.join()
